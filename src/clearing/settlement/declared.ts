// What the counterparty has declared of a closed statement, destination by destination (5.7): from its newest
// reconciliation. Told beside the sealed lines, for it comes later than they.

import type { Sql } from '../../store/sql.ts'
import { divRound, printAmount, printScaled } from '../money.ts'
import { keptResult } from '../reconcile/result.ts'
import type { Reconciliation } from '../reconcile/result.ts'

/** `above`: more than is tolerated, and nobody has raised a dispute. */
export const declaredStates = ['matched', 'within', 'above', 'disputed'] as const
export type DeclaredState = (typeof declaredStates)[number]

export interface DeclaredRow {
  readonly destination: string
  readonly counterpartyDeclaredUnits: string
  /** Null: it has declared units alone. */
  readonly counterpartyDeclaredAmount: string | null
  /** Theirs less ours. */
  readonly diffUnits: string
  /** Of ours, in percent with two digits: by amounts, or by units where there are no others; null: ours is 0. */
  readonly diffPercent: string | null
  readonly status: DeclaredState
  readonly disputeId: string | null
  readonly reconciliation: string
}

/** By destination; empty: nothing was declared. */
export async function readDeclared(
  sql: Sql,
  { agreementId, period }: { readonly agreementId: string; readonly period: string }
): Promise<readonly DeclaredRow[]> {
  const { rows } = await sql.query<{ id: bigint; dispute: bigint | null }>(
    `select reconciliation_id as id,
       (select max(dispute_id) from dispute d where d.reconciliation_id = r.reconciliation_id
          and (select state from dispute_step s where s.dispute_id = d.dispute_id order by step desc limit 1)
            not in ('draft', 'withdrawn')) as dispute
     from reconciliation r where agreement_id = $1 and period = $2 order by 1 desc limit 1`,
    [agreementId, period]
  )
  const [newest] = rows
  if (newest === undefined) return []
  return declaredOf(await keptResult(sql, newest.id), newest.dispute)
}

/** `dispute`: about this reconciliation; it is of all that is above the tolerance. Pure. */
export function declaredOf(result: Reconciliation, dispute: bigint | null): readonly DeclaredRow[] {
  return result.destinations.map(({ destination, ours, theirs, standing }): DeclaredRow => {
    const isDisputed = standing === 'above' && dispute !== null
    const [own, their] = result.hasAmounts ? [ours.amountMicros, theirs.amountMicros] : [ours.units, theirs.units]
    return {
      destination,
      counterpartyDeclaredUnits: theirs.units.toString(),
      counterpartyDeclaredAmount: result.hasAmounts ? printAmount(theirs.amountMicros) : null,
      diffUnits: (theirs.units - ours.units).toString(),
      diffPercent: own <= 0n ? null : printScaled(divRound((their - own) * 10_000n, own, 'half-up'), 2),
      status: isDisputed ? 'disputed' : standing,
      disputeId: isDisputed ? dispute.toString() : null,
      reconciliation: result.id.toString()
    }
  })
}
