// drachtio-srf joined to the SIP engine of this process. It keeps its books (requests, answers, transactions) over a
// connection in memory, on which stands of each message what it looks at; the message itself goes past it, parsed once.

import { createServer, Socket } from 'node:net'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { CommandEnd, Joinable, Link, Told } from '../sip/link.ts'
import type { Parsed, SipMessage } from '../sip/message.ts'
import type { Lines } from './headers.ts'
import type { Origin, SrfLike, SrfParts, SrfPort, SrfResponse } from './srf-types.ts'

export interface MemoryOptions {
  readonly engine: Joinable
  readonly methods: readonly string[]
  readonly log: Logger
}

/** What goes past srf to the engine. */
interface Carried {
  readonly headers: Lines
  readonly body: string
  /** Null: srf waits for the engine's word. */
  readonly end: CommandEnd | null
}

/** srf takes nothing else for a connection than a socket; this one belongs to nothing outside. */
class MemorySocket extends Socket {
  readonly #obey: (frame: string) => void
  readonly #ended: () => void

  constructor(obey: (frame: string) => void, ended: () => void) {
    super()
    this.#obey = obey
    this.#ended = ended
  }

  /** Always a whole frame. What srf wants to be called for afterwards is a line of its debug log. */
  override write(frame: string): boolean {
    this.#obey(frame)
    return true
  }

  override end(): this {
    this.#ended()
    return this.destroy()
  }
}

export class MemoryPort implements SrfPort {
  /** The engine never leaves a command or a transaction without an end. */
  readonly guarded = false
  readonly #options: MemoryOptions
  readonly #socket = new MemorySocket(
    frame => this.#obey(frame),
    () => this.#link?.close()
  )
  #srf: SrfLike | null = null
  #link: Link | null = null
  /** While srf hands it up. */
  #heard: SipMessage | null = null
  #origin: Origin = nowhere
  #carried: Carried = nothing

  constructor(options: MemoryOptions) {
    this.#options = options
  }

  connect(srf: SrfLike): void {
    const { engine, methods } = this.#options
    this.#srf = srf
    const server = createServer()
    srf.listen({ server, secret: '' })
    this.#link = engine.join(
      {
        heard: (message, told) => {
          this.#origin = originOf(told)
          this.#hear(message, 'network', told.txn, told.dialog)
        },
        ended: (request, dialog, [, { host, port }]) => {
          this.#origin = { address: host, port, peerId: null }
          this.#hear(request, 'application', 'unsolicited', dialog)
        }
      },
      methods
    )
    server.emit('connection', this.#socket)
  }

  close(): void {}

  read(): Parsed {
    const message = this.#heard
    return message === null ? notHeard : { ok: true, message }
  }

  origin(): Origin {
    return this.#origin
  }

  request(headers: Lines, body: string): SrfParts {
    this.#carried = { headers, body, end: null }
    return {}
  }

  acknowledgement(headers: Lines, body: string): SrfParts {
    this.#carried = { headers, body, end: nobody }
    return {}
  }

  answer(response: SrfResponse, headers: Lines, body: string, failed: ((why: string) => void) | undefined): void {
    this.#carried = { headers, body, end: failed === undefined ? nobody : { failed } }
    response.agent.sendResponse(response, {})
  }

  #hear(message: SipMessage, source: 'network' | 'application', txn: string, dialog: string): void {
    this.#heard = message
    this.#tell(`sip|${source}||||||${txn}|${dialog}`, headOf(message))
    this.#heard = null
  }

  #tell(meta: string, head: string): void {
    try {
      this.#srf?.app.client.wp.emit('msg', this.#socket, `x|${meta}\r\n${head}`)
    } catch (error) {
      this.#options.log.error({ error: messageOf(error) }, 'NNI: drachtio-srf failed')
    }
  }

  /** `<length>#<id>|sip|<txn>|<dialog>[|<next hop>]`, and the message; anything else srf only wants to see accepted. */
  #obey(frame: string): void {
    const lineEnd = frame.indexOf('\r\n')
    const meta = frame.slice(frame.indexOf('#') + 1, lineEnd < 0 ? frame.length : lineEnd)
    const [id = '', verb, txn = '', dialog = '', nextHop = ''] = meta.split('|')
    if (verb !== 'sip') return queueMicrotask(() => this.#tell(`response|${id}|OK|memory`, ''))
    const { headers, body, end: own } = this.#carried
    this.#carried = nothing
    const start = frame.slice(lineEnd + 2, frame.indexOf('\r\n', lineEnd + 2))
    const end = own ?? this.#endOf(id, start)
    if (start.startsWith('SIP/2.0 ')) {
      const status = Number(start.slice(8, 11))
      this.#link?.answer(txn, { status, reason: start.slice(12), headers, body }, end)
      return
    }
    const [method = '', uri = ''] = start.split(' ')
    this.#link?.send({ method, uri, headers, body, txn, dialog, nextHop }, end)
  }

  #endOf(id: string, start: string): CommandEnd {
    return {
      sent: txn => this.#tell(`response|${id}|OK|application|0|||||${txn}`, start),
      failed: why => this.#tell(`response|${id}|NOK|${why.replaceAll(/[|\r\n]/g, ' ')}`, start)
    }
  }
}

const nobody: CommandEnd = {}
const nothing: Carried = { headers: {}, body: '', end: nobody }
const nowhere: Origin = { address: '', port: 0, peerId: null }
const notHeard: Parsed = { ok: false, status: null, reason: 'nothing was heard', request: null }

function originOf({ flow, opening }: Told): Origin {
  if (flow === null) return nowhere
  const { host, port } = flow.remote
  return { address: host, port, peerId: opening === true ? flow.peerId : null }
}

/** Of an answer srf wants the status, and whether it asks for PRACK; of a request the method, of some the call too. */
function headOf(message: SipMessage): string {
  const { headers } = message
  if (message.kind === 'response') {
    const rseq = message.status < 200 ? headers.get('RSeq') : undefined
    return rseq === undefined ? `SIP/2.0 ${message.status}` : `SIP/2.0 ${message.status}\r\nRSeq: ${rseq}`
  }
  const { method, uri } = message
  const start = `${method} ${uri} SIP/2.0`
  return ofCall.has(method) ? `${start}\r\nCall-ID: ${headers.get('Call-ID') ?? ''}` : start
}
const ofCall: ReadonlySet<string> = new Set(['INVITE', 'CANCEL', 'UPDATE'])
