// The settlement report of a period: what providers exchanged, what they owe, and how complete that is.

import type { Sql } from '../store/sql.ts'
import { divRound, printAmount, printScaled } from './money.ts'

export const limits = {
  /** Gaps that are listed for one node; all are counted. */
  gapsListedMax: 20,
  linesMax: 100_000
} as const

/** Days in the time zone of each agreement, such as `2026-11-01`; `to` is no part of the period. */
export interface Period {
  readonly from: string
  readonly to: string
}

/** What one provider sent to another. Amounts and minutes are decimal text. */
export interface ReportLine {
  /** Null: it never got a target. */
  readonly fromProvider: string | null
  readonly toProvider: string | null
  readonly service: string
  /** Null where no agreement applied. */
  readonly currency: string | null
  /** Calls or messages, also those that came to nothing; each counted once, with the caller's side. */
  readonly attempts: number
  readonly answered: number
  /** Billed to the caller's provider, and by the callee's. */
  readonly minutesSold: string
  readonly minutesBought: string
  readonly messagesSold: number
  readonly messagesBought: number
  /** What the caller's provider owes the hub, what the hub owes the callee's, and what the hub keeps. */
  readonly sell: string
  readonly cost: string
  readonly margin: string
  /** What one provider owes the other past the hub. */
  readonly direct: string
  /** Answered, but nothing prices them: leg records that wait for a person. */
  readonly suspended: number
}

export interface ReportTotal {
  readonly currency: string
  readonly sell: string
  readonly cost: string
  readonly margin: string
  readonly direct: string
}

/** Of what a node wrote in the period, how much has arrived (EOS-03). */
export interface NodeCompleteness {
  readonly nodeId: string
  readonly received: number
  readonly expected: number
  readonly gaps: number
  /** The first of them, as `7` or `12-19`. */
  readonly missing: readonly string[]
}

export interface SettlementReport {
  readonly period: Period
  readonly lines: readonly ReportLine[]
  readonly totals: readonly ReportTotal[]
  readonly completeness: {
    readonly received: number
    readonly expected: number
    readonly nodes: readonly NodeCompleteness[]
  }
  readonly suspended: number
}

interface Sums {
  attempts: bigint
  answered: bigint
  sold: bigint
  bought: bigint
  sell: bigint
  cost: bigint
  direct: bigint
  suspended: bigint
}
interface Line extends Sums {
  readonly from: string
  readonly to: string
  readonly service: string
  readonly currency: string
}

export async function settlementReport(sql: Sql, period: Period): Promise<SettlementReport> {
  const lines = new Map<string, Line>()
  const lineOf = ({ from, to, service, currency }: LineKey): Line => {
    const key = JSON.stringify([from, to, service, currency])
    const line = lines.get(key) ?? { from, to, service, currency, ...nothing() }
    lines.set(key, line)
    return line
  }
  for (const row of await chargedIn(sql, period)) addCharged(lineOf(row), row)
  for (const row of await suspendedIn(sql, period)) addSuspended(lineOf({ ...row, currency: '' }), row)
  const nodes = await completenessIn(sql, period)
  const sorted = [...lines.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line)
  return {
    period,
    lines: sorted
      .filter(line => line.attempts + line.sold + line.bought + line.suspended + line.cost > 0n)
      .map(printLine),
    totals: totalsOf(sorted),
    completeness: {
      received: nodes.reduce((sum, { received }) => sum + received, 0),
      expected: nodes.reduce((sum, { expected }) => sum + expected, 0),
      nodes
    },
    suspended: Number(sorted.reduce((sum, { suspended }) => sum + suspended, 0n))
  }
}

const nothing = (): Sums => ({
  attempts: 0n,
  answered: 0n,
  sold: 0n,
  bought: 0n,
  sell: 0n,
  cost: 0n,
  direct: 0n,
  suspended: 0n
})

interface LineKey {
  readonly from: string
  readonly to: string
  readonly service: string
  readonly currency: string
}

interface ChargedRow extends LineKey {
  readonly side: string
  readonly attempts: string
  readonly answered: string
  readonly units: string
  readonly amount: string
}

async function chargedIn(sql: Sql, { from, to }: Period): Promise<readonly ChargedRow[]> {
  const { rows } = await sql.query<ChargedRow>(
    `select from_provider as "from", to_provider as "to", service, currency, side, sum(attempts)::text as attempts,
       sum(answered)::text as answered, sum(billed_units)::text as units, sum(amount_micros)::text as amount
     from rollup where day >= $1::date and day < $2::date group by 1, 2, 3, 4, 5 limit $3`,
    [from, to, limits.linesMax]
  )
  return rows
}

