// A mobile operator's SIP endpoint for demo, tests and certification: answers any number with an echo, places calls.

import { parseNameAddr, makeRequest, makeResponse, newCallId, newTag } from '../sip/message.ts'
import type { SipRequest } from '../sip/message.ts'
import { createUserAgent } from '../sip/call.ts'
import type { SipCall, UserAgent, UserAgentOptions } from '../sip/call.ts'
import type { ServerTransaction } from '../sip/stack.ts'
import type { Address, Listening } from '../sip/transport/transport.ts'
import { hostPort } from '../sip/transport/transport.ts'
import { parseUri, stripSeparators } from '../sip/uri.ts'
import type { Logger } from '../log.ts'
import { CallLog } from './call-log.ts'
import type { TextMessage } from './call-log.ts'
import { behaviourOf } from './numbers.ts'
import type { Behaviour } from './numbers.ts'
import { PhoneCall, reason } from './phone-call.ts'
import { openRtp } from './rtp.ts'
import { timerAsked } from './session-timer.ts'
import type { CodecName } from './tone.ts'
import { standardToneHz } from './tone.ts'

export const operatorLimits = {
  /** Live calls; more are answered 503. */
  callsMax: 1_000,
  /** Ended calls and text messages that are remembered, the oldest forgotten first. */
  historyMax: 1_000,
  /** From ringing to answer where a number just echoes. */
  ringMs: 100,
  /** From ringing to answer where a number answers late. */
  lateMs: 5_000,
  /** From early media to answer. */
  earlyMs: 2_000,
  /** From answer to BYE where a number hangs up. */
  hangUpMs: 3_000
} as const
export type OperatorLimits = { readonly [name in keyof typeof operatorLimits]: number }

/** The ring-back tone of Europe (ITU-T E.180): what early media plays. */
export const ringBackHz = 425

export interface OperatorOptions {
  /** Bound, and announced in Via, Contact and SDP. */
  readonly host?: string
  /** 0: any free port, the same for UDP and TCP where possible. */
  readonly port?: number
  readonly transports?: readonly ('udp' | 'tcp')[]
  /** In From of calls placed here. */
  readonly domain?: string
  readonly codecs?: readonly CodecName[]
  readonly limits?: Partial<OperatorLimits>
  readonly tap?: UserAgentOptions['tap']
  readonly timers?: UserAgentOptions['timers']
  readonly log?: Logger
  /** Hears of every call, in and out, when it begins. */
  readonly onCall?: (call: PhoneCall) => void
}

/** Where calls and messages of this operator go: the hub's address. */
export interface Towards extends Address {
  readonly transport: 'udp' | 'tcp'
}

export interface CallOptions {
  readonly to: Towards
  /** The calling number; the sandbox's own unless given. */
  readonly from?: string
  /** In the Request-URI; the host of `to` unless given. */
  readonly domain?: string
  /** What the caller plays; `null` echoes. 1000 Hz unless given. */
  readonly toneHz?: number | null
}

export interface TextOptions extends Omit<CallOptions, 'toneHz'> {
  /** Content-Type; plain text unless given. */
  readonly type?: string
}

export interface Operator {
  readonly listening: readonly Listening[]
  /** Live ones, in and out. */
  readonly calls: readonly PhoneCall[]
  /** Ended ones, the latest last. */
  readonly history: readonly PhoneCall[]
  readonly messages: readonly TextMessage[]
  start(): Promise<void>
  /** Ends live calls first. */
  close(): Promise<void>
  call(number: string, options: CallOptions): Promise<PhoneCall>
  /** A MESSAGE; the status of its answer, or what kept it from one. */
  sendText(number: string, text: string, options: TextOptions): Promise<number | 'timeout' | 'transport'>
}

const ownNumber = '+49301000000'

/** An operator that is not started yet. */
export const createOperator = (options: OperatorOptions = {}): Operator => new SandboxOperator(options)

