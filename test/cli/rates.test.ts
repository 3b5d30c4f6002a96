import { deepEqual, equal, ok } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { progressOf } from '../../src/cli/clearing-commands.ts'
import { ratesCommand } from '../../src/cli/rates.ts'
import { rateCommand, rerateCommand, suspenseCommand } from '../../src/cli/rerate.ts'
import { clearingMigrations } from '../../src/clearing/migrations.ts'
import { postBatch } from '../../src/clearing/ledger.ts'
import { bookOf, callRecords, cascade, clearingPeers } from '../support/clearing.ts'
import { runCommands } from '../support/commands.ts'
import type { Ran } from '../support/commands.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'

let postgres: TestPostgres
let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'isthmus-rates-'))
const config = join(folder, 'isthmus.yaml')
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  writeFileSync(config, clearingPeers + cascade)
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

const isthmus = (...args: readonly string[]): Promise<Ran> => {
  const needs = args.includes('--help') ? [] : ['--config', config, '--database', database.url]
  return runCommands([ratesCommand, rateCommand, rerateCommand, suspenseCommand], [...args, ...needs])
}

/** As it is started by people. */
const started = (...args: readonly string[]): Promise<Ran> =>
  new Promise(resolve => {
    const program = join(import.meta.dirname, '..', '..', 'src', 'cli', 'isthmus.ts')
    const child = execFile(process.execPath, [program, ...args], (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err })
    )
  })
const json = async (...args: readonly string[]): Promise<Record<string, unknown>> => {
  const { code, out, err } = await isthmus(...args, '--json')
  equal(code, 0, err)
  return JSON.parse(out) as Record<string, unknown>
}
const sheet = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const header = 'prefix,destination_name,rate'
const sell = ['--agreement', 'sell'] as const

