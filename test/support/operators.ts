// Operators around a whole hub, told apart by address (everything 127/8 is this machine), and phones of theirs.

import { createUserAgent } from '../../src/sip/call.ts'
import type { CallEnd, CallHandler, SipCall, UserAgent } from '../../src/sip/call.ts'
import type { SipMessage, SipRequest, SipResponse } from '../../src/sip/message.ts'
import { until } from './until.ts'

/** `north` and `south` call each other; `west` has no agreement with anybody, the last is no operator. */
export const hosts = { north: '127.0.0.2', south: '127.0.0.3', west: '127.0.0.4', stranger: '127.0.0.9' } as const
export type OperatorId = 'north' | 'south' | 'west'

export const numbers = {
  north: '+33145678900',
  south: '+4930123456',
  west: '+12125550123',
  /** Served by `south`, without a rate. */
  unpriced: '+498912345678',
  nobody: '+81312345678'
} as const

const limits = { waitMs: 60_000 } as const

const operator = (id: OperatorId, port: number, prefix: string, more: Readonly<Record<string, unknown>> = {}) => ({
  id,
  address: { host: hosts[id], port, transport: 'udp' },
  trust: 'network',
  ioi: `${id}.example`,
  routes: [{ prefix }],
  keepaliveMs: 0,
  ...more
})

export interface OperatorsOptions {
  /** Where phones listen. */
  readonly ports?: { readonly [id in OperatorId]?: number }
  readonly north?: Readonly<Record<string, unknown>>
  readonly south?: Readonly<Record<string, unknown>>
}

/** The part of a hub's configuration that is about operators and agreements; media is not anchored. */
export function operators({ ports = {}, north = {}, south = {} }: OperatorsOptions = {}): Record<string, unknown> {
  const rate = (prefix: string, amount: string) => ({ prefix, destination: 'Germany', rate: amount })
  return {
    media: { anchor: 'none' },
    operators: [
      operator('north', ports.north ?? 5060, '+33', north),
      operator('south', ports.south ?? 5060, '+49', south),
      operator('west', ports.west ?? 5060, '+1')
    ],
    agreements: [
      { id: 'north-hub', buyer: 'north', seller: 'hub', rates: [rate('+', '0.06')] },
      { id: 'hub-south', buyer: 'hub', seller: 'south', rates: [rate('+4930', '0.03')] },
      { id: 'south-hub', buyer: 'south', seller: 'hub', rates: [rate('+', '0.06')] },
      { id: 'hub-north', buyer: 'hub', seller: 'north', rates: [rate('+', '0.03')] }
    ]
  }
}

export const sdpAt = (host: string, port = 6_000): string =>
  [
    'v=0',
    `o=ims 1 1 IN IP4 ${host}`,
    's=-',
    `c=IN IP4 ${host}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 8 101`,
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:101 telephone-event/8000',
    'a=sendrecv',
    ''
  ].join('\r\n')

/** A call and what became of it, as the phone saw it. */
export interface Placed {
  readonly call: SipCall
  readonly statuses: number[]
  answered: SipResponse | null
  ended: CallEnd | null
}

export interface Phone {
  readonly host: string
  readonly port: number
  readonly agent: UserAgent
  /** Calls that came in, in order. */
  readonly calls: readonly Placed[]
  /** Every message in, in order. */
  readonly heard: readonly SipMessage[]
  /** Calls a number through the hub at that port. */
  call(number: string, hubPort: number, more?: CallHandler, caller?: string): Placed
  close(): Promise<void>
}

export interface PhoneOptions {
  readonly host: string
  /** What it does with a call. Default: rings and answers. */
  readonly incoming?: (call: SipCall) => void
}

const follow = (call: SipCall, more: CallHandler = {}): Placed => {
  const placed: Placed = { call, statuses: [], answered: null, ended: null }
  call.on = {
    reoffered: reoffer => reoffer.answer({ body: sdpAt(hosts.south, 6_100) }),
    ...more,
    provisional: provisional => {
      placed.statuses.push(provisional.response.status)
      more.provisional?.(provisional)
    },
    answered: (response, needsAnswer) => {
      placed.answered = response
      more.answered?.(response, needsAnswer)
    },
    ended: end => {
      placed.ended = end
      more.ended?.(end)
    }
  }
  return placed
}

/** A phone that answers by itself what comes to its address. */
export async function startPhone({ host, incoming }: PhoneOptions): Promise<Phone> {
  const calls: Placed[] = []
  const heard: SipMessage[] = []
  const answer = (call: SipCall): void => {
    call.ring()
    call.answer({ body: sdpAt(host) })
  }
  const agent = createUserAgent({
    listen: [{ transport: 'udp', host, port: 0 }],
    tap: (direction, message) => {
      if (direction === 'in') heard.push(message)
    },
    incoming: call => {
      calls.push(follow(call))
      ;(incoming ?? answer)(call)
    }
  })
  await agent.start()
  return {
    host,
    port: agent.stack.listening[0]?.port ?? 0,
    agent,
    calls,
    heard,
    call: (number, hubPort, more, caller = numbers.north) =>
      follow(
        agent.place({
          uri: `sip:${number}@127.0.0.1:${hubPort};user=phone`,
          to: { transport: 'udp', host: '127.0.0.1', port: hubPort },
          from: `<sip:${caller}@${host};user=phone>`,
          headers: [{ name: 'P-Asserted-Identity', value: `<sip:${caller}@${host};user=phone>` }],
          body: sdpAt(host),
          on: {}
        }),
        more
      ),
    close: () => agent.close()
  }
}

/** Waits for the answer; throws with how it ended where none comes. */
export async function answered(placed: Placed): Promise<void> {
  await until(() => placed.answered !== null || placed.ended !== null, limits.waitMs)
  if (placed.answered === null) throw new Error(`not answered: ${describeEnd(placed)}`)
}

/** How it ended, waited for. */
export async function ended(placed: Placed): Promise<CallEnd> {
  await until(() => placed.ended !== null, limits.waitMs)
  return placed.ended!
}

/** The refusal of a call: status, phrase, Reason. */
export async function refusal(placed: Placed): Promise<{ status: number; phrase: string; reason: string }> {
  const { how, message } = await ended(placed)
  if (how !== 'refused' || message?.kind !== 'response') throw new Error(`not refused: ${describeEnd(placed)}`)
  return { status: message.status, phrase: message.reason, reason: message.headers.get('Reason') ?? '' }
}

const describeEnd = ({ ended: end, statuses }: Placed): string => {
  const message: SipRequest | SipResponse | null = end?.message ?? null
  const what = message === null ? '' : message.kind === 'response' ? message.status : message.method
  return `${end?.how ?? 'still open'} ${what}, after ${statuses.join(' ')}`
}
