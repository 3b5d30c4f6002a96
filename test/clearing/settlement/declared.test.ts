// What the counterparty declares, on the lines of a statement.

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import Papa from 'papaparse'
import { disputeCommand } from '../../../src/cli/dispute.ts'
import { reconcileCommand } from '../../../src/cli/reconcile.ts'
import { settlementCommand } from '../../../src/cli/settlement.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import { clearingPeers } from '../../support/clearing.ts'
import { runCommands } from '../../support/commands.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { bookOfYaml, callAt, closed, post } from '../../support/settlement.ts'

const agreements = `
agreements:
  - { id: sell, buyer: island, seller: hub, disputeDays: 700, rates: [
      { prefix: "+49", destination: Germany, rate: "6" }, { prefix: "+4915", destination: Germany mobile, rate: "9" },
      { prefix: "+33", destination: France, rate: "3" }] }
`
let postgres: TestPostgres
let database: TestDatabase
const folder = mkdtempSync(join(tmpdir(), 'isthmus-declared-'))
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
  writeFileSync(join(folder, 'isthmus.yaml'), clearingPeers + agreements)
  const book = bookOfYaml(agreements)
  const to = (number: string) => ({ called: `tel:${number}`, dialled: `tel:${number}` })
  await post(database, book, [
    callAt(1, '2026-11-02T12:00:00Z', 60, { ...to('+4930123'), trunk: 'one' }),
    callAt(2, '2026-11-03T12:00:00Z', 60, { ...to('+4930123'), trunk: 'two' }),
    callAt(3, '2026-11-04T12:00:00Z', 60, to('+4915123')),
    callAt(4, '2026-11-05T12:00:00Z', 60, to('+33145'))
  ])
  await closed(database, book, '2026-11', { agreement: 'sell' })
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

const isthmus = async (...args: readonly string[]): Promise<string> => {
  const place = ['--config', join(folder, 'isthmus.yaml'), '--database', database.url]
  const { code, out, err } = await runCommands(
    [reconcileCommand, disputeCommand, settlementCommand],
    [...args, ...place]
  )
  equal(code, 0, err)
  return out
}
const period = ['--agreement', 'sell', '--period', '2026-11'] as const
const declared = (name: string, text: string): Promise<string> => {
  writeFileSync(join(folder, name), text)
  return isthmus('reconcile', 'run', join(folder, name), ...period, '--json')
}
const columns = [
  'counterparty_declared_units',
  'counterparty_declared_amount',
  'diff_units',
  'diff_percent',
  'status',
  'dispute_id'
] as const
/** Of each line its destination, and what was declared of it. */
async function lines(): Promise<readonly (readonly string[])[]> {
  const { data } = Papa.parse<Record<string, string>>(
    await isthmus('settlement', 'statement', ...period, '--format', 'csv'),
    {
      header: true,
      skipEmptyLines: true
    }
  )
  return data.map(row => [row['destination'] ?? '', ...columns.map(column => row[column] ?? '?')])
}
const nothing = ['', '', '', '', '', '']

describe('the lines of a statement', () => {
  it('have empty columns as long as nothing was declared', async () => {
    deepEqual(await lines(), [
      ['France', ...nothing],
      ['Germany', ...nothing],
      ['Germany', ...nothing],
      ['Germany mobile', ...nothing]
    ])
  })

  it('SET-02 say what the counterparty declared, how far that is from ours, and what became of it', async () => {
    await declared(
      'amounts.csv',
      'destination_name,units,amount\nGermany,120,12\nGermany mobile,50,7.5\nFrance,60,3.02\nSpain,10,1\n'
    )
    const before = [
      ['France', '60', '3.020000', '0', '0.67', 'within', ''],
      // All of its lines on the first.
      ['Germany', '120', '12.000000', '0', '0.00', 'matched', ''],
      ['Germany', ...nothing],
      ['Germany mobile', '50', '7.500000', '-10', '-16.67', 'above', '']
    ]
    deepEqual(await lines(), before)
    const found = JSON.parse(await declared('again.csv', readFileSync(join(folder, 'amounts.csv'), 'utf8'))) as {
      id: string
    }
    const type = ['--type', 'volume', '--reason', 'ten seconds', '--reconciliation', found.id, '--raised-by', 'partner']
    const dispute = JSON.parse(await isthmus('dispute', 'open', ...period, ...type, '--json')) as { id: string }
    deepEqual(await lines(), [
      ...before.slice(0, 3),
      ['Germany mobile', '50', '7.500000', '-10', '-16.67', 'disputed', dispute.id]
    ])
    const file = JSON.parse(await isthmus('settlement', 'statement', ...period, '--format', 'json')) as {
      since: { declared: readonly { destination: string; status: string; diffPercent: string | null }[] }
    }
    // What only they have is no line of ours.
    deepEqual(
      file.since.declared.map(({ destination, status, diffPercent }) => [destination, status, diffPercent]),
      [
        ['France', 'within', '0.67'],
        ['Germany', 'matched', '0.00'],
        ['Germany mobile', 'disputed', '-16.67'],
        ['Spain', 'disputed', null]
      ]
    )
    const sheet = join(folder, 'statement.xlsx')
    await isthmus('settlement', 'statement', ...period, '--format', 'xlsx', '--out', sheet)
    ok(readFileSync(sheet).subarray(0, 2).toString('latin1') === 'PK')
  })

  it('SET-03 of units alone the difference is in units, and there is no amount', async () => {
    await declared('units.csv', 'destination_name,units\nGermany,120\nGermany mobile,50\nFrance,60\n')
    deepEqual(await lines(), [
      ['France', '60', '', '0', '0.00', 'matched', ''],
      ['Germany', '120', '', '0', '0.00', 'matched', ''],
      ['Germany', ...nothing],
      ['Germany mobile', '50', '', '-10', '-16.67', 'above', '']
    ])
  })
})
