import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, it } from '@jest/globals'
import { equal, match } from 'node:assert/strict'
import { startProgram } from '../support/child.ts'
import { openTempDir } from '../support/database.ts'

const generousMs = 120_000
const folder = openTempDir('isthmus-cli-')
afterAll(() => rmSync(folder, { recursive: true }))

describe('isthmus clearing', () => {
  const isthmus = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    startProgram(process.execPath, ['src/cli/isthmus.ts', 'clearing', ...args], {
      cwd: join(import.meta.dirname, '../..'),
      env: { PATH: process.env['PATH'] ?? '', ...env }
    })

  it(
    'bounds its heap',
    async () => {
      const tell = 'data:text/javascript,console.log(String(process.execArgv))'
      const child = startProgram(join(import.meta.dirname, '../../bin/isthmus'), ['clearing', '--help'], {
        env: { PATH: process.env['PATH'] ?? '', NODE_OPTIONS: `--import ${tell}` }
      })
      equal(await child.ended, 0)
      equal(child.lines[0], '--max-semi-space-size=16,--heap-growing-percent=130')
    },
    generousMs
  )

  it(
    'explains itself, and refuses arguments it does not know',
    async () => {
      const help = isthmus(['--help'])
      equal(await help.ended, 0)
      match(help.lines.join('\n'), /--role hub/)
      equal(await isthmus(['--every', 'now']).ended, 2)
      equal(await isthmus(['--nothing']).ended, 2)
    },
    generousMs
  )

  it(
    'leaves with 1 and the reason where its configuration or its database cannot be used',
    async () => {
      const missing = isthmus(['--config', join(folder, 'nothing.yaml')])
      equal(await missing.ended, 1)
      match(missing.errors, /cannot read .*nothing.yaml/)
      const nowhere = isthmus([], { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' })
      equal(await nowhere.ended, 1)
      match(nowhere.errors, /database/)
    },
    generousMs
  )
})
