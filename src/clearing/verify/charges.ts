// Each charge is computed again from what it says about itself: parts, fees, model and rounding.

import type { Sql } from '../../store/sql.ts'
import { convert, shareOf } from '../models.ts'
import { divRound, parseAmount, parseRate, powerOfTen, printAmount, roundingModes } from '../money.ts'
import type { RoundingMode } from '../money.ts'
import { declareCursor } from '../settlement/stated.ts'
import { Findings, limits } from './model.ts'
import type { Check } from './model.ts'

interface Row {
  readonly id: string
  readonly rule: string
  readonly amount_micros: bigint
  readonly billed_units: bigint
  readonly duration_ms: bigint
  readonly answered: boolean
  readonly explanation: Readonly<Record<string, unknown>>
}

/** `sql` is a transaction. */
export async function checkCharges(sql: Sql, progress: (done: number) => void): Promise<Check> {
  const found = new Findings('charges')
  await declareCursor(
    sql,
    'charges',
    `select c.cdr_id::text as id, c.rule, c.amount_micros, c.billed_units, c.explanation, f.duration_ms,
       f.t_answer is not null as answered from charge c join cdr_final f using (cdr_id)
     union all
     select r.cdr_id || ', charged again ' || r.revision, r.rule, r.amount_micros, r.billed_units, r.explanation,
       f.duration_ms, f.t_answer is not null from recharge r join cdr_final f using (cdr_id)`
  )
  for (;;) {
    const { rows } = await sql.query<Row>(`fetch ${limits.pageMax} from charges`)
    for (const row of rows) {
      const why = chargeFault(row)
      if (why !== null) found.fault(`${row.id}: ${why}`)
    }
    found.look(rows.length)
    progress(found.looked)
    if (rows.length < limits.pageMax) break
  }
  await sql.query('close charges')
  for (const [query, why] of orphans) {
    const { rows } = await sql.query<{ id: string }>(`${query} order by 1 limit ${limits.faultsMax}`)
    for (const { id } of rows) found.fault(`${id}: ${why}`)
  }
  return found.done()
}

/** What one transaction has written together, and no constraint looks up again. */
const orphans = [
  [
    `select cdr_id as id from cdr_final f where not exists (select from charged c where c.cdr_id = f.cdr_id)
       and not exists (select from suspense s where s.cdr_id = f.cdr_id)`,
    'a record without a charge'
  ],
  [
    `select cdr_id as id from charged c where not exists (select from cdr_final f where f.cdr_id = c.cdr_id)
     union all
     select cdr_id from recharge r where not exists (select from charged c where c.cdr_id = r.cdr_id)`,
    'a charge without a record'
  ],
  [
    'select cdr_id as id from charged c where not exists (select from charge_basis b where b.basis_id = c.basis_id)',
    'a charge without its terms'
  ],
  [
    `select entry_id as id from posting p
     where p.cdr_id is not null and not exists (select from charged c where c.cdr_id = p.cdr_id)`,
    'an entry without a charge'
  ]
] as const

function chargeFault({ rule, amount_micros, billed_units, duration_ms, answered, explanation }: Row): string | null {
  const told = printAmount(amount_micros)
  if (explanation['amount'] !== told) return `it owes ${told}, its explanation says ${String(explanation['amount'])}`
  const { durationMs, billedUnits } = explanation
  if (durationMs !== undefined && BigInt(Number(durationMs)) !== duration_ms)
    return 'its explanation is of another length'
  if (billedUnits !== undefined && BigInt(Number(billedUnits)) !== billed_units)
    return 'its explanation has other units'
  if (!answered && billed_units > 0n) return 'nobody answered, and units were billed'
  const again = recomputed(rule, explanation)
  if (again === null) return 'its explanation cannot be computed'
  return again === amount_micros ? null : `it owes ${told}, its explanation comes to ${printAmount(again)}`
}

interface Rounding {
  readonly scale: number
  readonly mode: RoundingMode
}

/** The amount that an explanation comes to, in micros; null: it lacks something. */
export function recomputed(rule: string, explanation: Readonly<Record<string, unknown>>): bigint | null {
  if (rule === 'refused' || rule === 'emergency' || rule === 'with-ingress') return 0n
  try {
    const rounding = roundingOf(explanation['rounding'])
    if (rule === 'attempt') {
      const fee = explanation['attemptFee']
      return fee === undefined ? 0n : roundedNanos(parseRate(textOf(fee)), 1n, rounding)
    }
    return byParts(explanation, rounding)
  } catch {
    return rule === 'attempt' && explanation['rounding'] === undefined ? 0n : null
  }
}

function byParts(explanation: Readonly<Record<string, unknown>>, rounding: Rounding): bigint {
  const { model, per, setupFee, parts, uplift, upliftOf, freeUnits, share } = explanation
  const perUnits = per === 'message' ? 1n : 60n
  if (!Array.isArray(parts)) throw new TypeError('no parts')
  const noFee = model === 'volume' || (freeUnits !== undefined && parts.length === 0)
  let nanos = noFee ? 0n : parseRate(textOf(setupFee)) * perUnits
  for (const part of parts as readonly Readonly<Record<string, unknown>>[]) {
    nanos += parseRate(textOf(part['rate'])) * BigInt(Number(part['units']))
  }
  const factor = one + parseRate(uplift === undefined ? '0' : textOf(uplift))
  const priced =
    upliftOf === 'rounded'
      ? convert(roundedNanos(nanos, perUnits, rounding), factor, rounding)
      : roundedNanos(nanos * factor, perUnits * one, rounding)
  if (model === 'bill-and-keep') return priced === parseAmount(textOf(explanation['kept'])) ? 0n : -1n
  return model === 'revenue-share' ? shareOf(priced, parseRate(textOf(share)), rounding).providerMicros : priced
}

const one = powerOfTen(9)

function roundedNanos(nanos: bigint, per: bigint, { scale, mode }: Rounding): bigint {
  const step = powerOfTen(9 - scale)
  return divRound(nanos, per * step, mode) * powerOfTen(6 - scale)
}

function roundingOf(value: unknown): Rounding {
  const { scale, mode } = value as { readonly scale: unknown; readonly mode: unknown }
  const known = roundingModes.find(name => name === mode)
  if (known === undefined || typeof scale !== 'number') throw new TypeError('no rounding')
  return { scale, mode: known }
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('no text')
  return value
}
