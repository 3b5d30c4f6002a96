import { once } from 'node:events'
import { get } from 'node:http'
import { connect } from 'node:net'
import type { Socket as TcpSocket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { WebSocket } from 'ws'
import type { ClientOptions } from 'ws'
import { limits as defaultLimits } from '../../../src/adapters/sip-ws/limits.ts'
import type { Limits } from '../../../src/adapters/sip-ws/limits.ts'
import { createWebSockets } from '../../../src/adapters/sip-ws/server.ts'
import type { Socket, WebSockets } from '../../../src/adapters/sip-ws/server.ts'
import { parseConfig } from '../../../src/config.ts'
import { createLog } from '../../../src/log.ts'
import { FakeClock } from '../../support/world.ts'
import { until } from '../../support/until.ts'

const pages = 'https://pages.example'
const island = (id: string, origins: string, more = ''): string =>
  `  - { id: ${id}, access: sip-ws, domain: ${id}.example, origins: [${origins}]${more} }\n`
const pem = (name: string): string => fileURLToPath(new URL(`../../support/tls/${name}.pem`, import.meta.url))

let sockets: WebSockets
let url = ''
let clock: FakeClock
let accepted: (Socket & { readonly heard: string[]; lost: number })[]
const clients: (WebSocket | TcpSocket)[] = []

interface SetUp {
  readonly limits?: Partial<Limits>
  readonly sipWs?: string
}

async function listening({ limits = {}, sipWs = '' }: SetUp = {}): Promise<void> {
  const config = parseConfig(
    `sipWs: { port: 0, connectionsMax: 3, pingMs: 1000 ${sipWs} }\nislands:\n${island('one', `'${pages}', 'null'`)}` +
      `${island('two', `'${pages}'`)}${island('off', "'https://off.example'", ', enabled: false')}${island('shut', '')}`
  )
  clock = new FakeClock()
  accepted = []
  sockets = createWebSockets({
    config: config.sipWs,
    islands: config.islands,
    limits: { ...defaultLimits, ...limits },
    clock,
    log: createLog('silent'),
    accept: socket => {
      const seen = { ...socket, heard: [] as string[], lost: 0 }
      accepted.push(seen)
      return {
        message: bytes => void seen.heard.push(bytes.toString()),
        lost: () => {
          seen.lost += 1
        }
      }
    }
  })
  url = await sockets.start()
}

function client(options: ClientOptions = { origin: pages }, protocols: string[] = ['sip']): WebSocket {
  const made = new WebSocket(url, protocols, { ...options, rejectUnauthorized: false })
  made.on('error', () => {})
  clients.push(made)
  return made
}

async function opened(options?: ClientOptions): Promise<WebSocket> {
  const made = client(options)
  await once(made, 'open')
  return made
}

async function refusal(options: ClientOptions, protocols?: string[]): Promise<number> {
  const made = client(options, protocols)
  const [, response] = (await once(made, 'unexpected-response')) as [unknown, { statusCode: number }]
  return response.statusCode
}

const closed = async (socket: WebSocket): Promise<number> => ((await once(socket, 'close')) as [number])[0]

function tcp(text: string): TcpSocket {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1', () => socket.write(text))
  socket.on('error', () => {})
  clients.push(socket)
  return socket
}

beforeEach(() => {
  clients.length = 0
})
afterEach(async () => {
  for (const socket of clients) {
    if (socket instanceof WebSocket) socket.terminate()
    else socket.destroy()
  }
  await sockets.close()
})

describe('who may open a WebSocket', () => {
  it('a page on an allow-list gets the subprotocol sip and the islands that list it', async () => {
    await listening()
    const socket = await opened()
    expect(socket.protocol).toBe('sip')
    expect([...accepted[0]!.domains]).toEqual(['one.example', 'two.example'])
    expect(accepted[0]!.transport).toBe('ws')
    expect(sockets.count).toBe(1)
  })

  it('a client without Origin comes in where an island says so', async () => {
    await listening()
    await opened({})
    expect([...accepted[0]!.domains]).toEqual(['one.example'])
  })

  it.each(['https://other.example', 'https://off.example', 'null', ''])(
    'the Origin %j is refused with 403',
    async origin => {
      await listening()
      expect(await refusal({ headers: { origin } })).toBe(403)
      expect(accepted).toEqual([])
    }
  )

  it('without the subprotocol sip the upgrade is refused with 400', async () => {
    await listening()
    expect(await refusal({ origin: pages }, ['xmpp'])).toBe(400)
    expect(await refusal({ origin: pages }, [])).toBe(400)
    expect(await refusal({ origin: pages }, ['xmpp', 'sips'])).toBe(400)
  })

  it('sip may be one of several subprotocols', async () => {
    await listening()
    const socket = client({ origin: pages }, ['xmpp', 'sip'])
    await once(socket, 'open')
    expect(socket.protocol).toBe('sip')
  })

  it('one connection too many is refused with 503, and there is room again after a goodbye', async () => {
    await listening()
    const [first] = [await opened(), await opened(), await opened()]
    expect(await refusal({ origin: pages })).toBe(503)
    first.close()
    await until(() => sockets.count === 2)
    await opened()
  })

  it('plain HTTP is told to upgrade', async () => {
    await listening()
    const [response] = (await once(get(url.replace('ws:', 'http:')), 'response')) as [
      { statusCode: number; resume(): void }
    ]
    response.resume()
    expect(response.statusCode).toBe(426)
  })

  it('a half-open upgrade and a silent connection are cut off and harm nobody', async () => {
    await listening({ limits: { upgradeMs: 100 } })
    const half = tcp('GET / HTTP/1.1\r\nUpgrade: websocket\r\n')
    const silent = tcp('')
    const other = await opened()
    half.resume()
    silent.resume()
    await Promise.all([once(half, 'close'), once(silent, 'close')])
    other.send('still here')
    await until(() => accepted[0]!.heard.length === 1)
  })

  it('wss with the configured certificate', async () => {
    await listening({ sipWs: `, tls: { certFile: '${pem('cert')}', keyFile: '${pem('key')}' }` })
    expect(url).toMatch(/^wss:/)
    await opened()
    expect(accepted[0]!.transport).toBe('wss')
  })

  it('a certificate that cannot be read is a configuration error', async () => {
    await listening()
    const { sipWs, islands } = parseConfig(`sipWs: { tls: { certFile: /nowhere/cert.pem, keyFile: /nowhere/key.pem } }`)
    const accept = (): never => {
      throw new Error('nobody comes')
    }
    const log = createLog('silent')
    expect(() => createWebSockets({ config: sipWs, islands, limits: defaultLimits, clock, log, accept })).toThrow(
      /^sipWs.tls: .*ENOENT/
    )
  })

  it('a port that is taken is told as HUB_LISTEN', async () => {
    await listening()
    const { sipWs, islands } = parseConfig(`sipWs: { port: ${new URL(url).port} }`)
    const accept = (): never => {
      throw new Error('nobody comes')
    }
    const log = createLog('silent')
    const second = createWebSockets({ config: sipWs, islands, limits: defaultLimits, clock, log, accept })
    await expect(second.start()).rejects.toMatchObject({ code: 'HUB_LISTEN' })
  })
})

describe('frames', () => {
  it('text and binary frames are one message each', async () => {
    await listening()
    const socket = await opened()
    socket.send('one')
    socket.send(Buffer.from('two'))
    socket.send('')
    socket.send('three')
    await until(() => accepted[0]!.heard.length === 3)
    expect(accepted[0]!.heard).toEqual(['one', 'two', 'three'])
  })

  it('what is UTF-8 goes out as text, anything else in a binary frame', async () => {
    await listening()
    const socket = await opened()
    const got: [string, boolean][] = []
    socket.on('message', (data: Buffer, binary) => got.push([data.toString('latin1'), binary]))
    accepted[0]!.send(Buffer.from('plain'))
    accepted[0]!.send(Buffer.from([0xff, 0xfe]))
    await until(() => got.length === 2)
    expect(got).toEqual([
      ['plain', false],
      ['\xff\xfe', true]
    ])
  })

  it('a double CRLF is answered by a single one, which gets no answer', async () => {
    await listening()
    const socket = await opened()
    const got: string[] = []
    socket.on('message', (data: Buffer) => got.push(data.toString()))
    socket.send('\r\n\r\n')
    socket.send('\r\n')
    socket.send('\r\n\r\n')
    await until(() => got.length === 2)
    expect(got).toEqual(['\r\n', '\r\n'])
    expect(accepted[0]!.heard).toEqual([])
  })

  it('a frame above the bound closes its connection alone', async () => {
    await listening()
    const [big, other] = [await opened(), await opened()]
    big.send('x'.repeat(defaultLimits.frameBytesMax + 1))
    expect(await closed(big)).toBe(1009)
    await until(() => accepted[0]!.lost === 1)
    expect(accepted[0]!.heard).toEqual([])
    accepted[1]!.trust()
    other.send('x'.repeat(defaultLimits.frameBytesMax))
    await until(() => accepted[1]!.heard.length === 1)
  })

  it('a text frame that is not UTF-8 closes its connection alone', async () => {
    await listening()
    const [bad, other] = [await opened(), await opened()]
    bad.send(Buffer.from([0xff]), { binary: false })
    expect(await closed(bad)).toBe(1007)
    other.send('fine')
    await until(() => accepted[1]!.heard.length === 1)
  })

  it('a flood closes its connection alone, and what was within the rate was heard', async () => {
    await listening({ limits: { framesBurst: 20, framesPerSecond: 10 } })
    const [flood, other] = [await opened(), await opened()]
    accepted[0]!.trust()
    for (let n = 0; n < 500; n++) flood.send(`${n}`)
    expect(await closed(flood)).toBe(1008)
    await until(() => accepted[0]!.lost === 1)
    expect(accepted[0]!.heard).toHaveLength(20)
    other.send('fine')
    await until(() => accepted[1]!.heard.length === 1)
  })

  it('time earns further messages', async () => {
    await listening({ limits: { framesBurst: 2, framesPerSecond: 10 } })
    const socket = await opened()
    accepted[0]!.trust()
    for (const text of ['1', '2']) socket.send(text)
    await until(() => accepted[0]!.heard.length === 2)
    await clock.advance(200)
    for (const text of ['3', '4']) socket.send(text)
    await until(() => accepted[0]!.heard.length === 4)
    socket.send('5')
    expect(await closed(socket)).toBe(1008)
  })

  it('who does not read is cut off at the bound of unsent bytes', async () => {
    await listening({ limits: { unsentBytesMax: 262_144 } })
    const socket = await opened()
    socket.pause()
    const block = Buffer.alloc(65_000, 'x')
    await until(() => {
      accepted[0]!.send(block)
      return accepted[0]!.lost === 1
    })
  })
})

describe('a connection on which nobody has proven who they are', () => {
  it('sends shorter and fewer messages than a known one', async () => {
    await listening({ limits: { strangerFrameBytesMax: 100, strangerFramesBurst: 3, strangerFramesPerSecond: 1 } })
    const [long, many, known] = [await opened(), await opened(), await opened()]
    accepted[2]!.trust()
    long.send('x'.repeat(101))
    expect(await closed(long)).toBe(1009)
    for (let n = 0; n < 4; n++) many.send(`${n}`)
    expect(await closed(many)).toBe(1008)
    for (let n = 0; n < 4; n++) known.send('x'.repeat(101))
    await until(() => accepted[2]!.heard.length === 4)
    expect([accepted[0]!.heard.length, accepted[1]!.heard.length]).toEqual([0, 3])
  })

  it('gives way to the next one where there are too many, the oldest first; known ones stay', async () => {
    await listening({ limits: { strangersMax: 1 } })
    const known = await opened()
    accepted[0]!.trust()
    const oldest = await opened()
    const gone = closed(oldest)
    const newest = await opened()
    expect(await gone).toBe(1006)
    known.send('here')
    newest.send('here')
    await until(() => accepted[0]!.heard.length === 1 && accepted[2]!.heard.length === 1)
    expect(accepted.map(({ lost }) => lost)).toEqual([0, 1, 0])
  })
})

describe('keepalive', () => {
  it('a connection that answers pings stays', async () => {
    await listening()
    const socket = await opened()
    for (let n = 1; n <= 5; n++) {
      const pinged = once(socket, 'ping')
      await clock.advance(1_000)
      await pinged
      socket.send(`${n}`)
      await until(() => accepted[0]!.heard.length === n)
    }
    expect(accepted[0]!.lost).toBe(0)
  })

  it('a dead socket is found by two missed pongs', async () => {
    await listening()
    const [dead, other] = [await opened({ origin: pages, autoPong: false }), await opened()]
    const gone = closed(dead)
    for (let n = 0; n < 3; n++) {
      expect(accepted[0]!.lost).toBe(0)
      const pinged = once(other, 'ping')
      await clock.advance(1_000)
      await pinged
      other.send('here')
      await until(() => accepted[1]!.heard.length === n + 1)
    }
    expect(await gone).toBe(1006)
    await until(() => accepted[0]!.lost === 1)
    expect(accepted[1]!.lost).toBe(0)
  })

  it('closing ends every connection, once', async () => {
    await listening()
    const gone = closed(await opened())
    await sockets.close()
    expect(await gone).toBe(1001)
    expect(accepted[0]!.lost).toBe(1)
    expect(clock.timers).toBe(0)
  })
})
