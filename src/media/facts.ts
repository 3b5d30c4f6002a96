// What an anchor needs to know of a side's SDP: per media line its codecs, direction, addresses, ICE and DTLS.

import { isIP } from 'node:net'
import { codecsOf } from './codecs.ts'
import type { Codec } from './codecs.ts'
import { attributeName, attributeOf, attributesOf, lineOf } from './sdp.ts'
import type { SdpDescription, SdpLine, SdpMedia } from './sdp.ts'

export const directions = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const
export type Direction = (typeof directions)[number]

export interface Address {
  readonly host: string
  readonly port: number
}

export type DtlsSetup = 'active' | 'passive' | 'actpass'

export interface Fingerprint {
  readonly algorithm: string
  readonly value: string
}

/** How a WebRTC side is reached: ICE credentials, candidates and the certificates to expect. */
export interface WebrtcFacts {
  readonly usernameFragment: string
  readonly password: string
  readonly iceLite: boolean
  /** Values of a=candidate, bounded. */
  readonly candidates: readonly string[]
  readonly fingerprints: readonly Fingerprint[]
  readonly setup: DtlsSetup
}

export interface MediaFacts {
  readonly kind: string
  /** Neither rejected nor removed: the port is not 0, or the line only lives inside a bundle. */
  readonly live: boolean
  readonly protocol: string
  readonly codecs: readonly Codec[]
  readonly direction: Direction
  readonly ptime: string | null
  readonly mid: string | null
  /** The tag group this line is bundled into: the first mid of `a=group:BUNDLE`; null outside. */
  readonly bundle: string | null
  /** Where RTP and RTCP go; null on old-style hold (c=0.0.0.0, RFC 3264 8.4) and where it is no unicast IP address. */
  readonly rtp: Address | null
  readonly rtcp: Address | null
  readonly webrtc: WebrtcFacts | null
}

export const factLimits = { candidatesMax: 32, fingerprintsMax: 8 } as const

export function factsOf(description: SdpDescription): readonly MediaFacts[] {
  const groups = attributesOf(description.session, 'group')
    .map(value => value.split(' '))
    .flatMap(([semantics, ...mids]) => (semantics === 'BUNDLE' ? [mids] : []))
  return description.media.map(media => {
    const mid = attributeOf(media.lines, 'mid')
    const bundle = groups.find(mids => mid !== null && mids.includes(mid))?.[0] ?? null
    return mediaFacts(description.session, media, mid, bundle)
  })
}

function mediaFacts(
  session: readonly SdpLine[],
  media: SdpMedia,
  mid: string | null,
  bundle: string | null
): MediaFacts {
  const bundleOnly = bundle !== null && attributeOf(media.lines, 'bundle-only') !== null
  const connection = lineOf(media.lines, 'c') ?? lineOf(session, 'c')
  const host = connectionHost(connection)
  const held = connection !== null && isUnspecified(connection)
  const webrtc = webrtcFacts(session, media.lines)
  const direction = directionOf(media.lines) ?? directionOf(session) ?? 'sendrecv'
  return {
    kind: media.kind,
    live: media.port !== 0 || bundleOnly,
    protocol: media.protocol,
    codecs: codecsOf(media),
    direction: held && webrtc === null ? heldDirection[direction] : direction,
    ptime: attributeOf(media.lines, 'ptime'),
    mid,
    bundle,
    rtp: host === null || media.port === 0 ? null : { host, port: media.port },
    rtcp: host === null || media.port === 0 ? null : rtcpAddress(media, host),
    webrtc
  }
}

/** The peer at 0.0.0.0 hears nothing: it only sends. */
const heldDirection: Readonly<Record<Direction, Direction>> = {
  sendrecv: 'sendonly',
  sendonly: 'sendonly',
  recvonly: 'inactive',
  inactive: 'inactive'
}

export const sends = (direction: Direction): boolean => direction === 'sendrecv' || direction === 'sendonly'
export const receives = (direction: Direction): boolean => direction === 'sendrecv' || direction === 'recvonly'

function directionOf(lines: readonly SdpLine[]): Direction | null {
  return directions.find(direction => lines.some(line => attributeName(line) === direction)) ?? null
}

/** Null: not an address that a unicast packet can go to. Names are not resolved here. */
function connectionHost(connection: string | null): string | null {
  const [, , address = ''] = connection?.trim().split(/ +/) ?? []
  const host = address.split('/')[0] ?? ''
  const family = isIP(host)
  if (family === 0 || isUnspecified(`IN IP4 ${host}`)) return null
  const first = Number(host.split('.')[0])
  if (family === 4 && (first >= 224 || first === 0)) return null
  if (family === 6 && host.toLowerCase().startsWith('ff')) return null
  return host
}

const isUnspecified = (connection: string): boolean => /(^| )(0\.0\.0\.0|::)$/.test(connection.trim())

/** RFC 3605: the port with or without its own address; otherwise the next port. */
function rtcpAddress(media: SdpMedia, host: string): Address {
  const [port = '', , , own] = (attributeOf(media.lines, 'rtcp') ?? '').split(' ')
  const said = Number(port)
  if (port === '' || !Number.isInteger(said) || said < 1 || said > 65_535) return { host, port: media.port + 1 }
  return { host: own !== undefined && isIP(own) !== 0 && own !== '0.0.0.0' ? own : host, port: said }
}

function webrtcFacts(session: readonly SdpLine[], lines: readonly SdpLine[]): WebrtcFacts | null {
  const either = (name: string): string | null => attributeOf(lines, name) ?? attributeOf(session, name)
  const usernameFragment = either('ice-ufrag')
  const password = either('ice-pwd')
  const own = attributesOf(lines, 'fingerprint')
  const fingerprints = (own.length > 0 ? own : attributesOf(session, 'fingerprint'))
    .slice(0, factLimits.fingerprintsMax)
    .flatMap(text => {
      const [algorithm, value] = text.trim().split(/ +/)
      return algorithm === undefined || value === undefined ? [] : [{ algorithm, value }]
    })
  if (usernameFragment === null || password === null || fingerprints.length === 0) return null
  const setup = either('setup')
  return {
    usernameFragment,
    password,
    iceLite: attributeOf(session, 'ice-lite') !== null,
    candidates: attributesOf(lines, 'candidate').slice(0, factLimits.candidatesMax),
    fingerprints,
    setup: setup === 'active' || setup === 'passive' ? setup : 'actpass'
  }
}
