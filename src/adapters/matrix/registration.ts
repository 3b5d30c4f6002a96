// The registration file of an island's application service: what its homeserver has to be told (spec: Application
// Service API, "Registration").

import { stringify } from 'yaml'
import type { MatrixConfig } from '../../config.ts'

/** Where homeservers and users reach the hub; `port`: the one that is bound. */
export function publicUrlOf({ publicUrl, tls, host }: MatrixConfig, port: number): string {
  const scheme = tls === undefined ? 'http' : 'https'
  return (publicUrl ?? `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`).replace(/\/+$/, '')
}

export interface RegistrationParts {
  readonly islandId: string
  /** The homeserver's name. */
  readonly domain: string
  readonly ghostPrefix: string
  /** Where the homeserver reaches the hub. */
  readonly url: string
  readonly asToken: string
  readonly hsToken: string
}

/** The local part of the service's own user, who brings no calls and no messages. */
export const botLocal = (ghostPrefix: string): string => `${ghostPrefix}bot`

/** A user of the service's own that only listens: a homeserver need not let the service's user itself do so. */
export const watchLocal = (ghostPrefix: string): string => `${ghostPrefix}watch`

/** The service's id in the registration, and in pings. */
export const serviceIdOf = (islandId: string): string => `isthmus-${islandId}`

export function registrationOf({ islandId, domain, ghostPrefix, url, ...tokens }: RegistrationParts): string {
  const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
  return stringify({
    id: serviceIdOf(islandId),
    url: url.replace(/\/+$/, ''),
    as_token: tokens.asToken,
    hs_token: tokens.hsToken,
    sender_localpart: botLocal(ghostPrefix),
    // The hub has limits of its own; a gateway's bursts look like abuse.
    rate_limited: false,
    // Typing and receipts; the second name is for servers from before 1.13 of the specification.
    receive_ephemeral: true,
    'de.sorunome.msc2409.push_ephemeral': true,
    namespaces: {
      users: [{ exclusive: true, regex: `@${literal(ghostPrefix)}.*:${literal(domain)}` }],
      aliases: [],
      rooms: []
    },
    // `/thirdparty/user/m.protocol.pstn?m.id.phone=+49...`: a client finds the ghost of a number.
    protocols: ['m.protocol.pstn']
  })
}