class SandboxOperator implements Operator {
  readonly #options: OperatorOptions
  readonly #limits: OperatorLimits
  readonly #agent: UserAgent
  readonly #host: string
  readonly #domain: string
  readonly #log: CallLog
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(options: OperatorOptions) {
    const { host = '127.0.0.1', port = 0, transports = ['udp', 'tcp'], domain = 'operator.invalid' } = options
    this.#options = options
    this.#host = host
    this.#domain = domain
    this.#limits = { ...operatorLimits, ...options.limits }
    this.#log = new CallLog(this.#limits.historyMax)
    const { tap, timers, log } = options
    this.#agent = createUserAgent({
      listen: transports.map(transport => ({ transport, host, port })),
      userAgent: 'isthmus-sandbox-operator',
      supports: { contentTypes },
      limits: { callsMax: this.#limits.callsMax },
      ...(tap === undefined ? {} : { tap }),
      ...(timers === undefined ? {} : { timers }),
      ...(log === undefined ? {} : { log }),
      incoming: sip => void this.#incoming(sip),
      requested: tx => this.#requested(tx)
    })
  }

  get listening(): readonly Listening[] {
    return this.#agent.stack.listening
  }

  get calls(): readonly PhoneCall[] {
    return [...this.#log.live]
  }

  get history(): readonly PhoneCall[] {
    return this.#log.history
  }

  get messages(): readonly TextMessage[] {
    return this.#log.messages
  }

  async start(): Promise<void> {
    await this.#agent.start()
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const call of this.#log.live) call.hangUp()
    await this.#agent.close()
    await this.#log.closed()
  }

  async call(
    number: string,
    { to, from = ownNumber, domain, toneHz = standardToneHz }: CallOptions
  ): Promise<PhoneCall> {
    const media = await openRtp(this.#media())
    const call = await PhoneCall.place(this.#agent, media, {
      number,
      to,
      uri: phoneUri(number, domain ?? hostPort(to)),
      from: `<${phoneUri(from, this.#domain)}>`,
      headers: [{ name: 'P-Asserted-Identity', value: `<${phoneUri(from, this.#domain)}>` }],
      play: toneHz === null ? { what: 'echo' } : { what: 'tone', hz: toneHz },
      ...(this.#options.log === undefined ? {} : { log: this.#options.log })
    })
    this.#remember(call)
    return call
  }

  sendText(number: string, text: string, options: TextOptions): Promise<number | 'timeout' | 'transport'> {
    const { to, from = ownNumber, domain, type = 'text/plain;charset=UTF-8' } = options
    const uri = phoneUri(number, domain ?? hostPort(to))
    const request = makeRequest({
      method: 'MESSAGE',
      uri,
      headers: [
        ['From', `<${phoneUri(from, this.#domain)}>;tag=${newTag()}`],
        ['To', `<${uri}>`],
        ['Call-ID', newCallId()],
        ['CSeq', '1 MESSAGE'],
        ['Content-Type', type]
      ],
      body: text
    })
    return new Promise(resolve => {
      this.#agent.stack.send(request, to, {
        response: ({ status }) => {
          if (status >= 200) resolve(status)
        },
        failed: why => resolve(why)
      })
    })
  }

  #media(): { readonly host: string; readonly codecs?: readonly CodecName[] } {
    const { codecs } = this.#options
    return codecs === undefined ? { host: this.#host } : { host: this.#host, codecs }
  }

  async #incoming(sip: SipCall): Promise<void> {
    const number = numberOf(sip.invite)
    const behaviour = behaviourOf(number)
    const timer = timerAsked(sip.invite)
    if (timer.asks === 'too-short') return sip.refuse(422, { headers: timer.headers })
    if (/^\+[0-9]{0,2}$/.test(number)) return sip.refuse(484)
    try {
      const call = PhoneCall.incoming(sip, number, await openRtp(this.#media()), this.#options.log ?? null)
      this.#remember(call)
      await this.#behave(call, behaviour)
    } catch (error) {
      this.#options.log?.error({ err: error, number }, 'sandbox operator: a call could not be taken')
      sip.refuse(500)
    }
  }

  async #behave(call: PhoneCall, behaviour: Behaviour): Promise<void> {
    const { ringMs, lateMs, earlyMs, hangUpMs } = this.#limits
    switch (behaviour.does) {
      case 'refuse':
        return call.refuse(behaviour.status)
      case 'no-answer':
        return call.ring()
      case 'early-media':
        await call.progress({ what: 'tone', hz: ringBackHz })
        return this.#after(earlyMs, call, () => void call.answer({ what: 'echo' }))
      case 'answer-late':
      case 'echo':
      case 'hang-up':
        call.ring()
        return this.#after(behaviour.does === 'answer-late' ? lateMs : ringMs, call, () => {
          void call.answer({ what: 'echo' })
          if (behaviour.does === 'hang-up') {
            this.#after(hangUpMs, call, () => call.hangUp(reason(200, 'Call completed')))
          }
        })
      default:
        return behaviour satisfies never
    }
  }

  /** Runs unless the call is over by then. */
  #after(ms: number, call: PhoneCall, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (call.state !== 'over') run()
    }, ms)
    this.#timers.add(timer)
  }

  #remember(call: PhoneCall): void {
    void this.#log.follow(call)
    this.#options.onCall?.(call)
  }

  #requested(tx: ServerTransaction): void {
    const { request } = tx
    if (request.method === 'MESSAGE') {
      const from = parseNameAddr(request.headers.get('From') ?? '')?.uri ?? ''
      this.#log.take({
        from,
        to: numberOf(request),
        type: request.headers.get('Content-Type') ?? '',
        text: request.body.toString()
      })
    }
    const known = request.method === 'MESSAGE' || request.method === 'OPTIONS'
    tx.respond(makeResponse(request, known ? 200 : 405, { toTag: tx.localTag, headers: [['Allow', allow]] }))
  }
}

/** Of requests; what else must be understood is 415. */
const contentTypes = [
  'application/sdp',
  'application/dtmf-relay',
  'application/dtmf',
  'application/im-iscomposing+xml'
].concat(['multipart/*', 'message/*', 'text/*'])
const allow = 'INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, MESSAGE, OPTIONS'

const phoneUri = (number: string, domain: string): string => `sip:${number}@${domain};user=phone`

/** The number in the Request-URI, without visual separators; the user part as it is where it is no number. */
export function numberOf({ uri }: SipRequest): string {
  const parsed = parseUri(uri)
  if (parsed === null || parsed.scheme === 'urn') return uri
  if (parsed.scheme === 'tel') return parsed.number
  const user = parsed.user?.split(';')[0] ?? ''
  return /^[+0-9]/.test(user) ? (stripSeparators(user) ?? user) : user
}
