// The chain of each node's records where the event log is Kafka: partitions hold them in no common order, so their
// links are laid out in a table of this session and followed there.

import { chainFault, genesis, linkFault } from '../../events/chain.ts'
import type { ChainLink } from '../../events/chain.ts'
import { cdrRecord } from '../../events/cdr.ts'
import type { Database } from '../../store/database.ts'
import type { Sql } from '../../store/sql.ts'
import { takeIn } from '../intake.ts'
import { compare } from './chain.ts'
import { Findings, limits } from './model.ts'
import type { Check } from './model.ts'

/** Hands over all that the event log holds, part by part; returns where it lacks records itself. */
export type LogReader = (take: (payloads: readonly unknown[]) => Promise<void>) => Promise<readonly string[]>

/**
 * Records that a hub has just written may be in one partition and not yet in another: the last of each node are not
 * missed before the next verification.
 */
export const tailMax = 2_000

/** A transaction of its own, which writes nothing but that table. Throws HUB_DATABASE, and what `read` throws. */
export function checkKafkaChain(
  database: Pick<Database, 'transaction'>,
  read: LogReader,
  progress: (done: number) => void,
  tail: number = tailMax
): Promise<Check> {
  return database.transaction(async sql => {
    const found = new Findings('records')
    await sql.query('set transaction isolation level repeatable read; set local statement_timeout = 0')
    // From now on this is what the book says; what Kafka has is asked for later and is at least as much.
    await sql.query('select 1')
    await sql.query(`create temporary table verified_link
      (node_id text not null, seq bigint not null, prev_hash text not null, hash text not null, cdr_id uuid not null)
      on commit drop`)
    const gaps = await read(async payloads => {
      await takeLinks(sql, payloads, found)
      found.look(payloads.length)
      progress(found.looked)
    })
    for (const gap of gaps) found.fault(`the event log lacks records: ${gap}`)
    await sql.query('create index on verified_link (node_id, seq); create index on verified_link (cdr_id)')
    await sql.query('analyze verified_link')
    await followLinks(sql, found, tail)
    return found.done(await checkEnds(sql, found))
  })
}

async function takeLinks(sql: Sql, payloads: readonly unknown[], found: Findings): Promise<void> {
  const links: object[] = []
  for (const payload of payloads) {
    const { data: record } = cdrRecord.safeParse(payload)
    // What clearing rejected as no record is none here, too.
    if (record === undefined) {
      found.fault('there is something else than a record')
      continue
    }
    const why = chainFault([record])
    if (why !== null) found.fault(`${record.node_id}: ${why}`)
    const { node_id, seq, prev_hash, hash, cdr_id } = record
    links.push({ node_id, seq, prev_hash, hash, cdr_id })
  }
  await sql.query(
    `insert into verified_link (node_id, seq, prev_hash, hash, cdr_id)
     select node_id, seq, prev_hash, hash, cdr_id from json_populate_recordset(null::verified_link, $1::json)`,
    [JSON.stringify(links)]
  )
  await compare(sql, takeIn(payloads).finals, found)
}

interface LinkRow {
  readonly node_id: string
  readonly seq: bigint
  readonly prev_hash: string
  readonly hash: string
  readonly last: bigint
}

/** A record may have come twice; two of one number that differ are one too many. */
async function followLinks(sql: Sql, found: Findings, tail: number): Promise<void> {
  await sql.query(
    `declare linked no scroll cursor for
     select node_id, seq, prev_hash, hash, max(seq) over (partition by node_id) as last
     from (select distinct node_id, seq, prev_hash, hash from verified_link) l order by node_id, seq, hash`
  )
  let before: ChainLink | null = null
  for (;;) {
    const { rows } = await sql.query<LinkRow>(`fetch ${limits.pageMax} from linked`)
    for (const { last, seq, ...rest } of rows) {
      const link: ChainLink = { ...rest, seq: Number(seq) }
      const why = faultOf(before?.node_id === link.node_id ? before : null, link, Number(last) - tail)
      if (why !== null) found.fault(`${link.node_id}: ${why}`)
      before = link
    }
    if (rows.length < limits.pageMax) break
  }
  await sql.query('close linked')
}

function faultOf(before: ChainLink | null, link: ChainLink, tailFrom: number): string | null {
  // Where the topic begins later than the node, what was before has left it.
  if (before === null) return link.seq === 1 && link.prev_hash !== genesis ? 'record 1 follows another one' : null
  if (link.seq === before.seq) return `there are two records ${link.seq}`
  if (link.seq !== before.seq + 1 && link.seq > tailFrom) return null
  return linkFault(before, link)
}

/** Finals that the topic should have and lacks; how many are older than it. */
async function checkEnds(sql: Sql, found: Findings): Promise<string | null> {
  const begins = `with begins as (select node_id, min(seq) as first from verified_link group by 1)`
  const { rows } = await sql.query<{ cdr_id: string }>(
    `${begins} select f.cdr_id::text from cdr_final f join begins b on b.node_id = f.node_id and f.seq >= b.first
     where not exists (select from verified_link l where l.cdr_id = f.cdr_id)
     order by 1 limit ${limits.faultsMax}`
  )
  for (const { cdr_id } of rows) found.fault(`${cdr_id}: the event log has no such record`)
  const { rows: older } = await sql.query<{ records: bigint }>(
    `${begins} select count(*) as records from cdr_final f left join begins b on b.node_id = f.node_id
     where b.first is null or f.seq < b.first`
  )
  const records = older[0]?.records ?? 0n
  return records === 0n ? null : `${records} records are older than what the event log keeps`
}
