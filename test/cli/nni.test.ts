import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator } from '../../src/sandbox/operator.ts'
import { openTempDir } from '../support/database.ts'

// `isthmus nni check`: what it prints, and its exit codes.

const root = resolve(import.meta.dirname, '../..')
let operator: Operator
let file: string
let port: number

beforeAll(async () => {
  operator = createOperator()
  await operator.start()
  port = operator.listening.find(({ transport }) => transport === 'udp')?.port ?? 0
  file = join(openTempDir('isthmus-nni-'), 'isthmus.yaml')
  const operators = [{ id: 'north', address: { host: '127.0.0.1', port }, methods: ['INFO'] }]
  writeFileSync(file, JSON.stringify({ operators }))
})
afterAll(() => operator.close())

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly errors: string
}

const run = (...args: readonly string[]): Promise<Ran> =>
  new Promise(settle => {
    const child = spawn(process.execPath, ['src/cli/isthmus.ts', 'nni', 'check', ...args], { cwd: root })
    let out = ''
    let errors = ''
    child.stdout.on('data', (text: Buffer) => (out += text.toString()))
    child.stderr.on('data', (text: Buffer) => (errors += text.toString()))
    child.once('close', code => settle({ code, out, errors }))
  })

describe('isthmus nni check', () => {
  it('prints a line for each probe of an address, and leaves with 0', async () => {
    const { code, out } = await run(`127.0.0.1:${port}`, '--item', 'RTE-09', '--item', 'NUM-07', '--wait', '15')
    expect([code, out.split('\n').map(line => line.replace(/\d+ ms/, 'n ms'))]).toEqual([
      0,
      [
        `peer at sip:127.0.0.1:${port}`,
        'pass       RTE-09   OPTIONS is answered: 200 OK after n ms',
        'pass       RTE-09   OPTIONS with Max-Forwards 0 is answered: 200 OK after n ms',
        'not shown  NUM-07   an incomplete number is 484 or 404: needs --number, a number of the peer that answers',
        '',
        '2 passed, 0 failed, 1 not shown',
        ''
      ]
    ])
  }, 60_000)

  it('holds an operator of the configuration to what was agreed, as JSON, and leaves with 1', async () => {
    const { code, out } = await run('north', '--config', file, '--number', '+493012345', '--item', 'NNI-05', '--json')
    const report = JSON.parse(out) as { peer: string; nextHop: string; results: { expects: string; verdict: string }[] }
    expect([code, report.peer, report.nextHop]).toEqual([1, 'north', `sip:127.0.0.1:${port};transport=udp`])
    expect(report.results.filter(({ verdict }) => verdict === 'fail').map(({ expects }) => expects)).toEqual([
      'MESSAGE is taken, or refused as such'
    ])
  }, 60_000)

  it('leaves with 1 where nobody is there to probe, and with 2 where it is asked in the wrong way', async () => {
    const ran = await Promise.all([run('south', '--config', file), run('127.0.0.1', '--number', '030')])
    expect(ran.map(({ code }) => code)).toEqual([1, 2])
    expect(ran[0]?.errors).toContain('no operator is called south')
  }, 60_000)

  it('explains itself', async () => {
    const { code, out } = await run('--help')
    expect(code).toBe(0)
    for (const word of ['PEER is', '--number', 'not shown', 'Exit codes']) expect(out).toContain(word)
  }, 60_000)
})
