// Counts one stream of one side: packets and bytes both ways, loss from sequence gaps (RFC 3550, A.1 and A.3) and
// interarrival jitter (RFC 3550, A.8). Times are milliseconds and come from outside.

import type { StreamStats } from '../session/model.ts'
import { isTone } from './codecs.ts'
import type { Codec } from './codecs.ts'
import { rtpSequence, rtpSsrc, rtpTimestamp } from './rtp-packet.ts'

/** `sourcesMax`: SSRCs told apart at a time; the oldest is folded into the sums when one more appears. */
export const meterLimits = { sourcesMax: 8, dropoutMax: 3_000, misorderMax: 100 } as const

interface Source {
  base: number
  /** Highest sequence number, extended by its wrap-arounds. */
  highest: number
  received: number
  /** Where a jump would go on; a second packet there means that the sender has restarted. */
  restart: number | null
  transit: number | null
  jitterMs: number
}

export class StreamMeter {
  readonly #kind: 'audio' | 'video'
  readonly #sources = new Map<number, Source>()
  #codec: string | null = null
  #packetsReceived = 0
  #bytesReceived = 0
  #packetsSent = 0
  #bytesSent = 0
  #lostBefore = 0
  #jitterMs: number | null = null

  constructor(kind: 'audio' | 'video') {
    this.#kind = kind
  }

  received(packet: Buffer, codec: Codec, nowMs: number): void {
    this.#packetsReceived++
    this.#bytesReceived += packet.length
    const ssrc = rtpSsrc(packet)
    const sequence = rtpSequence(packet)
    const source = this.#sources.get(ssrc)
    if (source === undefined) this.#begin(ssrc, sequence)
    else this.#follow(source, sequence)
    if (isTone(codec)) return
    this.#codec = codec.name
    this.#time(ssrc, rtpTimestamp(packet), codec.clockRate, nowMs)
  }

  sent(packet: Buffer, codec: Codec): void {
    this.#packetsSent++
    this.#bytesSent += packet.length
    if (this.#codec === null && !isTone(codec)) this.#codec = codec.name
  }

  knows(ssrc: number): boolean {
    return this.#sources.has(ssrc)
  }

  read(): StreamStats {
    let packetsLost = this.#lostBefore
    for (const source of this.#sources.values()) packetsLost += lostOf(source)
    return {
      kind: this.#kind,
      codec: this.#codec,
      packetsReceived: this.#packetsReceived,
      bytesReceived: this.#bytesReceived,
      packetsSent: this.#packetsSent,
      bytesSent: this.#bytesSent,
      packetsLost,
      jitterMs: this.#jitterMs === null ? null : Math.round(this.#jitterMs * 1_000) / 1_000,
      rttMs: null,
      mos: null,
      transcoded: false
    }
  }

  #begin(ssrc: number, sequence: number): void {
    if (this.#sources.size === meterLimits.sourcesMax) {
      const [oldest] = this.#sources
      if (oldest !== undefined) {
        this.#lostBefore += lostOf(oldest[1])
        this.#sources.delete(oldest[0])
      }
    }
    const fresh = { base: sequence, highest: sequence, received: 1, restart: null, transit: null, jitterMs: 0 }
    this.#sources.set(ssrc, fresh)
  }

  #follow(source: Source, sequence: number): void {
    const ahead = (sequence - source.highest) & 0xffff
    if (ahead < meterLimits.dropoutMax) {
      source.highest += ahead
      source.received++
    } else if (ahead > 0xffff - meterLimits.misorderMax) {
      source.received++
    } else if (source.restart === sequence) {
      this.#lostBefore += lostOf(source)
      source.base = sequence - 1
      source.highest = sequence
      source.received = 2
    } else {
      source.restart = (sequence + 1) & 0xffff
      return
    }
    source.restart = null
  }

  #time(ssrc: number, timestamp: number, clockRate: number, nowMs: number): void {
    const source = this.#sources.get(ssrc)
    if (source === undefined) return
    const transit = nowMs - (timestamp * 1_000) / clockRate
    const difference = source.transit === null ? 0 : Math.abs(transit - source.transit)
    source.transit = transit
    // A wrapped or restarted timestamp says nothing about the network.
    if (difference > 10_000) return
    source.jitterMs += (difference - source.jitterMs) / 16
    this.#jitterMs = source.jitterMs
  }
}

const lostOf = ({ base, highest, received }: Source): number => Math.max(0, highest - base + 1 - received)
