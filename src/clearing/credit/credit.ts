// The Credit port over the accounts in the database: what a call needs is held before it rings, more while it lasts,
// and what it has cost until its record is charged (COM-02 to COM-04).

import { HubError, messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Credited, EpochMs } from '../../session/model.ts'
import type { Clock, Credit, Reserved, TermsAsked } from '../../session/ports.ts'
import type { Database } from '../../store/database.ts'
import type { Sql } from '../../store/sql.ts'
import { hasAccount } from '../agreements.ts'
import type { Agreement, AgreementBook } from '../agreements.ts'
import { createAlarms } from './alarms.ts'
import { createGroup, later } from './group.ts'
import type { GroupLimits } from './group.ts'
import { Ledger, holdKey, quotaPeriod, take } from './steps.ts'
import type { Account, Holder, Step, Verdict } from './steps.ts'
import {
  currenciesOf,
  heldBy,
  isLocked,
  lockAccounts,
  openAccounts,
  orphanReservations,
  quotasOf,
  sweepReservations,
  waitBriefly,
  writeLedger
} from './store.ts'

export const limits = {
  /** Between two looks for reservations that nobody refreshes any more. */
  sweepMs: 30_000,
  /** Transactions at once: while the database is busy with one, the hub prepares another, of other accounts. */
  groups: 2,
  /** Calls whose reservations this process knows. */
  holdersMax: 100_000
} as const

export interface CreditParts {
  readonly database: Database
  readonly book: AgreementBook
  readonly clock: Pick<Clock, 'now'>
  /** Names what is held, so that a hub of this name finds it after a crash. */
  readonly node: string
  readonly log: Logger
  readonly group?: Partial<GroupLimits>
}

export interface RunningCredit extends Credit {
  /** Opens accounts that are missing. Throws HUB_CONFIG where one is in another currency. */
  start(): Promise<void>
  /** What is under way is answered; what was held stays. */
  stop(): Promise<void>
}

interface Live {
  readonly holder: Holder
  /** By what the hub has told since; null: it has told nothing. */
  answeredAt: EpochMs | null
}

export function createCredit({ database, book, clock, node, log, group: bounds = {} }: CreditParts): RunningCredit {
  const accounts = book.agreements.filter(hasAccount)
  const byId = new Map(accounts.map(agreement => [agreement.id, agreement]))
  const live = new Map<string, Live>()
  const alarms = createAlarms(byId, log)
  const commit = committing(database, node, changed => alarms.look(changed))
  const groups = Array.from({ length: limits.groups }, () => createGroup(commit, bounds))
  // The steps of an account share a group, so that they come in their order.
  const groupOf = new Map(accounts.map(({ id }, n) => [id, groups[n % groups.length]]))
  const ask = async (step: Step): Promise<Verdict> => (await groupOf.get(step.holder.agreement.id)?.ask(step)) ?? null
  let sweeping: NodeJS.Timeout | undefined

  async function reserve(holder: Holder): Promise<Reserved> {
    const { agreement } = holder
    const { advance, onSilence } = agreement.credit
    const reservationId = holdKey(holder)
    if (live.size >= limits.holdersMax) return advance ? 'unavailable' : null
    try {
      const verdict = await ask({ type: 'reserve', holder })
      if (verdict === null || verdict === 'no-credit') return 'no-credit'
      if (!holder.isText) live.set(reservationId, { holder, answeredAt: null })
      return { reservationId, reservedMs: verdict.reservedMs, onSilence }
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      log.warn({ agreement: agreement.id, reason: messageOf(error) }, 'credit cannot be asked')
      // Who pays later goes on, within what may be open while nothing is cleared.
      return advance ? 'unavailable' : null
    }
  }

  return {
    reserve(id, attempt, terms, asked) {
      const agreement = byId.get(terms.ingressAgreementId)
      const holder = agreement === undefined ? null : holderOf(book, agreement, id, attempt, asked)
      return holder === null ? null : reserve(holder)
    },
    async refresh(reservationId, usedMs): Promise<Credited | 'no-credit'> {
      const known = live.get(reservationId)
      if (known === undefined) return 'no-credit'
      known.answeredAt = clock.now() - usedMs
      const { holder, answeredAt } = known
      const verdict = await ask({ type: 'refresh', holder, usedMs, answeredAt })
      if (verdict === null || verdict === 'no-credit') return 'no-credit'
      return { reservationId, reservedMs: verdict.reservedMs, onSilence: holder.agreement.credit.onSilence }
    },
    async settle(reservationId, usedMs) {
      const known = live.get(reservationId)
      if (known === undefined) return
      live.delete(reservationId)
      const { holder } = known
      // Prices by the time of day want to know when it was answered, and the end may be told late.
      const answeredAt = holder.row.bands.length === 0 ? clock.now() - usedMs : known.answeredAt
      await ask({ type: 'settle', holder, usedMs, answeredAt })
    },
    async start() {
      if (accounts.length === 0) return
      await database.transaction(sql => openAccounts(sql, accounts))
      requireCurrencies(accounts, await currenciesOf(database))
      const orphans = await orphanReservations(database, node)
      if (orphans > 0) log.warn({ orphans }, 'reservations of an earlier life wait for their records')
      sweeping = setInterval(() => void sweep(database, log), limits.sweepMs).unref()
    },
    async stop() {
      clearInterval(sweeping)
      await Promise.all(groups.map(group => group.close()))
    }
  }
}

