// needs: knot
// RFC 3263 through the engine: an application names a host, the DNS (a real one) says where, and how else.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Engine } from '../../src/sip/engine/engine.ts'
import { createResolver } from '../../src/sip/resolver.ts'
import { startDnsServer } from '../support/dns-server.ts'
import type { DnsServer } from '../support/dns-server.ts'
import { portOf, RawApp, sdp, startEngine } from '../support/engine.ts'
import { startPeer } from '../support/sip-peer.ts'
import type { SipPeer } from '../support/sip-peer.ts'
import { rawUdp } from '../support/sip-wire.ts'
import type { RawPeer } from '../support/sip-wire.ts'

let dns: DnsServer
let engine: Engine
let app: RawApp
let udp: SipPeer
let backup: SipPeer
let tcp: SipPeer
let silent: RawPeer

beforeAll(async () => {
  ;[udp, backup, tcp] = [await startPeer(), await startPeer(), await startPeer('tcp')]
  silent = await rawUdp(9)
  const closed = await startPeer('tcp')
  const refusing = closed.port
  await closed.close()
  // Ports are known only now: the engine's own comes first, since a record names it.
  const port = (of: SipPeer | RawPeer): number => of.port
  const records = (own: number): readonly string[] => [
    'host A 127.0.0.1',
    // By NAPTR: TCP is preferred, SCTP and TLS are not served here.
    'naptr NAPTR 5 10 "s" "SIP+D2S" "" _sip._sctp.naptr',
    'naptr NAPTR 5 10 "s" "SIPS+D2T" "" _sips._tcp.naptr',
    'naptr NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.naptr',
    'naptr NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp.naptr',
    `_sip._tcp.naptr SRV 0 0 ${port(tcp)} host`,
    `_sip._udp.naptr SRV 0 0 ${port(udp)} host`,
    // By SRV alone.
    `_sip._udp.busy SRV 1 0 ${port(udp)} host`,
    `_sip._udp.busy SRV 2 0 ${port(backup)} host`,
    `_sip._udp.silent SRV 1 0 ${port(silent)} host`,
    `_sip._udp.silent SRV 2 0 ${port(backup)} host`,
    `_sip._tcp.broken SRV 1 0 ${refusing} host`,
    `_sip._tcp.broken SRV 2 0 ${port(tcp)} host`,
    `_sip._udp.own SRV 1 0 ${own} host`,
    '_sip._udp.absent SRV 0 0 0 .'
  ]
  dns = await startDnsServer({ 'op.test': [] })
  engine = await startEngine({ resolver: createResolver({ servers: [dns.address] }) })
  await dns.change('op.test', records(portOf(engine)))
  app = await RawApp.open(engine)
}, 120_000)

afterAll(async () => {
  app.close()
  await engine.close()
  await Promise.all([udp, backup, tcp, silent].map(one => one.close()))
  await dns.stop()
})

const invite = (uri: string): string =>
  `INVITE ${uri} SIP/2.0\r\nFrom: <sip:hub@localhost>\r\nTo: <${uri}>\r\n\r\n${sdp()}`
const branchOf = (text = ''): string => /;branch=([^;\s]+)/.exec(text)?.[1] ?? 'none'
const options = (uri: string): string => `OPTIONS ${uri} SIP/2.0\r\n\r\n`

