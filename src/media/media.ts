// The media anchor that the configuration names.

import type { MediaConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import type { Clock, MediaAnchor } from '../session/ports.ts'
import { EmbeddedAnchor } from './embedded.ts'
import { createPassthroughAnchor } from './passthrough.ts'
import { RtpengineAnchor } from './rtpengine.ts'

export interface MediaParts {
  readonly config: MediaConfig
  readonly log: Logger
  readonly clock: Clock
}

/** Throws HUB_CONFIG where the configuration names an anchor but not what it needs. */
export function createMediaAnchor(parts: MediaParts): MediaAnchor {
  const { anchor } = parts.config
  if (anchor === 'none') return createPassthroughAnchor()
  return anchor === 'rtpengine' ? new RtpengineAnchor(parts) : new EmbeddedAnchor(parts)
}
