// What the tests of media anchors share: a call's anchorage, plain SDP, a clock by hand, the addresses in an SDP.

import { pino } from 'pino'
import type { MediaConfig } from '../../src/config.ts'
import { factsOf } from '../../src/media/facts.ts'
import type { MediaFacts } from '../../src/media/facts.ts'
import { parseSdp } from '../../src/media/sdp.ts'
import type { MediaProfile, Sdp, SessionId, Side } from '../../src/session/model.ts'
import type { Anchorage, Anchored, Clock } from '../../src/session/ports.ts'

export const silentLog = pino({ level: 'silent' })

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

/** Time stands still until it is moved. */
export class HandClock implements Clock {
  #now = 1_000_000
  #waiting: { at: number; run: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const entry = { at: this.#now + ms, run }
    this.#waiting.push(entry)
    return () => {
      this.#waiting = this.#waiting.filter(other => other !== entry)
    }
  }

  move(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const next = this.#waiting.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#now = next.at
      this.#waiting = this.#waiting.filter(other => other !== next)
      next.run()
    }
    this.#now = end
  }
}

export const mediaConfig = (over: Partial<MediaConfig> = {}): MediaConfig => ({
  anchor: 'embedded',
  address: '127.0.0.1',
  portMin: 20_000,
  portMax: 29_999,
  silenceMs: 60_000,
  rtpengine: [],
  ...over
})

const allCodecs = ['opus', 'PCMA', 'PCMU', 'telephone-event'] as const

let calls = 0
export function anchorage(
  over: {
    caller?: MediaProfile
    callee?: MediaProfile
    codecs?: readonly string[]
    /** What the caller may use where that differs. */
    callerCodecs?: readonly string[]
    transcode?: boolean
    attempt?: number
  } = {}
): Anchorage {
  calls++
  return {
    id: `0190b5a1-0000-7000-8000-${`${process.pid}${calls}`.padStart(12, '0')}` as SessionId,
    attempt: over.attempt ?? 1,
    exchange: 1,
    transcode: over.transcode ?? false,
    profiles: { caller: over.caller ?? 'rtp', callee: over.callee ?? 'rtp' },
    grant: {
      id: 'grant',
      bandwidthKbpsMax: 100,
      dscp: 46,
      chargingKey: 'key',
      terms: null,
      credit: null,
      codecs: over.codecs ?? allCodecs,
      callerCodecs: over.callerCodecs ?? (over.transcode === true ? allCodecs : (over.codecs ?? allCodecs))
    }
  }
}

/** Plain RTP on loopback. `media`: one entry per media line. */
export function rtpSdp(
  ...media: {
    readonly port: number
    readonly kind?: string
    readonly formats?: string
    readonly lines?: readonly string[]
  }[]
): Sdp {
  return [
    'v=0',
    'o=ims 1 1 IN IP4 127.0.0.1',
    's=call',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    ...media.flatMap(({ port, kind = 'audio', formats = '8 101', lines }) => [
      `m=${kind} ${port} RTP/AVP ${formats}`,
      ...(lines ?? ['a=rtpmap:8 PCMA/8000', 'a=rtpmap:101 telephone-event/8000', 'a=fmtp:101 0-15', 'a=sendrecv'])
    ])
  ]
    .map(line => `${line}\r\n`)
    .join('') as Sdp
}

/** The SDP of an exchange that must have worked. */
export function anchoredSdp(result: Anchored): Sdp {
  if (!result.anchored) throw new Error(`not anchored: ${JSON.stringify(result.reason)}`)
  return result.sdp
}

export function readSdp(sdp: string): readonly MediaFacts[] {
  const parsed = parseSdp(sdp)
  if (!parsed.ok) throw new Error(parsed.problem)
  return factsOf(parsed.description)
}

/** Where to send for the first media line. */
export function targetOf(sdp: string, index = 0): { host: string; port: number; rtcpPort: number } {
  const facts = readSdp(sdp)[index]
  if (facts === undefined || facts.rtp === null || facts.rtcp === null) throw new Error(`no address in ${sdp}`)
  return { ...facts.rtp, rtcpPort: facts.rtcp.port }
}

export const bothSides: readonly Side[] = ['caller', 'callee']