describe('a next hop that is a name', () => {
  it('is found by NAPTR and SRV, on the transport they prefer; the echo says the same', async () => {
    const { tokens, message } = await app.ask('sip||', invite('sip:+49@naptr.op.test'))
    expect(tokens.slice(3, 9)).toEqual(['OK', 'application', tokens[5], 'tcp', '127.0.0.1', String(tcp.port)])
    const taken = await tcp.next('INVITE')
    expect(taken.request.uri).toBe('sip:+49@naptr.op.test')
    expect(taken.request.headers.get('Contact')).toContain(';transport=tcp')
    expect(branchOf(message)).toBe(branchOf(taken.request.headers.get('Via')))
    tcp.answer(taken, 486)
    await app.sip('SIP/2.0 486')
  })

  it('and a transport: SRV of that transport', async () => {
    await app.ask('sip||', options('sip:naptr.op.test;transport=udp'))
    udp.answer(await udp.next('OPTIONS'), 200)
    await app.sip('SIP/2.0 200')
  })

  it('and a port: its address at that port', async () => {
    await app.ask('sip||', options(`sip:host.op.test:${udp.port}`))
    udp.answer(await udp.next('OPTIONS'), 200)
    await app.sip('SIP/2.0 200')
  })

  it('may come as the next hop beside another Request-URI', async () => {
    await app.ask('sip|||sip:busy.op.test', options('sip:+49@elsewhere.invalid'))
    const asked = await udp.next('OPTIONS')
    expect(asked.request.uri).toBe('sip:+49@elsewhere.invalid')
    udp.answer(asked, 200)
    await app.sip('SIP/2.0 200')
  })

  it('that does not exist, that has no service, and that leads back here is NOK', async () => {
    const refused = async (uri: string): Promise<string | undefined> => {
      const { tokens } = await app.ask('sip||', options(uri))
      expect(tokens[3]).toBe('NOK')
      return tokens[4]
    }
    expect(await refused('sip:nobody.op.test')).toMatch(/^no address for nobody\.op\.test/)
    expect(await refused('sip:absent.op.test;transport=udp')).toMatch(/^no address for absent\.op\.test/)
    expect(await refused('sip:own.op.test')).toBe('can not send request to myself')
    expect(await refused('sip:host.op.test;transport=sctp')).toMatch(/^no next hop/)
  })
})

describe('failover (RFC 3263, 4.3)', () => {
  it('after 503 the next record is tried; the application hears of its answer alone', async () => {
    await app.ask('sip||', invite('sip:+49@busy.op.test'))
    udp.answer(await udp.next('INVITE'), 503)
    const taken = await backup.next('INVITE')
    backup.answer(taken, 200, [], sdp())
    const { tokens } = await app.sip('SIP/2.0 200')
    expect(tokens[6]).toBe(String(backup.port))
    await app.ask(`sip||${tokens[9]}`, 'ACK sip:placeholder SIP/2.0\r\n\r\n')
    expect((await backup.ack()).headers.get('Call-ID')).toBe(taken.request.headers.get('Call-ID'))
    await app.ask(`sip||${tokens[9]}`, 'BYE sip:placeholder SIP/2.0\r\n\r\n')
    backup.answer(await backup.next('BYE'), 200)
    await app.sip('SIP/2.0 200')
    expect(app.frames).toEqual([])
  })

  it('after silence (timer B) and after a connection that is refused, too', async () => {
    await app.ask('sip||', invite('sip:+49@silent.op.test'))
    backup.answer(await backup.next('INVITE'), 486)
    await app.sip('SIP/2.0 486')
    expect(silent.received.length).toBeGreaterThan(1)
    await app.ask('sip||', invite('sip:+49@broken.op.test;transport=tcp'))
    tcp.answer(await tcp.next('INVITE'), 486)
    await app.sip('SIP/2.0 486')
  })

  it('where all say 503 the application hears 503', async () => {
    await app.ask('sip||', invite('sip:+49@busy.op.test'))
    udp.answer(await udp.next('INVITE'), 503)
    backup.answer(await backup.next('INVITE'), 503)
    expect((await app.sip('SIP/2.0 503')).tokens[6]).toBe(String(backup.port))
  })

  it('a CANCEL follows the request to where it is', async () => {
    const { tokens } = await app.ask('sip||', invite('sip:+49@busy.op.test'))
    udp.answer(await udp.next('INVITE'), 503)
    const taken = await backup.next('INVITE')
    backup.answer(taken, 180)
    await app.sip('SIP/2.0 180')
    await app.ask(`sip|${tokens[10]}|`, 'CANCEL sip:placeholder SIP/2.0\r\n\r\n')
    await app.sip('SIP/2.0 487')
    expect(backup.cancels).toHaveLength(1)
  })
})
