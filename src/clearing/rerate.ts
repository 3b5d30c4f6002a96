// Charges made again: what was charged is reversed and charged anew, with the reason, and only where something
// differs, so that doing it twice is doing it once (LED-02). Prices that depend on the order of calls become final
// here (COM-07).

import type { CopyTable } from '../store/binary-copy.ts'
import type { Database } from '../store/database.ts'
import type { Sql } from '../store/sql.ts'
import { HubError } from '../errors.ts'
import { hasAccount } from './agreements.ts'
import type { Agreement, AgreementBook } from './agreements.ts'
import { chargeOf } from './charging.ts'
import type { Chargeable, Charge, StandingOf } from './charging.ts'
import { takeRecharges } from './credit/posting.ts'
import type { Recharged } from './credit/posting.ts'
import { chargeableColumns, chargeableOf } from './ledger.ts'
import type { ChargeableRow } from './ledger.ts'
import { periodOfDay } from './periods.ts'
import { addDaySums, addTransfers, daySumOf, shardOfNone, summed } from './postings.ts'
import type { DaySum, Entry, Summed } from './postings.ts'
import { isOrderDependent } from './pricing.ts'

export const limits = {
  /** Records of one run; more take several, by day. */
  recordsMax: 5_000_000,
  /** Records of one transaction. */
  pageMax: 1_000
} as const

/** Of two runs that want the same record the second finds it done. */
export const rerateLock = 4_970_132_205n

export interface RerateScope {
  /** Null: all of them. */
  readonly agreementId: string | null
  /** Local days of the agreements; `to` is no part of it. */
  readonly from: string
  readonly to: string
  /** Null: all calls. */
  readonly callId: string | null
}

export interface RerateOptions {
  readonly scope: RerateScope
  readonly reason: string
  readonly by: string
  /** Only tells what would change. */
  readonly dryRun: boolean
  readonly progress?: (done: number, of: number) => void
}

export interface Reratement {
  readonly looked: number
  readonly changed: number
  /** Nothing prices them now: they keep what was charged. */
  readonly unpriced: number
  /** Of what changed, by agreement and currency, in micros. */
  readonly sums: readonly {
    readonly agreementId: string
    readonly currency: string
    readonly before: bigint
    readonly after: bigint
  }[]
}

interface Current {
  readonly revision: number
  readonly side: Charge['side']
  readonly rule: string
  readonly agreement_id: string | null
  readonly rate_id: string | null
  readonly destination: string | null
  readonly currency: string | null
  readonly billed_units: bigint
  readonly amount_micros: bigint
  readonly day: string
}
type Row = ChargeableRow & Current

/** Where pages are read and posted: the database, or one transaction of it for all of them. */
export type Pages = Pick<Database, 'query' | 'copy' | 'transaction'>

/** Throws HUB_CONFIG where order-dependent prices are asked for in parts of a period. */
export async function rerate(database: Pages, book: AgreementBook, options: RerateOptions): Promise<Reratement> {
  const { scope, dryRun, progress = () => undefined } = options
  requireWholePeriods(scope, book.agreements)
  const ids = await idsOf(database, scope)
  const total = { looked: 0, changed: 0, unpriced: 0 }
  const sums = new Map<string, { agreementId: string; currency: string; before: bigint; after: bigint }>()
  const totals = await unitsOfPeriods(database, book, ids)
  const standings = new Standings(totals)
  const accountIds = new Set(book.agreements.filter(hasAccount).map(({ id }) => id))
  for (let at = 0; at < ids.length; at += limits.pageMax) {
    const page = ids.slice(at, at + limits.pageMax)
    const again = await database.transaction(async sql => {
      await sql.query('select pg_advisory_xact_lock($1)', [rerateLock])
      const found = againOf(await readPage(sql, book, page), book, standings)
      if (!dryRun) await post(sql, found, accountIds, options)
      return found
    })
    total.looked += page.length
    total.changed += again.changes.length
    total.unpriced += again.unpriced
    for (const { row, charge } of again.changes) {
      add(sums, row.agreement_id, row.currency, 'before', row.amount_micros)
      add(sums, charge.agreement?.id ?? null, charge.agreement?.currency ?? null, 'after', charge.amountMicros)
    }
    progress(total.looked, ids.length)
  }
  return { ...total, sums: [...sums.values()] }
}

function add(
  sums: Map<string, { agreementId: string; currency: string; before: bigint; after: bigint }>,
  agreementId: string | null,
  currency: string | null,
  what: 'before' | 'after',
  amount: bigint
): void {
  if (agreementId === null || currency === null) return
  const sum = sums.get(`${agreementId} ${currency}`) ?? { agreementId, currency, before: 0n, after: 0n }
  sum[what] += amount
  sums.set(`${agreementId} ${currency}`, sum)
}

