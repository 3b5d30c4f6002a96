// One end of a call's audio, whatever carries it: plain RTP or WebRTC. What is played, what is heard.

import { codecs, opusTone, packetMs, samplesOf, shareAt, standardToneHz, toneOf } from './tone.ts'
import type { CodecName } from './tone.ts'
import type { Direction } from './sdp.ts'

export const mediaLimits = {
  /** Packets sent at once after a stall of the process; what is later is left out. */
  catchUpPacketsMax: 10,
  /** Packets back from now that recognition of a tone looks at. */
  listenPacketsMax: 50
} as const

export const pathStates = ['waiting', 'open', 'failed'] as const
export type PathState = (typeof pathStates)[number]

export interface Heard {
  /** `waiting`: no address of the other side yet, or ICE and DTLS are at work. `failed`: they gave up. */
  readonly path: PathState
  readonly packetsReceived: number
  readonly packetsSent: number
  /** Gaps in the sequence numbers. */
  readonly packetsLost: number
  /** Of the last packet that came; null before the first and for codecs unknown here. */
  readonly codec: CodecName | null
}

export type Play = { readonly what: 'nothing' | 'echo' } | { readonly what: 'tone'; readonly hz: number }

export interface MediaEnd {
  readonly heard: Heard
  /** Our offer, a new one each time. */
  offer(direction?: Direction): Promise<string>
  /** Our answer to an offer; null where nothing in it can be taken. */
  answer(offer: string): Promise<string | null>
  /** The other side's answer to our last offer; false where it cannot be used. */
  accept(answer: string): Promise<boolean>
  /** From now on; begins as soon as the other side's address and codec are known. Opus plays 1000 Hz only. */
  play(what: Play): void
  /** Whether most of what came in the last second is this tone. In Opus 1000 Hz can be told, nothing else. */
  hears(hz: number): boolean
  close(): Promise<void>
}

/** A packet as it comes out of, or goes into, whatever carries it. */
export interface AudioPacket {
  readonly payloadType: number
  readonly sequence: number
  readonly marker: boolean
  readonly timestamp: number
  readonly payload: Buffer
}

/** Counts what comes in and keeps the last second of it. */
export class Listener {
  received = 0
  lost = 0
  codec: CodecName | null = null
  #last: number | null = null
  readonly #recent: { readonly codec: CodecName; readonly payload: Buffer }[] = []

  hear({ sequence, payload }: AudioPacket, codec: CodecName | null): void {
    this.received++
    const step = this.#last === null ? 1 : (sequence - this.#last) & 0xffff
    // A step of more than half the range is an old packet that comes late.
    if (step > 0 && step < 0x8000) {
      this.lost += step - 1
      this.#last = sequence
    } else if (this.lost > 0) this.lost--
    this.codec = codec
    if (codec === null) return
    this.#recent.push({ codec, payload })
    if (this.#recent.length > mediaLimits.listenPacketsMax) this.#recent.shift()
  }

  hears(hz: number): boolean {
    const recent = this.#recent
    if (recent.length < mediaLimits.listenPacketsMax / 2) return false
    const opus = recent.filter(({ codec }) => codec === 'opus')
    if (opus.length * 2 > recent.length) {
      return hz === standardToneHz && opus.filter(({ payload }) => payload.equals(opusTone)).length * 2 > recent.length
    }
    return (
      shareAt(
        recent.flatMap(({ codec, payload }) => samplesOf(codec, payload)),
        hz
      ) > 0.5
    )
  }
}

/** Sends a tone packet every 20 ms until told to stop. */
export class Speaker {
  #timer: NodeJS.Timeout | null = null
  #packet = 0

  /** `send` gets the payload, its timestamp, and whether it begins a talk spurt. */
  start(codec: CodecName, hz: number, send: (payload: Buffer, timestamp: number, first: boolean) => void): void {
    this.stop()
    const begun = performance.now()
    let sent = 0
    this.#timer = setInterval(() => {
      const due = Math.floor((performance.now() - begun) / packetMs) + 1
      if (due - sent > mediaLimits.catchUpPacketsMax) {
        this.#packet += due - sent - mediaLimits.catchUpPacketsMax
        sent = due - mediaLimits.catchUpPacketsMax
      }
      for (; sent < due; sent++) {
        const timestamp = (this.#packet * codecs[codec].packetTicks) % 2 ** 32
        send(toneOf(codec, hz, this.#packet), timestamp, sent === 0)
        this.#packet++
      }
    }, packetMs)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}
