// needs: openssl
// RFC 5922 (domain certificates), RFC 5923 (connection reuse) and mutual TLS between engines of the hub and operators.

import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { screenPeers } from '../../src/sip/engine/screening.ts'
import { createHeaders, makeRequest } from '../../src/sip/message.ts'
import type { StackOptions } from '../../src/sip/stack.ts'
import type { RemoteDestination, TlsMaterial } from '../../src/sip/transport/transport.ts'
import { authority } from '../support/certificates.ts'
import type { Authority, Material } from '../support/certificates.ts'
import { Exchange, startPeer } from '../support/sip-peer.ts'
import type { SipPeer } from '../support/sip-peer.ts'
import { until } from '../support/until.ts'

let ca: Authority
let other: Authority
let hub: Material
let operator: Material
let wild: Material
let named: Material
let stranger: Material
beforeAll(() => {
  ca = authority()
  other = authority('Other CA')
  hub = ca.issue('hub', 'URI:sip:hub.example')
  operator = ca.issue('host7', 'URI:sip:op.example', 'DNS:host7.op.example', 'IP:127.0.0.1')
  wild = ca.issue('wild', 'DNS:*.op.example')
  named = ca.issue('Op.Example')
  stranger = other.issue('stranger', 'URI:sip:op.example')
}, 60_000)

