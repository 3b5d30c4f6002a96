// Bad input against the whole hub: malformed, oversized and half messages, strangers, calls that nobody may make.

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { WebSocket } from 'ws'
import { startTestPostgres } from '../support/database.ts'
import type { TestPostgres } from '../support/database.ts'
import { bytesOf, names } from '../conformance/rfc4475/messages.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { answered, ended, hosts, numbers, operators, refusal, startPhone } from '../support/operators.ts'
import type { Phone } from '../support/operators.ts'
import { rawRequest, rawStream, rawUdp } from '../support/sip-wire.ts'
import type { RawPeer } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'
import { connectUser } from '../support/ws-user.ts'

const mebibyte = 1_048_576
const island = {
  id: 'island',
  access: 'sip-ws',
  domain: 'island.example',
  origins: ['https://pages.example'],
  users: [{ name: 'alice', password: 'secret', number: '+493012345601' }]
}

let postgres: TestPostgres
let hub: HubProcess
let north: Phone
let south: Phone
let west: Phone
let port = 0

beforeAll(async () => {
  postgres = await startTestPostgres()
  ;[north, south, west] = await Promise.all([
    startPhone({ host: hosts.north }),
    startPhone({ host: hosts.south }),
    startPhone({ host: hosts.west })
  ])
  hub = await startHubProcess({
    config: {
      ...operators({ ports: { north: north.port, south: south.port, west: west.port } }),
      islands: [island]
    },
    env: { DATABASE_URL: await postgres.freshUrl() }
  })
  port = hub.sipPort('udp')
}, 120_000)

afterAll(async () => {
  for (const phone of [north, south, west]) await phone.close()
  equal(await hub.stop(), 0)
  await postgres.stop()
}, 120_000)

afterEach(async () => {
  for (const peer of opened.splice(0)) await peer.close()
})

const url = (): string => hub.where('SIP over WebSocket')
const opened: RawPeer[] = []
const kept = async (opening: Promise<RawPeer>): Promise<RawPeer> => {
  const peer = await opening
  opened.push(peer)
  return peer
}
const tcpFrom = (host: string): Promise<RawPeer> =>
  kept(rawStream(0, () => connect({ host: '127.0.0.1', port: hub.sipPort('tcp'), localAddress: host })))
const udpFrom = (host: string): Promise<RawPeer> => kept(rawUdp(port, '127.0.0.1', host))

let asked = 0
const probe = (host: string, transport: string): string => {
  const n = ++asked
  const sentBy = `${host}:5060`
  return rawRequest({ transport, sentBy, viaParams: ';rport', branch: `z9hG4bKprobe${n}`, callId: `probe-${n}` })
}

/** The hub answers that path: so everything sent on it before has been read. */
async function serves(peer: RawPeer, host: string, transport: 'UDP' | 'TCP'): Promise<void> {
  const request = probe(host, transport)
  const callId = `Call-ID: probe-${asked}`
  peer.send(request)
  await until(() => peer.received.join('').includes(callId))
  match(peer.text, /SIP\/2\.0 200 OK\r\n/)
}

/** An ordinary call between the two operators still works. */
async function callWorks(): Promise<void> {
  const call = north.call(numbers.south, port)
  await answered(call)
  call.call.bye()
  equal((await ended(call)).how, 'bye')
}

/** The final records of the call with that Call-ID at the caller's side, and what is charged for it. */
async function closed(callId: string) {
  const records = await eventually('the call has its finals', async () => {
    const all = await hub.records()
    const ingress = all.find(r => r.kind === 'final' && r.leg === 'ingress' && r.sip_call_id === callId)
    return ingress && all.filter(r => r.kind === 'final' && r.call_id === ingress.call_id)
  })
  const database = await hub.database()
  const ids = records.map(r => r.cdr_id)
  const charges = await eventually('they are cleared', async () => {
    const { rows } = await database.query<{ rule: string; amount: bigint }>(
      'select rule, amount_micros as amount from charge where cdr_id = any($1::uuid[])',
      [ids]
    )
    return rows.length === records.length ? rows : null
  })
  const { rows: transfers } = await database.query('select from transfer where cdr_id = any($1::uuid[])', [ids])
  return { records, charges, transfers: transfers.length }
}

