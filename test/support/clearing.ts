// Records, agreements and books for tests of clearing: valid as they are, changed by what a test names.

import { parseConfig } from '../../src/config.ts'
import type { Config } from '../../src/config.ts'
import { createAgreementBook } from '../../src/clearing/agreements.ts'
import type { AgreementBook } from '../../src/clearing/agreements.ts'
import { createNumberOf } from '../../src/clearing/numbers.ts'
import type { RecordSource } from '../../src/clearing/consumer.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import type { Sql } from '../../src/store/sql.ts'

/** UUIDs in order of `n`: the time-ordered shape of version 7. */
export const uuid = (n: number): string =>
  `019a0000-${String(n % 10_000).padStart(4, '0')}-7000-8000-${String(n).padStart(12, '0')}`

const answeredAt = Date.parse('2026-11-02T12:00:00Z')

/** The final record of an answered voice call of 61 s from `island` to `operator`. */
export function record(over: Partial<CdrRecord> = {}): CdrRecord {
  const leg = over.leg ?? 'ingress'
  const [own, other] = leg === 'ingress' ? ['island', 'operator'] : ['operator', 'island']
  const seq = over.seq ?? 1
  return {
    schema_version: 2,
    hub_id: 'isthmus',
    node_id: 'node-1',
    seq,
    prev_hash: '0'.repeat(64),
    hash: String(seq).padStart(64, '0'),
    cdr_id: uuid(seq),
    call_id: uuid(1),
    leg,
    attempt: 1,
    partial_seq: 1,
    kind: 'final',
    record_type: 'session',
    service: 'voice',
    icid: 'icid-1',
    icid_generated_at: 'isthmus.invalid',
    orig_ioi: null,
    term_ioi: null,
    transit_ioi: [],
    sip_call_id: 'call-1',
    session_id_hdr: null,
    direction: leg === 'ingress' ? 'inbound' : 'outbound',
    provider: own,
    other_provider: other,
    trunk: own,
    access: leg === 'ingress' ? 'sip-ws' : 'nni',
    neighbour_addr: '127.0.0.1:5060',
    trust: 'user',
    calling_trust: 'network',
    calling: 'tel:+4930100',
    calling_raw: 'sip:alice@island.example',
    orig_cc: '49',
    attest: null,
    verstat: null,
    called: 'tel:+4989200',
    called_raw: null,
    dialled: 'tel:+4989200',
    rn: null,
    npdi: false,
    dest_code: null,
    dest_name: null,
    agreement_id: null,
    agreement_version: null,
    deck_version: null,
    quality_class: null,
    t_request: answeredAt - 5_000,
    t_alert: answeredAt - 3_000,
    t_answer: answeredAt,
    t_end: answeredAt + 61_000,
    duration_ms: 61_000,
    units: 61,
    unit_type: 'seconds',
    cause: 'normal',
    final_code: 200,
    q850: 16,
    reason: null,
    release_side: 'caller',
    cause_closing: 'service-end',
    partial: false,
    incomplete: false,
    emergency: false,
    fraud_flags: [],
    media: [],
    ...over
  }
}

/** Both finals of one call; `n` names the call and numbers its records. */
export const callRecords = (n: number, over: Partial<CdrRecord> = {}): readonly [CdrRecord, CdrRecord] => [
  record({ call_id: uuid(1_000_000 + n), seq: 2 * n - 1, leg: 'ingress', ...over }),
  record({ call_id: uuid(1_000_000 + n), seq: 2 * n, leg: 'egress', ...over })
]

const unanswered = {
  t_answer: null,
  duration_ms: 0,
  units: 0,
  cause: 'busy',
  final_code: 486,
  release_side: 'callee'
} as const
/** What makes a record one of a call that came to nothing. */
export const failedCall: Partial<CdrRecord> = unanswered

/** Islands and operators, as YAML. */
export const clearingPeers = `
islands:
  - id: island
    access: sip-ws
    domain: island.example
    users: [{ name: alice, password: secret, number: "+4930100" }, { name: bob, password: secret }]
  - { id: isle, access: sip-ws, domain: isle.example }
operators:
  - { id: operator, address: { host: 127.0.0.1 } }
  - { id: carrier, address: { host: 127.0.0.1 } }
`
/** R09: the island pays 0.0345 a minute to the hub, which pays 0.0300 to the operator. */
export const cascade = `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [{ prefix: "+49", destination: Germany, rate: "0.0345" }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "0.0300" }] }
`

export const clearingConfig = (agreements: string = cascade): Config => parseConfig(clearingPeers + agreements)

export function bookOf(agreements: string = cascade): AgreementBook {
  const config = clearingConfig(agreements)
  return createAgreementBook(config.agreements, createNumberOf(config.islands))
}

/** An event log in memory: the position of a record is its place, counted from 1. */
export const memoryLog = (records: readonly unknown[]): RecordSource => ({
  read: (_topic, after, max) => {
    const from = Number(after)
    const page = records.slice(from, from + max)
    return Promise.resolve({ records: page, position: BigInt(from + page.length) })
  }
})

const identical = {
  charges: `select cdr_id, side, rule, agreement_id, rate_id, currency, billed_units, amount_micros,
    day::text, explanation
    from charge order by 1`,
  transfers: 'select entry_id, cdr_id, debit, credit, currency, amount_micros, day::text from transfer order by 1',
  balances: 'select * from balance order by 1, 2',
  rollup: 'select day::text as on_day, rollup.* from rollup order by 1, 3, 4, 5, 6, 7, 8, 9',
  suspense: 'select cdr_id, reason, day::text from suspense order by 1',
  rejected: 'select content_hash, reason, detail, record from rejected order by 1',
  received: 'select node_id, seqs::text from received order by 1'
}

/** All that "identical" means for a ledger: no insert time, row id or worker (EOS-02). */
export async function dumpOf(sql: Sql): Promise<Readonly<Record<string, readonly unknown[]>>> {
  const dump: Record<string, readonly unknown[]> = {}
  for (const [name, query] of Object.entries(identical)) dump[name] = (await sql.query(query)).rows
  return dump
}

/** The same for a large ledger: how many rows of each kind, and a digest of them. */
export async function digestOf(sql: Sql): Promise<Readonly<Record<string, string>>> {
  const digests: Record<string, string> = {}
  for (const [name, query] of Object.entries(identical)) {
    const { rows } = await sql.query<{ readonly digest: string }>(
      `select count(*) || ' rows ' || md5(coalesce(string_agg(x::text, '' order by x::text), '')) as digest
       from (${query}) as x`
    )
    digests[name] = rows[0]?.digest ?? ''
  }
  return digests
}

/** The balances as they follow from the transfers, and those that stand; equal, and zero together (LED-01, LED-02). */
export async function balancesOf(
  sql: Sql
): Promise<{ stand: readonly unknown[]; follow: readonly unknown[]; sums: readonly unknown[] }> {
  const stand = await sql.query('select account, currency, debit_micros, credit_micros from balance order by 1, 2')
  const follow = await sql.query(`
    select account, currency, sum(d)::numeric as debit_micros, sum(c)::numeric as credit_micros from (
      select debit as account, currency, amount_micros as d, 0 as c from transfer
      union all select credit, currency, 0, amount_micros from transfer) as sides
    group by 1, 2 order by 1, 2`)
  const sums = await sql.query(
    'select currency, sum(debit_micros - credit_micros) as sum from balance group by 1 order by 1'
  )
  return { stand: stand.rows, follow: follow.rows, sums: sums.rows }
}
