// What was refused of a seller's invoice and is accepted after all (COM-06, SET-04): the invoice stays as it was, and
// more of it is owed.

import { HubError } from '../../errors.ts'
import type { Sql } from '../../store/sql.ts'
import { hub } from '../agreements.ts'
import type { Posting } from '../settlement/model.ts'
import { postTransfers } from '../settlement/post.ts'
import { cost, taxInput, unbilledOf } from './accounts.ts'
import { creditedBefore, taxAt } from './credit-note.ts'
import { printMoney, toMinor } from './currency.ts'
import { readDocument } from './document.ts'
import { debtPostings, lockMoney } from './open-items.ts'
import { readMatch } from './received.ts'

export interface AcceptAsked {
  readonly invoiceId: string
  /** Before tax. */
  readonly netMicros: bigint
  readonly reason: string
  readonly day: string
  readonly by: string
}

export interface Accepted {
  readonly netMicros: bigint
  readonly taxMicros: bigint
  readonly currency: string
}

/** `sql` is a transaction. Throws HUB_CONFIG where less is refused of the invoice. */
export async function acceptMore(sql: Sql, { invoiceId, reason, day, by, ...asked }: AcceptAsked): Promise<Accepted> {
  await lockMoney(sql)
  const [invoice, match] = [await readDocument(sql, invoiceId), await readMatch(sql, invoiceId)]
  if (invoice === null || match === null) throw new HubError('HUB_CONFIG', `there is no received invoice ${invoiceId}`)
  if (reason.trim() === '') throw new HubError('HUB_CONFIG', 'to accept more needs a reason')
  const { currency, seller, buyer } = invoice
  const before = await creditedBefore(sql, invoice)
  const standing = invoice.netMicros - before.netMicros
  const refused = standing - before.accepted.netMicros
  const netMicros = toMinor(asked.netMicros, currency)
  if (netMicros <= 0n || netMicros > refused) {
    const [most, wanted] = [refused > 0n ? refused : 0n, netMicros].map(micros => printMoney(micros, currency))
    throw new HubError(
      'HUB_CONFIG',
      `${wanted} ${currency} of ${invoiceId} cannot be accepted; ${most} is refused of it`
    )
  }
  const tax = taxAt(before.accepted.netMicros + netMicros, invoice) - before.accepted.taxMicros
  const taxMicros = tax > 0n ? tax : 0n
  const { rows } = await sql.query<{ n: number; earlier: bigint }>(
    `select count(*)::int + 1 as n, coalesce(sum(net_micros), 0)::bigint as earlier
     from invoice_acceptance where invoice_id = $1`,
    [invoiceId]
  )
  const { n, earlier } = rows[0] ?? { n: 1, earlier: 0n }
  await sql.query(
    `insert into invoice_acceptance (invoice_id, n, net_micros, tax_micros, reason, day, made_by)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [invoiceId, n, netMicros, taxMicros, reason, day, by]
  )
  // Other lines may have been billed too low: what stands unbilled is used up first.
  const unbilled = match.left_micros - earlier
  const cleared = unbilled <= 0n ? 0n : unbilled < netMicros ? unbilled : netMicros
  const part = (name: string, amountMicros: bigint, counter: string): readonly Posting[] => {
    const entryId = `received/${invoiceId}/accepted-${n}/${name}`
    return debtPostings(invoice, { entryId, amountMicros, currency, day, counter }, true)
  }
  await postTransfers(
    sql,
    buyer === hub
      ? [
          ...part('unbilled', cleared, unbilledOf('buy', seller)),
          ...part('net', netMicros - cleared, cost(seller)),
          ...part('tax', taxMicros, taxInput)
        ]
      : part('due', netMicros + taxMicros, '')
  )
  return { netMicros, taxMicros, currency }
}
