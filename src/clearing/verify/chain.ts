// The chain of each node's records, and what the book has kept of them (EOS-04): read from the event log.

import { z } from 'zod'
import { chainFault, genesis, linkFault } from '../../events/chain.ts'
import type { ChainLink } from '../../events/chain.ts'
import { cdrRecord } from '../../events/cdr.ts'
import type { CdrRecord } from '../../events/cdr.ts'
import { cdrTopic } from '../../events/event-log.ts'
import type { Sql } from '../../store/sql.ts'
import { takeIn } from '../intake.ts'
import type { Final } from '../intake.ts'
import { Findings, limits } from './model.ts'
import type { Check } from './model.ts'

/** `sql` is a transaction. With Kafka the records are not in the database: then there is nothing here to look at. */
export async function checkChain(sql: Sql, progress: (done: number) => void): Promise<Check> {
  const found = new Findings('records')
  const { rows: tables } = await sql.query<{ there: boolean }>("select to_regclass('event_log') is not null as there")
  if (tables[0]?.there !== true) return found.done('the event log is not in this database')
  await sql.query(
    `declare chained no scroll cursor for select payload from event_log where topic = '${cdrTopic}'
     order by payload ->> 'node_id', (payload ->> 'seq')::bigint, position`
  )
  let last: ChainLink | null = null
  const nodes = new Set<string>()
  for (;;) {
    const { rows } = await sql.query<{ payload: unknown }>(`fetch ${limits.pageMax} from chained`)
    const finals: Final[] = []
    for (const { payload } of rows) {
      const erased = erasedRecord.safeParse(payload).data ?? null
      if (erased !== null) {
        const gap = last?.node_id === erased.node_id ? linkFault(last, erased) : null
        if (gap !== null) found.fault(`${erased.node_id}: ${gap}`)
        last = erased
        nodes.add(erased.node_id)
        continue
      }
      const taken = takeIn([payload])
      const { data: record } = cdrRecord.safeParse(payload)
      if (record === undefined) {
        for (const { nodeId, ranges } of taken.arrived) found.fault(`${nodeId}: record ${ranges[0]?.[0]} is none`)
        continue
      }
      const before: ChainLink | null = last?.node_id === record.node_id ? last : null
      const why = before === null ? firstFault(record) : (chainFault([record]) ?? linkFault(before, record))
      if (why !== null) found.fault(`${record.node_id}: ${why}`)
      last = record
      nodes.add(record.node_id)
      finals.push(...taken.finals)
    }
    await compare(sql, finals, found)
    found.look(rows.length)
    progress(found.looked)
    if (rows.length < limits.pageMax) break
  }
  await sql.query('close chained')
  return found.done(await checkEnds(sql, [...nodes], found))
}

/** Finals that the log lacks, of nodes that it knows; of others, such as writers to Kafka, it says how many. */
async function checkEnds(sql: Sql, nodes: readonly string[], found: Findings): Promise<string | null> {
  const { rows } = await sql.query<{ cdr_id: string }>(
    `select cdr_id::text from cdr_final f where f.node_id = any($1::text[])
       and not exists (select from event_log e where e.topic = '${cdrTopic}' and e.cdr_id = f.cdr_id)
     order by 1 limit ${limits.faultsMax}`,
    [nodes]
  )
  for (const { cdr_id } of rows) found.fault(`${cdr_id}: the event log has no such record`)
  const { rows: others } = await sql.query<{ records: bigint }>(
    'select count(*) as records from cdr_final where node_id <> all($1::text[])',
    [nodes]
  )
  const records = others[0]?.records ?? 0n
  return records === 0n ? null : `${records} records are of nodes that this event log does not know`
}

/** A record whose numbers are gone: its link stays. */
const erasedRecord = z.object({
  erased: z.literal(true),
  node_id: z.string(),
  seq: z.int(),
  prev_hash: z.string(),
  hash: z.string()
})

function firstFault(record: CdrRecord): string | null {
  const why = chainFault([record])
  if (why !== null) return why
  if (record.seq > 1) return `the records before ${record.seq} are missing`
  return record.prev_hash === genesis ? null : 'record 1 follows another one'
}

/** What the book keeps of each final is what the record says. */
export async function compare(sql: Sql, finals: readonly Final[], found: Findings): Promise<void> {
  if (finals.length === 0) return
  const { rows } = await sql.query<{ cdr_id: string }>(
    `select g.cdr_id::text from json_populate_recordset(null::cdr_final, $1::json) g join cdr_final f using (cdr_id)
     where f.content_hash = g.content_hash and
       (f.call_id, f.leg, f.attempt, f.node_id, f.seq, f.service, f.provider, f.other_provider, f.trunk, f.t_request,
        f.t_answer, f.t_end, f.duration_ms, f.cause, f.emergency, f.rn)
       is distinct from
       (g.call_id, g.leg, g.attempt, g.node_id, g.seq, g.service, g.provider, g.other_provider, g.trunk, g.t_request,
        g.t_answer, g.t_end, g.duration_ms, g.cause, g.emergency, g.rn)
     order by 1`,
    [JSON.stringify(finals.map(rowOf))]
  )
  for (const { cdr_id } of rows) found.fault(`${cdr_id}: the book has kept something else than the record says`)
}

const moment = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())

const rowOf = ({ record, contentHash }: Final) => ({
  cdr_id: record.cdr_id,
  content_hash: contentHash,
  call_id: record.call_id,
  leg: record.leg,
  attempt: record.attempt,
  node_id: record.node_id,
  seq: record.seq,
  service: record.service,
  provider: record.provider,
  other_provider: record.other_provider,
  trunk: record.trunk,
  t_request: moment(record.t_request),
  t_answer: moment(record.t_answer),
  t_end: moment(record.t_end),
  duration_ms: record.duration_ms,
  cause: record.cause,
  emergency: record.emergency,
  rn: record.rn
})
