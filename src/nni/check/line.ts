// What the probes of `isthmus nni check` speak through: requests and calls to one peer, every wait bounded.

import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { createUserAgent } from '../../sip/call.ts'
import type { CallEnd, Provisional, Reoffer, SipCall, UserAgent, UserAgentOptions } from '../../sip/call.ts'
import type { Parts } from '../../sip/dialog.ts'
import { makeRequest, newCallId, newTag } from '../../sip/message.ts'
import type { HeaderLine, SipRequest, SipResponse } from '../../sip/message.ts'
import type { TransportName } from '../../sip/transport/transport.ts'
import type { RemoteDestination } from '../../sip/transport/transport.ts'
import { parseUri } from '../../sip/uri.ts'

/** Whom to probe, and as whom. */
export interface CheckTarget {
  readonly name: string
  /** A SIP URI: where everything goes. */
  readonly nextHop: string
  /** In Request-URI and To. */
  readonly domain: string
  readonly numbers: CheckNumbers
  readonly agreed: Agreed
}

/** Null: what needs one is not shown. */
export interface CheckNumbers {
  readonly from: string
  /** Rings and answers. */
  readonly answers: string | null
  /** Rings for so long that CANCEL comes first. */
  readonly rings: string | null
  /** Plays something before it answers. */
  readonly early: string | null
}

/** What was agreed with the peer; null: nobody knows, so that both ways are right. */
export interface Agreed {
  readonly message: boolean | null
  readonly info: boolean | null
  readonly telUri: boolean | null
  readonly ioi: boolean | null
  /** Names and static or dynamic payload types of the offer, best first. */
  readonly codecs: readonly OfferedCodec[]
}

export interface OfferedCodec {
  readonly payloadType: number
  readonly rtpmap: string
  readonly fmtp?: string
}

export type Answered = { readonly response: SipResponse; readonly transport: TransportName; readonly ms: number }

export interface LineOptions {
  readonly target: CheckTarget
  readonly agent: Omit<UserAgentOptions, 'incoming' | 'requested'>
  /** The address that media is bound to and announced at. */
  readonly mediaHost: string
  /** In From and P-Asserted-Identity. */
  readonly domain: string
  readonly waitMs: number
}

export interface RequestParts extends Parts {
  readonly uri?: string
  readonly transport?: TransportName
}

/** One agent and one RTP port for all probes. */
export class Line {
  readonly target: CheckTarget
  readonly waitMs: number
  readonly #options: LineOptions
  readonly #agent: UserAgent
  readonly #rtp: Socket
  #to: RemoteDestination | null = null
  #packets = 0
  #version = 0

  constructor(options: LineOptions) {
    this.#options = options
    this.target = options.target
    this.waitMs = options.waitMs
    this.#agent = createUserAgent({ ...options.agent, userAgent: 'isthmus-check' })
    this.#rtp = createSocket(options.mediaHost.includes(':') ? 'udp6' : 'udp4')
    this.#rtp.on('message', () => this.#packets++)
    // ICMP errors for packets to a port that is closed already.
    this.#rtp.on('error', () => undefined)
  }

