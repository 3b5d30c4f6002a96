// Floods against the whole hub: it goes on serving others, and what the flood has taken comes back.
// alone: floods take a core, and the heap of a hub is compared

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { recordFaults } from '../support/books.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, sdpAt, startPhone } from '../support/operators.ts'
import type { Phone } from '../support/operators.ts'
import { rawRequest, rawUdp } from '../support/sip-wire.ts'
import type { RawPeer } from '../support/sip-wire.ts'

const mebibyte = 1_048_576
const callsMax = 200
let postgres: TestPostgres
let hub: HubProcess
let north: Phone
let south: Phone
let flooder: RawPeer
let port = 0
/** South lets calls wait for an answer of any kind. */
let silent = false
let rounds = 0

beforeAll(async () => {
  postgres = await startTestPostgres()
  north = await startPhone({ host: hosts.north })
  south = await startPhone({
    host: hosts.south,
    incoming: call => {
      if (silent) return
      call.ring()
      call.answer({ body: sdpAt(hosts.south) })
    }
  })
  hub = await startHubProcess({
    config: {
      ...operators({ ports: { north: north.port, south: south.port }, north: { limits: { callsMax } } }),
      nni: { overload: { unansweredMax: 10 } }
    },
    env: {
      DATABASE_URL: await postgres.freshUrl(),
      NODE_OPTIONS: `--import=${join(import.meta.dirname, '../support/heap-probe.ts')}`
    }
  })
  port = hub.sipPort('udp')
  flooder = await rawUdp(port, '127.0.0.1', hosts.north)
}, 120_000)

afterAll(async () => {
  await flooder.close()
  await north.close()
  await south.close()
  hub.signal('SIGTERM')
  equal(await hub.left, 0, JSON.stringify(hub.logged().slice(-20)))
  // No session was left for the drain to end.
  const cutOff = (await hub.records()).filter(({ reason }) => reason === 'the hub is shutting down')
  equal(cutOff, [])
  await hub.stop()
  await postgres.stop()
}, 120_000)

/** Bytes in use in the hub after a garbage collection. */
async function heap(): Promise<number> {
  const seen = hub.logged().filter(({ probe }) => probe === 'heap').length
  hub.signal('SIGUSR2')
  const found = await eventually('the heap is told', () => hub.logged().filter(({ probe }) => probe === 'heap')[seen])
  return Number(found['usedBytes'])
}

/** The other operator calls: answered and ended. Returns its Call-ID. */
async function otherIsServed(): Promise<string> {
  const call = south.call(numbers.north, port, {}, numbers.south)
  await answered(call)
  call.call.bye()
  equal((await ended(call)).how, 'bye')
  return call.call.id
}

/** `count` datagrams, some at a time so that the kernel keeps up; the other operator calls meanwhile. */
async function flood(count: number, datagram: (n: number) => string | Buffer): Promise<void> {
  const served = otherIsServed()
  for (let n = 0; n < count; n++) {
    flooder.send(datagram(n))
    if (n % 20 === 19) await nextTurn()
  }
  await served
  await otherIsServed()
}

/** Every other one is for a number that nobody serves. */
const invite = (name: string, n: number): string =>
  rawRequest({
    method: 'INVITE',
    uri: `sip:${n % 2 === 0 ? numbers.nobody : numbers.south}@127.0.0.1;user=phone`,
    sentBy: `${hosts.north}:${flooder.port}`,
    branch: `z9hG4bK${name}${n}`,
    callId: `${name}-${n}`,
    fromTag: `f${n}`,
    headers: [`Contact: <sip:${hosts.north}:${flooder.port}>`, 'Content-Type: application/sdp'],
    body: sdpAt(hosts.north)
  })

describe('a flood from one operator', () => {
  it('of noise: the other one is served, and nothing of it stays', async () => {
    await flood(200, () => randomBytes(600))
    const before = await heap()
    const noise = Array.from({ length: 200 }, () => {
      const socket = connect({ host: '127.0.0.1', port: hub.sipPort('tcp'), localAddress: hosts.north })
      socket.on('error', () => undefined).write(randomBytes(70_000))
      return socket
    })
    await flood(20_000, n => (n % 2 === 0 ? randomBytes(600) : `INVITE sip:${n} SIP/2.0\r\nVia: ${n}\r\n\r\n`))
    for (const socket of noise) socket.destroy()
    await eventually('the heap is as before', async () => (await heap()) < before + 3 * mebibyte)
    ok(hub.logged().every(({ level }) => level !== 50 && level !== 60))
  }, 60_000)

  it('of INVITEs without ACK: the other one is served, calls keep to the limit, and all of it comes back', async () => {
    // What any call and any refusal would have loaded and compiled is there before.
    await flood(200, n => invite('warm', n))
    const before = await heap()
    await flood(4_000, n => invite('flood', n))
    const statuses = (): readonly string[] => flooder.received.map(text => text.slice(8, 11))
    await eventually('refusals', () => statuses().includes('404') && statuses().includes('503'))
    ok(south.calls.length <= 2 * (callsMax + 10), `${south.calls.length} calls`)
    const taken = (await heap()) - before
    ok(taken > 2 * mebibyte, `the flood has taken ${taken} bytes`)
    // Without ACK a refusal is kept for 64*T1 (17.2.1), an answered call that long, and then its BYE.
    const isBack = async (): Promise<boolean> => {
      await wait(1_000)
      return (await heap()) - before < taken / 4
    }
    await eventually('the heap comes back', isBack, 90_000)
    // An answer that nobody acknowledged is a call that has ended.
    const last = await otherIsServed()
    const areClosed = async (): Promise<boolean> => {
      const records = await hub.records()
      const ours = records.some(({ kind, sip_call_id: id }) => kind === 'final' && id === last)
      return ours && recordFaults(records).length === 0
    }
    await eventually('every call is closed', areClosed, 60_000)
  }, 150_000)
  it('of calls that nobody answers: it is refused for the load, the other operator is not', async () => {
    silent = true
    const lines = () => hub.logged().filter(({ msg }) => msg === 'overload: new requests were refused')
    const before = lines().length
    const heard = flooder.received.length
    const calls = south.calls.length
    try {
      const shed = async (): Promise<boolean> => {
        for (let n = 0; n < 30; n++) flooder.send(invite(`silent${++rounds}`, 1))
        await wait(100)
        return lines().length > before
      }
      await eventually('the hub refuses', shed, 60_000)
      for (let n = 0; n < 3; n++) await otherIsServed()
      const peers = lines().map(({ peers }) => Object.keys(peers as object))
      equal([...new Set(peers.flat())], ['north'])
      const refused = flooder.received.slice(heard).filter(text => text.startsWith('SIP/2.0 503'))
      ok(refused.length > 0)
      equal(
        refused.filter(text => text.includes('Retry-After')),
        []
      )
    } finally {
      silent = false
      for (const { call } of south.calls.slice(calls)) call.refuse(486)
    }
    await eventually('every call is closed', async () => recordFaults(await hub.records()).length === 0, 60_000)
  }, 150_000)
})
