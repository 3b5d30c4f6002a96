// All that one close states: the charges of the period, what came late for closed ones, what is taken back; added up to
// lines, and a leaf kept for each.

import { escapeLiteral } from 'pg'
import type { CopyTable } from '../../store/binary-copy.ts'
import type { Sql } from '../../store/sql.ts'
import type { Agreement, AgreementBook } from '../agreements.ts'
import { addDays } from '../money-in/days.ts'
import { periodOfDay } from '../periods.ts'
import type { SettlementPeriod } from '../periods.ts'
import { createFacts } from './facts.ts'
import { LineSums } from './lines.ts'
import { leafOf, MerkleTree } from './merkle.ts'
import type { StatementLine } from './model.ts'
import { chargesIn, declareCursor, readCharges, replacedIn, steadily, unstatedIn } from './stated.ts'
import type { Days, StatedCharge } from './stated.ts'
import { createSalts, viewOf, viewText } from './view.ts'

export interface Gathered {
  readonly lines: readonly Omit<StatementLine, 'line'>[]
  readonly cdrCount: bigint
  readonly lateCount: bigint
  readonly lateMicros: bigint
  readonly outdatedCount: bigint
  readonly outdatedMicros: bigint
  /** Closed periods to which something came, in their order. */
  readonly latePeriods: readonly SettlementPeriod[]
  readonly merkleRoot: string
  readonly deckVersions: readonly string[]
}

export interface GatherOptions {
  readonly agreement: Agreement
  readonly period: SettlementPeriod
  readonly statementId: string
  /** The first day that is closed, or came too late to be; null: nothing is closed yet. */
  readonly closedFrom: string | null
  /** Up to which the last close has seen charges made again. */
  readonly rechargeSeen: bigint
  readonly progress: (records: number) => void
}

/** The days of closed periods that may still be stated, and those that may not any more (SET-07). */
export function closedDays(
  { backBillingDays }: Pick<Agreement, 'backBillingDays'>,
  period: SettlementPeriod,
  closedFrom: string | null
): { readonly late: Days | null; readonly outdated: Days | null } {
  if (closedFrom === null || closedFrom >= period.from) return { late: null, outdated: null }
  const limit = addDays(period.to, -backBillingDays)
  const edge = limit < closedFrom ? closedFrom : limit > period.from ? period.from : limit
  return {
    late: edge < period.from ? { from: edge, to: period.from } : null,
    outdated: closedFrom < edge ? { from: closedFrom, to: edge } : null
  }
}

/** Reads and adds up, and writes the leaves. `sql` is the transaction of the close. */
export async function gather(sql: Sql, book: AgreementBook, options: GatherOptions): Promise<Gathered> {
  const { agreement, period, statementId, closedFrom, rechargeSeen, progress } = options
  const facts = createFacts(book, agreement)
  const sums = new LineSums(agreement.service)
  const salts = createSalts()
  const late = { count: 0n, micros: 0n, periods: new Map<string, SettlementPeriod>() }
  let [cdrCount, read] = [0n, 0]
  const take = async (page: readonly StatedCharge[]): Promise<void> => {
    await facts.read(sql, page)
    const leaves = page.map(charge => {
      const of = charge.day >= period.from ? period : periodOfDay(charge.day, agreement.calendar)
      const kind = of === period ? 'usage' : 'late'
      sums.add(charge, facts.of(charge), { kind, ofPeriod: of.name })
      cdrCount += BigInt(charge.sign)
      if (kind === 'late') {
        late.count += BigInt(charge.sign)
        late.micros += BigInt(charge.sign) * charge.amount_micros
        late.periods.set(of.name, of)
      }
      const salt = salts()
      const leaf = leafOf(salt, viewText(viewOf(charge)))
      return [statementId, charge.cdr_id, charge.revision, charge.sign, leaf, salt] as const
    })
    await sql.copy(leafTable, leaves)
    progress((read += page.length))
  }
  const days = closedDays(agreement, period, closedFrom)
  await readCharges(sql, chargesIn(agreement.id, period), take)
  const closed = { from: closedFrom ?? period.from, to: period.from }
  if (days.late !== null && (await mayBeLate(sql, agreement.id, closed, rechargeSeen))) {
    await readCharges(sql, replacedIn(agreement.id, days.late, rechargeSeen), take)
    await readCharges(sql, unstatedIn(agreement.id, days.late), take)
  }
  const outdated = days.outdated === null ? none : await outdatedIn(sql, agreement.id, days.outdated)
  return {
    lines: sums.lines(),
    cdrCount,
    lateCount: late.count,
    lateMicros: late.micros,
    outdatedCount: outdated.count,
    outdatedMicros: BigInt(outdated.micros),
    latePeriods: [...late.periods.values()].toSorted((a, b) => (a.from < b.from ? -1 : 1)),
    merkleRoot: await rootOf(sql, statementId),
    deckVersions: sums.versions
  }
}

const leafTable: CopyTable = {
  name: 'statement_leaf',
  columns: [
    ['statement_id', 'text'],
    ['cdr_id', 'uuid'],
    ['revision', 'bigint'],
    ['sign', 'bigint'],
    ['leaf', 'bytes'],
    ['salt', 'bytes']
  ]
}

const none = { count: 0n, micros: '0' } as const

/** A look at the sums, which is cheap: nothing is late where they are what was stated and nothing was charged again. */
async function mayBeLate(sql: Sql, agreementId: string, { from, to }: Days, rechargeSeen: bigint): Promise<boolean> {
  const { rows } = await sql.query<{ again: boolean; stands: string; stated: string }>(
    `select exists (select from recharge where id > $4) as again,
       (select coalesce(sum(attempts), 0)::text from rollup_shard
        where agreement_id = $1 and side <> 'with-ingress' and day >= $2::date and day < $3::date) as stands,
       (select coalesce(sum(attempts), 0)::text from statement_line l join statement s using (statement_id)
        where s.agreement_id = $1) as stated`,
    [agreementId, from, to, rechargeSeen]
  )
  const row = rows[0]
  return row === undefined || row.again || row.stands !== row.stated
}

async function outdatedIn(
  sql: Sql,
  agreementId: string,
  days: Days
): Promise<{ readonly count: bigint; readonly micros: string }> {
  const { rows } = await steadily(sql, () =>
    sql.query<{ count: bigint; micros: string }>(
      `select count(*) as count, coalesce(sum(amount_micros), 0)::text as micros
       from (${unstatedIn(agreementId, days)}) as o`
    )
  )
  return rows[0] ?? none
}

const leavesPage = 2_000

/** The root over the leaves of a statement, in the order of their records. `sql` is a transaction. */
export async function rootOf(sql: Sql, statementId: string): Promise<string> {
  const tree = new MerkleTree()
  const leaves = `select leaf from statement_leaf where statement_id = ${escapeLiteral(statementId)}`
  await declareCursor(sql, 'leaves', `${leaves} order by cdr_id, revision, sign`)
  for (;;) {
    const { rows } = await sql.query<{ leaf: Uint8Array }>(`fetch ${leavesPage} from leaves`)
    for (const { leaf } of rows) tree.add(leaf)
    if (rows.length < leavesPage) break
  }
  await sql.query('close leaves')
  return tree.root()
}
