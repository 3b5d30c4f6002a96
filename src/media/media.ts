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

/** An anchor that can be let go of: what it watches in the background ends. */
export interface ClosableAnchor extends MediaAnchor {
  close(): void
}

/** Throws HUB_CONFIG where the configuration names an anchor but not what it needs. */
export function createMediaAnchor(parts: MediaParts): ClosableAnchor {
  const { anchor } = parts.config
  if (anchor === 'rtpengine') return new RtpengineAnchor(parts)
  const own = anchor === 'none' ? createPassthroughAnchor() : new EmbeddedAnchor(parts)
  // What it has is the calls': the hub releases them.
  return Object.assign(own, { close: () => undefined })
}
