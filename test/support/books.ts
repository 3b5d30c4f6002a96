// What must hold of a hub's records and money whatever happened to it, told in words where it does not.

import { chainFault } from '../../src/events/chain.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import type { Database } from '../../src/store/database.ts'

const legOf = ({ call_id, leg, attempt }: CdrRecord): string => `${call_id} ${leg} ${attempt}`

/** Nothing lost, nothing twice: numbered without gaps, one final for each leg that was ever started, at most one. */
export function recordFaults(records: readonly CdrRecord[]): readonly string[] {
  const faults: string[] = []
  const ordered = [...records].sort((a, b) => a.seq - b.seq)
  const broken = chainFault(ordered)
  if (broken !== null) faults.push(broken)
  if (ordered.length > 0 && ordered[0]?.seq !== 1) faults.push(`the first record is number ${ordered[0]?.seq}`)
  const finals = new Map<string, number>()
  for (const record of records) {
    if (record.kind === 'final') finals.set(legOf(record), (finals.get(legOf(record)) ?? 0) + 1)
  }
  for (const [leg, count] of finals) if (count !== 1) faults.push(`${leg} has ${count} finals`)
  for (const record of records) if (!finals.has(legOf(record))) faults.push(`${legOf(record)} has no final`)
  return faults
}

/** The finals, charges and ledger of a database: each final cleared once, every transfer its charge's, sums of zero. */
export async function moneyFaults(database: Database, records: readonly CdrRecord[]): Promise<readonly string[]> {
  const ids = records.filter(({ kind }) => kind === 'final').map(({ cdr_id }) => cdr_id)
  const one = async (what: string, text: string, expected: bigint): Promise<readonly string[]> => {
    const { rows } = await database.query<{ found: bigint | null }>(`select (${text})::bigint as found`)
    const found = rows[0]?.found ?? null
    return found === expected ? [] : [`${what}: ${found}, not ${expected}`]
  }
  const wrong = `select count(*) from charge c where amount_micros <>
    coalesce((select sum(t.amount_micros) from transfer t where t.cdr_id = c.cdr_id), 0)`
  const unbalanced = `select count(*) from (select currency from balance group by currency
    having sum(debit_micros) <> sum(credit_micros)) b`
  const moved = 'select coalesce(sum(amount_micros), 0) from transfer'
  const booked = 'select coalesce(sum(debit_micros), 0) from balance'
  const { rows } = await database.query<{ total: bigint }>(`select (${moved})::bigint as total`)
  return (
    await Promise.all([
      one('charges', 'select count(*) from charge', BigInt(ids.length)),
      one('finals cleared', 'select count(*) from cdr_final', BigInt(ids.length)),
      one('rejected records', 'select count(*) from rejected', 0n),
      one('suspended calls', 'select count(*) from suspense', 0n),
      one('charges that differ from what was moved for them', wrong, 0n),
      one('currencies out of balance', unbalanced, 0n),
      one('debits', booked, rows[0]?.total ?? 0n)
    ])
  ).flat()
}

/** How many finals have been cleared. */
export async function cleared(database: Database): Promise<number> {
  const { rows } = await database.query<{ n: bigint }>('select count(*) as n from charge')
  return Number(rows[0]?.n ?? 0n)
}
