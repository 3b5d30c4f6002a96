import { execFile } from 'node:child_process'
import { deepEqual, equal, match } from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, it } from '@jest/globals'
import { createConsumer } from '../../src/clearing/consumer.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { createLog } from '../../src/log.ts'
import { openDatabase } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import { bookOf, callRecords, memoryLog } from '../support/clearing.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

const script = fileURLToPath(new URL('../../src/cli/report.ts', import.meta.url))
const log = createLog('silent')
const period = ['--from', '2026-11-01', '--to', '2026-12-01']

let folder: string
beforeEach(() => {
  folder = openTempDir('isthmus-report-')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}
function report(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const { DATABASE_URL: _unused, ...own } = process.env
  return new Promise(resolve => {
    const child = execFile(
      process.execPath,
      [script, ...args],
      { cwd: folder, env: { ...own, ...env } },
      (_e, out, err) => resolve({ code: child.exitCode ?? -1, out, err })
    )
  })
}

async function clear(database: Database): Promise<void> {
  const source = memoryLog(callRecords(1, { duration_ms: 125_300 }))
  await createConsumer({ source, database, book: bookOf(), log, onFault: () => undefined }).catchUp()
}
const margins = ({ out }: Ran): unknown =>
  (JSON.parse(out) as { lines: { margin: string }[] }).lines.map(line => line.margin)

describe('npm run report, on a server', () => {
  let postgres: TestPostgres
  let database: TestDatabase
  beforeAll(async () => {
    postgres = await startTestPostgres()
    database = await postgres.fresh(clearingMigrations)
    await clear(database)
  })
  afterAll(() => postgres.stop())

  it('prints the table, JSON and CSV', async () => {
    const [text, json, csv] = await Promise.all(
      ['text', 'json', 'csv'].map(format => report([...period, '--format', format, '--database', database.url]))
    )
    deepEqual([text!.code, json!.code, csv!.code], [0, 0, 0])
    match(text!.out, /^island +operator +voice +EUR +1 +1 +2\.10 +2\.10 .* 0\.072450 +0\.063000 +0\.009450/m)
    deepEqual(margins(json!), ['0.009450'])
    match(csv!.out, /^island,operator,voice,EUR,1,1,2\.10,2\.10,0,0,0\.072450,0\.063000,0\.009450,0\.000000,0\r$/m)
  })

  it('finds the database by the variable that the configuration names', async () => {
    writeFileSync(join(folder, 'hub.yaml'), 'database: { urlEnv: LEDGER_URL }')
    const ran = await report([...period, '--format', 'json', '--config', 'hub.yaml'], { LEDGER_URL: database.url })
    deepEqual(margins(ran), ['0.009450'])
  })
})

describe('npm run report, on the embedded database', () => {
  it('beside a running hub uses its server and leaves it running; later it runs the server itself', async () => {
    const dataDir = join(folder, 'data')
    const options = { place: { dataDir }, poolMax: 2, migrations: clearingMigrations, log }
    const hub = await openDatabase(options)
    await clear(hub)
    const beside = await report([...period, '--format', 'json'])
    deepEqual([beside.code, beside.err, margins(beside)], [0, '', ['0.009450']])
    equal((await hub.query('select from charge')).count, 2)
    await hub.close()
    const after = await report([...period, '--format', 'json'])
    deepEqual([after.code, margins(after)], [0, ['0.009450']])
    const again = await openDatabase(options)
    equal((await again.query('select from charge')).count, 2)
    await again.close()
  }, 60_000)

  it('makes no database where no hub has run', async () => {
    const ran = await report(period)
    deepEqual([ran.code, ran.out, ran.err], [1, '', 'there is no database in ./data: no hub has run there yet\n'])
  })
})

describe('npm run report, asked wrongly', () => {
  it.each([
    [[], /--from and --to are needed/],
    [['--from', '2026-11-01'], /--from and --to are needed/],
    [['--from', '2026-11-31', '--to', '2026-12-01'], /--from 2026-11-31 is no day/],
    [['--from', '2026-11-01', '--to', 'December'], /--to December is no day/],
    [['--from', '2026-11-01', '--to', '2026-11-01'], /is not after/],
    [[...period, '--format', 'xml'], /--format xml is none of text, json, csv/],
    [[...period, '--month', '11'], /'--month'/],
    [[...period, 'november'], /november/]
  ])('%j is answered with the reason and exit code 2', async (args, why) => {
    const { code, out, err } = await report(args)
    deepEqual([code, out], [2, ''])
    match(err, why)
    equal(err.includes('\n    at '), false)
  })

  it('explains itself', async () => {
    const { code, out } = await report(['--help'])
    equal(code, 0)
    match(out, /--from DAY[^]*--format[^]*Exit codes/)
  })

  it('a database or configuration that cannot be used is exit code 1 with the reason', async () => {
    const away = await report([...period, '--database', 'postgresql://nobody@127.0.0.1:1/nothing'])
    equal(away.code, 1)
    match(away.err, /^database: .*ECONNREFUSED/)
    const url = await report([...period, '--database', 'mysql://x'])
    deepEqual([url.code, url.err.includes('postgresql://')], [1, true])
    const config = await report([...period, '--config', 'nothing.yaml'])
    deepEqual([config.code, config.err.startsWith('cannot read nothing.yaml')], [1, true])
    writeFileSync(join(folder, 'isthmus.yaml'), 'nonsense: 1')
    const nonsense = await report(period)
    deepEqual([nonsense.code, /nonsense/.test(nonsense.err)], [1, true])
  })
})