const open: SipPeer[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

async function start(tls: TlsMaterial, over: Partial<StackOptions> = {}): Promise<SipPeer> {
  const peer = await startPeer('tls', {
    listen: [{ transport: 'tls', host: '127.0.0.1', port: 0, tls }],
    tlsCa: ca.cert,
    ...over
  })
  open.push(peer)
  return peer
}

const options = (uri = 'sip:b@op.example') =>
  makeRequest({
    method: 'OPTIONS',
    uri,
    headers: createHeaders([
      ['From', '<sip:a@hub.example>;tag=1'],
      ['To', `<${uri}>`],
      ['Call-ID', `call-${Math.random()}`],
      ['CSeq', '1 OPTIONS']
    ])
  })

/** A request to a domain at that port; why it failed, or the status of the answer. */
async function ask(from: SipPeer, to: SipPeer, name?: string): Promise<string | number> {
  const place: RemoteDestination = { transport: 'tls', host: '127.0.0.1', port: to.port }
  const exchange = new Exchange()
  let why: unknown = null
  exchange.tx = from.stack.send(options(), name === undefined ? place : { ...place, name }, {
    response: response => void exchange.responses.push(response),
    failed: (_, error) => {
      why = error
      exchange.failure = String(error)
    }
  })
  await until(() => exchange.responses.length > 0 || exchange.failure !== null || to.waiting.length > 0)
  for (const tx of to.waiting.splice(0)) to.answer(tx, 200)
  await until(() => exchange.responses.length > 0 || exchange.failure !== null)
  return exchange.responses.at(-1)?.status ?? String(why).replace(/^Error: /, '')
}

describe('RFC 5922, 7: what a server has to prove', () => {
  it('is the domain that was asked for, by its URI; its DNS names do not count beside that', async () => {
    const [from, to] = [await start(hub), await start(operator)]
    expect(await ask(from, to, 'op.example')).toBe(200)
    expect(await ask(from, to, 'OP.example')).toBe(200)
    expect(await ask(from, to, 'host7.op.example')).toBe('the certificate proves op.example, not host7.op.example')
    expect(await ask(from, to, 'other.example')).toBe('the certificate proves op.example, not other.example')
  })

  it('is never proven by a wildcard, and by a common name only where there is nothing else', async () => {
    const from = await start(hub)
    expect(await ask(from, await start(wild), 'a.op.example')).toMatch(/^the certificate proves/)
    expect(await ask(from, await start(named), 'op.example')).toBe(200)
  })

  it('is an address where the peer has no other name', async () => {
    const from = await start(hub)
    expect(await ask(from, await start(operator))).toBe(200)
    expect(await ask(from, await start(named))).toBe('the certificate proves op.example, not 127.0.0.1')
  })

  it('is nothing where nobody vouches for it', async () => {
    const from = await start(hub)
    expect(await ask(from, await start(stranger), 'op.example')).toMatch(/certificate|issuer/i)
  })

  it('a connection is taken again only for a domain that it has proven', async () => {
    const [from, to] = [await start(hub), await start(operator)]
    expect(await ask(from, to, 'op.example')).toBe(200)
    expect(await ask(from, to, 'op.example')).toBe(200)
    expect(to.stack.counts.connections).toBe(1)
    // By its address alone: what a Contact says inside a dialog.
    expect(await ask(from, to)).toBe(200)
    expect(to.stack.counts.connections).toBe(1)
    expect(await ask(from, to, 'other.example')).not.toBe(200)
  })
})

describe('certificates for each peer', () => {
  it('a peer may have an authority, a certificate and domains of its own', async () => {
    const own = other.issue('hub for op', 'URI:sip:hub-for-op.example')
    const tlsPeers = [{ hosts: ['op.example', '127.0.0.1'], own, ca: other.cert, domains: ['op.example'] }]
    const from = await start(hub, { tlsPeers })
    const seen: (readonly string[])[] = []
    const to = await start(
      { ...stranger, ca: other.cert },
      {
        screen: ({ certificateNames }) => {
          seen.push(certificateNames)
          return { peerId: 'hub' }
        }
      }
    )
    expect(await ask(from, to, 'op.example')).toBe(200)
    expect(seen).toEqual([['hub-for-op.example']])
    // By address too: the domain is what the peer says of itself.
    expect(await ask(await start(hub, { tlsPeers }), to)).toBe(200)
    expect(await ask(from, await start(operator), 'elsewhere.example')).not.toBe(200)
  })

  it('a listener shows the certificate of the name that a client asks for (SNI)', async () => {
    const to = await start({
      ...operator,
      named: [{ name: 'second.example', ...ca.issue('x', 'URI:sip:second.example') }]
    })
    expect(await ask(await start(hub), to, 'second.example')).toBe(200)
    expect(await ask(await start(hub), to, 'op.example')).toBe(200)
    expect(await ask(await start(hub), to, 'third.example')).toMatch(/^the certificate proves op.example/)
  })
})

describe('SEC-02 and SEC-03: mutual TLS', () => {
  const screen = screenPeers([{ id: 'op', addresses: ['127.0.0.1'], certificateNames: ['op.example'] }])

  it('lets in who proves the domain; others hear 403: no certificate, another domain, another authority', async () => {
    const server = await start({ ...hub, ca: ca.cert }, { screen, tlsCa: ca.cert })
    expect(await ask(await start(operator), server, 'hub.example')).toBe(200)
    expect(await ask(await start(hub), server, 'hub.example')).toBe(403)
    expect(await ask(await start(stranger), server, 'hub.example')).toBe(403)
    const without = await startPeer('tcp', { tlsCa: ca.cert })
    open.push(without)
    expect(await ask(without, server, 'hub.example')).toBe(403)
  })
})

describe('RFC 5923: connection reuse', () => {
  it('requests back to who proved itself and asked for it take its connection', async () => {
    const screen = screenPeers([{ id: 'op', addresses: ['127.0.0.1'], certificateNames: ['op.example'] }])
    const server = await start({ ...hub, ca: ca.cert }, { screen })
    const client = await start({ ...operator, ca: ca.cert })
    expect(await ask(client, server, 'hub.example')).toBe(200)
    expect(server.log[0]?.message.headers.get('Via')).toContain(';alias')
    expect(await ask(server, client, 'op.example')).toBe(200)
    expect(await ask(server, client)).toBe(200)
    expect([server.stack.counts.connections, client.stack.counts.connections]).toEqual([1, 1])
    // Not for a domain that it did not prove.
    expect(await ask(server, client, 'other.example')).not.toBe(200)
  })

  it('of who proved nothing do not, and neither those of who claims another place', async () => {
    const server = await start({ ...hub, ca: ca.cert })
    const client = await startPeer('tls', {
      listen: [{ transport: 'tls', host: '127.0.0.1', port: 0, advertise: '127.0.0.9', tls: operator }],
      tlsCa: ca.cert
    })
    open.push(client)
    expect(await ask(client, server, 'hub.example')).toBe(200)
    expect(await ask(server, client, 'op.example')).toBe(200)
    expect(server.stack.counts.connections).toBe(2)
  })
})
