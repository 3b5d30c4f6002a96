// RFC 5626, 4.4 and RFC 6223: keepalives, ours and those of others, on connections and over UDP.

import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { makeRequest, parseVia } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import type { StackOptions } from '../../src/sip/stack.ts'
import { Exchange, startPeer } from '../support/sip-peer.ts'
import type { SipPeer } from '../support/sip-peer.ts'
import { rawRequest, rawStream, rawUdp } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})
async function peer(transport: 'udp' | 'tcp', over: Partial<StackOptions> = {}): Promise<SipPeer> {
  const made = await startPeer(transport, over)
  ends.push(() => made.close())
  return made
}

const options = (): SipRequest =>
  makeRequest({
    method: 'OPTIONS',
    uri: 'sip:b@op.example',
    headers: [
      ['From', '<sip:a@hub.example>;tag=1'],
      ['To', '<sip:b@op.example>'],
      ['Call-ID', `call-${Math.random()}`],
      ['CSeq', '1 OPTIONS']
    ]
  })

/** A server on TCP that answers the first request with this in its Via, and counts the pings after it. */
async function answering(keep: string, pong: boolean) {
  const seen = { pings: 0, closed: false }
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      seen.closed = true
    })
    let asked = ''
    socket.on('data', (chunk: Buffer) => {
      asked += chunk.toString()
      while (asked.startsWith('\r\n\r\n')) {
        asked = asked.slice(4)
        seen.pings++
        if (pong) socket.write('\r\n')
      }
      const end = asked.indexOf('\r\n\r\n')
      if (end < 0) return
      const lines = asked.split('\r\n').filter(line => /^(Via|From|To|Call-ID|CSeq):/.test(line))
      asked = asked.slice(end + 4)
      socket.write(`SIP/2.0 200 OK\r\n${lines.join('\r\n').replace(';keep', keep)}\r\nContent-Length: 0\r\n\r\n`)
    })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { seen, port: (server.address() as AddressInfo).port }
}

function ask(from: SipPeer, port: number): Exchange {
  return from.send(options(), { transport: 'tcp', host: '127.0.0.1', port })
}

describe('keepalives that we send', () => {
  it('go over a connection whose other end agreed to them, for as long as it answers', async () => {
    const { seen, port } = await answering(';keep=1', true)
    const from = await peer('tcp', { limits: { keepAliveMs: 10, pongMs: 60_000 } })
    expect((await ask(from, port).final()).status).toBe(200)
    await until(() => seen.pings > 3)
    expect(seen.closed).toBe(false)
    expect(from.stack.counts.connections).toBe(1)
  })

  it('end a connection over which nothing comes back: the next request opens another', async () => {
    const { seen, port } = await answering(';keep=1', false)
    const from = await peer('tcp', { limits: { keepAliveMs: 10, pongMs: 20 } })
    await ask(from, port).final()
    await until(() => seen.closed)
    await until(() => from.stack.counts.connections === 0)
    expect((await ask(from, port).final()).status).toBe(200)
  })

  it('are not sent to who did not agree', async () => {
    const { seen, port } = await answering(';keep', true)
    const from = await peer('tcp', { limits: { keepAliveMs: 5 } })
    await ask(from, port).final()
    // Another request and its answer take longer than many pings would.
    for (let count = 0; count < 20; count++) await ask(from, port).final()
    expect(seen.pings).toBe(0)
  })
})

describe('keepalives of others', () => {
  it('on a connection are offered by the answer, and a ping is answered with a pong', async () => {
    const server = await peer('tcp')
    const client = await rawStream(server.port)
    ends.push(() => client.close())
    client.send(rawRequest({ transport: 'TCP', viaParams: ';keep' }))
    const tx = await server.next('OPTIONS')
    server.answer(tx, 200)
    await until(() => client.text.includes('SIP/2.0 200'))
    const via = /^Via: (.*)$/m.exec(client.text)?.[1]?.trim() ?? ''
    expect(parseVia(via)?.params.get('keep')).toBe('120')
    client.send('\r\n\r\n')
    await until(() => client.text.endsWith('\r\n\r\n\r\n'))
  })

  it('over UDP are offered too, and a STUN binding request is answered with the address it came from', async () => {
    const server = await peer('udp')
    const sip = await rawUdp(server.port)
    ends.push(() => sip.close())
    sip.send(rawRequest({ viaParams: ';keep;rport' }))
    server.answer(await server.next('OPTIONS'), 200)
    await until(() => sip.text.includes(';keep=30'))
    const socket = createSocket('udp4')
    ends.push(() => socket.close())
    const answers: Buffer[] = []
    socket.on('message', bytes => answers.push(bytes))
    socket.send(Buffer.from('000100002112a442b7e7a701bc34d686fa87dfae', 'hex'), server.port, '127.0.0.1')
    await until(() => answers.length === 1)
    const [answer] = answers
    expect(answer!.readUInt16BE(0)).toBe(0x0101)
    expect(answer!.readUInt16BE(26) ^ 0x2112).toBe(socket.address().port)
    expect(server.log.filter(({ direction }) => direction === 'in')).toHaveLength(1)
  })

  it('of who is not let in are not answered', async () => {
    const server = await peer('udp', { screen: () => 'drop' })
    const socket = createSocket('udp4')
    ends.push(() => socket.close())
    const answers: Buffer[] = []
    socket.on('message', bytes => answers.push(bytes))
    socket.send(Buffer.from('000100002112a442b7e7a701bc34d686fa87dfae', 'hex'), server.port, '127.0.0.1')
    await until(() => server.stack.counts.dropped === 1)
    expect(answers).toEqual([])
  })
})
