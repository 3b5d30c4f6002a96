// What SDP says about who made it: origin and session name are the hub's, nothing of the other side stays.

/** Lines that name people, places or programs: they stay on their own side. */
const isPersonal = (line: string): boolean =>
  (line.charAt(1) === '=' && 'iuepk'.includes(line.charAt(0))) || line.startsWith('a=tool:')

const bareLineFeed = /(?<!\r)\n/
/** By a string where that says the same: several times as fast as by a pattern. */
const linesOf = (sdp: string): readonly string[] => (bareLineFeed.test(sdp) ? sdp.split(/\r?\n/) : sdp.split('\r\n'))

/** The origin of one leg's session descriptions: its version rises with every change (RFC 3264, 8). */
export interface Origin {
  readonly id: string
  readonly version: number
  /** What was sent last, without its origin. */
  readonly content: string
  /** What was sent last, whole; empty at first. */
  readonly text: string
}

export const firstOrigin = (id: string): Origin => ({ id, version: 0, content: '', text: '' })

/** The description as this leg sends it; the same content again keeps its version. */
export function written(origin: Origin, sdp: string): Origin {
  const content: string[] = []
  for (const line of linesOf(sdp)) {
    if (line === '' || isPersonal(line) || line.startsWith('o=')) continue
    content.push(line.startsWith('s=') ? 's=-' : line)
  }
  const joined = content.join('\r\n')
  if (joined === origin.content) return origin
  const version = origin.version + 1
  const at = content.find(line => line.startsWith('c='))?.slice(2) ?? 'IN IP4 0.0.0.0'
  const owner = `o=- ${origin.id} ${version} ${at.split('/')[0] ?? at}`
  const [first = 'v=0', ...rest] = content
  return { id: origin.id, version, content: joined, text: `${[first, owner, ...rest].join('\r\n')}\r\n` }
}

/** What of a description decides about media: the same with another version or bandwidth is the same (RFC 3264, 8). */
export const essenceOf = (sdp: string): string =>
  linesOf(sdp)
    .filter(line => line !== '' && !/^[osb]=/.test(line))
    .join('\n')

/** True where a stream of that kind is offered or answered. */
export const hasMedia = (sdp: string, kind: 'audio' | 'video'): boolean => streams[kind].test(sdp)
const streams = { audio: /^m=audio [1-9]/m, video: /^m=video [1-9]/m } as const

/** An answer that takes none of the offered streams (RFC 3264, 6): for an offer that comes when nobody is left. */
export function refusal(offer: string): string {
  const lines = linesOf(offer)
  const at = lines.find(line => line.startsWith('c=')) ?? 'c=IN IP4 0.0.0.0'
  const media = lines.filter(line => line.startsWith('m=')).map(line => line.replace(/^(m=\S+ )\S+/, '$10'))
  return ['v=0', `o=- 0 0 ${at.slice(2)}`, 's=-', at, 't=0 0', ...media].join('\r\n').concat('\r\n')
}