describe('malformed SIP', () => {
  it('every message of RFC 4475 on UDP, TCP and WebSocket: the hub goes on', async () => {
    const udp = await udpFrom(hosts.north)
    const socket = new WebSocket(url(), ['sip'], { origin: 'https://pages.example' })
    await once(socket, 'open')
    for (const name of names) {
      udp.send(bytesOf(name))
      socket.send(bytesOf(name))
      const tcp = connect({ host: '127.0.0.1', port: hub.sipPort('tcp'), localAddress: hosts.north })
      const gone = once(tcp, 'close')
      tcp
        .on('error', () => undefined)
        .resume()
        .end(bytesOf(name))
      await gone
    }
    await serves(udp, hosts.north, 'UDP')
    socket.terminate()
    await callWorks()
  })

  it('what can be answered is answered, what cannot is not', async () => {
    const udp = await udpFrom(hosts.north)
    const cases: readonly (readonly [string, string, RegExp | null])[] = [
      ['another version', rawRequest({ callId: 'm1' }).replace('SIP/2.0\r\nVia', 'SIP/7.0\r\nVia'), /SIP\/2\.0 505 /],
      ['CSeq of another method', rawRequest({ callId: 'm2', cseq: '1 INVITE' }), /SIP\/2\.0 400 /],
      ['more body announced than sent', rawRequest({ callId: 'm3', contentLength: 9_999 }), /SIP\/2\.0 400 /],
      ['no Call-ID', rawRequest({ branch: 'z9hG4bKm4' }).replace(/Call-ID.*\r\n/, ''), /SIP\/2\.0 400 /],
      ['no Via', rawRequest({ callId: 'm5' }).replace(/Via.*\r\n/, ''), null],
      ['no end', 'OPTIONS sip:hub@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP', null],
      ['noise', randomBytes(1_200).toString('latin1'), null]
    ]
    for (const [name, text, expected] of cases) {
      const before = udp.received.length
      udp.send(text.replace('127.0.0.1:5099', `${hosts.north}:5099;rport`))
      if (expected !== null) await until(() => udp.received.length > before)
      await serves(udp, hosts.north, 'UDP')
      const answers = udp.received.slice(before, -1)
      if (expected === null) equal(answers, [], name)
      else match(answers[0] ?? '', expected, name)
    }
  })

  it('on TCP a stream that cannot be cut any more is answered where possible, and closed', async () => {
    const unframed = await tcpFrom(hosts.north)
    unframed.send(rawRequest({ transport: 'TCP', contentLength: null }))
    await until(() => unframed.ended)
    match(unframed.text, /SIP\/2\.0 400 /)
    const noise = await tcpFrom(hosts.north)
    noise.send(`${'x'.repeat(70_000)}\r\n\r\n`)
    await until(() => noise.ended)
    equal(noise.text, '')
    const other = await tcpFrom(hosts.south)
    await serves(other, hosts.south, 'TCP')
  })
})

describe('size', () => {
  const message = (bytes: number, method = 'MESSAGE'): string => {
    const headers = [method === 'MESSAGE' ? 'Content-Type: text/plain' : 'Content-Type: application/sdp']
    const target = { uri: `sip:${numbers.south}@127.0.0.1;user=phone`, transport: 'TCP', headers }
    const contact = method === 'INVITE' ? { headers: [...headers, `Contact: <sip:${hosts.north}>`] } : {}
    const of = (body: string): string => rawRequest({ ...target, ...contact, method, body, callId: `size-${bytes}` })
    const room = bytes - of('').length - String(bytes).length + 1
    return of('v'.repeat(room))
  }

  it.each(['MESSAGE', 'INVITE'])('a %s of 1 MiB on TCP is read and answered, one more byte is not', async method => {
    const whole = message(mebibyte, method)
    equal(whole.length, mebibyte)
    const tcp = await tcpFrom(hosts.north)
    tcp.send(whole)
    await until(() => /SIP\/2\.0 [4-6]/.test(tcp.text))
    match(tcp.text, method === 'MESSAGE' ? /SIP\/2\.0 [45]13 / : /SIP\/2\.0 (4|5)\d\d /)
    await serves(tcp, hosts.north, 'TCP')

    const more = await tcpFrom(hosts.north)
    more.send(message(mebibyte + 1, method))
    await until(() => more.ended)
    match(more.text, /SIP\/2\.0 413 /)
    await callWorks()
  })

  it('over WebSocket a frame beyond its bound closes that connection alone', async () => {
    const alice = await connectUser({ url: url(), name: 'alice' })
    equal((await alice.register()).status, 200)
    const socket = new WebSocket(url(), ['sip'], { origin: 'https://pages.example' })
    const code = new Promise<number>(done => socket.once('close', done))
    socket.on('error', () => undefined)
    await once(socket, 'open')
    socket.send(message(mebibyte))
    equal(await code, 1009)
    equal((await alice.register()).status, 200)
    await alice.close()
  })
})