function requireWholePeriods(scope: RerateScope, agreements: readonly Agreement[]): void {
  for (const agreement of agreements) {
    if (!isOrderDependent(agreement) || (scope.agreementId ?? agreement.id) !== agreement.id) continue
    const [first, next] = [periodOfDay(scope.from, agreement.calendar), periodOfDay(scope.to, agreement.calendar)]
    if (first.from === scope.from && next.from === scope.to && scope.callId === null) continue
    const why = `the model ${agreement.model} prices calls in the order of a whole ${agreement.calendar}`
    throw new HubError(
      'HUB_CONFIG',
      `agreement ${agreement.id}: ${why}; give whole ones, such as ${first.from} to ${first.to}`
    )
  }
}

/** In the order in which they use up what is free (COM-02). */
async function idsOf(sql: Sql, { agreementId, from, to, callId }: RerateScope): Promise<readonly string[]> {
  const { rows } = await sql.query<{ cdr_id: string }>(
    `select f.cdr_id from charge_now c join cdr_final f using (cdr_id)
     where c.day >= $1::date and c.day < $2::date and ($3::text is null or c.agreement_id = $3)
       and ($4::uuid is null or f.call_id = $4)
     order by coalesce(f.t_answer, f.t_request), f.cdr_id limit $5`,
    [from, to, agreementId, callId, limits.recordsMax + 1]
  )
  if (rows.length > limits.recordsMax) {
    throw new HubError('HUB_LIMIT', `more than ${limits.recordsMax} records; take fewer days at once`)
  }
  return rows.map(({ cdr_id }) => cdr_id)
}

async function readPage(sql: Sql, book: AgreementBook, ids: readonly string[]): Promise<readonly Row[]> {
  const { rows } = await sql.query<Row>(
    `select ${chargeableColumns}, c.revision::int as revision, c.side, c.rule, c.agreement_id, c.rate_id,
       c.destination, c.currency, c.billed_units, c.amount_micros, c.day::text as day
     from cdr_final f join charge_now c using (cdr_id) where f.cdr_id = any($1::uuid[])
     order by coalesce(f.t_answer, f.t_request), f.cdr_id`,
    [`{${ids.join(',')}}`]
  )
  await book.prepare(
    sql,
    rows.map(({ t_answer, t_request }) => (t_answer ?? t_request).getTime())
  )
  return rows
}

const keyOf = ({ id, calendar }: Agreement, day: string): string => `${id} ${periodOfDay(day, calendar).name}`

/** How many units of each period came before the record that is priced next. */
class Standings {
  readonly #before = new Map<string, bigint>()
  readonly #totals: ReadonlyMap<string, bigint>

  constructor(totals: ReadonlyMap<string, bigint>) {
    this.#totals = totals
  }

