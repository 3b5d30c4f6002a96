// Section 10: the engine connects to the application, one connection for each new request; and section 11, reconnecting.

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import Srf from 'drachtio-srf'
import type { Engine, EngineOptions } from '../../../src/sip/engine/engine.ts'
import { frameOf, FrameReader, payloadOf } from '../../../src/sip/engine/framing.ts'
import { portOf, RawApp, sdp, secret, startEngine } from '../../support/engine.ts'
import { freePorts } from '../../support/free-port.ts'
import { startPeer } from '../../support/sip-peer.ts'
import type { SipPeer } from '../../support/sip-peer.ts'
import type { SrfApp, SrfDialog, SrfRequest, SrfResponse } from '../../support/srf.ts'
import { until } from '../../support/until.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

interface Bench {
  readonly engine: Engine
  readonly peer: SipPeer
}
async function bench(over: Partial<EngineOptions>): Promise<Bench> {
  const engine = await startEngine(over)
  const peer = await startPeer()
  ends.push(
    () => engine.close(),
    () => peer.close()
  )
  return { engine, peer }
}

type ListeningSrf = SrfApp & {
  listen(options: object): void
  endSession(of: SrfRequest): void
  on(event: string, run: (...args: readonly unknown[]) => void): void
}

/** drachtio-srf that waits for engines. */
async function listeningSrf(handle: (srf: ListeningSrf, req: SrfRequest, res: SrfResponse) => void): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const srf = new Srf() as unknown as ListeningSrf
  srf.on('error', () => undefined)
  for (const method of ['invite', 'message', 'options']) srf.use(method, (req, res) => handle(srf, req, res))
  const sockets: Socket[] = []
  server.on('connection', socket => void sockets.push(socket))
  srf.listen({ server, secret })
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** Somebody who is asked; what it was asked is kept. */
async function asked(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const questions: URL[] = []
  const server: Server = createServer((request, response) => {
    questions.push(new URL(request.url ?? '/', 'http://x'))
    answer(request, response)
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { questions, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/route` }
}

const call = ({ engine, peer }: Bench, uri?: string) =>
  peer.ask(portOf(engine), { method: 'INVITE', body: sdp(), ...(uri === undefined ? {} : { uri }) })

describe('outbound mode to drachtio-srf that listens', () => {
  it('each new request comes over a connection of its own; the call lives there, and ends with it', async () => {
    const dialogs: SrfDialog[] = []
    const requests: SrfRequest[] = []
    let app: ListeningSrf | null = null
    const port = await listeningSrf((srf, req, res) => {
      app = srf
      requests.push(req)
      if (req.method !== 'INVITE') return res.send(200)
      void srf.createUAS(req, res, { localSdp: sdp(2) }).then(dialog => dialogs.push(dialog))
    })
    const made = await bench({ handler: { url: `tcp://127.0.0.1:${port}` } })
    const first = call(made)
    const second = call(made)
    const one = made.peer.acknowledge(first, await first.response(200))
    made.peer.acknowledge(second, await second.response(200))
    await until(() => dialogs.length === 2)
    expect((await made.peer.ask(portOf(made.engine), { method: 'OPTIONS' }).final()).status).toBe(200)
    // The peer ends one; of the other the application drops the connection.
    expect((await made.peer.inside(one, 'BYE').final()).status).toBe(200)
    await until(() => made.engine.counts.dialogs === 1)
    for (const request of requests) app!.endSession(request)
    made.peer.answer(await made.peer.next('BYE'), 200)
    await until(() => made.engine.counts.dialogs === 0)
  })

  it('registered routes are not used', async () => {
    const port = await listeningSrf((_, __, res) => res.send(486))
    const made = await bench({ handler: { url: `tcp://127.0.0.1:${port}` } })
    const idle = await RawApp.open(made.engine, 'invite')
    ends.push(() => idle.close())
    expect((await call(made).final()).status).toBe(486)
    expect(idle.frames).toEqual([])
  })
})

