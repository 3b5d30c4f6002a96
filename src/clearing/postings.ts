// What charged records leave in the book: charges, transfers, and the balances and daily sums that follow from them.

import type { CopyTable, CopyValue } from '../store/binary-copy.ts'
import type { Sql } from '../store/sql.ts'
import type { AgreementBook } from './agreements.ts'
import { addBases, basisOf } from './bases.ts'
import type { Accounts, Basis, StoredBases } from './bases.ts'
import { chargeOf } from './charging.ts'
import type { Chargeable, Charge, SuspenseReason, Transfer } from './charging.ts'
import { debitOf, takeDebits } from './credit/posting.ts'
import { detailOf } from './explanation.ts'
import { storable } from './intake.ts'

/** Sums of what no partition brought, such as charges that waited in suspense, stand in a shard of their own. */
export const shardOfNone = -1

export interface Due {
  readonly record: Chargeable
  readonly charge: Charge
  readonly basis: Basis
}

export interface Waiting {
  readonly cdrId: string
  readonly reason: SuspenseReason
  readonly day: string
}

/** What each record owes: charged, or waiting for a price. */
export function chargesOf(
  records: readonly Chargeable[],
  book: AgreementBook
): { readonly due: readonly Due[]; readonly waiting: readonly Waiting[] } {
  const due: Due[] = []
  const waiting: Waiting[] = []
  for (const record of records) {
    const outcome = chargeOf(record, book)
    if (outcome.charged) due.push({ record, charge: outcome.charge, basis: basisOf(outcome.charge) })
    else waiting.push({ cdrId: record.cdr_id, reason: outcome.reason, day: outcome.day })
  }
  return { due, waiting }
}

/** In the caller's transaction, which nobody else's touches the sums of this shard in. */
export async function addCharged(
  sql: Sql,
  due: readonly Due[],
  shard: number,
  stored: StoredBases = new WeakSet()
): Promise<void> {
  if (due.length === 0) return
  await sql.copy(chargeTable, chargeRows(due))
  await addBalances(sql, movedBy(due), shard)
  await takeDebits(
    sql,
    due.map(debitOf).filter(debit => debit !== null)
  )
  await addToRollup(sql, due, shard)
  await addBases(sql, newBases(due, stored), stored)
}

function newBases(due: readonly Due[], stored: StoredBases): ReadonlyMap<Basis, Charge> {
  const found = new Map<Basis, Charge>()
  for (const { basis, charge } of due) if (!stored.has(basis)) found.set(basis, charge)
  return found
}

export async function addWaiting(sql: Sql, waiting: readonly Waiting[]): Promise<void> {
  if (waiting.length === 0) return
  await sql.copy(
    suspenseTable,
    waiting.map(({ cdrId, reason, day }) => [cdrId, reason, day])
  )
}

/** A movement between two accounts as the book keeps it. */
export interface Entry extends Transfer {
  readonly cdrId: string
  readonly day: string
}

/** Movements that no first charge makes, and the balances they change. */
export async function addTransfers(sql: Sql, entries: readonly Entry[], shard: number): Promise<void> {
  if (entries.length === 0) return
  await sql.copy(postingTable, postingRows(entries))
  await addBalances(sql, entries, shard)
}

/** What charges move between their accounts. */
function movedBy(due: readonly Due[]): readonly Omit<Transfer, 'entryId'>[] {
  const sums = new Map<Accounts, bigint>()
  for (const { basis, charge } of due) {
    const { accounts } = basis
    if (accounts === null || charge.amountMicros === 0n) continue
    sums.set(accounts, (sums.get(accounts) ?? 0n) + charge.amountMicros)
  }
  return [...sums].map(([accounts, amountMicros]) => ({ ...accounts, amountMicros }))
}

