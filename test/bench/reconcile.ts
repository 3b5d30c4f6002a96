// How long a partner's file of 100,000 calls takes to be held against ours, a tenth of them different, and what memory it
// needs. Figures, never assertions: node test/bench/reconcile.ts [CALLS]

import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { createDetector } from '../../src/clearing/fraud/detector.ts'
import { factsOf } from '../../src/clearing/fraud/facts.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { reconcile } from '../../src/clearing/reconcile/reconcile.ts'
import { createZone } from '../../src/clearing/zone.ts'
import { fraud } from '../../src/config/fraud.ts'
import type { Database } from '../../src/store/database.ts'
import { bookOf, callRecords } from '../support/clearing.ts'
import { startTestPostgres } from '../support/database.ts'

const startMs = Date.parse('2026-11-02T00:00:00Z')
const agreements = `
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [{ prefix: "+49", destination: Germany, rate: "0.06" }] }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+49", destination: Germany, rate: "0.03" }] }
`

/** Call n: a minute or more to one of 5,000 numbers, twenty a second. */
const numberOf = (n: number): string => `4930${100_000 + ((n * 7_919) % 5_000)}`
const secondsOf = (n: number): number => 30 + (n % 170)

async function fill(database: Database, calls: number): Promise<void> {
  const made = `select n, ('019a0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
      to_timestamp(${startMs / 1_000} + n * 0.05) as at, 30 + n % 170 as s,
      '+4930' || 100000 + (n * 7919) % 5000 as called from generate_series(1, ${calls}) n`
  await database.query(
    `insert into cdr_final (cdr_id, content_hash, call_id, leg, attempt, node_id, seq, service, provider, other_provider,
       trunk, access, calling, called, dialled, t_request, t_alert, t_answer, t_end, duration_ms, cause, final_code, q850,
       release_side, incomplete, emergency)
     select id, n::text, id, 'ingress', 1, 'node-1', n, 'voice', 'island', 'operator', 'island', 'sip-ws', '+4930100',
       called, called, at, at, at, at + s * interval '1 second', s * 1000, 'normal', 200, 16, 'caller', false, false
     from (${made}) m`
  )
  await database.query(
    `with basis as (
       insert into charge_basis (basis_id, side, rule, agreement_id, rate_id, destination, currency, terms)
       values (md5('')::uuid, 'sell', 'call', 'sell', 'x', 'Germany', 'EUR', '{"prefix": "+49"}') returning basis_id)
     insert into charged (cdr_id, basis_id, amount_micros, billed_units, duration_ms, day)
     select id, basis_id, s * 1000, s, s * 1000, (at at time zone 'UTC')::date from basis, (${made}) m`
  )
  await database.query('analyze')
}

/** One in ten differs: it is missing, longer, dearer, or there twice. */
function write(file: string, calls: number): void {
  const handle = openSync(file, 'w')
  writeSync(handle, 'called,calling,t_answer,duration_s,amount\n')
  let page = ''
  for (let n = 1; n <= calls; n++) {
    const odd = n % 10 === 0 ? (n / 10) % 4 : -1
    if (odd === 0) continue
    const seconds = secondsOf(n) + (odd === 1 ? 60 : 0)
    const at = new Date(startMs + n * 50 + 12_000).toISOString()
    const line = `+${numberOf(n)},+4930100,${at},${seconds},${((seconds * (odd === 2 ? 1_100 : 1_000)) / 1e6).toFixed(6)}\n`
    page += odd === 3 ? line + line : line
    if (page.length < 262_144) continue
    writeSync(handle, page)
    page = ''
  }
  writeSync(handle, page)
  closeSync(handle)
}

async function benchReconcile(calls: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-reconcile-'))
  const postgres = await startTestPostgres()
  try {
    const database = await postgres.fresh(clearingMigrations)
    await fill(database, calls)
    const file = join(folder, 'theirs.csv')
    write(file, calls)
    let heapMax = 0
    const watch = setInterval(() => (heapMax = Math.max(heapMax, process.memoryUsage().heapUsed)), 20)
    const [wall, cpu] = [performance.now(), process.cpuUsage()]
    const found = await reconcile(database, bookOf(agreements), {
      file,
      agreementId: 'sell',
      period: '2026-11',
      mapping: new Map(),
      fileOf: { zone: createZone('UTC'), decimal: '.' },
      toleranceMs: 5_000,
      offsetMs: null,
      by: 'bench'
    })
    clearInterval(watch)
    const { user, system } = process.cpuUsage(cpu)
    const seconds = (performance.now() - wall) / 1_000
    const [size, heap] = [statSync(file).size, heapMax].map(bytes => (bytes / 2 ** 20).toFixed(0))
    const own = ((user + system) / 1e6).toFixed(1)
    console.log(`${found.lines} lines (${size} MiB) held against ${calls} calls: ${seconds.toFixed(1)} s,`)
    console.log(`  ${own} s of this process's CPU, heap at most ${heap} MiB; ${found.matched} without any difference`)
  } finally {
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The rules of fraud over a stream of records. */
function benchFraud(calls: number): void {
  const book = bookOf(agreements)
  const detector = createDetector(fraud.parse({ irsf: { fiveMinutes: '1000000' } }))
  const records = Array.from({ length: 1_000 }, (_, n) => callRecords(n + 1)).flat()
  const from = performance.now()
  for (let n = 0; n < calls; n++) {
    const record = records[n % records.length]
    const facts = record === undefined ? null : factsOf({ ...record, t_end: record.t_end + n }, book)
    if (facts !== null) detector.see(facts)
  }
  const each = (performance.now() - from) / calls
  console.log(`fraud rules: ${(each * 1_000).toFixed(1)} us a record, the price of each call with it`)
}

const calls = Number(process.argv[2] ?? 100_000)
await benchReconcile(calls)
benchFraud(200_000)
