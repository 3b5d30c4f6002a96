// The anchor that is none: SDP goes through unchanged and media flows between the peers. For a transit hub that only
// signals; nothing is measured and nothing can be lost.

import type { Anchored, MediaAnchor } from '../session/ports.ts'

const noOffer: Anchored = {
  anchored: false,
  reason: { cause: 'incompatible-media', text: 'a hub without a media anchor cannot make an offer of its own' }
}

export function createPassthroughAnchor(): MediaAnchor {
  return {
    start: () => Promise.resolve(),
    offer: (_at, _side, sdp) => Promise.resolve({ anchored: true, sdp }),
    answer: (_at, _side, sdp) => Promise.resolve({ anchored: true, sdp }),
    makeOffer: () => Promise.resolve(noOffer),
    abandon: () => Promise.resolve(),
    release: () => Promise.resolve(null)
  }
}
