// What charges by one row of one agreement share: sides, accounts, rate and terms. The book keeps it once, under a name
// made from its content, and each charge names it.

import { hash } from 'node:crypto'
import type { CopyTable, CopyValue } from '../store/binary-copy.ts'
import { copyIfNew } from '../store/sql.ts'
import type { Sql } from '../store/sql.ts'
import type { Agreement } from './agreements.ts'
import { accountsOf } from './charging.ts'
import type { Charge, ChargeSide } from './charging.ts'
import { oneRate, termsMark, termsOf } from './explanation.ts'
import { printRate } from './money.ts'

export const limits = {
  /** Of one row of a deck, those that are remembered: it has one for each rate of its bands. */
  basesOfRowMax: 64
} as const

/** The same object for one side of one agreement. */
export interface Accounts {
  readonly debit: string
  readonly credit: string
  readonly currency: string
}

export interface Basis {
  /** 32 hexadecimal digits: the same content has the same ones, whoever names it. */
  readonly id: string
  readonly charge: Pick<Charge, 'side' | 'rule' | 'agreement' | 'row'>
  /** Null: no agreement, so nothing can be owed. */
  readonly accounts: Accounts | null
  readonly rateNanos: bigint | null
  /** What the model adds to the terms. */
  readonly mark: string
}

/** As long as the row or the agreement is in memory. */
const known = new WeakMap<object, Basis[]>()
const nobody = {}

/** The same object for the same basis, as long as its row is in memory. */
export function basisOf(charge: Charge): Basis {
  const { side, rule, agreement, row } = charge
  const key = row ?? agreement ?? nobody
  let own = known.get(key)
  if (own === undefined) known.set(key, (own = []))
  const rateNanos = oneRate(charge)
  const mark = termsMark(charge.priced)
  for (const basis of own) {
    const { charge: its } = basis
    if (its.side !== side || its.rule !== rule || its.agreement !== agreement) continue
    if (basis.rateNanos === rateNanos && basis.mark === mark) return basis
  }
  const accounts = agreement === null ? null : accountsFor(side, agreement)
  const made = { charge: { side, rule, agreement, row }, accounts, rateNanos, mark }
  const basis = { ...made, id: hash('sha256', JSON.stringify(rowOf(made, charge)), 'buffer').toString('hex', 0, 16) }
  if (own.length >= limits.basesOfRowMax) own.length = 0
  own.push(basis)
  return basis
}

const knownAccounts = new WeakMap<Agreement, Map<ChargeSide, Accounts>>()

function accountsFor(side: ChargeSide, agreement: Agreement): Accounts {
  let own = knownAccounts.get(agreement)
  if (own === undefined) knownAccounts.set(agreement, (own = new Map()))
  const found = own.get(side)
  if (found !== undefined) return found
  const [debit, credit] = accountsOf(side, agreement)
  const accounts = { debit, credit, currency: agreement.currency }
  own.set(side, accounts)
  return accounts
}

/** As it is stored, without its name. */
function rowOf({ accounts, rateNanos }: Omit<Basis, 'id'>, charge: Charge) {
  const { side, rule, agreement, row } = charge
  return {
    side,
    rule,
    agreement_id: agreement?.id ?? null,
    rate_id: row?.id ?? null,
    destination: row?.destination ?? null,
    currency: agreement?.currency ?? null,
    debit: accounts?.debit ?? null,
    credit: accounts?.credit ?? null,
    rate: rateNanos === null ? null : printRate(rateNanos),
    terms: termsOf(charge)
  }
}

/** Of one database: bases that are known to be there for good. Each once, as long as it is in memory. */
export type StoredBases = WeakSet<Basis>

/**
 * Adds those of `used` that the book does not have, and remembers in `stored` those that it has: once there, none ever
 * changes or goes. To be called at the end of a transaction: another one that adds the same waits for it.
 */
export async function addBases(sql: Sql, used: ReadonlyMap<Basis, Charge>, stored: StoredBases): Promise<void> {
  if (used.size === 0) return
  const missing = await missingOf(sql, [...used], stored)
  if (missing.length === 0) return
  if (await copyIfNew(sql, basisTable, basisRows(missing))) return
  // Another transaction has added some of them since.
  await sql.query(
    `insert into charge_basis select b.* from json_populate_recordset(null::charge_basis, $1::json) as b
     order by basis_id on conflict do nothing`,
    [JSON.stringify(missing.map(([basis, charge]) => ({ basis_id: basis.id, ...rowOf(basis, charge) })))]
  )
}

type Used = readonly [basis: Basis, charge: Charge]

/** What this transaction sees others have committed is there for good; what it adds itself may be rolled back. */
async function missingOf(sql: Sql, asked: readonly Used[], stored: StoredBases): Promise<readonly Used[]> {
  const { rows } = await sql.query<{ basis_id: string }>(
    'select basis_id from charge_basis where basis_id = any($1::uuid[])',
    [`{${asked.map(([{ id }]) => id).join(',')}}`]
  )
  const found = new Set(rows.map(({ basis_id }) => basis_id.replaceAll('-', '')))
  // In the order of their names, so that two writers never wait for each other in a circle.
  const missing = asked.filter(([{ id }]) => !found.has(id)).sort(([a], [b]) => (a.id < b.id ? -1 : 1))
  for (const [basis] of asked) if (found.has(basis.id)) stored.add(basis)
  return missing
}

const basisTable: CopyTable = {
  name: 'charge_basis',
  columns: [
    ['basis_id', 'uuid'],
    ['side', 'text'],
    ['rule', 'text'],
    ['agreement_id', 'text'],
    ['rate_id', 'text'],
    ['destination', 'text'],
    ['currency', 'text'],
    ['debit', 'text'],
    ['credit', 'text'],
    ['rate', 'text'],
    ['terms', 'json']
  ]
}

function* basisRows(used: readonly Used[]): Iterable<readonly CopyValue[]> {
  for (const [basis, charge] of used) {
    const { side, rule, agreement_id, rate_id, destination, currency, debit, credit, rate, terms } = rowOf(
      basis,
      charge
    )
    const what = [side, rule, agreement_id, rate_id, destination, currency] as const
    yield [basis.id, ...what, debit, credit, rate, JSON.stringify(terms)]
  }
}
