import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, it } from '@jest/globals'
import { postBatch } from '../../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { printAmount } from '../../../src/clearing/money.ts'
import { exchangeCsv } from '../../../src/clearing/reconcile/exchange.ts'
import { outcomeClasses } from '../../../src/clearing/reconcile/model.ts'
import { reconciliationCsv, reconciliationText, reconciliationXlsx } from '../../../src/clearing/reconcile/print.ts'
import { reconcile, scopeOf } from '../../../src/clearing/reconcile/reconcile.ts'
import type { ReconcileOptions } from '../../../src/clearing/reconcile/reconcile.ts'
import { keptResult } from '../../../src/clearing/reconcile/result.ts'
import type { Reconciliation } from '../../../src/clearing/reconcile/result.ts'
import { periodNamed } from '../../../src/clearing/periods.ts'
import { createZone } from '../../../src/clearing/zone.ts'
import type { CdrRecord } from '../../../src/events/cdr.ts'
import { bookOf, record, uuid } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

let postgres: TestPostgres
const folder = mkdtempSync(join(tmpdir(), 'isthmus-reconcile-'))
let database: TestDatabase
/** Every test has an agreement of its own, and numbers its records apart: they share one database. */
let tests = 0
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
beforeEach(() => {
  tests += 1
})
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

const sell = (): string => `sell-${tests}`
const id = (n: number): string => uuid(tests * 10_000 + n)
const agreements = (): string => `
agreements:
  - id: ${sell()}
    buyer: island
    seller: hub
    tolerance: { percent: "1", floor: "0.01" }
    rates:
      - { prefix: "+49", destination: Germany, rate: "0.06" }
      - { prefix: "+4917", destination: Germany mobile, rate: "0.12" }
      - { prefix: "+33", destination: France, rate: "0.03" }
  - { id: buy, buyer: hub, seller: operator, rates: [{ prefix: "+", destination: World, rate: "0.01" }] }
`
const noon = Date.parse('2026-11-02T12:00:00Z')

/** An answered ingress call; `n` numbers it. */
const call = (n: number, over: Partial<CdrRecord> & { readonly to?: string; readonly at?: number } = {}): CdrRecord => {
  const { to = '+4989200', at = noon + n * 60_000, duration_ms = 60_000, ...more } = over
  const when = { t_request: at - 5_000, t_alert: at - 3_000, t_answer: at, t_end: at + duration_ms, duration_ms }
  const ids = { seq: tests * 10_000 + n, cdr_id: id(n), call_id: uuid(5_000_000 + tests * 10_000 + n) }
  return record({ ...ids, called: to, dialled: to, calling: '+4930100', ...when, ...more })
}
async function withCalls(records: readonly CdrRecord[]): Promise<void> {
  const batch = { topic: `t${tests}`, after: 0n, position: 1n, records }
  await database.transaction(sql => postBatch(sql, batch, bookOf(agreements())))
}
let files = 0
const sheet = (...lines: readonly string[]): string => {
  const file = join(folder, `${(files += 1)}.csv`)
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}
const compare = (database: TestDatabase, file: string, over: Partial<ReconcileOptions> = {}): Promise<Reconciliation> =>
  reconcile(database, bookOf(agreements()), {
    file,
    agreementId: sell(),
    period: '2026-11',
    mapping: new Map(),
    fileOf: { zone: createZone('UTC'), decimal: '.' },
    toleranceMs: 5_000,
    offsetMs: null,
    by: 'anna',
    ...over
  })
const at = (n: number, shiftMs = 0): string => new Date(noon + n * 60_000 + shiftMs).toISOString()
const classesOf = ({ classes }: Reconciliation): Readonly<Record<string, string>> =>
  Object.fromEntries(
    outcomeClasses
      .filter(outcome => classes[outcome].count > 0n)
      .map(outcome => {
        const { count, units, amountMicros } = classes[outcome]
        return [outcome, `${count}: ${units} ${printAmount(amountMicros)}`]
      })
  )
const header = 'called,calling,t_answer,duration_s,amount'

