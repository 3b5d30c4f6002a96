// Section 12 of the protocol description, items 1 and 2: frames, authentication, routes.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { controlLimits } from '../../../src/sip/engine/control.ts'
import type { Engine } from '../../../src/sip/engine/engine.ts'
import { frameOf } from '../../../src/sip/engine/framing.ts'
import { localUdp, portOf, quiet, RawApp, secret, startEngine } from '../../support/engine.ts'
import { startPeer } from '../../support/sip-peer.ts'
import type { SipPeer } from '../../support/sip-peer.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'
import { until } from '../../support/until.ts'

let engine: Engine
let peer: SipPeer
const apps: RawApp[] = []

beforeEach(async () => {
  engine = await startEngine()
  peer = await startPeer()
})
afterEach(async () => {
  for (const app of apps.splice(0)) app.close()
  await peer.close()
  await engine.close()
})
const raw = (): RawApp => {
  const app = new RawApp(engine.control.port)
  apps.push(app)
  return app
}
const open = async (...methods: readonly string[]): Promise<RawApp> => {
  const app = await RawApp.open(engine, ...methods)
  apps.push(app)
  return app
}
const options = 'OPTIONS sip:peer@127.0.0.1 SIP/2.0\r\n\r\n'

describe('authentication', () => {
  it('names where the engine listens and a version that starts the heartbeat', async () => {
    const { tokens } = await raw().ask(`authenticate|${secret}|tag1,tag2`)
    const ports = engine.listening.map(own => `${own.transport}/127.0.0.1:${own.port}`).join(',')
    expect(tokens.slice(1)).toEqual(['response', 'm1', 'OK', ports, expect.stringMatching(/^v\d+\.\d+\.\d+/), ports])
    expect(Number(/^v0\.(\d+)/.exec(tokens[5] ?? '')?.[1])).toBeGreaterThanOrEqual(9)
  })

  it('a wrong secret is NO and the end of the connection', async () => {
    const app = raw()
    expect((await app.ask('authenticate|wrong|')).tokens.slice(3)).toEqual(['NO', 'incorrect secret'])
    await until(() => app.closed)
  })

  it.each(['ping', 'route|invite', 'sip|||', 'remove_route|invite'])(
    '"%s" before it is NO and the end',
    async command => {
      const app = raw()
      expect((await app.ask(command, options)).tokens[3]).toBe('NO')
      await until(() => app.closed)
    }
  )

  it('nothing is sent for who has not shown the secret', async () => {
    const app = raw()
    app.send('sip||', `OPTIONS ${peer.uri} SIP/2.0\r\n\r\n`)
    await until(() => app.closed)
    expect(peer.log).toEqual([])
  })

  it('a large frame before it is the end, unread', async () => {
    const app = raw()
    app.socket.write(`${controlLimits.frameBytesBeforeAuthMax + 1}#m1|authenticate|`)
    await until(() => app.closed)
  })

  it('who says nothing is cut off', async () => {
    const strict = await startEngine({ limits: { authenticateMs: 30 } })
    const app = new RawApp(strict.control.port)
    await until(() => app.closed)
    await strict.close()
  })

  it('applications beyond the bound are turned away', async () => {
    const small = await startEngine({ limits: { appsMax: 1 } })
    const first = await RawApp.open(small)
    const second = new RawApp(small.control.port)
    await until(() => second.closed)
    expect((await first.ask('ping')).tokens.slice(3)).toEqual(['OK', 'pong'])
    first.close()
    await small.close()
  })

  it('a control port that is taken is named', async () => {
    const control = { host: '127.0.0.1', port: engine.control.port, secret }
    await expect(startEngine({ control, listen: [localUdp], log: quiet })).rejects.toMatchObject({ code: 'HUB_LISTEN' })
  })
})

describe('frames', () => {
  it('come split, pipelined and with lengths in bytes', async () => {
    const app = await open()
    const frames = Buffer.concat(['a', 'b', 'c'].map(id => frameOf(`${id}|ping`)))
    for (const byte of frames) app.socket.write(Buffer.from([byte]))
    for (const id of ['a', 'b', 'c']) await app.frame(({ tokens }) => tokens[2] === id)
    app.socket.write(frames)
    for (const id of ['a', 'b', 'c']) await app.frame(({ tokens }) => tokens[2] === id)
  })

  it.each(['abc#', '0#', '99999999#'])('"%s" is the end of the connection', async garbage => {
    const app = await open()
    app.socket.write(garbage)
    await until(() => app.closed)
  })

  it('carry 1 MiB each way over TCP', async () => {
    const app = await open('message')
    const tcp = await startPeer('tcp')
    const text = 'ä'.repeat(520_000)
    const sent = await app.ask('sip||', `MESSAGE ${tcp.uri} SIP/2.0\r\ncontent-type: text/plain\r\n\r\n${text}`)
    expect(sent.tokens[3]).toBe('OK')
    expect(sent.message.endsWith(text)).toBe(true)
    const got = await tcp.next('MESSAGE')
    expect(got.request.body.toString()).toBe(text)
    const back = tcp.ask(portOf(engine, 'tcp'), {
      method: 'MESSAGE',
      headers: [['Content-Type', 'text/plain']],
      body: text
    })
    const { tokens, message } = await app.sip('MESSAGE')
    expect(message.endsWith(text)).toBe(true)
    await app.ask(`sip|${tokens[8]}|`, 'SIP/2.0 200 OK\r\n\r\n')
    await back.response(200)
    await tcp.close()
  })
})

