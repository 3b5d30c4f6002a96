// Codecs of a media line: read, compare, filter by what is granted, match an answer to its offer, print.

import { attribute, attributeName, attributesOf } from './sdp.ts'
import type { SdpLine, SdpMedia } from './sdp.ts'

export interface Codec {
  readonly payloadType: number
  /** As spelled in the rtpmap; compared without case (RFC 8866, 6.6). */
  readonly name: string
  readonly clockRate: number
  readonly channels: number
  readonly fmtp: string | null
  /** Values of a=rtcp-fb for this payload type, without the number. */
  readonly feedback: readonly string[]
}

/** RFC 3551, table 4: payload types that need no rtpmap. */
const staticCodecs: Readonly<Record<number, readonly [string, number]>> = {
  0: ['PCMU', 8_000],
  3: ['GSM', 8_000],
  4: ['G723', 8_000],
  8: ['PCMA', 8_000],
  9: ['G722', 8_000],
  13: ['CN', 8_000],
  15: ['G728', 8_000],
  18: ['G729', 8_000],
  34: ['H263', 90_000]
}

/** In the media line's order. Formats that name no codec are left out. */
export function codecsOf(media: SdpMedia): readonly Codec[] {
  const maps = byNumber(attributesOf(media.lines, 'rtpmap'))
  const fmtps = byNumber(attributesOf(media.lines, 'fmtp'))
  const everyFormat = attributesOf(media.lines, 'rtcp-fb').flatMap(v => (v.startsWith('* ') ? [v.slice(2)] : []))
  const feedback = attributesOf(media.lines, 'rtcp-fb')
  return media.formats.flatMap(format => {
    const payloadType = Number(format)
    if (!Number.isInteger(payloadType) || payloadType < 0 || payloadType > 127) return []
    const base = encoding(maps.get(format), payloadType)
    if (base === null) return []
    const own = feedback.flatMap(v => (v.startsWith(`${format} `) ? [v.slice(format.length + 1)] : []))
    return [{ payloadType, ...base, fmtp: fmtps.get(format) ?? null, feedback: [...own, ...everyFormat] }]
  })
}

/** The same key means the same bits on the wire. Parameters that change the payload's format are part of it. */
export function codecKey({ name, clockRate, channels, fmtp }: Codec): string {
  const plain = `${name.toLowerCase()}/${clockRate}/${channels}`
  switch (name.toLowerCase()) {
    // RFC 6184, 8.2.2: profile and packetization mode must be the same on both sides.
    case 'h264': {
      const profile = parameter(fmtp, 'profile-level-id')?.slice(0, 4).toLowerCase() ?? '420000'.slice(0, 4)
      return `${plain};${parameter(fmtp, 'packetization-mode') ?? '0'};${profile}`
    }
    // RFC 4867, 8.3.1: octet-align is not negotiable within a payload type.
    case 'amr':
    case 'amr-wb':
      return `${plain};${parameter(fmtp, 'octet-align') ?? '0'}`
    default:
      return plain
  }
}

/** One value of `a=1;b=2`; null where it is absent. */
export function parameter(fmtp: string | null, name: string): string | null {
  for (const part of fmtp?.split(';') ?? []) {
    const [key = '', value = ''] = part.trim().split('=', 2)
    if (key.toLowerCase() === name) return value.trim()
  }
  return null
}

export const isTone = ({ name }: Codec): boolean => name.toLowerCase() === 'telephone-event'

/**
 * The codecs that may be used by name. Tones stay only at the clock rate of a codec that stays
 * (RFC 4733, 2.1: they share its timestamps). Empty: nothing in common but tones at best.
 */
export function allowed(codecs: readonly Codec[], names: readonly string[]): readonly Codec[] {
  const wanted = new Set(names.map(name => name.toLowerCase()))
  return withTones(codecs.filter(codec => wanted.has(codec.name.toLowerCase())))
}

