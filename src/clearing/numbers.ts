// The number by which a party is priced: read from its canonical URI, or known of an island's user.

import type { IslandConfig } from '../config.ts'
import { isE164, isTelE164 } from '../session/dial-plan.ts'

/** Null: it has none, and only a row that matches everything prices it. */
export type NumberOf = (uri: string) => string | null

const number = (text: string): string | null => {
  const bare = text.replaceAll(/[-.()]/g, '')
  return isE164(bare) ? bare : null
}

/**
 * The number of an island's user is the one the configuration gives it (`called` may name either), or `lookUp`, by user
 * and domain.
 */
export function createNumberOf(
  islands: readonly Pick<IslandConfig, 'domain' | 'users'>[],
  lookUp: (user: string, domain: string) => string | null = () => null
): NumberOf {
  const users = new Map(
    islands.flatMap(({ domain, users }) =>
      users.flatMap(({ name, number }) => (number === undefined ? [] : [[address(name, domain), number] as const]))
    )
  )
  return uri => {
    // What nearly every record has.
    if (isTelE164(uri)) return uri.slice(4)
    const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/is.exec(uri) ?? ['', 'tel', uri]
    switch (scheme.toLowerCase()) {
      case 'tel':
        return number(before(/[;?]/, rest))
      case 'sip':
      case 'sips': {
        const at = rest.lastIndexOf('@')
        const [user, host] = [
          unescaped(before(/;/, rest.slice(0, Math.max(at, 0)))),
          before(/[:;?]/, rest.slice(at + 1))
        ]
        return number(user) ?? users.get(address(user, host)) ?? lookUp(user, host.toLowerCase())
      }
      default:
        return null
    }
  }
}

const before = (mark: RegExp, text: string): string => text.split(mark, 1)[0] ?? ''
const address = (name: string, domain: string): string => `${name}@${domain.toLowerCase()}`

function unescaped(user: string): string {
  try {
    return decodeURIComponent(user)
  } catch {
    return user
  }
}
