// Preconditions that the hub meets by itself (RFC 3312, RFC 4032): an island behind it knows of none. They stay on the
// leg of the peer that speaks of them.

/** What the caller's offer says of one media line. Null where it says nothing. */
interface Wanted {
  /** What the caller has reserved on its side. */
  readonly current: string
  readonly strength: string
}

/** Per media line, in order. */
export type Preconditions = readonly (Wanted | null)[]

const line = /^a=(?:curr|des|conf):qos\b/
const linesOf = (sdp: string): readonly string[] => sdp.split(/\r?\n/).filter(text => text !== '')

export const hasPreconditions = (sdp: string): boolean =>
  sdp.includes(':qos') && linesOf(sdp).some(text => line.test(text))

/** Null: it asks for what the hub cannot meet alone: something end to end, or a status nobody knows (580). */
export function preconditionsIn(sdp: string): Preconditions | null {
  const wanted: (Wanted | null)[] = []
  for (const section of sdp.split(/^m=/m).slice(1)) {
    const lines = linesOf(section)
    const said = lines.map(text => /^a=des:qos (\S+) (\S+) (\S+)/.exec(text)).filter(found => found !== null)
    if (said.some(([, strength, status]) => strength === 'mandatory' && status !== 'local' && status !== 'remote')) {
      return null
    }
    const current = /^a=curr:qos local (\S+)/m.exec(section)?.[1] ?? 'none'
    const [, strength = 'optional'] = said.find(([, , status]) => status === 'local') ?? []
    wanted.push(said.length === 0 && !/^a=curr:qos/m.test(section) ? null : { current, strength })
  }
  return wanted
}

/** A description without them, as the other side sees it. */
export const withoutPreconditions = (sdp: string): string =>
  hasPreconditions(sdp)
    ? `${linesOf(sdp)
        .filter(text => !line.test(text))
        .join('\r\n')}\r\n`
    : sdp

/**
 * An answer of the hub: its side is reserved, since its media has a place at the anchor; the caller is asked to tell
 * when its own is (RFC 3312, 5.1.1), unless it has said so.
 */
export function withPreconditions(sdp: string, wanted: Preconditions): string {
  const [session = '', ...sections] = sdp.split(/^(?=m=)/m)
  const met = sections.map((section, index) => {
    const want = wanted[index]
    if (want === undefined || want === null) return section
    const lines = [
      'a=curr:qos local sendrecv',
      `a=curr:qos remote ${want.current}`,
      'a=des:qos mandatory local sendrecv',
      `a=des:qos ${want.strength} remote sendrecv`,
      ...(want.current === 'sendrecv' ? [] : ['a=conf:qos remote sendrecv'])
    ]
    return `${section}${section.endsWith('\n') ? '' : '\r\n'}${lines.join('\r\n')}\r\n`
  })
  return [session, ...met].join('')
}
