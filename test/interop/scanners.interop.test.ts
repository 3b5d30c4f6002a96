// Scanners that nobody here wrote, from an address that is no operator's and from one that is: they learn nothing
// they could use, the hub serves others, and its memory comes back.
// needs: sipvicious sipsak
// alone: the heap of a hub is compared

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, startPhone } from '../support/operators.ts'
import type { Phone } from '../support/operators.ts'

const mebibyte = 1_048_576
let postgres: TestPostgres
let hub: HubProcess
let north: Phone
let south: Phone
let home = ''

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'isthmus-scan-'))
  postgres = await startTestPostgres()
  north = await startPhone({ host: hosts.north })
  south = await startPhone({ host: hosts.south })
  hub = await startHubProcess({
    // Scanners that come from north's second address are the operator for all the hub knows.
    config: operators({ ports: { north: north.port, south: south.port }, north: { sources: ['127.0.0.5'] } }),
    env: {
      DATABASE_URL: await postgres.freshUrl(),
      NODE_OPTIONS: `--import=${join(import.meta.dirname, '../support/heap-probe.ts')}`
    }
  })
}, 120_000)

afterAll(async () => {
  await north.close()
  await south.close()
  hub.signal('SIGTERM')
  await hub.left
  await hub.stop()
  await postgres.stop()
  rmSync(home, { recursive: true })
}, 120_000)

async function heap(): Promise<number> {
  const seen = hub.logged().filter(({ probe }) => probe === 'heap').length
  hub.signal('SIGUSR2')
  const found = await eventually('the heap is told', () => hub.logged().filter(({ probe }) => probe === 'heap')[seen])
  return Number(found['usedBytes'])
}

/** Runs a scanner to its end, or until it has had its time; what it said. */
async function scan(program: string, ...args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { cwd: home, env: { ...process.env, HOME: home }, timeout: 8_000 })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (said += text))
  await new Promise(resolve => child.on('close', resolve))
  return said
}

async function otherIsServed(): Promise<void> {
  const call = south.call(numbers.north, hub.sipPort('udp'), {}, numbers.south)
  await answered(call)
  call.call.bye()
  await ended(call)
}

/** As soon as transactions that nobody acknowledged are over (64*T1). */
const comesBack = (before: number): Promise<unknown> =>
  eventually(
    'the heap is as before',
    async () => {
      if ((await heap()) < before + 2 * mebibyte) return true
      await wait(1_000)
      return false
    },
    90_000
  )

describe('scanners', () => {
  it.each([
    ['nobody’s', hosts.stranger],
    ['an operator’s', '127.0.0.5']
  ])(
    'from %s address find no user and no password; calls are served, and the heap comes back',
    async (_whose, from) => {
      const port = String(hub.sipPort('udp'))
      const runs = (): Promise<readonly string[]> =>
        Promise.all([
          scan('svmap', '-b', from, '-p', port, '-m', 'OPTIONS', '127.0.0.1'),
          scan('svwar', '-b', from, '-p', port, '-e', '100-1500', '-m', 'REGISTER', '127.0.0.1'),
          scan('svwar', '-b', from, '-p', port, '-e', '100-600', '-m', 'INVITE', '--force', '127.0.0.1'),
          scan('svcrack', '-b', from, '-p', port, '-u', '100', '-r', '100-600', '127.0.0.1')
        ])
      await otherIsServed()
      await runs()
      const before = await heap()
      const [, [map = '', users = '', calls = '', passwords = '']] = await Promise.all([otherIsServed(), runs()])
      // A stranger does not even learn that somebody listens.
      equal(/127\.0\.0\.1:\d+\s*\|/.test(map), from !== hosts.stranger, map)
      ok(!/reqauth|noauth/.test(users + calls), users + calls)
      ok(!/\|\s*100\s*\|\s*\d+\s*\|/.test(passwords), passwords)
      await otherIsServed()
      await comesBack(before)
    },
    240_000
  )

  it('sipsak from where nobody is known: usrloc, flood and random requests are not answered', async () => {
    const target = `sip:100@127.0.0.1:${hub.sipPort('udp')}`
    await otherIsServed()
    const before = await heap()
    const said = await Promise.all([
      scan('sipsak', '-U', '-n', '-x', '1', '-a', 'secret', '-s', target),
      scan('sipsak', '-R', '-n', '-s', target, '-t', '200'),
      scan('sipsak', '-F', '-n', '-e', '200', '-s', target)
    ])
    // It was there and heard nothing.
    ok(
      said.every(text => text.length > 0),
      said.join('\n')
    )
    ok(!/SIP\/2\.0 [1-6]/.test(said.join('')), said.join('\n'))
    await otherIsServed()
    await comesBack(before)
  }, 240_000)
})