/**
 * All steps of a group in one transaction, each by what those before it have left. Steps whose account is locked, by a
 * batch that is posted or a period that is closed, come later and hold nobody else up.
 */
const committing =
  (database: Database, node: string, look: (accounts: Iterable<Account>) => void) =>
  async (steps: readonly Step[]): Promise<readonly (Verdict | typeof later)[]> => {
    const agreementIds = [...new Set(steps.map(({ holder }) => holder.agreement.id))]
    const callIds = [...new Set(steps.map(({ holder }) => holder.callId))]
    try {
      const { verdicts, ledger } = await database.transaction(async sql => {
        const accounts = await lockSome(sql, agreementIds)
        const quotas = await quotasOf(sql, quotasWanted(steps))
        const ledger = new Ledger(accounts, quotas, await heldBy(sql, callIds))
        const isMine = ({ holder }: Step): boolean => ledger.accounts.has(holder.agreement.id)
        const verdicts = steps.map(step => (isMine(step) ? take(ledger, step) : later))
        if (ledger.changed.size > 0) await writeLedger(sql, ledger, node)
        return { verdicts, ledger }
      })
      look(ledger.accounts.values())
      return verdicts
    } catch (error) {
      if (!isLocked(error)) throw error
      return steps.map(() => later)
    }
  }

/** The accounts that are free; where none is, the first that becomes free. */
async function lockSome(sql: Sql, agreementIds: readonly string[]): Promise<readonly Account[]> {
  const accounts = await lockAccounts(sql, agreementIds, { free: true })
  if (accounts.length > 0) return accounts
  await waitBriefly(sql)
  return lockAccounts(sql, agreementIds.slice(0, 1))
}

async function sweep(database: Database, log: Logger): Promise<void> {
  try {
    const released = await database.transaction(sweepReservations)
    if (released > 0) log.warn({ released }, 'reservations that nobody refreshed were released')
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'reservations cannot be looked through')
  }
}

/** Null: nothing prices it now, so nothing can be held; the record will be priced, or wait in suspense. */
function holderOf(
  book: AgreementBook,
  agreement: Agreement,
  callId: string,
  attempt: number,
  { service, called, rn, calling, at }: TermsAsked
): Holder | null {
  const row = book.rowOf(agreement, { number: book.numberOf(rn ?? called), calling, at })
  return row === null ? null : { agreement, row, isText: service === 'message', callId, attempt, at }
}

/** Free units of the periods that the steps may touch. */
function quotasWanted(steps: readonly Step[]): readonly { agreementId: string; period: string }[] {
  const wanted = new Map<string, { agreementId: string; period: string }>()
  for (const { holder } of steps) {
    const { agreement, at } = holder
    if (agreement.model !== 'freemium') continue
    // Reserved in one period, it may be answered in the next.
    for (const moment of [at, at + maxRingMs]) {
      const period = quotaPeriod(agreement, moment)
      wanted.set(`${agreement.id} ${period}`, { agreementId: agreement.id, period })
    }
  }
  return [...wanted.values()]
}
/** Nothing rings longer. */
const maxRingMs = 600_000

function requireCurrencies(accounts: readonly Agreement[], currencies: ReadonlyMap<string, string>): void {
  for (const { id, currency } of accounts) {
    const known = currencies.get(id)
    if (known === undefined || known === currency) continue
    throw new HubError('HUB_CONFIG', `agreement ${id}: its account is in ${known}, not in ${currency}`)
  }
}