describe('reconciliation of calls', () => {
  it('SET-03 tells the six outcome classes apart, each with units and money', async () => {
    await withCalls([call(1), call(2), call(3), call(4), call(5, { to: '+491701' }), call(6, { to: '+33145' })])
    const found = await compare(
      database,
      sheet(
        `${header},dest_code`,
        `+4989200,+4930100,${at(1)},60,0.06,49`,
        // A minute longer.
        `+4989200,+4930100,${at(2)},120,0.12,49`,
        // At another rate.
        `+4989200,+4930100,${at(3)},60,0.09,49`,
        // The same one again.
        `+4989200,+4930100,${at(3)},60,0.09,49`,
        // As a mobile number.
        `+491701,+4930100,${at(5)},60,0.06,49`,
        // Nobody here knows of it.
        `+4989999,+4930100,${at(9)},60,0.06,49`
      )
    )
    deepEqual(classesOf(found), {
      'only-ours': '2: -120 -0.090000',
      'only-theirs': '1: 60 0.060000',
      'duration-diff': '1: 60 0.060000',
      'destination-diff': '1: 0 -0.060000',
      'rate-diff': '1: 0 0.030000',
      duplicate: '1: 60 0.090000'
    })
    deepEqual([found.matched, found.difference], [1n, { units: 60n, amountMicros: 90_000n }])
    equal(found.standing, 'above')
    deepEqual(await keptResult(database, found.id), found)
  })

  it('SET-03 a call at the edge of the period is of a class of its own, whoever counts it', async () => {
    const end = Date.parse('2026-12-01T00:00:00Z')
    await withCalls([call(1, { at: end - 30_000 }), call(2, { at: end + 1_000, to: '+33145' })])
    const theirs = `+33145,,${new Date(end - 1_000).toISOString()},60,0.03`
    const found = await compare(database, sheet(header, theirs))
    deepEqual(classesOf(found), { 'period-edge': '2: 0 -0.030000' })
    deepEqual([found.ours.count, found.theirs.count], [1n, 1n])
  })

  it('SET-02 finds a clock that is wrong, and pairs by number and time all the same', async () => {
    const many = Array.from({ length: 12 }, (_, n) => call(n + 1, { to: `+49892${n + 100}` }))
    await withCalls(many)
    const lines = many.map((_, n) => `+49892${n + 100},,${at(n + 1, 71_000 + (n % 3) * 1_000)},60,0.06`)
    const found = await compare(database, sheet(header, ...lines))
    deepEqual([found.clockOffsetMs, found.matched, found.standing], [72_000, 12n, 'matched'])
    // Without the offset they are other calls.
    const apart = await compare(database, sheet(header, ...lines), { offsetMs: 0 })
    deepEqual([apart.matched, apart.classes['only-theirs'].count], [0n, 12n])
  })

  it('SET-02 pairs by our own identifiers where the file has them, whatever else it says', async () => {
    await withCalls([call(1), call(2)])
    const file = sheet(`cdr_id,${header}`, `${id(1)},+331,,${at(40)},60,0.06`, `${id(1)},+331,,${at(40)},60,0.06`)
    const found = await compare(database, file)
    deepEqual(classesOf(found), { 'only-ours': '1: -60 -0.060000', duplicate: '1: 60 0.060000' })
    equal(found.matched, 1n)
  })

  it('SET-02 what the agreement tolerates leaves the figure of the side that bills', async () => {
    await withCalls([call(1, { duration_ms: 6_000_000 })])
    const file = (amount: string): string => sheet(header, `+4989200,+4930100,${at(1)},6000,${amount}`)
    const [within, above] = [await compare(database, file('6.06')), await compare(database, file('6.0601'))]
    deepEqual([within.standing, within.biller, within.percentMicros], ['within', 'ours', 1_000_000n])
    equal(above.standing, 'above')
    ok(/within the tolerance of the agreement: our figure stands/.test(reconciliationText(within)))
    ok(/above the tolerance.*exchange records/.test(reconciliationText(above)))
    equal((await compare(database, file('6.00'))).standing, 'matched')
  })

  it('takes the amounts of a file without any from our own rates', async () => {
    await withCalls([call(1), call(2, { to: '+33145' })])
    const found = await compare(
      database,
      sheet('B number;Start;Billed seconds', `004989200;${at(1)};120`, `0033145;${at(2)};60`, `00331;${at(9)};20`),
      { mapping: new Map([['B number', 'called'] as const]) }
    )
    deepEqual([found.hasAmounts, printAmount(found.theirs.amountMicros)], [false, '0.160000'])
    deepEqual(classesOf(found), { 'only-theirs': '1: 20 0.010000', 'duration-diff': '1: 60 0.060000' })
  })

  it('tells what is wrong with a file by its lines, and keeps nothing of it', async () => {
    await withCalls([call(1)])
    const bad = sheet(header, `+4989200,,yesterday,60,0.06`, `,,${at(1)},60,0.06`, `+4989200,,${at(1)},60,"0,06"`)
    await rejects(compare(database, bad), /line 2: t_answer.*\n.*line 3: called: it is empty\n.*line 4: amount.*comma/)
    await rejects(compare(database, sheet('a,b')), /neither called and t_answer/)
    await rejects(compare(database, join(folder, 'nowhere.csv')), /cannot read/)
    await rejects(compare(database, sheet(header), { period: '2026-1' }), /no month/)
    const kept = 'select from reconciliation where agreement_id = $1'
    equal((await database.query(kept, [sell()])).count, 0)
    const orphans =
      'select from partner_call where reconciliation_id not in (select reconciliation_id from reconciliation)'
    equal((await database.query(orphans)).count, 0)
  })

  it('SET-03 the classes sum to the difference exactly, in random files; our own export has none', async () => {
    const random = mulberry32(seedFromEnvironment)
    const places = ['+4989200', '+4989201', '+491701', '+33145', '+33146']
    const ours = Array.from({ length: 600 }, (_, n) =>
      call(n + 1, {
        to: places[random(places.length)] ?? '',
        at: noon + random(2_000_000),
        duration_ms: 1 + random(300_000),
        calling: random(3) === 0 ? null : `+493010${random(4)}`
      })
    )
    await withCalls(ours)
    const own = join(folder, 'own.csv')
    const scope = scopeOf({ id: sell(), zone: createZone('UTC') }, periodNamed('2026-11', 'month'))
    let text = ''
    for await (const part of exchangeCsv(database, scope, { destinations: [], hide: number => number })) text += part
    writeFileSync(own, text)
    const same = await compare(database, own)
    deepEqual([same.matched, same.standing, classesOf(same)], [600n, 'matched', {}])

    for (let round = 0; round < 6; round++) {
      const lines: string[] = []
      for (const { called, calling, t_answer, duration_ms } of ours) {
        const [drop, twice, shift, longer, rate] = [random(10), random(20), random(7_000), random(4), random(4)]
        if (drop === 0) continue
        const seconds = Math.ceil(duration_ms / 1_000) + (longer === 0 ? random(90) : 0)
        const perMinute = rate === 0 ? 70_000 + random(9) : called.startsWith('+33') ? 30_000 : 60_000
        const amount = Math.round((seconds * perMinute) / 60)
        const code = random(5) === 0 ? '33' : ''
        const when = new Date((t_answer ?? 0) + shift - 3_500).toISOString()
        const cells = [called, calling ?? '', when, String(seconds), (amount / 1e6).toFixed(2 + random(5)), code]
        for (let n = 0; n < (twice === 0 ? 2 : 1); n++) lines.push(cells.join(','))
      }
      const found = await compare(database, sheet(`${header},dest_code`, ...lines))
      const sums = outcomeClasses.map(outcome => found.classes[outcome])
      equal(
        sums.reduce((sum, { amountMicros }) => sum + amountMicros, 0n),
        found.theirs.amountMicros - found.ours.amountMicros
      )
      equal(
        sums.reduce((sum, { units }) => sum + units, 0n),
        found.theirs.units - found.ours.units
      )
      deepEqual([found.ours.count, found.theirs.count], [600n, BigInt(lines.length)])
      const { rows } = await database.query<{ units: string; amount: string }>(
        `select sum(units)::text as units, sum(amount_micros)::text as amount
         from reconciliation_item where reconciliation_id = $1`,
        [found.id]
      )
      deepEqual(rows, [{ units: String(found.difference.units), amount: String(found.difference.amountMicros) }])
    }
  }, 60_000)

  it('every difference is a row of the CSV, and the spreadsheet has the sums beside them', async () => {
    await withCalls([call(1), call(2)])
    const found = await compare(database, sheet(header, `+4989200,+4930100,${at(1)},61,0.061`))
    let csv = ''
    for await (const part of reconciliationCsv(database, found)) csv += part
    const [first, ...rows] = csv.trim().split('\n')
    ok(first?.startsWith('outcome,destination_name,line,cdr_id,called'))
    deepEqual(new Set(rows.map(row => row.split(',')[0])), new Set(['duration-diff', 'only-ours']))
    ok(rows.some(row => row.includes(id(2))))
    const xlsx = await reconciliationXlsx(database, found)
    equal(xlsx.subarray(0, 2).toString('latin1'), 'PK')
    await rejects(reconciliationXlsx(database, found, 1), /more than 1 differences are too many for XLSX; take CSV/)
  })
})

describe('reconciliation of a declaration', () => {
  it('SET-03 units alone are compared per destination, by volume', async () => {
    await withCalls([call(1), call(2), call(3, { to: '+33145' })])
    const found = await compare(database, sheet('destination,minutes,calls', 'germany,2.10,2', 'Spain,1.00,1'))
    equal(found.kind, 'declaration')
    deepEqual(classesOf(found), {
      'only-ours': '1: -60 -0.030000',
      'only-theirs': '1: 60 0.000000',
      'duration-diff': '1: 6 0.006000'
    })
    const { units, amountMicros } = found.difference
    deepEqual([units, amountMicros], [6n, -24_000n])
  })

  it('SET-03 with amounts the rest is a matter of the rate', async () => {
    await withCalls([call(1), call(2)])
    const found = await compare(database, sheet('dest_code,units,amount', '49,180,0.20'))
    deepEqual(classesOf(found), { 'duration-diff': '1: 60 0.060000', 'rate-diff': '1: 0 0.020000' })
    equal(found.destinations[0]?.standing, 'above')
  })
})
