// Two user agents and the way between them, with everything that each of them hears written down.

import { createUserAgent } from '../../src/sip/call.ts'
import type {
  CallEnd,
  CallHandler,
  PlaceOptions,
  Provisional,
  Reoffer,
  ReofferResult,
  SipCall,
  UserAgent,
  UserAgentOptions
} from '../../src/sip/call.ts'
import type { SipMessage, SipRequest, SipResponse } from '../../src/sip/message.ts'
import type { ServerTransaction } from '../../src/sip/stack.ts'
import type { AdoptedFlow, Destination } from '../../src/sip/transport/transport.ts'
import { fast } from './engine.ts'
import { nameOf } from './sip-wire.ts'
import { until } from './until.ts'

export const offer = 'v=0\r\no=offer\r\n'
export const answer = 'v=0\r\no=answer\r\n'

/** A call and what was told about it. */
export class Heard {
  call!: SipCall
  readonly provisionals: Provisional[] = []
  readonly answers: { readonly response: SipResponse; readonly needsAnswer: boolean }[] = []
  readonly acks: SipRequest[] = []
  readonly pracks: SipRequest[] = []
  readonly reoffers: Reoffer[] = []
  readonly withdrawn: Reoffer[] = []
  readonly requests: ServerTransaction[] = []
  readonly ends: CallEnd[] = []

  handler(over: CallHandler = {}): CallHandler {
    return {
      provisional: provisional => this.#provisional(provisional),
      answered: (response, needsAnswer) => void this.answers.push({ response, needsAnswer }),
      acknowledged: ack => void this.acks.push(ack),
      reoffered: reoffer => void this.reoffers.push(reoffer),
      withdrawn: reoffer => void this.withdrawn.push(reoffer),
      ended: end => void this.ends.push(end),
      ...over
    }
  }

  /** Each once: on UDP an INVITE sent again brings the last one again. */
  #provisional(provisional: Provisional): void {
    const { response, tag } = provisional
    const rseq = response.headers.get('RSeq')
    const known = this.provisionals.some(
      other =>
        other.tag === tag && other.response.status === response.status && other.response.headers.get('RSeq') === rseq
    )
    if (!known) this.provisionals.push(provisional)
  }

  async ended(): Promise<string> {
    await until(() => this.ends.length > 0)
    const [end] = this.ends
    const { message } = end!
    return `${end!.how} by ${end!.by}${message === null ? '' : `: ${nameOf(message)}`}`
  }
}

export interface Side {
  readonly agent: UserAgent
  /** Calls that came in, each with what it heard. */
  readonly incoming: Heard[]
  readonly log: { readonly direction: 'in' | 'out'; readonly message: SipMessage }[]
}

export interface Pair {
  readonly a: Side
  readonly b: Side
  /** The way from `a` to `b`. */
  readonly to: Destination
  place(options?: Partial<PlaceOptions>): Heard
  /** Places a call and waits until `b` has it. */
  ringing(options?: Partial<PlaceOptions>): Promise<{ caller: Heard; callee: Heard }>
  /** An answered call, acknowledged. */
  talking(options?: Partial<PlaceOptions>): Promise<{ caller: Heard; callee: Heard }>
  close(): Promise<void>
}

export type PairTransport = 'udp' | 'tcp' | 'ws'

export function startSide(transport: PairTransport, over: Partial<UserAgentOptions> = {}): Side {
  const incoming: Heard[] = []
  const log: Side['log'] = []
  const agent = createUserAgent({
    listen: transport === 'ws' ? [] : [{ transport, host: '127.0.0.1', port: 0 }],
    timers: fast,
    tap: (direction, message) => void log.push({ direction, message }),
    incoming: call => {
      const heard = new Heard()
      heard.call = call
      call.on = heard.handler()
      incoming.push(heard)
    },
    ...over,
    limits: { closingMs: 100, ...over.limits }
  })
  return { agent, incoming, log }
}

/** Two flows that are each other's wire; frames arrive in a later turn, as from a socket. */
function join(a: Side, b: Side): AdoptedFlow {
  const ends: AdoptedFlow[] = []
  const end = (side: Side, other: number): AdoptedFlow =>
    side.agent.stack.adopt({
      transport: 'ws',
      local: { host: 'local.invalid', port: 80 },
      remote: { host: 'remote.invalid', port: 80 },
      peerId: null,
      send: bytes => void setImmediate(() => ends[other]?.receive(bytes)),
      close: () => ends[other]?.lost()
    })
  ends.push(end(a, 1), end(b, 0))
  return ends[0]!
}

export async function startPair(
  transport: PairTransport,
  overA: Partial<UserAgentOptions> = {},
  overB: Partial<UserAgentOptions> = {}
): Promise<Pair> {
  const a = startSide(transport, overA)
  const b = startSide(transport, overB)
  await a.agent.start()
  await b.agent.start()
  const port = b.agent.stack.listening[0]?.port ?? 0
  const to: Destination = transport === 'ws' ? { flow: join(a, b) } : { transport, host: '127.0.0.1', port }
  const place = (options: Partial<PlaceOptions> = {}): Heard => {
    const heard = new Heard()
    const { on, ...rest } = options
    heard.call = a.agent.place({
      uri: 'sip:bob@example.org',
      from: '"Alice" <sip:alice@example.org>',
      to,
      body: offer,
      ...rest,
      on: heard.handler(on)
    })
    return heard
  }
  const ringing: Pair['ringing'] = async options => {
    const known = b.incoming.length
    const caller = place(options)
    await until(() => b.incoming.length > known)
    return { caller, callee: b.incoming[known]! }
  }
  return {
    a,
    b,
    to,
    place,
    ringing,
    talking: async options => {
      const { caller, callee } = await ringing(options)
      callee.call.answer({ body: answer })
      await until(() => callee.acks.length === 1)
      return { caller, callee }
    },
    close: async () => {
      await a.agent.close()
      await b.agent.close()
    }
  }
}

/** What became of a re-offer. */
export class Outcome implements ReofferResult {
  response: SipResponse | null = null
  ack: ((parts?: { body?: string }) => void) | null = null
  state: 'waiting' | 'answered' | 'refused' = 'waiting'

  answered(response: SipResponse, ack: ((parts?: { body?: string }) => void) | null): void {
    this.response = response
    this.ack = ack
    this.state = 'answered'
  }

  refused(response: SipResponse | null): void {
    this.response = response
    this.state = 'refused'
  }

  async settled(): Promise<string> {
    await until(() => this.state !== 'waiting')
    return `${this.state} ${this.response?.status ?? 'here'}`
  }
}

/** What went over the wire at one side, as `out INVITE`, `in 200 INVITE`; each once, since UDP may send it again. */
export const ladder = ({ log }: Side): readonly string[] => [
  ...new Set(log.map(({ direction, message }) => `${direction} ${nameOf(message)}`))
]