/** A call is counted with the record of its caller's leg: the others are its attempts. */
function addCharged(line: Line, { side, attempts, answered, units, amount }: ChargedRow): void {
  if (side === 'sell' || side === 'bilateral') {
    line.attempts += BigInt(attempts)
    line.answered += BigInt(answered)
    line.sold += BigInt(units)
  }
  if (side === 'buy') line.bought += BigInt(units)
  if (side === 'sell') line.sell += BigInt(amount)
  if (side === 'buy') line.cost += BigInt(amount)
  if (side === 'bilateral') line.direct += BigInt(amount)
}

interface SuspendedRow extends Omit<LineKey, 'currency'> {
  readonly calls: bigint
  readonly records: bigint
}

async function suspendedIn(sql: Sql, { from, to }: Period): Promise<readonly SuspendedRow[]> {
  const { rows } = await sql.query<SuspendedRow>(
    `select coalesce(case leg when 'ingress' then provider else other_provider end, '') as "from",
       coalesce(case leg when 'ingress' then other_provider else provider end, '') as "to",
       service, count(*) filter (where leg = 'ingress') as calls, count(*) as records
     from suspense s join cdr_final f using (cdr_id) left join charged c using (cdr_id)
     where c.cdr_id is null and s.day >= $1::date and s.day < $2::date group by 1, 2, 3 limit $3`,
    [from, to, limits.linesMax]
  )
  return rows
}

function addSuspended(line: Line, { calls, records }: SuspendedRow): void {
  line.attempts += calls
  line.answered += calls
  line.suspended += records
}

interface NodeRow {
  readonly node_id: string
  readonly expected: bigint
  readonly received: bigint
  readonly gaps: bigint
  readonly missing: readonly string[]
}

/** Of days in UTC. */
const completenessIn = (sql: Sql, { from, to }: Period): Promise<readonly NodeCompleteness[]> =>
  completenessOf(sql, new Date(`${from}T00:00:00Z`), new Date(`${to}T00:00:00Z`))

/** A node numbers its records as it writes them, so the end of a call decides into which period a number falls. */
export async function completenessOf(sql: Sql, from: Date, to: Date): Promise<readonly NodeCompleteness[]> {
  const { rows } = await sql.query<NodeRow>(
    `with edges as (
       select node_id, coalesce(max(seq) filter (where t_end < $1::timestamptz), 0) + 1 as first,
         max(seq) filter (where t_end >= $1::timestamptz) as last
       from cdr_final where t_end < $2::timestamptz group by node_id
     ), wanted as (
       select node_id, first, last, int8multirange(int8range(first, last, '[]')) - seqs as absent
       from edges join received using (node_id) where last >= first
     )
     select node_id, last - first + 1 as expected,
       last - first + 1 - coalesce((select sum(upper(g) - lower(g)) from unnest(absent) g), 0)::bigint as received,
       (select count(*) from unnest(absent) g) as gaps,
       array(select case upper(g) - lower(g) when 1 then lower(g)::text else lower(g) || '-' || upper(g) - 1 end
         from unnest(absent) g order by lower(g) limit $3) as missing
     from wanted order by node_id`,
    [from, to, limits.gapsListedMax]
  )
  return rows.map(({ node_id, expected, received, gaps, missing }) => ({
    nodeId: node_id,
    received: Number(received),
    expected: Number(expected),
    gaps: Number(gaps),
    missing
  }))
}

function printLine({ from, to, service, currency, ...sums }: Line): ReportLine {
  const isText = service === 'message'
  const minutes = (seconds: bigint): string => printScaled(isText ? 0n : divRound(seconds * 100n, 60n, 'half-up'), 2)
  return {
    fromProvider: from === '' ? null : from,
    toProvider: to === '' ? null : to,
    service,
    currency: currency === '' ? null : currency,
    attempts: Number(sums.attempts),
    answered: Number(sums.answered),
    minutesSold: minutes(sums.sold),
    minutesBought: minutes(sums.bought),
    messagesSold: isText ? Number(sums.sold) : 0,
    messagesBought: isText ? Number(sums.bought) : 0,
    ...printMoney(sums),
    suspended: Number(sums.suspended)
  }
}

const printMoney = ({ sell, cost, direct }: Pick<Sums, 'sell' | 'cost' | 'direct'>): Omit<ReportTotal, 'currency'> => ({
  sell: printAmount(sell),
  cost: printAmount(cost),
  margin: printAmount(sell - cost),
  direct: printAmount(direct)
})

/** Money of different currencies is never added up. */
function totalsOf(lines: readonly Line[]): readonly ReportTotal[] {
  const currencies = [...new Set(lines.map(({ currency }) => currency))].filter(currency => currency !== '').sort()
  return currencies.map(currency => {
    const own = lines.filter(line => line.currency === currency)
    const sum = (of: 'sell' | 'cost' | 'direct'): bigint => own.reduce((sum, line) => sum + line[of], 0n)
    return { currency, ...printMoney({ sell: sum('sell'), cost: sum('cost'), direct: sum('direct') }) }
  })
}
