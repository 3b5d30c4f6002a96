// IPv6 everywhere: listeners, Via, Contact, rport, screening, dialogs, on UDP, TCP and TLS, and both families on one socket.

import { createSocket } from 'node:dgram'
import { afterEach, describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { screenPeers } from '../../../src/sip/engine/screening.ts'
import type { Engine, EngineOptions } from '../../../src/sip/engine/engine.ts'
import { parseVia } from '../../../src/sip/message.ts'
import { text } from '../../support/engine-bench.ts'
import { portOf, RawApp, sdp, startEngine } from '../../support/engine.ts'
import { startPeer } from '../../support/sip-peer.ts'
import type { SipPeer } from '../../support/sip-peer.ts'
import { rawRequest } from '../../support/sip-wire.ts'
import { until } from '../../support/until.ts'

const file = (name: string): string => readFileSync(join(import.meta.dirname, '../../support/tls', name), 'utf8')
const cert = file('cert.pem')
const tls = { cert, key: file('key.pem') }
const tlsPeers = [{ hosts: ['::1'], own: null, ca: cert, domains: ['localhost'] }]

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function start(transport: 'udp' | 'tcp' | 'tls', over: Partial<EngineOptions> = {}) {
  const place = { transport, host: '::1', port: 0, ...(transport === 'tls' ? { tls } : {}) }
  const engine = await startEngine({ listen: [place], tlsPeers, ...over })
  const app = await RawApp.open(engine, 'invite', 'options')
  const peer = await startPeer(transport, { listen: [place], tlsPeers })
  ends.push(
    () => engine.close(),
    () => app.close(),
    () => peer.close()
  )
  return { engine, app, peer }
}

/** A call of the peer that the application answers and ends. */
async function call(engine: Engine, app: RawApp, peer: SipPeer, transport: 'udp' | 'tcp' | 'tls'): Promise<void> {
  const port = portOf(engine, transport)
  const exchange = peer.ask(port, { method: 'INVITE', body: sdp() })
  const { tokens, message } = await app.sip('INVITE')
  expect(tokens.slice(4, 6)).toEqual([transport, '::1'])
  expect(tokens.slice(10, 12)).toEqual(['::1', String(port)])
  expect(message).toMatch(/^Via: .*received=::1/m)
  const answer = await app.ask(`sip|${tokens[8]}|`, `SIP/2.0 200 OK\r\n\r\n${sdp()}`)
  const response = await exchange.response(200)
  expect(response.headers.get('Contact')).toContain(`<sip:[::1]:${port}`)
  peer.acknowledge(exchange, response)
  await app.sip('ACK')
  await app.ask(`sip||${answer.tokens[11]}`, text('BYE', 'sip:placeholder', ''))
  const bye = await peer.next('BYE')
  expect(parseVia(bye.request.headers.get('Via')!)).toMatchObject({ host: '::1', port })
  peer.answer(bye, 200)
  await app.sip('SIP/2.0 200')
}

describe('IPv6', () => {
  it.each(['udp', 'tcp', 'tls'] as const)('a call comes in over %s, and one goes out', async transport => {
    const { engine, app, peer } = await start(transport)
    await call(engine, app, peer, transport)
    const echo = await app.ask('sip||', text('INVITE', peer.uri, 'From: <sip:hub@localhost>\r\n', sdp()))
    expect(echo.tokens.slice(3, 9)).toEqual(['OK', 'application', echo.tokens[5], transport, '::1', String(peer.port)])
    const tx = await peer.next('INVITE')
    expect(tx.request.headers.get('From')).toContain(`<sip:hub@[::1]:${portOf(engine, transport)}>`)
    peer.answer(tx, 486)
    await app.sip('SIP/2.0 486')
  })

  it('is screened by address and block, in whatever spelling', async () => {
    const screen = screenPeers([{ id: 'six', addresses: ['0:0:0:0:0:0:0:1/128'], certificateNames: [] }])
    const { engine, app, peer } = await start('udp', { screen })
    peer.ask(portOf(engine), { method: 'OPTIONS' })
    expect((await app.sip('OPTIONS')).tokens[12]).toBe('six')
    const others = screenPeers([{ id: 'other', addresses: ['2001:db8::/32'], certificateNames: [] }])
    const strict = await start('tcp', { screen: others })
    expect((await strict.peer.ask(portOf(strict.engine, 'tcp'), { method: 'OPTIONS' }).final()).status).toBe(403)
  })

  it('knows its own address', async () => {
    const { engine, app } = await start('udp')
    const { tokens } = await app.ask('sip||', text('OPTIONS', `sip:[::1]:${portOf(engine)}`))
    expect(tokens[4]).toBe('can not send request to myself')
  })

  it('and IPv4 share a socket that listens on every address: IPv4 peers are told as such', async () => {
    const listen = [{ transport: 'udp', host: '::', port: 0, advertise: '::1' }] as const
    const screen = screenPeers([{ id: 'four', addresses: ['127.0.0.1'], certificateNames: [] }])
    const { engine, app } = await start('udp', { listen, screen })
    const socket = createSocket('udp4')
    ends.push(() => socket.close())
    const heard: string[] = []
    socket.on('message', bytes => heard.push(bytes.toString()))
    socket.send(rawRequest({ viaParams: ';rport' }), portOf(engine), '127.0.0.1')
    const { tokens, message } = await app.sip('OPTIONS')
    expect([tokens[5], tokens[12]]).toEqual(['127.0.0.1', 'four'])
    expect(message).toContain('received=127.0.0.1')
    await app.ask(`sip|${tokens[8]}|`, 'SIP/2.0 200 OK\r\n\r\n')
    await until(() => heard.some(one => one.startsWith('SIP/2.0 200')))
  })
})
