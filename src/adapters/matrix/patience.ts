// A homeserver that limits us is asked again when it says so: for ghosts, rooms and what is read back, where a refusal
// would lose something. Events have the sender's own rules.

import type { Clock } from '../../session/ports.ts'
import { HomeserverError } from './homeserver.ts'
import type { Asked, Homeserver } from './homeserver.ts'
import type { Limits } from './limits.ts'

export interface PatienceParts {
  readonly homeserver: Homeserver
  readonly clock: Clock
  readonly limits: Limits
}

/** The same homeserver; `limited` is what it says only after `limitedTriesMax`, or for a wait beyond `backOffMsMax`. */
export function patient({ homeserver, clock, limits }: PatienceParts): Homeserver {
  return {
    url: homeserver.url,
    media: (mxc, signal) => homeserver.media(mxc, signal),
    request: async <T>(asked: Asked): Promise<T> => {
      for (let tries = 1; ; tries++) {
        try {
          return await homeserver.request<T>(asked)
        } catch (error) {
          const waitMs = error instanceof HomeserverError && error.kind === 'limited' ? waitOf(error, limits) : null
          if (waitMs === null || waitMs > limits.backOffMsMax || tries >= limits.limitedTriesMax) throw error
          await new Promise<void>(done => void clock.after(waitMs, done))
        }
      }
    }
  }
}

const waitOf = ({ retryAfterMs }: HomeserverError, { limitedMs }: Limits): number => retryAfterMs ?? limitedMs
