// What charges by one row of one agreement share: sides, accounts, rate and terms. The book keeps it once, under a name
// made from its content, and each charge names it.

import { hash } from 'node:crypto'
import type { Sql } from '../store/sql.ts'
import type { Agreement } from './agreements.ts'
import { accountsOf } from './charging.ts'
import type { Charge } from './charging.ts'
import { oneRate, termsMark, termsOf } from './explanation.ts'
import { printRate } from './money.ts'

export const limits = {
  /** Of one row of a deck, those that are remembered: it has one for each rate of its bands. */
  basesOfRowMax: 64
} as const

export interface Basis {
  /** 32 hexadecimal digits: the same content has the same ones, whoever names it. */
  readonly id: string
  readonly charge: Pick<Charge, 'side' | 'rule' | 'agreement' | 'row'>
  /** Debit and credit; null: no agreement, so nothing can be owed. */
  readonly accounts: readonly [debit: string, credit: string] | null
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
  const accounts = agreement === null ? null : accountsOf(side, agreement)
  const made = { charge: { side, rule, agreement, row }, accounts, rateNanos, mark }
  const basis = { ...made, id: hash('sha256', JSON.stringify(rowOf(made, charge)), 'buffer').toString('hex', 0, 16) }
  if (own.length >= limits.basesOfRowMax) own.length = 0
  own.push(basis)
  return basis
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
    currency: currencyOf(agreement),
    debit: accounts?.[0] ?? null,
    credit: accounts?.[1] ?? null,
    rate: rateNanos === null ? null : printRate(rateNanos),
    terms: termsOf(charge)
  }
}

const currencyOf = (agreement: Agreement | null): string | null => agreement?.currency ?? null

/** Adds those that the book does not have; once there, none ever changes or goes. */
export async function addBases(sql: Sql, used: ReadonlyMap<Basis, Charge>): Promise<void> {
  const ids = [...used.keys()].map(({ id }) => id)
  const { rows } = await sql.query<{ basis_id: string }>(
    'select basis_id from charge_basis where basis_id = any($1::uuid[])',
    [`{${ids.join(',')}}`]
  )
  const stored = new Set(rows.map(({ basis_id }) => basis_id.replaceAll('-', '')))
  const added = [...used].filter(([{ id }]) => !stored.has(id))
  if (added.length === 0) return
  const given = added.map(([basis, charge]) => ({ basis_id: basis.id, ...rowOf(basis, charge) }))
  // In the order of their names, so that two writers never wait for each other in a circle.
  await sql.query(
    `insert into charge_basis select b.* from json_populate_recordset(null::charge_basis, $1::json) as b
     order by basis_id on conflict do nothing`,
    [JSON.stringify(given)]
  )
}
