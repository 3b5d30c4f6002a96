// User ids and the canonical addresses: ghosts for numbers and for users of other islands, and our own users. Pure.

import type { MatrixIslandConfig } from '../../config.ts'
import {
  dialledNumber,
  escapeSipUser,
  isE164,
  numberCalled,
  refused,
  unescapeSipUser,
  withoutSeparators
} from '../../session/dial-plan.ts'
import type { Called } from '../../session/dial-plan.ts'
import type { Party } from '../../session/model.ts'
import { shownTo } from '../../session/privacy.ts'
import { limits } from './limits.ts'
import type { MatrixAddresses } from './link.ts'
import { botLocal, watchLocal } from './registration.ts'

/** Who rings without a name: one ghost for all, which nobody can call back. */
export const anonymousLocal = 'anonymous'

const idCharactersMax = 255

export interface UserId {
  readonly local: string
  readonly server: string
}

/** `@local:server`; null for what is none (Appendices, "User Identifiers"; history's wider set is accepted). */
export function parseUserId(text: string): UserId | null {
  const [, local = '', server = ''] = /^@([\u0021-\u0039\u003b-\u007e]*):(.+)$/.exec(text) ?? []
  return server === '' || text.length > idCharactersMax ? null : { local, server: server.toLowerCase() }
}

/**
 * What a local part may hold is a-z 0-9 . _ = - / +; other bytes become `=xx` (Appendices, "Mapping from other
 * character sets"), and so do `=` and `+` themselves, which some servers refuse.
 */
export const escapeLocal = (text: string): string =>
  [...Buffer.from(text.toWellFormed(), 'utf8')]
    .map(byte => {
      const character = String.fromCharCode(byte)
      return /[a-z0-9._-]/.test(character) ? character : `=${byte.toString(16).padStart(2, '0')}`
    })
    .join('')

/** Null for a broken escape. */
export function unescapeLocal(local: string): string | null {
  if (/=(?![0-9a-f]{2})/i.test(local)) return null
  const bytes = Buffer.from(
    local.replace(/=([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))),
    'latin1'
  )
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return null
  }
}

export interface AddressParts {
  readonly island: MatrixIslandConfig
  /** The number of a user by the provider's table; null for none. */
  readonly numberOf: (islandId: string, user: string) => string | null
}

export interface Addresses extends MatrixAddresses {
  /** The ghost of a number somebody looks up, in any form that the dial plan knows; null for none. */
  ghostOfDialled(text: string): string | null
  /** What the ghost is called where it appears. */
  displayOf(ghost: string): string
}

export function createAddresses({ island, numberOf }: AddressParts): Addresses {
  const { ghostPrefix, dialPlan, users } = island
  const domain = island.domain.toLowerCase()
  const own = new Set([botLocal(ghostPrefix), watchLocal(ghostPrefix)])
  const displays = new Map(users.map(({ name, display }) => [name.toLowerCase(), display]))
  const ghost = (what: string): string => `@${ghostPrefix}${what}:${domain}`
  const whatOf = (userId: string): string | null => {
    const id = parseUserId(userId)
    if (id === null || id.server !== domain || !id.local.startsWith(ghostPrefix)) return null
    return own.has(id.local) ? null : id.local.slice(ghostPrefix.length)
  }
  /** A number's digits stand without their plus: some servers refuse it. */
  const ghostOfUri = (uri: string): string | null => {
    const tel = /^tel:\+([0-9]+)/i.exec(uri)?.[1]
    if (tel !== undefined) return ghost(tel)
    const sip = /^sips?:([^@;?]+)(?:;[^@]*)?@([^;?>]+)/i.exec(uri)
    const user = unescapeSipUser(sip?.[1]?.split(':')[0] ?? '')
    const host = (sip?.[2] ?? '').replace(/:[0-9]+$/, '').toLowerCase()
    if (user === null || user === '' || host === '') return null
    const phone = withoutSeparators(user)
    if (isE164(phone)) return ghost(phone.slice(1))
    if (user.toLowerCase() === 'anonymous' || host === 'anonymous.invalid') return null
    const id = ghost(escapeLocal(`${user}@${host}`))
    return id.length > idCharactersMax ? null : id
  }
  return {
    ghostOf: from => {
      const { presented, asserted } = shownTo('user', { ...from, trust: 'network' })
      const uri = presented ?? asserted[0] ?? null
      return (uri === null ? null : ghostOfUri(uri)) ?? ghost(anonymousLocal)
    },
    isGhost: userId => whatOf(userId) !== null,
    userOf: uri => {
      const sip = /^sip:([^@]+)@([^;?:]+)$/i.exec(uri)
      const user = unescapeSipUser(sip?.[1] ?? '')
      if (user === null || user === '' || sip?.[2]?.toLowerCase() !== domain) return null
      const id = `@${user}:${domain}`
      return parseUserId(id) === null || whatOf(id) !== null ? null : id
    },
    caller: userId => {
      const id = parseUserId(userId)
      if (id === null || id.server !== domain || id.local.startsWith(ghostPrefix)) return null
      return partyOf(id.local, domain, numberOf(island.id, id.local), displays.get(id.local) ?? null)
    },
    called: ghostId => {
      const what = whatOf(ghostId)
      return what === null ? refused('not-found', 'nobody is known under this address') : calledOf(what, dialPlan)
    },
    ghostOfDialled: text => {
      const planned = dialledNumber(text, dialPlan)
      return 'called' in planned ? ghostOfUri(planned.called) : null
    },
    displayOf: ghostId => {
      const what = whatOf(ghostId) ?? ''
      if (what === anonymousLocal) return 'Anonymous'
      return /^[0-9]{3,}$/.test(what) && numberIsWhole(what) ? `+${what}` : (unescapeLocal(what) ?? what)
    }
  }
}

/** Where a ghost's name without its prefix leads. */
function calledOf(what: string, dialPlan: MatrixIslandConfig['dialPlan']): Called {
  if (what === anonymousLocal) return refused('not-found', 'an anonymous caller cannot be called back')
  // As the hub writes them: the digits of an E.164 number. As people may type them: short and emergency numbers.
  const planned = dialledNumber(what, dialPlan)
  if ('refused' in planned && planned.emergency === true) return planned
  if ('called' in planned && isPlanned(what, dialPlan)) return planned
  if (/^[1-9][0-9]+$/.test(what)) return numberCalled(`+${what}`)
  const text = unescapeLocal(what)
  const at = text?.lastIndexOf('@') ?? -1
  if (text === null) return refused('not-found', 'nobody is known under this address')
  if (at <= 0) return dialledNumber(text, dialPlan)
  return { called: `sip:${escapeSipUser(text.slice(0, at))}@${text.slice(at + 1).toLowerCase()}` }
}

const numberIsWhole = (digits: string): boolean => isE164(`+${digits}`)

/** Whether the plan itself names the digits: `112` is no number of country 1. */
const isPlanned = (digits: string, { short, emergency }: MatrixIslandConfig['dialPlan']): boolean =>
  [...short, ...emergency].some(entry => entry.dialled === digits)

/** The homeserver has proven who sends, and the provider who owns the number: the hub vouches for both. */
function partyOf(local: string, domain: string, owned: string | null, display: string | null): Party {
  const sip = `sip:${escapeSipUser(local)}@${domain}`
  const tel = owned === null ? null : `tel:${owned}`
  return {
    asserted: tel === null ? [sip] : [tel, sip],
    presented: tel ?? sip,
    display: display?.slice(0, limits.displayCharactersMax) ?? null,
    privacy: [],
    trust: 'network'
  }
}
