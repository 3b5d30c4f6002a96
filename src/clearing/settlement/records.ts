// The records behind a statement as a file of lines, and the proof that a file is complete and unchanged.

import type { Sql } from '../../store/sql.ts'
import { escapeLiteral } from 'pg'
import { parseAmount } from '../money.ts'
import { leafOf, MerkleTree } from './merkle.ts'
import { viewOf, viewText } from './view.ts'
import { declareCursor } from './stated.ts'
import type { ViewedRecord } from './view.ts'

export const limits = {
  /** Records of one read. */
  pageMax: 5_000,
  /** Characters of one line of a file. */
  lineCharsMax: 16_384,
  /** Faults that are told of one file. */
  faultsMax: 20
} as const

/** One line of the file. Without its salt a record cannot be proven any more; its leaf still counts (EOS-05). */
export interface ProvenRecord {
  readonly view: Readonly<Record<string, unknown>>
  /** Base64url; null: it was deleted with the personal data. */
  readonly salt: string | null
  /** Hexadecimal. */
  readonly leaf: string
}

type Row = Omit<ViewedRecord, 'sign'> & {
  readonly sign: bigint
  readonly leaf: Buffer
  readonly salt: Buffer | null
}

/** In the order of their leaves. `sql` is a transaction. */
export async function readRecords(
  sql: Sql,
  statementId: string,
  take: (page: readonly ProvenRecord[]) => Promise<void> | void
): Promise<void> {
  await declareCursor(
    sql,
    'records',
    `select l.cdr_id, l.revision, l.sign, l.leaf, l.salt, f.leg, f.attempt, f.service, f.calling, f.called, f.dialled,
       f.trunk, f.t_request, f.t_answer, f.t_end, f.duration_ms, f.cause, coalesce(r.rule, c.rule) as rule,
       case when r.cdr_id is null then c.rate_id else r.rate_id end as rate_id,
       case when r.cdr_id is null then c.destination else r.destination end as destination,
       case when r.cdr_id is null then c.currency else r.currency end as currency,
       coalesce(r.billed_units, c.billed_units) as billed_units,
       coalesce(r.amount_micros, c.amount_micros) as amount_micros, coalesce(r.day, c.day)::text as day
     from statement_leaf l join charge c using (cdr_id) join cdr_final f using (cdr_id)
       left join recharge r on r.cdr_id = l.cdr_id and r.revision = l.revision
     where l.statement_id = ${escapeLiteral(statementId)} order by l.cdr_id, l.revision, l.sign`
  )
  for (;;) {
    const { rows } = await sql.query<Row>(`fetch ${limits.pageMax} from records`)
    if (rows.length > 0) await take(rows.map(toProven))
    if (rows.length < limits.pageMax) break
  }
  await sql.query('close records')
}

const toProven = (row: Row): ProvenRecord => ({
  view: viewOf({ ...row, sign: row.sign < 0n ? -1 : 1 }),
  salt: row.salt?.toString('base64url') ?? null,
  leaf: row.leaf.toString('hex')
})

export interface RecordsProof {
  readonly records: number
  /** Deleted with the personal data: they count, and nobody can look at them. */
  readonly unprovable: number
  readonly root: string
  /** Of all of them, in micros. */
  readonly amountMicros: bigint
  readonly faults: readonly string[]
}

/** Takes records in their order, then tells what they prove. */
export function createProof() {
  const tree = new MerkleTree()
  const faults: string[] = []
  let [unprovable, amountMicros] = [0, 0n]
  const fault = (text: string): void => {
    if (faults.length < limits.faultsMax) faults.push(text)
  }
  return {
    add({ view, salt, leaf }: ProvenRecord): void {
      tree.add(Buffer.from(leaf, 'hex'))
      const named = `record ${String(view['cdrId']).slice(0, 60)}`
      if (salt === null) unprovable += 1
      else if (leafOf(Buffer.from(salt, 'base64url'), viewText(view)).toString('hex') !== leaf) {
        fault(`${named} was changed`)
      }
      const { amount, sign } = view
      if (typeof amount !== 'string' || (sign !== 1 && sign !== -1)) return fault(`${named} has no amount`)
      try {
        amountMicros += BigInt(sign) * parseAmount(amount)
      } catch {
        fault(`${named}: ${amount.slice(0, 40)} is no amount`)
      }
    },
    done: (): RecordsProof => ({ records: tree.count, unprovable, root: tree.root(), amountMicros, faults })
  }
}
