// The embedded engine under test: on loopback with short timers, with a raw control client.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { pino } from 'pino'
import { createEngine } from '../../src/sip/engine/engine.ts'
import type { Engine, EngineOptions } from '../../src/sip/engine/engine.ts'
import { frameOf, FrameReader, payloadOf } from '../../src/sip/engine/framing.ts'
import type { SipTimers } from '../../src/sip/ports.ts'
import { until } from './until.ts'

export const secret = 'cymru'
/** Everything that waits 64*T1 waits 1.28 s. */
export const fast: Partial<SipTimers> = { T1: 20, T2: 80, T4: 100, D: 200 }
export const quiet = pino({ level: 'silent' })

export const localUdp = { transport: 'udp', host: '127.0.0.1', port: 0 } as const
export const localTcp = { transport: 'tcp', host: '127.0.0.1', port: 0 } as const

export async function startEngine(over: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = createEngine({
    control: { host: '127.0.0.1', port: 0, secret },
    listen: [localUdp, localTcp],
    timers: fast,
    log: quiet,
    ...over,
    // A busy machine is not what these tests are about.
    limits: { lagMsMax: 60_000, ...over.limits }
  })
  await engine.start()
  return engine
}

export const portOf = (engine: Engine, transport: 'udp' | 'tcp' | 'tls' = 'udp'): number =>
  engine.listening.find(own => own.transport === transport)?.port ?? 0

export interface Frame {
  readonly tokens: readonly string[]
  readonly message: string
}

/** Speaks the control protocol by hand. */
export class RawApp {
  readonly frames: Frame[] = []
  closed = false
  readonly socket: Socket
  readonly #reader = new FrameReader()
  #ids = 0

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, noDelay: true })
    this.socket.on('error', () => undefined)
    this.socket.on('close', () => {
      this.closed = true
    })
    this.socket.on('data', chunk => {
      const sound = this.#reader.push(chunk, payload => {
        const { tokens, message } = payloadOf(payload)
        this.frames.push({ tokens, message: message.toString() })
        return true
      })
      if (!sound) throw new Error('the engine broke its framing')
    })
  }

  /** Authenticated and serving these methods. */
  static async open(engine: Engine, ...methods: readonly string[]): Promise<RawApp> {
    const app = new RawApp(engine.control.port)
    for (const command of [`authenticate|${secret}|`, ...methods.map(method => `route|${method}`)]) {
      const { tokens } = await app.ask(command)
      if (tokens[3] !== 'OK') throw new Error(tokens.join('|'))
    }
    return app
  }

  /** Sends a command; its message id. */
  send(command: string, message = ''): string {
    const id = `m${++this.#ids}`
    this.socket.write(frameOf(`${id}|${command}`, Buffer.from(message)))
    return id
  }

  /** Sends a command and waits for its answer. */
  async ask(command: string, message = ''): Promise<Frame> {
    const id = this.send(command, message)
    return this.frame(({ tokens }) => tokens[1] === 'response' && tokens[2] === id)
  }

  /** The first frame that fits, taken out. */
  async frame(fits: (frame: Frame) => boolean): Promise<Frame> {
    await until(() => this.frames.some(fits))
    return this.frames.splice(this.frames.findIndex(fits), 1)[0]!
  }

  /** The next SIP message whose start line begins so. */
  sip(start: string): Promise<Frame> {
    return this.frame(({ tokens, message }) => tokens[1] === 'sip' && message.startsWith(start))
  }

  close(): void {
    this.socket.destroy()
  }
}

export const sdp = (version = 1, direction = 'sendrecv'): string =>
  [
    'v=0',
    `o=- 1 ${version} IN IP4 127.0.0.1`,
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    'm=audio 4000 RTP/AVP 8',
    'a=rtpmap:8 PCMA/8000',
    `a=${direction}`,
    ''
  ].join('\r\n')
