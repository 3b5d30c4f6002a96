// The little SDP that sandbox endpoints need: one audio stream over plain RTP, offered and answered (RFC 3264).

import { codecNames, codecs } from './tone.ts'
import type { CodecName } from './tone.ts'

export const directions = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const
export type Direction = (typeof directions)[number]

export const sdpLimits = { linesMax: 1_000, formatsMax: 64 } as const

export interface Codec {
  readonly name: CodecName
  readonly payloadType: number
}

/** The audio stream of the other side. */
export interface RemoteAudio {
  readonly host: string
  readonly port: number
  /** As the other side says it. */
  readonly direction: Direction
  /** Those known here, in the order of the other side. */
  readonly codecs: readonly Codec[]
  readonly telephoneEvent: number | null
  /** Which of the media lines it is; `media` are all of them. */
  readonly index: number
  readonly media: readonly string[]
}

export interface LocalAudio {
  readonly host: string
  readonly port: number
  readonly direction: Direction
  readonly codecs: readonly Codec[]
  readonly telephoneEvent: number | null
  readonly sessionId: number
  readonly version: number
}

/** The first audio stream over RTP that is not refused and has a codec known here; null where there is none. */
export function readAudio(sdp: string): RemoteAudio | null {
  const lines = sdp.split('\n', sdpLimits.linesMax).map(line => line.trimEnd())
  const starts = lines.flatMap((line, at) => (line.startsWith('m=') ? [at] : []))
  const session = lines.slice(0, starts[0] ?? lines.length)
  const media = starts.map(at => lines[at] ?? '')
  for (const [index, start] of starts.entries()) {
    const audio = readMedia(lines.slice(start, starts[index + 1] ?? lines.length), session)
    if (audio !== null) return { ...audio, index, media }
  }
  return null
}

function readMedia(lines: readonly string[], session: readonly string[]): Omit<RemoteAudio, 'index' | 'media'> | null {
  const [kind, port, protocol, ...formats] = (lines[0] ?? '').slice(2).split(' ')
  const number = Number(port)
  if (kind !== 'audio' || !Number.isInteger(number) || number < 1 || number > 65_535) return null
  if (protocol?.startsWith('RTP/AVP') !== true && protocol?.startsWith('RTP/SAVP') !== true && !isDtls(protocol)) {
    return null
  }
  const mapped = new Map<number, string>([
    [0, 'pcmu/8000'],
    [8, 'pcma/8000']
  ])
  for (const line of lines) {
    const match = /^a=rtpmap:(\d{1,3}) ([A-Za-z0-9-]+\/\d+)/.exec(line)
    if (match !== null) mapped.set(Number(match[1]), (match[2] ?? '').toLowerCase())
  }
  const offered = formats.slice(0, sdpLimits.formatsMax).map(Number)
  const known = offered.flatMap(payloadType => {
    const name = codecNames.find(one => mapped.get(payloadType) === `${one.toLowerCase()}/${codecs[one].clockRate}`)
    return name === undefined ? [] : [{ name, payloadType }]
  })
  const host = connectionOf(lines) ?? connectionOf(session)
  if (known.length === 0 || host === null) return null
  const telephoneEvent = offered.find(payloadType => mapped.get(payloadType) === 'telephone-event/8000') ?? null
  const direction = directionOf(lines) ?? directionOf(session) ?? 'sendrecv'
  return { host, port: number, codecs: known, direction, telephoneEvent }
}

const isDtls = (protocol: string | undefined): boolean => protocol?.startsWith('UDP/TLS/RTP/SAVP') === true

const connectionOf = (lines: readonly string[]): string | null =>
  lines.flatMap(line => /^c=IN IP[46] ([^\s/]+)/.exec(line)?.[1] ?? [])[0] ?? null

const directionOf = (lines: readonly string[]): Direction | null =>
  directions.find(direction => lines.includes(`a=${direction}`)) ?? null

/** What is left to us when the other side says this (RFC 3264, 6.1), and we would do `wanted`. */
export function mirrored(remote: Direction, wanted: Direction = 'sendrecv'): Direction {
  const sends = (remote === 'sendrecv' || remote === 'recvonly') && (wanted === 'sendrecv' || wanted === 'sendonly')
  const hears = (remote === 'sendrecv' || remote === 'sendonly') && (wanted === 'sendrecv' || wanted === 'recvonly')
  if (sends) return hears ? 'sendrecv' : 'sendonly'
  return hears ? 'recvonly' : 'inactive'
}

/** `of`: the offer that this answers; its other media lines are refused. */
export function printAudio(local: LocalAudio, of: Pick<RemoteAudio, 'index' | 'media'> | null = null): string {
  const { host, port, direction, sessionId, version, telephoneEvent } = local
  const family = host.includes(':') ? 'IP6' : 'IP4'
  const formats = [
    ...local.codecs.map(({ payloadType }) => payloadType),
    ...(telephoneEvent === null ? [] : [telephoneEvent])
  ]
  const audio = [
    `m=audio ${port} RTP/AVP ${formats.join(' ')}`,
    ...local.codecs.map(({ name, payloadType }) => {
      const { clockRate, channels } = codecs[name]
      return `a=rtpmap:${payloadType} ${name}/${clockRate}${channels === 1 ? '' : `/${channels}`}`
    }),
    ...(telephoneEvent === null
      ? []
      : [`a=rtpmap:${telephoneEvent} telephone-event/8000`, `a=fmtp:${telephoneEvent} 0-15`]),
    'a=ptime:20',
    `a=${direction}`
  ]
  const media = of === null ? audio : of.media.flatMap((line, index) => (index === of.index ? audio : [refused(line)]))
  const session = ['v=0', `o=- ${sessionId} ${version} IN ${family} ${host}`, 's=-', `c=IN ${family} ${host}`, 't=0 0']
  return [...session, ...media, ''].join('\r\n')
}

const refused = (line: string): string => line.replace(/^(m=\S+) \S+/, '$1 0')