function withTones(codecs: readonly Codec[]): readonly Codec[] {
  const rates = new Set(codecs.filter(codec => !isTone(codec)).map(({ clockRate }) => clockRate))
  const seen = new Set<string>()
  return codecs.filter(codec => {
    if (!rates.has(codec.clockRate)) return false
    const key = codecKey(codec)
    return seen.has(key) ? false : (seen.add(key), true)
  })
}

/** The answer's codecs that were offered, in the answer's order and numbers. */
export function answeredFrom(offered: readonly Codec[], answered: readonly Codec[]): readonly Codec[] {
  const keys = new Set(offered.map(codecKey))
  return withTones(answered.filter(codec => keys.has(codecKey(codec))))
}

/** rtpmap, fmtp and feedback lines. Feedback belongs to AVPF alone. */
export function codecLines(codecs: readonly Codec[], { feedback }: { readonly feedback: boolean }): readonly SdpLine[] {
  return codecs.flatMap(codec => {
    const { payloadType, name, clockRate, channels, fmtp } = codec
    const encoding = `${name}/${clockRate}${channels === 1 ? '' : `/${channels}`}`
    return [
      attribute('rtpmap', `${payloadType} ${encoding}`),
      ...(fmtp === null ? [] : [attribute('fmtp', `${payloadType} ${fmtp}`)]),
      ...(feedback ? codec.feedback.map(value => attribute('rtcp-fb', `${payloadType} ${value}`)) : [])
    ]
  })
}

/** The media line with those of its codecs alone, in its own numbers; its other lines stay. */
export function keepCodecs(media: SdpMedia, kept: readonly Codec[]): SdpMedia {
  const numbers = new Set(kept.map(({ payloadType }) => `${payloadType}`))
  const lines = media.lines.filter(sdpLine => {
    const name = attributeName(sdpLine)
    if (name !== 'rtpmap' && name !== 'fmtp' && name !== 'rtcp-fb') return true
    const format = sdpLine.value.slice(name.length + 1).split(' ', 1)[0] ?? ''
    return format === '*' || numbers.has(format)
  })
  return { ...media, formats: media.formats.filter(format => numbers.has(format)), lines }
}

/** What the hub's own offer says of a codec it may use; null for one it has no format for. */
export function knownCodec(name: string): Omit<Codec, 'payloadType'> | null {
  const known = offerable[name.toLowerCase()]
  return known === undefined ? null : { channels: 1, fmtp: null, feedback: [], ...known }
}
/** The numbers that a codec has by itself (RFC 3551); null for a dynamic one. */
export const staticPayloadType = (name: string): number | null =>
  ({ pcmu: 0, pcma: 8, g722: 9 })[name.toLowerCase()] ?? null

const offerable: Readonly<Record<string, Pick<Codec, 'name' | 'clockRate'> & Partial<Codec>>> = {
  opus: { name: 'opus', clockRate: 48_000, channels: 2, fmtp: 'minptime=10;useinbandfec=1' },
  pcma: { name: 'PCMA', clockRate: 8_000 },
  pcmu: { name: 'PCMU', clockRate: 8_000 },
  g722: { name: 'G722', clockRate: 8_000 },
  amr: { name: 'AMR', clockRate: 8_000, fmtp: 'octet-align=1;mode-change-capability=2' },
  'amr-wb': { name: 'AMR-WB', clockRate: 16_000, fmtp: 'octet-align=1;mode-change-capability=2' }
}

function encoding(map: string | undefined, payloadType: number): Pick<Codec, 'name' | 'clockRate' | 'channels'> | null {
  if (map === undefined) {
    const known = staticCodecs[payloadType]
    return known === undefined ? null : { name: known[0], clockRate: known[1], channels: 1 }
  }
  const [name = '', rate = '', channels = '1'] = map.trim().split('/')
  const clockRate = Number(rate)
  if (!/^[A-Za-z0-9._-]{1,32}$/.test(name) || !Number.isInteger(clockRate) || clockRate <= 0) return null
  return { name, clockRate, channels: Number(channels) || 1 }
}

function byNumber(values: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    values.flatMap(value => {
      const space = value.indexOf(' ')
      return space < 0 ? [] : [[value.slice(0, space), value.slice(space + 1)] as const]
    })
  )
}
