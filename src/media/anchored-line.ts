// One media stream between the two sides: who sends what under which number, and the packets that cross.

import { otherSide } from '../session/model.ts'
import type { MediaProfile, Side } from '../session/model.ts'
import { codecKey } from './codecs.ts'
import type { Codec } from './codecs.ts'
import { receives, sends } from './facts.ts'
import type { Direction } from './facts.ts'
import { payloadType, plainCompound, rtcpSsrc, setPayloadType } from './rtp-packet.ts'
import { StreamMeter } from './stream-meter.ts'
import type { MediaTransport } from './transport.ts'

export type LineKind = 'audio' | 'video'

/** What one side has said of the stream, once it is agreed. */
export interface Agreed {
  /** In this side's own numbers: what it wants to receive. */
  readonly codecs: readonly Codec[]
  /** Numbers that we have announced to it, so that it may send them. */
  readonly announced: readonly Codec[]
  readonly direction: Direction
}

export class LineEnd {
  readonly profile: MediaProfile
  readonly meter: StreamMeter
  transport: MediaTransport
  mid: string | null = null
  direction: Direction = 'sendrecv'
  #codecs: readonly Codec[] = []
  readonly #received = new Map<number, Codec>()
  #wanted = new Map<string, number>()

  constructor(profile: MediaProfile, transport: MediaTransport, meter: StreamMeter) {
    this.profile = profile
    this.transport = transport
    this.meter = meter
  }

  get codecs(): readonly Codec[] {
    return this.#codecs
  }

  agree({ codecs, announced, direction }: Agreed): void {
    this.#codecs = codecs
    this.direction = direction
    this.#wanted = new Map(codecs.map(codec => [codecKey(codec), codec.payloadType]))
    // A number keeps its meaning for the session (RFC 3264, 8.3.2), so what was known stays known.
    for (const codec of [...codecs, ...announced]) this.#received.set(codec.payloadType, codec)
  }

  /** The number this side has used for a codec. */
  numberOf(codec: Codec): number | null {
    const key = codecKey(codec)
    const received = [...this.#received].find(([, known]) => codecKey(known) === key)
    return this.#wanted.get(key) ?? received?.[0] ?? null
  }

  isTaken(number: number): boolean {
    return this.#received.has(number)
  }

  codecOf(number: number): Codec | null {
    return this.#received.get(number) ?? null
  }

  /** Null: this side cannot take that codec. */
  wantedNumber(codec: Codec): number | null {
    return this.#wanted.get(codecKey(codec)) ?? null
  }
}

export class AnchoredLine {
  readonly kind: LineKind
  /** Where the line stands in each side's SDP; null on a side that was never shown it. */
  readonly slots: Record<Side, number | null> = { caller: null, callee: null }
  readonly ends: Record<Side, LineEnd | null> = { caller: null, callee: null }
  readonly meters: Readonly<Record<Side, StreamMeter>>
  /** Agreed by both sides. */
  live = false

  constructor(kind: LineKind) {
    this.kind = kind
    this.meters = { caller: new StreamMeter(kind), callee: new StreamMeter(kind) }
  }

  /** Whether packets from that side have a way to go, by what both sides said last. */
  flows(from: Side): boolean {
    const [source, sink] = [this.ends[from], this.ends[otherSide(from)]]
    return this.live && source !== null && sink !== null && sends(source.direction) && receives(sink.direction)
  }

  /** Whether the number means this line on a transport that several lines share. */
  takes(from: Side, packet: Buffer): boolean {
    return this.live && (this.ends[from]?.codecOf(payloadType(packet)) ?? null) !== null
  }

  /** SSRC, sequence and timestamp cross unchanged; the payload type becomes the other side's. */
  relay(from: Side, packet: Buffer, nowMs: number): void {
    const [source, sink] = [this.ends[from], this.ends[otherSide(from)]]
    const codec = source?.codecOf(payloadType(packet)) ?? null
    if (source === null || sink === null || codec === null || !this.live) return
    source.meter.received(packet, codec, nowMs)
    const number = sink.wantedNumber(codec)
    if (number === null || !this.flows(from)) return
    setPayloadType(packet, number)
    sink.meter.sent(packet, codec)
    sink.transport.send(packet)
  }

  relayRtcp(from: Side, packet: Buffer): void {
    const sink = this.ends[otherSide(from)]
    if (sink === null || !this.live) return
    const crossing = sink.profile === 'rtp' ? plainCompound(packet) : packet
    if (crossing !== null) sink.transport.sendRtcp(crossing)
  }

  /** Whether an RTCP packet from that side speaks for this line. */
  knowsSender(from: Side, packet: Buffer): boolean {
    return this.live && this.meters[from].knows(rtcpSsrc(packet))
  }
}
