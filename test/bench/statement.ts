// How long the statement of one agreement-month takes: with a million records as a draft from the daily sums; and with
// fewer closed, read again and verified. Figures, never assertions; alone with: node test/bench/statement.ts [RECORDS]

import { performance } from 'node:perf_hooks'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { periodNamed } from '../../src/clearing/periods.ts'
import { closePeriod } from '../../src/clearing/settlement/close.ts'
import { documentOf } from '../../src/clearing/settlement/document.ts'
import { draftOf } from '../../src/clearing/settlement/draft.ts'
import { readLines, readStatement } from '../../src/clearing/settlement/read.ts'
import { passingKey } from '../../src/clearing/settlement/seal.ts'
import { statementPdf } from '../../src/clearing/settlement/statement-pdf.ts'
import { statementCsv } from '../../src/clearing/settlement/statement-table.ts'
import { verifyLedger } from '../../src/clearing/verify/verify.ts'
import type { Database } from '../../src/store/database.ts'
import { startTestPostgres } from '../support/database.ts'
import { bookOfYaml } from '../support/settlement.ts'

const destinations = 200

/** The daily sums of a month of so many records, as four partitions have left them. */
async function fillSums(database: Database, records: number): Promise<void> {
  const each = Math.round(records / (30 * destinations * 4))
  await database.query(
    `insert into rollup_shard
     select s, date '2026-11-01' + day, 'island', 'operator', 'voice', 'sell', 'month', 'EUR', 'destination ' || d,
       ${each}, ${each}, ${each} * 90, ${each} * 90000, ${each} * 90000
     from generate_series(0, 29) day, generate_series(1, ${destinations}) d, generate_series(0, 3) s`
  )
}

/** What was charged and summed, as the consumer would have left it: made by the database, a third of it not answered. */
async function fill(database: Database, records: number): Promise<void> {
  const made = `select n, ('019a0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
      timestamptz '2026-11-01' + n * interval '30 days' / ${records} as at, n % 3 <> 0 as answered,
      n % ${destinations} as d, 30 + n % 170 as s from generate_series(1, ${records}) n`
  await database.query(
    `insert into cdr_final (cdr_id, content_hash, call_id, leg, attempt, node_id, seq, service, provider, other_provider,
       trunk, access, calling, called, dialled, t_request, t_alert, t_answer, t_end, duration_ms, cause, final_code,
       q850, release_side, incomplete, emergency)
     select id, n::text, id, 'ingress', 1, 'node-1', n, 'voice', 'island', 'operator', 'trunk-' || n % 2, 'sip-ws',
       '+4930100', '+49' || 100 + d, '+49' || 100 + d, at, at, case when answered then at end,
       at + s * interval '1 second', case when answered then s * 1000 else 0 end,
       case when answered then 'normal' else 'busy' end, 200, 16, 'caller', false, false from (${made}) m`
  )
  await database.query(
    `insert into charge_basis
     select md5(d::text)::uuid, 'sell', 'call', 'sell', 'sell/+49' || 100 + d || '/2020-01-01T00:00:00.000Z',
       'destination ' || d, 'EUR', 'unbilled-receivable/island', 'revenue/island', '0.06',
       jsonb_build_object('buyer', 'island', 'seller', 'hub', 'model', 'cascade', 'timeZone', 'UTC', 'rounding',
         jsonb_build_object('seconds', 'up', 'scale', 6, 'mode', 'half-up'), 'deck', 0, 'prefix', '+49' || 100 + d,
         'destination', 'destination ' || d, 'per', 'minute', 'setupFee', '0', 'minimumSeconds', 0, 'increments', '1/1')
     from generate_series(0, ${destinations - 1}) d
     union all
     select md5('')::uuid, 'sell', 'attempt', 'sell', null, null, 'EUR', null, null, null,
       '{"attemptFee": "0", "rounding": {"scale": 6, "mode": "half-up"}}'`
  )
  await database.query(
    `insert into charged (cdr_id, basis_id, amount_micros, billed_units, duration_ms, day)
     select id, md5(case when answered then d::text else '' end)::uuid, case when answered then s * 1000 else 0 end,
       case when answered then s else 0 end, case when answered then s * 1000 end, (at at time zone 'UTC')::date
     from (${made}) m`
  )
  await database.query(
    `insert into balance_shard
     select 0, 'unbilled-receivable/island', 'EUR', sum(amount_micros), 0 from transfer
     union all select 0, 'revenue/island', 'EUR', 0, sum(amount_micros) from transfer`
  )
  await database.query(
    `insert into rollup_shard
     select n % 4, day, 'island', 'operator', 'voice', 'sell', 'sell', 'EUR', coalesce(destination, ''), count(*),
       count(t_answer), sum(billed_units), sum(duration_ms), sum(amount_micros)
     from (select *, seq as n from charge join cdr_final using (cdr_id)) c group by 1, 2, 9`
  )
  await database.query(
    `insert into received_part (node_id, seqs) values ('node-1', int8multirange(int8range(1, $1)))`,
    [BigInt(records + 1)]
  )
}

