// What the rates of a page of charges say: from the explanation of one charge each, or, for a call that came to
// nothing, from the row that would have priced it.

import type { Sql } from '../../store/sql.ts'
import type { Agreement, AgreementBook } from '../agreements.ts'
import { rowFor } from '../charging.ts'
import { parseRate } from '../money.ts'
import type { RateRow } from '../rating.ts'
import type { RateFacts } from './lines.ts'
import type { StatedCharge } from './stated.ts'

export interface FactsReader {
  /** To be awaited before the charges of a page are asked for. */
  read(sql: Sql, page: readonly StatedCharge[]): Promise<void>
  of(charge: StatedCharge): RateFacts | null
}

interface Explained {
  readonly cdr_id: string
  readonly revision: bigint
  readonly explanation: Readonly<Record<string, unknown>>
}

export function createFacts(book: AgreementBook, agreement: Agreement): FactsReader {
  const known = new Map<string, RateFacts>()

  async function explain(sql: Sql, page: readonly StatedCharge[]): Promise<void> {
    const unknown = new Map<string, StatedCharge>()
    for (const charge of page) {
      if (charge.rate_id !== null && !known.has(charge.rate_id)) unknown.set(charge.rate_id, charge)
    }
    if (unknown.size === 0) return
    const ids = [...unknown.values()].map(({ cdr_id }) => cdr_id)
    const { rows } = await sql.query<Explained>(
      `select cdr_id, 0::bigint as revision, terms as explanation from charge where cdr_id = any($1::uuid[])
       union all select cdr_id, revision, explanation from recharge where cdr_id = any($1::uuid[])`,
      [ids]
    )
    const explanations = new Map(rows.map(row => [`${row.cdr_id} ${row.revision}`, row.explanation]))
    for (const [rateId, { cdr_id, revision }] of unknown) {
      known.set(rateId, factsOf(rateId, explanations.get(`${cdr_id} ${revision}`) ?? {}))
    }
  }

  return {
    async read(sql, page) {
      await explain(sql, page)
      const idle = page.filter(({ t_answer }) => t_answer === null)
      await book.prepare(
        sql,
        idle.map(({ t_request }) => t_request.getTime())
      )
    },
    of(charge) {
      if (charge.rate_id !== null) return known.get(charge.rate_id) ?? null
      if (charge.t_answer !== null || charge.emergency) return null
      const row = rowFor(charge, book, agreement, charge.side, charge.t_request.getTime())
      return row === null ? null : (known.get(row.id) ?? factsOfRow(row))
    }
  }
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)

function factsOf(rateId: string, explanation: Readonly<Record<string, unknown>>): RateFacts {
  const { prefix, destination, origin, setupFee, increments, bands, deck } = explanation
  const [initial = '1', next = '1'] = (text(increments) ?? '1/1').split('/')
  return {
    rateId,
    prefix: text(prefix),
    destination: text(destination),
    origin: text(origin),
    setupNanos: parseRate(text(setupFee) ?? '0'),
    initialSeconds: BigInt(initial),
    nextSeconds: BigInt(next),
    banded: bands !== undefined,
    version: typeof deck === 'number' ? String(deck) : text(deck)
  }
}

const factsOfRow = (row: RateRow): RateFacts => ({
  rateId: row.id,
  prefix: row.prefix,
  destination: row.destination,
  origin: row.origin,
  setupNanos: row.setupFeeNanos,
  initialSeconds: BigInt(row.initialSeconds),
  nextSeconds: BigInt(row.nextSeconds),
  banded: row.bands.length > 0,
  version: String(row.version)
})