describe('half a message and silence', () => {
  it('hundreds of connections that never finish their message keep nobody from calling', async () => {
    const half = rawRequest({ transport: 'TCP', contentLength: 500 })
    const halves = await Promise.all(Array.from({ length: 200 }, () => tcpFrom(hosts.north)))
    halves.forEach((tcp, n) => tcp.send(n % 2 === 0 ? half : half.slice(0, 40)))
    const upgrade = await kept(rawStream(Number(new URL(url()).port)))
    upgrade.send('GET / HTTP/1.1\r\nHost: hub\r\nUpgra')
    await callWorks()
    const whole = await tcpFrom(hosts.north)
    await serves(whole, hosts.north, 'TCP')
    equal(halves.filter(tcp => tcp.ended).length, 0)
  })
})

describe('peers and users that nobody knows', () => {
  it('an unknown peer hears nothing on UDP', async () => {
    const [stranger, known] = await Promise.all([udpFrom(hosts.stranger), udpFrom(hosts.north)])
    stranger.send(probe(hosts.stranger, 'UDP'))
    stranger.send(rawRequest({ method: 'INVITE', uri: `sip:${numbers.south}@127.0.0.1`, sentBy: hosts.stranger }))
    await serves(known, hosts.north, 'UDP')
    equal(stranger.received, [])
  })

  it('on TCP it is told 403, and the connection ends', async () => {
    const stranger = await tcpFrom(hosts.stranger)
    stranger.send(rawRequest({ method: 'INVITE', transport: 'TCP', uri: `sip:${numbers.south}@127.0.0.1` }))
    await until(() => stranger.ended)
    match(stranger.text, /^SIP\/2\.0 403 /)
  })

  it('an operator that calls an unknown user or number is told 404 and why', async () => {
    const user = await refusal(north.call('nobody', port))
    equal(user.status, 404)
    const number = north.call(numbers.nobody, port)
    const { status, reason } = await refusal(number)
    equal(status, 404)
    match(reason, /Q\.850;cause=1;text="no operator and no island serves \+81312345678"/)
    const { records, transfers } = await closed(number.call.id)
    equal([records.map(r => r.cause), transfers], [['not-found'], 0])
    equal(records[0]?.reason, 'no operator and no island serves +81312345678')
  })

  it('so is a user of an island', async () => {
    const alice = await connectUser({ url: url(), name: 'alice' })
    equal((await alice.register()).status, 200)
    for (const called of ['sip:nobody@island.example', `sip:${numbers.nobody}@island.example`]) {
      const response = await alice.request('INVITE', called, { headers: [['Contact', `<${alice.contact}>`]] })
      equal(response.status, 404)
      match(response.headers.get('Reason') ?? '', /text="[a-z ].+"/)
    }
    await alice.close()
  })
})

describe('calls that nothing covers', () => {
  it.each([
    [
      'no agreement with the called side',
      numbers.west,
      'no-agreement',
      /no agreement covers traffic from north to west/
    ],
    ['no rate for the number', numbers.unpriced, 'no-rate', /no rate from north to south covers tel:\+498912345678/]
  ] as const)('%s: 403 before anything rings, a record says why, nothing is charged', async (_, called, cause, why) => {
    const rung = [south.calls.length, west.calls.length]
    const call = north.call(called, port)
    const { status } = await refusal(call)
    equal([status, call.statuses], [403, []])
    equal([south.calls.length, west.calls.length], rung)
    const { records, charges, transfers } = await closed(call.call.id)
    ok(records.length > 0)
    for (const record of records) {
      equal([record.cause, record.release_side, record.units], [cause, 'hub', 0])
      match(record.reason ?? '', why)
    }
    equal([charges.every(({ rule, amount }) => rule === 'refused' && amount === 0n), transfers], [true, 0])
  })

  it('no agreement with the calling side: the same', async () => {
    const call = west.call(numbers.south, port, {}, numbers.west)
    const { status, reason } = await refusal(call)
    equal(status, 403)
    match(reason, /no agreement covers traffic from west to south/)
    const { records, transfers } = await closed(call.call.id)
    equal([new Set(records.map(r => r.cause)), transfers], [new Set(['no-agreement']), 0])
  })
})