async function addBalances(sql: Sql, moved: readonly Omit<Transfer, 'entryId'>[], shard: number): Promise<void> {
  if (moved.length === 0) return
  const sums = new Map<string, Balance>()
  for (const { debit, credit, amountMicros, currency } of moved) {
    sumOf(sums, debit, currency).debit += amountMicros
    sumOf(sums, credit, currency).credit += amountMicros
  }
  // In the order of their keys, so that two writers never wait for each other in a circle.
  await sql.query(
    `insert into balance_shard as b
     select $1, account, currency, debit, credit
     from json_to_recordset($2::json) as s(account text, currency text, debit numeric, credit numeric)
     order by account, currency
     on conflict (shard, account, currency) do update
       set debit_micros = b.debit_micros + excluded.debit_micros,
           credit_micros = b.credit_micros + excluded.credit_micros`,
    [shard, jsonText([...sums.values()])]
  )
}

interface Balance {
  readonly account: string
  readonly currency: string
  debit: bigint
  credit: bigint
}

function sumOf(sums: Map<string, Balance>, account: string, currency: string): Balance {
  const key = `${currency} ${account}`
  let sum = sums.get(key)
  if (sum === undefined) {
    sum = { account, currency, debit: 0n, credit: 0n }
    sums.set(key, sum)
  }
  return sum
}

/** Integers of any size go as text. */
const jsonText = (values: readonly object[]): string =>
  JSON.stringify(values, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))

const chargeTable: CopyTable = {
  name: 'charged',
  columns: [
    ['cdr_id', 'uuid'],
    ['basis_id', 'uuid'],
    ['amount_micros', 'bigint'],
    ['billed_units', 'bigint'],
    ['duration_ms', 'bigint'],
    ['day', 'day'],
    ['detail', 'json']
  ]
}

function* chargeRows(due: readonly Due[]): Iterable<readonly CopyValue[]> {
  for (const { record, charge, basis } of due) {
    const { billedUnits, amountMicros, day } = charge
    const durationMs = charge.row === null ? null : record.duration_ms
    const detail = detailOf(charge)
    const own = detail === null ? null : JSON.stringify(detail)
    yield [record.cdr_id, basis.id, amountMicros, billedUnits, durationMs, day, own]
  }
}

const postingTable: CopyTable = {
  name: 'posting',
  columns: [
    ['entry_id', 'text'],
    ['cdr_id', 'uuid'],
    ['debit', 'text'],
    ['credit', 'text'],
    ['amount_micros', 'bigint'],
    ['currency', 'text'],
    ['day', 'day']
  ]
}

function* postingRows(entries: readonly Entry[]): Iterable<readonly CopyValue[]> {
  for (const { entryId, cdrId, debit, credit, amountMicros, currency, day } of entries) {
    yield [entryId, cdrId, debit, credit, amountMicros, currency, day]
  }
}

const suspenseTable: CopyTable = {
  name: 'suspense',
  columns: [
    ['cdr_id', 'uuid'],
    ['reason', 'text'],
    ['day', 'day']
  ]
}

/** Sums of one day and kind of traffic, or what is to be added to them. */
export interface DaySum {
  readonly day: string
  readonly from_provider: string
  readonly to_provider: string
  readonly service: string
  readonly side: string
  readonly agreement_id: string
  readonly currency: string
  readonly destination: string
  attempts: number
  answered: number
  billed_units: number
  duration_ms: number
  amount_micros: bigint
}

async function addToRollup(sql: Sql, due: readonly Due[], shard: number): Promise<void> {
  const sums = new Map<string, DaySum>()
  const last = new LastSums()
  for (const { record, charge } of due) {
    const sum = last.of(record, charge) ?? last.keep(record, charge, daySumOf(sums, record, summed(charge)))
    sum.attempts += 1
    sum.billed_units += charge.billedUnits
    sum.amount_micros += charge.amountMicros
    if (record.t_answer === null) continue
    sum.answered += 1
    sum.duration_ms += record.duration_ms
  }
  await addDaySums(sql, [...sums.values()], shard)
}

interface LastSum {
  readonly record: Chargeable
  readonly charge: Charge
  readonly sum: DaySum
}

/** Of one agreement and destination most records are of the day and the parties of the one before. */
class LastSums {
  readonly #last = new Map<Charge['agreement'], Map<string | null, LastSum>>()

