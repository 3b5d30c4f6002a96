// The sandbox command: arguments, words and exit codes.

import { afterEach, describe, expect, it } from '@jest/globals'
import { sandbox } from '../../src/sandbox/command.ts'
import { numberRules } from '../../src/sandbox/numbers.ts'
import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator } from '../../src/sandbox/operator.ts'

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', '']
  const code = await sandbox(args, {
    say: line => void (out += `${line}\n`),
    complain: line => void (err += `${line}\n`)
  })
  return { code, out, err }
}

let operator: Operator | null = null
afterEach(async () => {
  await operator?.close()
  operator = null
})
const listen = async (): Promise<string> => {
  operator = createOperator()
  await operator.start()
  return `127.0.0.1:${operator.listening.find(({ transport }) => transport === 'udp')?.port}`
}

describe('sandbox command', () => {
  it('explains itself and every special number', async () => {
    const { code, out } = await run('operator', '--help')
    expect(code).toBe(0)
    for (const { ending, about } of numberRules) expect(out).toContain(`${ending}   ${about}`)
  })

  it.each([
    [['nobody'], 'neither operator nor user'],
    [['operator', '--port', 'x'], '--port x is no number'],
    [['operator', '--call', '+49'], '--call needs --to HOST:PORT'],
    [['operator', '--codecs', 'mp3'], 'mp3 is none of PCMA'],
    [['user'], '--name and --domain are needed'],
    [['user', '--name', 'a', '--domain', 'b'], 'SANDBOX_PASSWORD is empty'],
    [['user', '--name', 'a', '--domain', 'b', '--password', 'c', '--url', 'http://h'], 'no ws:// or wss:// address'],
    [['operator', '--colour'], '--colour']
  ])('calls %j wrong, in words and with exit code 2', async (args, words) => {
    const { code, err } = await run(...args)
    expect(err).toContain(words)
    expect(code).toBe(2)
  })

  it('says why a call failed, with exit code 1', async () => {
    const { code, out } = await run('operator', '--call', '+4930486', '--to', await listen())
    expect(out).toContain('+4930486 was not answered: refused 486 Busy Here')
    expect(code).toBe(1)
  })

  it('sends a text', async () => {
    const { code, out } = await run('operator', '--call', '+4930', '--text', 'hallo', '--to', await listen())
    expect([code, out]).toEqual([0, '+4930: 200\n'])
    expect(operator?.messages.map(({ text }) => text)).toEqual(['hallo'])
  })

  it('says that nobody is at the address of the island, with exit code 1', async () => {
    const { code, err } = await run(
      'user',
      '--name',
      'a',
      '--domain',
      'b',
      '--password',
      'c',
      '--url',
      'ws://127.0.0.1:1'
    )
    expect([code, err]).toEqual([1, 'no WebSocket at ws://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n'])
  })
})