  /** Rejects with HUB_LISTEN or HUB_DNS; then nothing stays open. */
  async start(): Promise<void> {
    await this.#agent.start()
    this.#rtp.bind(0, this.#options.mediaHost)
    await once(this.#rtp, 'listening')
    const uri = parseUri(this.target.nextHop)
    if (uri === null || uri.scheme === 'tel' || uri.scheme === 'urn')
      throw new Error(`${this.target.nextHop}: no place`)
    const [place] = await this.#agent.stack.locate(uri)
    if (place === undefined) throw new Error(`${this.target.nextHop} leads nowhere`)
    this.#to = place
  }

  async close(): Promise<void> {
    await this.#agent.close()
    await new Promise<void>(closed => this.#rtp.close(() => closed()))
  }

  /** Of the peer's address. */
  get place(): RemoteDestination {
    if (this.#to === null) throw new Error('the line has not been started')
    return this.#to
  }

  /** RTP packets that have come so far, of whatever call. */
  get packets(): number {
    return this.#packets
  }

  numberUri(number: string): string {
    return `sip:${number}@${this.target.domain};user=phone`
  }

  /** A request outside any dialog that is no call. */
  request(method: string, parts: RequestParts = {}): Promise<Answered | 'timeout' | 'transport'> {
    const { uri = `sip:${this.target.domain}`, transport, headers = [], body, contentType } = parts
    const from = this.numberOf()
    const own = (name: string): boolean => headers.some(line => line.name.toLowerCase() === name)
    const request = makeRequest({
      method,
      uri,
      headers: [
        ['From', `<${from}>;tag=${newTag()}`],
        ...(own('to') ? [] : ([['To', `<${uri}>`]] as const)),
        ['Call-ID', newCallId()],
        ['CSeq', `1 ${method}`],
        ...headers.map(({ name, value }) => [name, value] as const),
        ...(contentType === undefined ? [] : ([['Content-Type', contentType]] as const))
      ],
      ...(body === undefined ? {} : { body })
    })
    const begun = performance.now()
    const to = transport === undefined ? this.place : { ...this.place, transport }
    return new Promise(resolve => {
      const timer = setTimeout(() => resolve('timeout'), this.waitMs)
      const done = (what: Answered | 'timeout' | 'transport'): void => {
        clearTimeout(timer)
        resolve(what)
      }
      this.#agent.stack.send(request, to, {
        response: (response, flow) => {
          const ms = Math.round(performance.now() - begun)
          if (response.status >= 200) done({ response, transport: flow.transport, ms })
        },
        failed: done
      })
    })
  }

  numberOf(): string {
    return `sip:${this.target.numbers.from}@${this.#options.domain};user=phone`
  }

  /** Our offer or answer, a new version each time. */
  sdp(direction = 'sendrecv', codecs: readonly OfferedCodec[] = this.target.agreed.codecs): string {
    this.#version++
    const { mediaHost: host } = this.#options
    const family = host.includes(':') ? 'IP6' : 'IP4'
    return [
      'v=0',
      `o=check 1 ${this.#version} IN ${family} ${host}`,
      's=-',
      `c=IN ${family} ${host}`,
      't=0 0',
      `m=audio ${this.#rtp.address().port} RTP/AVP ${codecs.map(({ payloadType }) => payloadType).join(' ')}`,
      ...codecs.flatMap(({ payloadType, rtpmap, fmtp }) => [
        `a=rtpmap:${payloadType} ${rtpmap}`,
        ...(fmtp === undefined ? [] : [`a=fmtp:${payloadType} ${fmtp}`])
      ]),
      'a=ptime:20',
      `a=${direction}`,
      ''
    ].join('\r\n')
  }

  /** `body` '': no offer. */
  call(
    number: string,
    parts: RequestParts & { readonly requireReliable?: boolean; readonly from?: string } = {}
  ): TestCall {
    const { uri = this.numberUri(number), from = `<${this.numberOf()}>`, body = this.sdp(), transport, ...rest } = parts
    const to = transport === undefined ? this.place : { ...this.place, transport }
    const call = new TestCall(this.waitMs)
    call.begin(handler =>
      this.#agent.place({ ...rest, uri, to, from, delayPrack: true, on: handler, ...(body === '' ? {} : { body }) })
    )
    return call
  }

  /** Twenty packets of silence to where a description says, so that its side has something to answer. */
  speak(sdp: string): void {
    const host = /^c=IN IP[46] (\S+)/m.exec(sdp)?.[1]
    const [, port, type] = /^m=audio (\d+) \S+ (\d+)/m.exec(sdp) ?? []
    if (host === undefined || port === undefined) return
    for (let sequence = 0; sequence < 20; sequence++) {
      const packet = Buffer.alloc(172, 0xd5)
      packet.writeUInt8(0x80, 0)
      packet.writeUInt8(Number(type), 1)
      packet.writeUInt16BE(sequence, 2)
      packet.writeUInt32BE(sequence * 160, 4)
      packet.writeUInt32BE(0x15_7e_57, 8)
      this.#rtp.send(packet, Number(port), host, () => undefined)
    }
  }

  /** Waits for something that comes by itself. */
  async until(holds: () => boolean, ms = this.waitMs): Promise<boolean> {
    for (const end = Date.now() + ms; Date.now() < end;) {
      if (holds()) return true
      await new Promise(next => setTimeout(next, 10))
    }
    return holds()
  }
}

/** A call that remembers what it was told. */
export class TestCall {
  readonly provisionals: Provisional[] = []
  accepted: SipResponse | null = null
  ended: CallEnd | null = null
  readonly #waitMs: number
  #call: SipCall | null = null
  readonly #waiting = new Set<() => void>()

  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  begin(place: (on: SipCall['on']) => SipCall): void {
    this.#call = place({
      provisional: provisional => {
        this.provisionals.push(provisional)
        this.#changed()
      },
      answered: response => {
        this.accepted = response
        this.#changed()
      },
      reoffered: (reoffer: Reoffer) => (reoffer.hasSdp ? reoffer.refuse(488) : reoffer.answer()),
      ended: end => {
        this.ended = end
        this.#changed()
      }
    })
  }

  get sip(): SipCall {
    if (this.#call === null) throw new Error('the call has not begun')
    return this.#call
  }

  /** The final answer, sent or not; null while there is none. */
  get final(): SipResponse | null {
    if (this.accepted !== null) return this.accepted
    const message: SipRequest | SipResponse | null = this.ended?.message ?? null
    return message?.kind === 'response' ? message : null
  }

  /** True once it holds, false where the time is over. */
  wait(holds: () => boolean): Promise<boolean> {
    if (holds()) return Promise.resolve(true)
    return new Promise(resolve => {
      const look = (): void => {
        if (!holds()) return
        this.#waiting.delete(look)
        clearTimeout(timer)
        resolve(true)
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        resolve(holds())
      }, this.#waitMs)
      this.#waiting.add(look)
    })
  }

  /** Until it is answered or has ended. PRACKs on the way are sent by themselves. */
  async settled(): Promise<boolean> {
    let seen = 0
    const prack = (): boolean => {
      for (; seen < this.provisionals.length; seen++) this.provisionals[seen]?.prack()
      return this.accepted !== null || this.ended !== null
    }
    return this.wait(prack)
  }

  /** A re-INVITE or UPDATE with its answer; null where none came. */
  change(method: 'INVITE' | 'UPDATE', parts: Parts): Promise<SipResponse | null> {
    return new Promise(resolve => {
      const timer = setTimeout(() => resolve(null), this.#waitMs)
      const done = (response: SipResponse | null): void => {
        clearTimeout(timer)
        resolve(response)
      }
      const result = { answered: done, refused: done }
      if (method === 'INVITE') this.sip.reinvite(parts, result)
      else this.sip.update(parts, result)
    })
  }

  /** INFO, OPTIONS and their like, inside the dialog. */
  inside(method: string, parts: Parts = {}): Promise<SipResponse | null> {
    return new Promise(resolve => {
      const timer = setTimeout(() => resolve(null), this.#waitMs)
      const done = (response: SipResponse | null): void => {
        clearTimeout(timer)
        resolve(response)
      }
      this.sip.request(method, parts, { final: done, failed: () => done(null) })
    })
  }

  /** Ends it, whatever it is doing, and waits until it has ended. */
  async hangUp(headers: readonly HeaderLine[] = []): Promise<void> {
    this.sip.end({ headers })
    await this.wait(() => this.ended !== null)
  }

  #changed(): void {
    for (const look of Array.from(this.#waiting)) look()
  }
}