describe('commands', () => {
  it('ping is answered', async () => {
    expect((await (await open()).ask('ping')).tokens.slice(3)).toEqual(['OK', 'pong'])
  })

  it('an unknown type is NO and the end', async () => {
    const app = await open()
    expect((await app.ask('frobnicate|x')).tokens.slice(3)).toEqual(['NO', 'Unknown message type'])
    await until(() => app.closed)
  })

  it('a sip command without its tokens or its message is NOK, and the connection stays', async () => {
    const app = await open()
    expect((await app.ask('sip|x', options)).tokens[3]).toBe('NOK')
    expect((await app.ask('sip||')).tokens[3]).toBe('NOK')
    expect((await app.ask('sip||', 'no SIP at all')).tokens[3]).toBe('NOK')
    expect((await app.ask('sip||', 'SIP/2.0 200 OK\r\n\r\n')).tokens[3]).toBe('NOK')
    expect((await app.ask('sip|txn|', options)).tokens[3]).toBe('NOK')
    expect((await app.ask('proxy|txn|||||||sip:a', options)).tokens[3]).toBe('NOK')
    expect((await app.ask('ping')).tokens[3]).toBe('OK')
  })

  it('without a route for the method the network hears 503', async () => {
    await open('invite')
    const { status } = await peer.ask(portOf(engine), { method: 'OPTIONS' }).final()
    expect(status).toBe(503)
  })

  it('remove_route takes that method alone', async () => {
    const app = await open('options', 'message')
    expect((await app.ask('remove_route|options')).tokens[3]).toBe('OK')
    expect((await peer.ask(portOf(engine), { method: 'OPTIONS' }).final()).status).toBe(503)
    peer.ask(portOf(engine), { method: 'MESSAGE', headers: [['Content-Type', 'text/plain']], body: 'x' })
    await app.sip('MESSAGE')
  })

  it('several applications take turns, and one that names a method twice gets no double share', async () => {
    const first = await open('options', 'options')
    const second = await open('options')
    for (let turn = 0; turn < 6; turn++) peer.ask(portOf(engine), { method: 'OPTIONS' })
    for (let turn = 0; turn < 3; turn++) {
      await first.sip('OPTIONS')
      await second.sip('OPTIONS')
    }
  })

  it('every broken sip command is answered and none breaks the engine', async () => {
    const chance = mulberry32(seedFromEnvironment)
    const one = (choices: readonly string[]): string => choices[chance(choices.length)]!
    const app = await open('invite')
    const [uri, texts] = [peer.uri, [] as string[]]
    const values = [
      '<sip:a@b>;tag=',
      '"',
      '<',
      '*',
      '',
      '9999999999999 INVITE',
      'sip:a@localhost',
      '\0',
      ' \r\n x',
      '1;='
    ]
    const hops = ['', '|sip:', `|${uri}`, '|tel:1', '|<']
    for (let run = 0; run < 400; run++) {
      const start = one([
        `INVITE ${uri}`,
        `OPTIONS ${uri}`,
        'BYE sip:x',
        'ACK x',
        'CANCEL sip:x',
        'PRACK sip:<',
        'INFO tel:+',
        'X'
      ])
      const lines = Array.from({ length: chance(8) }, () => {
        const name = one([
          'From',
          'to',
          'Via',
          'call-id',
          'CSeq',
          'contact',
          'RAck',
          'x y',
          '',
          'Session-Expires',
          'Require',
          'Event'
        ])
        return `${name}: ${one(values)}`
      })
      const status = one([
        'SIP/2.0 200 OK',
        'SIP/2.0 180',
        'SIP/2.0 999 x',
        `${start} SIP/2.0`,
        `${start} SIP/2.0`,
        start
      ])
      const end = one(['\r\n\r\n', '\r\n', '\r\n\r\nv=0', '\r\n\r\nx'])
      const command = `sip|${one(['', 'txn'])}|${one(['', '', 'dialog'])}${one(hops)}`
      const { tokens } = await app.ask(command, `${[status, ...lines].join('\r\n')}${end}`)
      texts.push(tokens.slice(3, 5).join('|'))
    }
    expect(texts.filter(answer => answer.includes('internal error'))).toEqual([])
    expect(new Set(texts.map(answer => answer.split('|')[0]))).toEqual(new Set(['OK', 'NOK']))
  })

  it('routes beyond the bound are refused', async () => {
    const app = await open()
    for (let index = 0; index < controlLimits.routesMax; index++) app.send(`route|m${index}`)
    expect((await app.ask('route|one-more')).tokens[3]).toBe('NOK')
  })
})