describe('the commands around rates', () => {
  it('SET-10 take a deck, show what it changes, put it in force, list it and write it out again', async () => {
    const file = sheet('deck.csv', `${header}\n49,Germany,0.03\n33,France,0.02\n`)
    const imported = await isthmus('rates', 'import', file, ...sell, '--mode', 'full', '--by', 'anna')
    equal(imported.code, 0, imported.err)
    ok(/sell: version 1 of 2 rows, compared with version 0/.test(imported.out))
    ok(/decrease {2}\+49 Germany: 0\.0345 -> 0\.03/.test(imported.out))
    const diff = await isthmus('rates', 'diff', ...sell, '--version', '1')
    ok(/1 new, 0 increase, 1 decrease/.test(diff.out), diff.out)
    const activated = await isthmus('rates', 'activate', ...sell, '--version', '1', '--by', 'bert')
    ok(/version 1 prices calls from .*, instead of 0/.test(activated.out), activated.err)
    const listed = await isthmus('rates', 'list')
    ok(
      /sell version 1: 2 rows, full, deck\.csv, .* by anna\n {2}prices calls from .*, by bert/.test(listed.out),
      listed.out
    )
    const out = join(folder, 'out.csv')
    deepEqual(await json('rates', 'export', ...sell, '--out', out), { file: out, rows: 2 })
    const again = await json('rates', 'import', out, ...sell, '--mode', 'full')
    deepEqual((again['diff'] as { counts: Record<string, number> }).counts['no change'], 2)
    const spreadsheet = join(folder, 'out.xlsx')
    deepEqual(await json('rates', 'export', ...sell, '--out', spreadsheet), { file: spreadsheet, rows: 2 })
    const third = await json('rates', 'import', spreadsheet, ...sell, '--mode', 'full')
    deepEqual([third['version'], third['rows']], [3, 2])
    ok(readFileSync(out, 'utf8').startsWith('prefix,destination_name,'))
  })

  it('RATE-02 refuse an increase without notice with exit code 1, and take it with a reason', async () => {
    const file = sheet('dear.csv', `${header}\n49,Germany,0.09\n33,France,0.02\n`)
    const { version } = await json('rates', 'import', file, ...sell, '--mode', 'full')
    const refused = await isthmus('rates', 'activate', ...sell, '--version', String(version))
    deepEqual([refused.code, /1 increase without 7 days of notice/.test(refused.err)], [1, true])
    const done = await json('rates', 'activate', ...sell, '--version', String(version), '--force', 'by phone')
    equal(done['replaces'], 1)
  })

  it('tell what is wrong with a sheet by its lines, and take nothing of it', async () => {
    const bad = sheet('bad.csv', `${header}\n49,Germany,"0,03"\n33,France,0.02\n`)
    const { code, err } = await isthmus('rates', 'import', bad, ...sell, '--mode', 'full')
    equal(code, 1)
    ok(
      /bad\.csv: one thing is wrong, nothing was imported\n {2}line 2: rate: "0,03" has a decimal comma/.test(err),
      err
    )
    const missing = await isthmus('rates', 'import', join(folder, 'none.csv'), ...sell, '--mode', 'full')
    deepEqual([missing.code, /cannot read/.test(missing.err)], [1, true])
  })

  it('explain a price step by step', async () => {
    const call = ['--called', '+4989200', '--at', '2026-11-02T12:00:00Z', '--duration', '61.2'] as const
    const { out } = await isthmus('rate', 'simulate', ...sell, ...call)
    ok(/increments +1\/1: 62 s are billed/.test(out), out)
    deepEqual((await json('rate', 'simulate', ...sell, ...call))['amount'], '0.035650')
  })

  it('RATE-04 list what waits for a rate, charge it, and charge again what was charged', async () => {
    const far = { called: 'tel:+331', dialled: 'tel:+331', duration_ms: 60_000 }
    await database.transaction(sql =>
      postBatch(
        sql,
        { topic: 't', after: 0n, position: 1n, records: [...callRecords(1, far), ...callRecords(2)] },
        bookOf()
      )
    )
    const { sums } = await json('suspense', 'list')
    equal((sums as readonly unknown[]).length, 2)
    ok(/no-rate: 1 voice records of island with operator, 1 min/.test((await isthmus('suspense', 'list')).out))
    writeFileSync(config, clearingPeers + cascade.replaceAll('"+49"', '"+"').replaceAll('Germany', 'all'))
    deepEqual(await json('suspense', 'release'), { charged: 2, left: '0' })
    writeFileSync(config, clearingPeers + cascade.replaceAll('0.0345', '0.05').replaceAll('"+49"', '"+"'))
    const days = ['--from', '2026-11-01', '--to', '2026-12-01', '--reason', 'a wrong rate'] as const
    const dry = await json('rerate', ...days, '--dry-run')
    const done = await json('rerate', ...days)
    deepEqual([dry['changed'], done['changed']], [done['changed'], dry['changed']])
    ok(Number(done['changed']) >= 2)
    equal((await json('rerate', ...days))['changed'], 0)
  })

  it('have a help, and exit with 2 for bad arguments', async () => {
    for (const command of ['rates', 'rates import', 'rates activate', 'rate simulate', 'rerate', 'suspense list']) {
      const { code, out } = await isthmus(...command.split(' '), '--help')
      deepEqual([code, out.startsWith(`Usage: isthmus ${command}`)], [0, true])
    }
    const wrong: readonly (readonly string[])[] = [
      ['rates', 'import', 'x.csv', ...sell, '--mode', 'some'],
      ['rates', 'diff', ...sell],
      ['rates', 'activate', ...sell, '--version', 'one'],
      ['rates', 'activate', ...sell, '--version', '1', '--at', 'tomorrow'],
      ['rate', 'simulate', ...sell, '--called', '112', '--at', '2026-11-02T12:00:00Z'],
      ['rerate', '--from', '2026-02-30', '--to', '2026-12-01', '--reason', 'x'],
      ['suspense', 'list', '--reason', 'bored']
    ]
    for (const args of wrong) equal((await isthmus(...args)).code, 2, args.join(' '))
    equal((await isthmus('rates', 'list', '--agreement', 'none')).code, 0)
    equal((await isthmus('rates', 'diff', '--agreement', 'none', '--version', '1')).code, 1)
  })
})

describe('as a program', () => {
  it('they end with 0, with 1 where it could not be done, and with 2 for bad arguments', async () => {
    const place = ['--config', config, '--database', database.url]
    const [done, failed, wrong] = await Promise.all([
      started('rates', 'list', '--json', ...place),
      started('rates', 'diff', '--agreement', 'none', '--version', '1', ...place),
      started('suspense', 'list', '--max', 'many', ...place)
    ])
    deepEqual([done.code, Array.isArray(JSON.parse(done.out))], [0, true])
    deepEqual([failed.code, failed.err.trim()], [1, 'no agreement is called none; there is sell, buy'])
    deepEqual([wrong.code, /a whole number/.test(wrong.err)], [2, true])
  }, 120_000)
})

describe('progress', () => {
  const shown = (isTTY: boolean): string => {
    let text = ''
    const stream = { isTTY, write: (part: string) => (text += part) } as unknown as NodeJS.WriteStream
    const bar = progressOf('storing', stream)
    for (const done of [0, 50, 50, 100]) bar.at(done, 100)
    bar.end()
    return text
  }

  it('is a bar on a terminal and nothing elsewhere', () => {
    ok(/storing \[={15} {15}\] 50 %/.test(shown(true)))
    equal(shown(true).split('50 %').length, 2)
    equal(shown(false), '')
  })
})
