// What has become of a closed statement since: documents, what the partner declared, disputes. Told, not sealed.

import type { Sql } from '../../store/sql.ts'
import { printAmount } from '../money.ts'
import { readDeclared } from './declared.ts'
import type { DeclaredRow } from './declared.ts'
import type { ClosedStatement } from './model.ts'

export const limits = {
  /** Of each kind, the newest. */
  listMax: 100
} as const

export interface SinceClose {
  readonly documents: readonly {
    readonly number: string
    readonly kind: string
    readonly issuedOn: string
    readonly dueOn: string
    readonly net: string
    readonly tax: string
    readonly gross: string
    readonly currency: string
    /** Rate, source and day of the conversion; null: in the currency of the agreement. */
    readonly fx: Readonly<Record<string, unknown>> | null
  }[]
  readonly reconciliations: readonly {
    readonly id: string
    readonly kind: string
    readonly fileName: string
    readonly ours: string
    readonly theirs: string
  }[]
  readonly disputes: readonly {
    readonly id: string
    readonly type: string
    readonly amount: string
    readonly state: string
  }[]
  /** By destination, of the newest reconciliation. */
  readonly declared: readonly DeclaredRow[]
}

export async function readSince(
  sql: Sql,
  { statementId, agreementId, period }: Pick<ClosedStatement, 'statementId' | 'agreementId' | 'period'>
): Promise<SinceClose> {
  const { rows: documents } = await sql.query<{
    number: string
    kind: string
    issued_on: string
    due_on: string
    net: bigint
    tax: bigint
    gross: bigint
    currency: string
    fx: Readonly<Record<string, unknown>> | null
  }>(
    `select number, kind, issued_on::text, due_on::text, net_micros as net, tax_micros as tax, gross_micros as gross,
       currency, fx
     from invoice i where statement_id = $1
       or credits in (select o.invoice_id from invoice o where o.statement_id = $1)
     order by made_at desc, invoice_id limit $2`,
    [statementId, limits.listMax]
  )
  const { rows: reconciliations } = await sql.query<{
    id: bigint
    kind: string
    file_name: string
    ours: string
    theirs: string
  }>(
    `select reconciliation_id as id, kind, file_name, trunc(our_amount_micros)::text as ours,
       trunc(their_amount_micros)::text as theirs
     from reconciliation where agreement_id = $1 and period = $2 order by 1 desc limit $3`,
    [agreementId, period.name, limits.listMax]
  )
  const { rows: disputes } = await sql.query<{ id: bigint; type: string; amount: bigint; state: string }>(
    `select dispute_id as id, type, amount_micros as amount, s.state from dispute d join lateral (
       select state from dispute_step where dispute_step.dispute_id = d.dispute_id order by step desc limit 1) s on true
     where agreement_id = $1 and period = $2 order by 1 desc limit $3`,
    [agreementId, period.name, limits.listMax]
  )
  return {
    documents: documents.map(({ number, kind, issued_on, due_on, net, tax, gross, currency, fx }) => ({
      number,
      kind,
      issuedOn: issued_on,
      dueOn: due_on,
      net: printAmount(net),
      tax: printAmount(tax),
      gross: printAmount(gross),
      currency,
      fx
    })),
    reconciliations: reconciliations.map(({ id, kind, file_name, ours, theirs }) => ({
      id: id.toString(),
      kind,
      fileName: file_name,
      ours: printAmount(BigInt(ours)),
      theirs: printAmount(BigInt(theirs))
    })),
    disputes: disputes.map(({ id, type, amount, state }) => ({
      id: id.toString(),
      type,
      amount: printAmount(amount),
      state
    })),
    declared: await readDeclared(sql, { agreementId, period: period.name })
  }
}

/** In words, for the head of a statement. */
export const sinceWords = (since: SinceClose | null): readonly (readonly [string, string])[] =>
  since === null
    ? []
    : [
        ...since.documents.map(({ kind, number, issuedOn, dueOn, net, tax, gross, currency }) => {
          const name = kind === 'invoice' ? 'Invoice' : 'Credit note'
          return [name, `${number} of ${issuedOn}, due ${dueOn}: ${net} + tax ${tax} = ${gross} ${currency}`] as const
        }),
        ...since.reconciliations.map(({ id, kind, fileName, ours, theirs }) => {
          return ['Partner declared', `${theirs}, ours ${ours} (reconciliation ${id}, ${kind}, ${fileName})`] as const
        }),
        ...since.disputes.map(({ id, type, amount, state }) => {
          return ['Dispute', `${id}, ${type}: ${amount}, ${state}`] as const
        })
      ]