const monthRecords = 1_000_000
/** More are closed, and not verified: that takes as long again. */
const verifiedMax = 300_000

/** Seconds of each step, the quick ones as the median of several. `records`: those that are closed and verified. */
export async function benchStatement(records = 100_000): Promise<Readonly<Record<string, number>>> {
  const rates = Array.from(
    { length: destinations },
    (_, d) => `{ prefix: "+49${100 + d}", destination: "destination ${d}", rate: "0.06" }`
  )
  const book = bookOfYaml(`
agreements:
  - { id: sell, buyer: island, seller: hub, rates: [${rates.join(', ')}] }
  - { id: month, buyer: isle, seller: hub, rates: [${rates.join(', ')}] }
`)
  const [agreement, month] = book.agreements
  if (agreement === undefined || month === undefined) throw new Error('no agreement')
  const period = periodNamed('2026-11', 'month')
  const postgres = await startTestPostgres(['fsync=off', 'shared_buffers=256MB', 'max_wal_size=4GB'])
  const seconds: Record<string, number> = { records }
  const timed = async <T>(name: string, work: () => Promise<T>, times = 1): Promise<T> => {
    const taken: number[] = []
    let done: T
    do {
      const from = performance.now()
      done = await work()
      taken.push(performance.now() - from)
    } while (taken.length < times)
    const median = taken.toSorted((a, b) => a - b)[Math.floor(taken.length / 2)] ?? 0
    seconds[name] = Math.round(median) / 1_000
    return done
  }
  try {
    const database = await postgres.fresh(clearingMigrations)
    await timed('filled', () => fill(database, records))
    await fillSums(database, monthRecords)
    const file = await timed('draft', () => database.transaction(sql => draftOf(sql, month, period, Date.now())), 9)
    seconds['draftRecords'] = file.statement.cdrCount
    await database.query(
      `update rollup_shard set attempts = 0, answered = 0, billed_units = 0, duration_ms = 0, amount_micros = 0
       where agreement_id = 'month'`
    )
    await timed('draftAsPdf', () => statementPdf(file), 3)
    const asked = { agreement, period, by: 'bench', override: null, dryRun: false, key: passingKey() }
    const now = Date.parse('2026-12-02T00:00:00Z')
    seconds['beforeMb'] = Math.round(process.resourceUsage().maxRSS / 1_024)
    const outcome = await timed('closed', () => closePeriod(database, book, { ...asked, now }))
    if (!outcome.closed) throw new Error(outcome.refusals.map(({ detail }) => detail).join('; '))
    const read = async () => {
      const statement = await readStatement(database, 'sell/2026-11')
      if (statement === null) throw new Error('not closed')
      return documentOf(statement, await readLines(database, 'sell/2026-11'))
    }
    const statement = await timed('closedRead', read, 5)
    await timed(
      'closedAsCsv',
      () => Promise.resolve(statementCsv({ statement, seal: null, draft: null, since: null })),
      3
    )
    const peakMb = Math.round(process.resourceUsage().maxRSS / 1_024)
    if (records <= verifiedMax) {
      const { checks } = await timed('verified', () => verifyLedger(database))
      const wrong = checks.flatMap(({ faults }) => faults)
      if (wrong.length > 0) throw new Error(wrong.slice(0, 5).join('\n'))
    }
    return { ...seconds, lines: outcome.lines.length, peakMb }
  } finally {
    await postgres.stop()
  }
}

if (import.meta.main) console.log(await benchStatement(Number(process.argv[2] ?? 100_000)))