  readonly of: StandingOf = (agreement, day) => {
    if (!isOrderDependent(agreement)) return null
    const key = keyOf(agreement, day)
    return { unitsBefore: this.#before.get(key) ?? 0n, unitsTotal: this.#totals.get(key) ?? 0n }
  }

  passed({ agreement, day, billedUnits }: Charge): void {
    if (agreement === null || !isOrderDependent(agreement)) return
    const key = keyOf(agreement, day)
    this.#before.set(key, (this.#before.get(key) ?? 0n) + BigInt(billedUnits))
  }
}

/** All units of each period, where the tier that all of them reach prices each. */
async function unitsOfPeriods(
  database: Pages,
  book: AgreementBook,
  ids: readonly string[]
): Promise<ReadonlyMap<string, bigint>> {
  const totals = new Map<string, bigint>()
  if (!book.agreements.some(({ volume }) => volume?.prices === 'all')) return totals
  for (let at = 0; at < ids.length; at += limits.pageMax) {
    const page = ids.slice(at, at + limits.pageMax)
    for (const row of await database.transaction(sql => readPage(sql, book, page))) {
      const outcome = chargeOf(chargeableOf(row), book)
      if (!outcome.charged || outcome.charge.agreement?.volume?.prices !== 'all') continue
      const key = keyOf(outcome.charge.agreement, outcome.charge.day)
      totals.set(key, (totals.get(key) ?? 0n) + BigInt(outcome.charge.billedUnits))
    }
  }
  return totals
}

interface Change {
  readonly row: Row
  readonly record: Chargeable
  readonly charge: Charge
  readonly entries: readonly Entry[]
}

function againOf(
  rows: readonly Row[],
  book: AgreementBook,
  standings: Standings
): { readonly changes: readonly Change[]; readonly recharged: readonly Recharged[]; readonly unpriced: number } {
  const changes: Change[] = []
  const recharged: Recharged[] = []
  let unpriced = 0
  for (const row of rows) {
    const record = chargeableOf(row)
    const outcome = chargeOf(record, book, standings.of)
    if (!outcome.charged) {
      unpriced += 1
      continue
    }
    const { charge, transfers } = outcome
    standings.passed(charge)
    if (row.leg === 'ingress') recharged.push(rechargedOf(row, charge))
    if (isSame(row, charge)) continue
    const revision = row.revision + 1
    const entries = transfers.map(transfer => ({
      ...transfer,
      entryId: `${transfer.entryId}/${revision}`,
      cdrId: record.cdr_id,
      day: charge.day
    }))
    changes.push({ row, record, charge, entries })
  }
  return { changes, recharged, unpriced }
}

const isSame = (row: Current, { side, rule, agreement, row: rate, billedUnits, amountMicros, day }: Charge): boolean =>
  row.side === side &&
  row.rule === rule &&
  row.agreement_id === (agreement?.id ?? null) &&
  row.rate_id === (rate?.id ?? null) &&
  row.currency === (agreement?.currency ?? null) &&
  row.billed_units === BigInt(billedUnits) &&
  row.amount_micros === amountMicros &&
  row.day === day

const rechargeTable: CopyTable = {
  name: 'recharge',
  columns: [
    ['cdr_id', 'uuid'],
    ['revision', 'bigint'],
    ['reason', 'text'],
    ['made_by', 'text'],
    ['side', 'text'],
    ['rule', 'text'],
    ['agreement_id', 'text'],
    ['rate_id', 'text'],
    ['destination', 'text'],
    ['currency', 'text'],
    ['billed_units', 'bigint'],
    ['amount_micros', 'bigint'],
    ['day', 'day'],
    ['explanation', 'json']
  ]
}

const rechargedOf = (row: Row, { agreement, amountMicros }: Charge): Recharged => ({
  cdrId: row.cdr_id,
  beforeId: row.agreement_id,
  beforeMicros: row.amount_micros,
  now: agreement,
  nowMicros: amountMicros
})

async function post(
  sql: Sql,
  { changes, recharged }: Pick<ReturnType<typeof againOf>, 'changes' | 'recharged'>,
  accountIds: ReadonlySet<string>,
  { reason, by }: RerateOptions
): Promise<void> {
  await postChanges(sql, changes, { reason, by })
  // Prices by order may have been taken from an account in another order, also where the charge stays as it was.
  const isMine = ({ beforeId, now }: Recharged): boolean =>
    [beforeId, now?.id ?? null].some(id => id !== null && accountIds.has(id))
  await takeRecharges(sql, recharged.filter(isMine), accountIds, { reason, by })
  if (changes.length > 0) await addDaySums(sql, correctionsOf(changes), shardOfNone)
}

async function postChanges(
  sql: Sql,
  changes: readonly Change[],
  { reason, by }: Pick<RerateOptions, 'reason' | 'by'>
): Promise<void> {
  if (changes.length === 0) return
  await sql.copy(
    rechargeTable,
    changes.map(({ row, record, charge }) => {
      const { side, rule, agreement, row: rate, billedUnits, amountMicros, day, explanation } = charge
      const price = [agreement?.id ?? null, rate?.id ?? null, rate?.destination ?? null, agreement?.currency ?? null]
      const made = [record.cdr_id, row.revision + 1, reason, by, side, rule, ...price, billedUnits, amountMicros, day]
      return [...made, JSON.stringify(explanation)]
    })
  )
  const reversals = await reversalsOf(sql, changes)
  await addTransfers(sql, [...reversals, ...changes.flatMap(({ entries }) => entries)], shardOfNone)
}

/** The exact opposite of the entries that are replaced. */
async function reversalsOf(sql: Sql, changes: readonly Change[]): Promise<readonly Entry[]> {
  const ids = changes.map(({ record, row }) => {
    const first = `${record.cdr_id}/${row.rule}/1`
    return row.revision === 0 ? first : `${first}/${row.revision}`
  })
  const { rows } = await sql.query<{
    entry_id: string
    cdr_id: string
    debit: string
    credit: string
    amount_micros: bigint
    currency: string
    day: string
  }>(
    `select entry_id, cdr_id, debit, credit, amount_micros, currency, day::text as day from transfer
     where cdr_id = any($1::uuid[]) and entry_id = any($2::text[]) order by entry_id`,
    [`{${changes.map(({ record }) => record.cdr_id).join(',')}}`, ids]
  )
  return rows.map(({ entry_id, cdr_id, debit, credit, amount_micros, currency, day }) => ({
    entryId: `${entry_id}/reversed`,
    cdrId: cdr_id,
    debit: credit,
    credit: debit,
    amountMicros: amount_micros,
    currency,
    day
  }))
}

function correctionsOf(changes: readonly Change[]): readonly DaySum[] {
  const sums = new Map<string, DaySum>()
  const count = (record: Chargeable, charge: Summed, sign: 1 | -1, units: number, amount: bigint): void => {
    const sum = daySumOf(sums, record, charge)
    sum.attempts += sign
    sum.billed_units += sign * units
    sum.amount_micros += BigInt(sign) * amount
    if (record.t_answer === null) return
    sum.answered += sign
    sum.duration_ms += sign * record.duration_ms
  }
  for (const { row, record, charge } of changes) {
    const old = { ...row, agreementId: row.agreement_id }
    count(record, old, -1, Number(row.billed_units), row.amount_micros)
    count(record, summed(charge), 1, charge.billedUnits, charge.amountMicros)
  }
  return [...sums.values()]
}
