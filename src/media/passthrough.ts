// The anchor that is none: SDP goes through and media flows between the peers, but who made the description stays on
// its side. For a transit hub that only signals; nothing is measured and nothing can be lost.

import type { Sdp } from '../session/model.ts'
import type { Anchored, MediaAnchor } from '../session/ports.ts'

const noOffer: Anchored = {
  anchored: false,
  reason: { cause: 'incompatible-media', text: 'a hub without a media anchor cannot make an offer of its own' }
}

/** Lines that name people, places, programs and keys (RFC 8866, 5). */
const personal = /^[iuepk]=|^a=tool:/

/** A withheld number would go on in `o=`, `s=`, `e=` or `p=`. Every kind of line break is one. */
function nameless(sdp: Sdp): Sdp {
  const lines = sdp.split(/\r\n|\r|\n/).filter(line => !personal.test(line))
  const neutral = lines.map(line => (line.startsWith('s=') ? 's=-' : line.replace(/^o=\S+/, 'o=-')))
  return neutral.join('\r\n') as Sdp
}

export function createPassthroughAnchor(): MediaAnchor {
  return {
    start: () => Promise.resolve(),
    offer: (_at, _side, sdp) => Promise.resolve({ anchored: true, sdp: nameless(sdp) }),
    answer: (_at, _side, sdp) => Promise.resolve({ anchored: true, sdp: nameless(sdp) }),
    makeOffer: () => Promise.resolve(noOffer),
    abandon: () => Promise.resolve(),
    release: () => Promise.resolve(null)
  }
}