describe('an application that is not there', () => {
  it('is 480: nobody listens, nobody authenticates, the wrong secret', async () => {
    const [closed = 0] = await freePorts(1)
    expect((await call(await bench({ handler: { url: `tcp://127.0.0.1:${closed}` } })).final()).status).toBe(480)
    const sockets: Socket[] = []
    const silent = createTcpServer(socket => void sockets.push(socket.on('error', () => undefined)))
    await new Promise<void>(done => silent.listen(0, '127.0.0.1', done))
    ends.push(() => {
      for (const socket of sockets) socket.destroy()
      silent.close()
    })
    const url = `tcp://127.0.0.1:${(silent.address() as AddressInfo).port}`
    expect((await call(await bench({ handler: { url }, limits: { dialMs: 100 } })).final()).status).toBe(480)
    const wrong = createTcpServer(socket => {
      socket.on('error', () => undefined)
      socket.write(frameOf('1|authenticate|wrong|'))
    })
    await new Promise<void>(done => wrong.listen(0, '127.0.0.1', done))
    ends.push(() => wrong.close())
    const other = `tcp://127.0.0.1:${(wrong.address() as AddressInfo).port}`
    expect((await call(await bench({ handler: { url: other } })).final()).status).toBe(480)
  })

  it('hears nothing of the call before it has shown the secret', async () => {
    const told: string[] = []
    const server = createTcpServer(socket => {
      const reader = new FrameReader()
      socket.on('error', () => undefined)
      socket.on('data', chunk => {
        reader.push(chunk, payload => {
          told.push(payloadOf(payload).tokens[1] ?? '')
          return true
        })
      })
      setImmediate(() => socket.write(frameOf(`1|authenticate|${secret}|`)))
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const made = await bench({ handler: { url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` } })
    ends.push(() => server.close())
    call(made)
    await until(() => told.length === 2)
    expect(told).toEqual(['response', 'sip'])
  })

  it('and too many connections are 480 too', async () => {
    const port = await listeningSrf(() => undefined)
    const made = await bench({ handler: { url: `tcp://127.0.0.1:${port}` }, limits: { dialledMax: 1 } })
    call(made)
    await until(() => made.engine.counts.waiting === 1)
    expect((await call(made).final()).status).toBe(480)
  })
})

describe('a handler that is asked over HTTP', () => {
  it('is told about the request, and routes it', async () => {
    const port = await listeningSrf((_, __, res) => res.send(486))
    const { questions, url } = await asked((_, response) =>
      response.end(JSON.stringify({ action: 'route', data: { uri: `127.0.0.1:${port}` } }))
    )
    const made = await bench({ handler: { url: `${url}?key=1` } })
    expect((await call(made, 'sip:+4930@127.0.0.1;tgrp=x').final()).status).toBe(486)
    const query = Object.fromEntries(questions[0]!.searchParams)
    expect(query).toMatchObject({ key: '1', method: 'INVITE', uriUser: '+4930', tgrp: 'x', protocol: 'udp' })
    expect(questions[0]!.pathname).toBe('/route')
  })

  it('may be given the request itself', async () => {
    let body = ''
    const { url } = await asked((request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      request.on('end', () => response.end('{"action":"reject","data":{"status":603,"reason":"No Way"}}'))
    })
    const made = await bench({ handler: { url, method: 'POST' } })
    expect(await call(made).final()).toMatchObject({ status: 603, reason: 'No Way' })
    expect(body).toContain('INVITE sip:hub@')
  })

  it('redirects, or names the tag of an application that is connected', async () => {
    const answers = ['{"action":"redirect","data":{"contact":"<sip:b@c>"}}', '{"tag":"blue"}', '{"tag":"red"}']
    const { url } = await asked((_, response) => response.end(answers.shift()))
    const made = await bench({ handler: { url } })
    const app = new RawApp(made.engine.control.port)
    ends.push(() => app.close())
    for (const command of [`authenticate|${secret}|green,blue`, 'route|invite']) await app.ask(command)
    const moved = await call(made).final()
    expect([moved.status, moved.headers.get('Contact')]).toEqual([302, '<sip:b@c>'])
    const blue = call(made)
    const { tokens } = await app.sip('INVITE')
    await app.ask(`sip|${tokens[8]}|`, 'SIP/2.0 486 Busy Here\r\n\r\n')
    expect((await blue.final()).status).toBe(486)
    expect((await call(made).final()).status).toBe(480)
  })

  it('that says nothing sensible, too much or nothing at all is 500, or 480 where it is not there', async () => {
    const answers: ((response: ServerResponse) => void)[] = [
      response => response.end('nonsense'),
      response => response.writeHead(404).end(),
      response => response.end('x'.repeat(100_000)),
      response => response.destroy()
    ]
    const { url } = await asked((_, response) => answers.shift()?.(response))
    const made = await bench({ handler: { url } })
    for (const status of [500, 500, 500, 480]) expect((await call(made).final()).status).toBe(status)
    expect(made.engine.counts.waiting).toBe(0)
  })

  it('a CANCEL does not wait for it', async () => {
    const held: ServerResponse[] = []
    const { url } = await asked((_, response) => void held.push(response))
    const made = await bench({ handler: { url } })
    const exchange = call(made)
    await exchange.response(100)
    exchange.tx?.cancel()
    expect((await exchange.final()).status).toBe(487)
    held[0]?.end('{"tag":"blue"}')
    expect(made.engine.counts.waiting).toBe(0)
  })
})

describe('drachtio-srf whose engine goes away and comes back', () => {
  it('connects again by itself, and is called again', async () => {
    const first = await startEngine()
    const { port } = first.control
    const srf = new Srf() as unknown as ListeningSrf & { connect(options: object): unknown }
    const seen: string[] = []
    for (const event of ['connect', 'reconnecting', 'error', 'close']) srf.on(event, () => void seen.push(event))
    srf.use('options', (_, res) => res.send(200))
    void srf.connect({ host: '127.0.0.1', port, secret, reconnect: { retryMaxDelay: 200 } })
    await until(() => seen.includes('connect'))
    await first.close()
    await until(() => seen.includes('reconnecting'))
    seen.length = 0
    const made = await bench({ control: { host: '127.0.0.1', port, secret } })
    ends.push(() => srf.disconnect())
    await until(() => seen.includes('connect'))
    let status = 0
    for (const end = Date.now() + 30_000; status !== 200 && Date.now() < end;) {
      // Routes follow the connection: until then the engine says 503.
      status = (await made.peer.ask(portOf(made.engine), { method: 'OPTIONS' }).final()).status
    }
    expect(status).toBe(200)
  })
})
