// Reads rtpengine's query and delete replies: counters per side, and when each side was last heard.

import { otherSide, sides } from '../session/model.ts'
import type { MediaStats, Side, StreamStats } from '../session/model.ts'
import type { NgReply } from './rtpengine-client.ts'

interface Heard {
  readonly packets: number
  readonly bytes: number
  readonly errors: number
}

interface TagMedia {
  readonly kind: 'audio' | 'video'
  readonly index: number
  readonly codec: string | null
  readonly transcoding: boolean
  readonly ssrc: number | null
  readonly rtp: Heard
}

/** Null where the reply has no counters. */
export function mediaStats(reply: NgReply): MediaStats | null {
  const tags = record(reply['tags'])
  if (tags === null) return null
  const media = { caller: mediaOf(tags, 'caller'), callee: mediaOf(tags, 'callee') }
  const side = (of: Side): readonly StreamStats[] =>
    media[of].map(own => {
      const other = media[otherSide(of)].find(({ index }) => index === own.index)
      return streamStats(own, other?.rtp ?? none, record(record(reply['SSRC'])?.[`${own.ssrc ?? ''}`]))
    })
  return { caller: side('caller'), callee: side('callee') }
}

/** Seconds since the epoch at which each side was last heard; null for a side never heard. */
export function lastHeard(reply: NgReply): Readonly<Record<Side, number | null>> {
  const tags = record(reply['tags'])
  const heard: Record<Side, number | null> = { caller: null, callee: null }
  for (const side of sides) {
    for (const media of list(record(tags?.[side])?.['medias'])) {
      for (const stream of list(media['streams'])) {
        if (countsOf(stream).packets === 0) continue
        heard[side] = Math.max(heard[side] ?? 0, number(stream['last packet']))
      }
    }
  }
  return heard
}

/** rtpengine counts what comes in. What goes out to a side is what came in from the other, but for failures. */
function streamStats(own: TagMedia, other: Heard, ssrc: Readonly<Record<string, unknown>> | null): StreamStats {
  // Filled only where the peer sends RTCP: MOS times ten, jitter in milliseconds, round trip in microseconds.
  const average = record(ssrc?.['average MOS'])
  const measured = (name: string, unit: number): number | null => {
    const value = average?.[name]
    return typeof value === 'number' && value >= 0 ? value / unit : null
  }
  const packetsSent = Math.max(0, other.packets - own.rtp.errors)
  return {
    kind: own.kind,
    codec: own.codec,
    packetsReceived: own.rtp.packets,
    bytesReceived: own.rtp.bytes,
    packetsSent,
    bytesSent: other.packets === 0 ? 0 : Math.round((other.bytes * packetsSent) / other.packets),
    packetsLost: number(ssrc?.['cumulative loss']),
    jitterMs: measured('jitter', 1),
    rttMs: measured('round-trip time', 1_000),
    mos: measured('MOS', 10),
    transcoded: own.transcoding
  }
}

function mediaOf(tags: Readonly<Record<string, unknown>>, side: Side): readonly TagMedia[] {
  return list(record(tags[side])?.['medias']).flatMap(media => {
    const kind = media['type']
    if (kind !== 'audio' && kind !== 'video') return []
    const rtp = list(media['streams']).find(stream => flags(stream).includes('RTP'))
    const codec = media['codec']
    const ssrc = rtp?.['SSRC']
    return [
      {
        kind,
        index: number(media['index']),
        codec: typeof codec === 'string' ? (codec.split('/')[0] ?? null) : null,
        transcoding: flags(media).includes('transcoding'),
        ssrc: typeof ssrc === 'number' ? ssrc : null,
        rtp: rtp === undefined ? none : countsOf(rtp)
      }
    ]
  })
}

const none: Heard = { packets: 0, bytes: 0, errors: 0 }

function countsOf(stream: Readonly<Record<string, unknown>>): Heard {
  const stats = record(stream['stats'])
  return { packets: number(stats?.['packets']), bytes: number(stats?.['bytes']), errors: number(stats?.['errors']) }
}

const number = (value: unknown): number => (typeof value === 'number' && value >= 0 ? value : 0)
const flags = (of: Readonly<Record<string, unknown>>): readonly unknown[] =>
  Array.isArray(of['flags']) ? (of['flags'] as readonly unknown[]) : []
const record = (value: unknown): Readonly<Record<string, unknown>> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
const list = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.map(record).filter(item => item !== null) : []
