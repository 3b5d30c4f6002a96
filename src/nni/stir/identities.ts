// Identity header fields of a request that came in.

import type { Headers } from '../../sip/message.ts'
import type { Peer } from '../peers.ts'
import { stirLimits } from './limits.ts'

/** As they came, no byte changed, where they may cross or are to be checked; one more than there may be, at most. */
export function identitiesIn(headers: Headers, peer: Peer): readonly string[] {
  const wanted = peer.heard.has('Identity') || peer.config.stir.verify !== 'none'
  if (!wanted || !headers.has('Identity')) return []
  return headers.all('Identity').slice(0, stirLimits.identitiesMax + 1)
}
