// b=AS, b=RS and b=RR of what the hub sends (TS 26.114, 6.2.5; RFC 3556): of the network they are said in, so that an
// anchor takes them out and they are said anew for the codecs and the address family of this leg (SDP-05, SDP-06).

/** Bits of a frame of 20 ms by mode (TS 26.101, TS 26.201). */
const frameBits: Readonly<Record<string, readonly number[]>> = {
  amr: [95, 103, 118, 134, 148, 159, 204, 244],
  'amr-wb': [132, 177, 253, 285, 317, 365, 397, 461, 477]
}
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
  const modes = frameBits[codec]
  if (modes === undefined) return codec === 'evs' ? evsBytes(fmtp) : (frameBytes[codec] ?? null)
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
  const [session = '', ...sections] = sectionsOf(sdp)
  if (session.includes('\nb=')) return sdp
  return [session, ...sections.map(section => sized(section, session))].join('')
}

/** What comes before the first m= line, and each media section. */
function sectionsOf(sdp: string): readonly string[] {
  const sections: string[] = []
  let from = 0
  for (let at = sdp.indexOf('\nm='); at >= 0; at = sdp.indexOf('\nm=', from)) {
    sections.push(sdp.slice(from, at + 1))
    from = at + 1
  }
  return [...sections, sdp.slice(from)]
}

function sized(section: string, session: string): string {
  if (!/^m=audio [1-9]\d* RTP\/AVP/.test(section) || section.includes('\nb=')) return section
  const placed = section.includes('\nc=') ? section : session
  const family: Family = placed.includes('\nc=IN IP6') ? 'IP6' : 'IP4'
  const largest = Math.max(...codecsOf(section).map(([name, fmtp]) => payloadBytes(name, fmtp) ?? 0), 0)
  if (largest === 0) return section
  const ptime = Number(/^a=ptime:(\d{1,3})/m.exec(section)?.[1] ?? 20)
  const kbps = kbpsOf(largest, family, ptime > 0 ? ptime : 20)
  const { senders, receivers } = rtcpBps(kbps)
  const lines = `b=AS:${kbps}\r\nb=RS:${senders}\r\nb=RR:${receivers}\r\n`
  // After m=, i= and c= (RFC 8866, 5).
  return section.replace(/^(m=[^\n]*\n(?:[ic]=[^\n]*\n)*)/, `$1${lines}`)
}

function codecsOf(section: string): readonly (readonly [string, string])[] {
  const formats = /^m=\S+ \S+ \S+ ([^\r\n]*)/.exec(section)?.[1]?.split(' ') ?? []
  const lines = section.split('\n')
  const names = byFormat(lines, 'a=rtpmap:')
  const parameters = byFormat(lines, 'a=fmtp:')
  return formats.map(format => [
    names.get(format)?.split('/')[0] ?? staticNames[format] ?? '',
    parameters.get(format) ?? ''
  ])
}

/** The first line of each format counts. */
function byFormat(lines: readonly string[], kind: 'a=rtpmap:' | 'a=fmtp:'): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const line of lines) {
    const space = line.startsWith(kind) ? line.indexOf(' ') : -1
    if (space < 0) continue
    const format = line.slice(kind.length, space)
    if (!found.has(format)) found.set(format, line.slice(space + 1).trimEnd())
  }
  return found
}
