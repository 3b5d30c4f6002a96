// The anchor that is none: SDP goes through and media flows between the peers, but who made the description stays on
// its side. For a transit hub that only signals; nothing is measured and nothing can be lost.

import type { Sdp } from '../session/model.ts'
import type { Anchored, MediaAnchor } from '../session/ports.ts'

const noOffer: Anchored = {
  anchored: false,
  reason: { cause: 'incompatible-media', text: 'a hub without a media anchor cannot make an offer of its own' }
}

/** Lines that name people, places, programs and keys (RFC 8866, 5). */
const isPersonal = (sdp: string, at: number): boolean =>
  ('iuepk'.includes(sdp.charAt(at)) && sdp.charAt(at + 1) === '=') || sdp.startsWith('a=tool:', at)

/** Every kind of line break is one. */
const oddBreak = /\r(?!\n)|(?<!\r)\n/

/** A withheld number would go on in `o=`, `s=`, `e=` or `p=`. What may stay is taken over in pieces of many lines. */
function nameless(sdp: Sdp): Sdp {
  const text = oddBreak.test(sdp) ? sdp.replaceAll(/\r\n|\r|\n/g, '\r\n') : sdp
  let shown = ''
  let taken = 0
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\r\n', at)
    const next = end < 0 ? text.length : end + 2
    const hides = isPersonal(text, at) ? '' : renamed(text.slice(at, next))
    if (hides !== null) {
      shown += text.slice(taken, at) + hides
      taken = next
    }
    at = next
  }
  return (taken === 0 ? text : shown + text.slice(taken)) as Sdp
}

/** Null: the line stays as it is. */
function renamed(line: string): string | null {
  if (line.startsWith('s=')) return line.endsWith('\r\n') ? 's=-\r\n' : 's=-'
  return line.startsWith('o=') ? line.replace(/^o=\S+/, 'o=-') : null
}

export function createPassthroughAnchor(): MediaAnchor {
  return {
    start: () => Promise.resolve(),
    offer: (_at, _side, sdp) => ({ anchored: true, sdp: nameless(sdp) }),
    answer: (_at, _side, sdp) => ({ anchored: true, sdp: nameless(sdp) }),
    makeOffer: () => noOffer,
    abandon: () => undefined,
    release: () => null
  }
}
