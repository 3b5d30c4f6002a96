// b=AS, b=RS and b=RR of what the hub sends (TS 26.114, 6.2.5; RFC 3556): of the network they are said in, so that an
// anchor takes them out and they are said anew for the codecs and the address family of this leg (SDP-05, SDP-06).

import { limits } from './limits.ts'

/** Bits of a frame of 20 ms by mode (TS 26.101, TS 26.201). */
const frameBits = {
  amr: [95, 103, 118, 134, 148, 159, 204, 244],
  'amr-wb': [132, 177, 253, 285, 317, 365, 397, 461, 477]
} as const
/** Bytes of a frame of 20 ms at most. EVS: 24.4 kbit/s with its header, unless `br` says less. */
const frameBytes: Readonly<Record<string, number>> = { pcma: 160, pcmu: 160, g722: 160, g729: 20, gsm: 33, opus: 160 }
const staticNames: Readonly<Record<string, string>> = {
  '0': 'PCMU',
  '3': 'GSM',
  '8': 'PCMA',
  '9': 'G722',
  '18': 'G729'
}

/** RTP, UDP and IP headers. */
const headerBytes = { IP4: 12 + 8 + 20, IP6: 12 + 8 + 40 } as const
type Family = keyof typeof headerBytes

const named = {
  'mode-set': /(?:^|;)\s*mode-set=([^;]*)/i,
  'octet-align': /(?:^|;)\s*octet-align=([^;]*)/i,
  br: /(?:^|;)\s*br=([^;]*)/i
} as const
const parameter = (fmtp: string, name: keyof typeof named): string | null => named[name].exec(fmtp)?.[1]?.trim() ?? null

/** Bytes of payload in 20 ms at the codec's highest rate; null for one that is not known. */
export function payloadBytes(name: string, fmtp: string): number | null {
  const codec = name.toLowerCase()
  if (codec !== 'amr' && codec !== 'amr-wb') return codec === 'evs' ? evsBytes(fmtp) : (frameBytes[codec] ?? null)
  const modes = frameBits[codec]
  const set = parameter(fmtp, 'mode-set')?.split(',').map(Number)
  const highest = Math.max(...(set ?? []).filter(mode => Number.isInteger(mode) && mode >= 0 && mode < modes.length))
  const bits = (Number.isFinite(highest) ? modes[highest] : modes.at(-1)) ?? 0
  // RFC 4867: a mode request, a table of contents, the frame; in whole octets each where they are aligned.
  return parameter(fmtp, 'octet-align') === '1' ? 2 + Math.ceil(bits / 8) : Math.ceil((10 + bits) / 8)
}

/** TS 26.445, A.2: compact where one rate is all there is, else with a mode request and a table of contents. */
function evsBytes(fmtp: string): number {
  const range = parameter(fmtp, 'br')
  const rate = Number(range?.split('-').at(-1) ?? 24.4)
  const bytes = Math.ceil(((Number.isFinite(rate) ? rate : 24.4) * 20) / 8)
  return range !== null && !range.includes('-') ? bytes : bytes + 2
}

/** kbit/s of one stream, rounded up. */
export function kbpsOf(bytes: number, family: Family, ptimeMs = 20): number {
  const bits = ((bytes * ptimeMs) / 20 + headerBytes[family]) * 8
  return Math.ceil(Math.round((bits / ptimeMs) * 1_000) / 1_000)
}

/** RTCP has 5 % of it, senders a quarter of that; in bit/s. */
export const rtcpBps = (kbps: number): { readonly senders: number; readonly receivers: number } => ({
  senders: Math.floor((kbps * 50) / 4),
  receivers: Math.floor((kbps * 50 * 3) / 4)
})

/** The description with bandwidth for every audio line that says none. What is there already is its maker's. */
export function withBandwidth(sdp: string): string {
  const media = sdp.indexOf('\nm=') + 1
  const session = sdp.slice(0, media)
  if (media === 0 || session.includes('\nb=')) return sdp
  let text = session
  for (let from = media; from > 0;) {
    const next = sdp.indexOf('\nm=', from) + 1
    text += sized(next === 0 ? sdp.slice(from) : sdp.slice(from, next), session)
    from = next
  }
  return text
}

function sized(section: string, session: string): string {
  if (!/^m=audio [1-9]\d* RTP\/AVP/.test(section) || section.includes('\nb=') || !section.includes('\n')) return section
  const placed = section.includes('\nc=') ? section : session
  const lines = linesFor(section.slice(section.indexOf(' ', 8)), placed.includes('\nc=IN IP6') ? 'IP6' : 'IP4')
  const at = afterConnection(section)
  return lines === '' ? section : `${section.slice(0, at)}${lines}${section.slice(at)}`
}

/** By all of a section but its port: calls of the same phones and gateways differ in nothing else. */
const known: Readonly<Record<Family, Map<string, string>>> = { IP4: new Map(), IP6: new Map() }

/** The lines that `stream`, a section from behind its port, is sent with; empty where no codec of it is known. */
function linesFor(stream: string, family: Family): string {
  const before = known[family].get(stream)
  if (before !== undefined) return before
  if (known[family].size >= limits.bandwidthsKnownMax) known[family].clear()
  const lines = worked(stream, family)
  known[family].set(stream, lines)
  return lines
}

function worked(stream: string, family: Family): string {
  const formats = /^ \S+ ?([^\r\n]*)/.exec(stream)?.[1] ?? ''
  const largest = Math.max(0, ...formats.split(' ').map(format => payloadOf(stream, format)))
  if (largest === 0) return ''
  const ptime = Number(/\na=ptime:(\d{1,3})/.exec(stream)?.[1] ?? 20)
  const kbps = kbpsOf(largest, family, ptime > 0 ? ptime : 20)
  const { senders, receivers } = rtcpBps(kbps)
  return `b=AS:${kbps}\r\nb=RS:${senders}\r\nb=RR:${receivers}\r\n`
}

/** Behind m=, i= and c= (RFC 8866, 5). */
function afterConnection(section: string): number {
  let at = section.indexOf('\n') + 1
  while (section.startsWith('i=', at) || section.startsWith('c=', at)) {
    const feed = section.indexOf('\n', at)
    if (feed < 0) break
    at = feed + 1
  }
  return at
}

/** Bytes of payload of one format; 0 where nothing is known of it. */
function payloadOf(section: string, format: string): number {
  const mapped = attributeOf(section, 'rtpmap', format)
  const slash = mapped?.indexOf('/') ?? -1
  const name = (slash < 0 ? mapped : mapped?.slice(0, slash)) ?? staticNames[format] ?? ''
  return payloadBytes(name, attributeOf(section, 'fmtp', format) ?? '') ?? 0
}

/** What the first such line of a format says. */
function attributeOf(section: string, kind: 'rtpmap' | 'fmtp', format: string): string | null {
  const start = `\na=${kind}:${format} `
  const at = section.indexOf(start)
  if (at < 0) return null
  const end = section.indexOf('\n', at + 1)
  return section.slice(at + start.length, end < 0 ? section.length : end).trimEnd()
}