  of(record: Chargeable, charge: Charge): DaySum | null {
    const last = this.#last.get(charge.agreement)?.get(charge.row?.destination ?? null)
    if (last === undefined || last.charge.day !== charge.day || !isOfSame(last.record, record)) return null
    return last.charge.side === charge.side && last.charge.rule === charge.rule ? last.sum : null
  }

  keep(record: Chargeable, charge: Charge, sum: DaySum): DaySum {
    let own = this.#last.get(charge.agreement)
    if (own === undefined) this.#last.set(charge.agreement, (own = new Map()))
    own.set(charge.row?.destination ?? null, { record, charge, sum })
    return sum
  }
}

const isOfSame = (a: Chargeable, b: Chargeable): boolean =>
  a.provider === b.provider && a.other_provider === b.other_provider && a.leg === b.leg && a.service === b.service

/** Each day and kind of traffic may stand in it once. */
export async function addDaySums(sql: Sql, sums: readonly DaySum[], shard: number): Promise<void> {
  const inOrder = sums.toSorted(byKey)
  await sql.query(
    `insert into rollup_shard as r
     select $1, s.* from unnest($2::date[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
       $9::text[], $10::numeric[], $11::numeric[], $12::numeric[], $13::numeric[], $14::numeric[]) as s
     on conflict (day, from_provider, to_provider, service, side, agreement_id, currency, destination, shard) do update
       set attempts = r.attempts + excluded.attempts, answered = r.answered + excluded.answered,
           billed_units = r.billed_units + excluded.billed_units, duration_ms = r.duration_ms + excluded.duration_ms,
           amount_micros = r.amount_micros + excluded.amount_micros`,
    [shard, ...daySumColumns.map(name => inOrder.map(sum => sum[name]))]
  )
}

const daySumKey = [
  'day',
  'from_provider',
  'to_provider',
  'service',
  'side',
  'agreement_id',
  'currency',
  'destination'
] as const
const daySumColumns = [
  ...daySumKey,
  'attempts',
  'answered',
  'billed_units',
  'duration_ms',
  'amount_micros'
] as const satisfies readonly (keyof DaySum)[]

/** In the order of their keys, so that two writers never wait for each other in a circle. */
function byKey(a: DaySum, b: DaySum): number {
  for (const name of daySumKey) if (a[name] !== b[name]) return a[name] < b[name] ? -1 : 1
  return 0
}

/** What of a charge decides where it is added up. */
export interface Summed {
  readonly side: string
  readonly rule: string
  readonly agreementId: string | null
  readonly currency: string | null
  readonly destination: string | null
  readonly day: string
}

export const summed = ({ side, rule, agreement, row, day }: Charge): Summed => ({
  side,
  rule,
  agreementId: agreement?.id ?? null,
  currency: agreement?.currency ?? null,
  destination: row?.destination ?? null,
  day
})

export function daySumOf(sums: Map<string, DaySum>, record: Chargeable, charge: Summed): DaySum {
  const { leg, provider, other_provider, service } = record
  const [from, to] = leg === 'ingress' ? [provider, other_provider] : [other_provider, provider]
  const side = charge.rule === 'with-ingress' ? 'with-ingress' : charge.side
  const { agreementId, currency, destination, day } = charge
  const names = [day, from ?? '', to ?? '', service, side, agreementId ?? '', destination ?? '']
  // Names are text of others: a length before each keeps two of them from reading as one.
  let key = currency ?? ''
  for (const name of names) key += `${name.length}:${name}`
  const known = sums.get(key)
  if (known !== undefined) return known
  const sum: DaySum = {
    day,
    from_provider: storable(from ?? ''),
    to_provider: storable(to ?? ''),
    service,
    side,
    agreement_id: agreementId ?? '',
    currency: currency ?? '',
    destination: destination ?? '',
    attempts: 0,
    answered: 0,
    billed_units: 0,
    duration_ms: 0,
    amount_micros: 0n
  }
  sums.set(key, sum)
  return sum
}
