// JIDs and the canonical addresses: numbers and `sip:user@domain` (RFC 7247 section 6, XEP-0106, the dial plan). Pure.

import type { XmppIslandConfig } from '../../config.ts'
import type { Party, Shown } from '../../session/model.ts'
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
import { shownTo } from '../../session/privacy.ts'
import { limits } from './limits.ts'
import type { CallAddresses } from './link.ts'
import { gatewayAddress, parseJid } from './stanza.ts'

/** Who rings without a name: one address for all, which nobody can call back. */
export const anonymousLocal = 'anonymous'

const escaped: Readonly<Record<string, string>> = {
  ' ': '20',
  '"': '22',
  '&': '26',
  "'": '27',
  '/': '2f',
  ':': '3a',
  '<': '3c',
  '>': '3e',
  '@': '40',
  '\\': '5c'
}
const unescaped = new Map(Object.entries(escaped).map(([character, code]) => [code, character]))
const codes = Object.values(escaped).join('|')
const codeLike = new RegExp(`\\\\(?=(?:${codes}))`, 'gi')
const code = new RegExp(`\\\\(${codes})`, 'gi')

/** XEP-0106, 4.2: what a local part cannot hold as `\40`; a backslash only where it would be read as such a code. */
export function escapeLocal(text: string): string {
  return text
    .trim()
    .replace(codeLike, '\\5c')
    .replace(/[ "&'/:<>@]/g, character => `\\${escaped[character] ?? ''}`)
}

export function unescapeLocal(local: string): string {
  if (!local.includes('\\')) return local
  return local.replace(code, (whole, digits: string) => unescaped.get(digits.toLowerCase()) ?? whole)
}

export type DialPlan = XmppIslandConfig['dialPlan']

/** Where a local part of the gateway leads, by the island's dial plan. */
export function dialled(local: string, plan: DialPlan): Called {
  const text = unescapeLocal(local)
  if (text === anonymousLocal) return refused('not-found', 'an anonymous caller cannot be called back')
  const at = text.lastIndexOf('@')
  return at > 0 ? userOf(text.slice(0, at), text.slice(at + 1)) : dialledNumber(text, plan)
}

/** `alice\40other.example@gateway`: a user of another island. */
function userOf(user: string, domain: string): Called {
  const jid = parseJid(domain)
  if (jid === null || jid.local !== null || jid.resource !== null) return refused('not-found', 'no such address')
  return { called: `sip:${escapeSipUser(user)}@${jid.domain}` }
}

/** The gateway's local part that stands for a caller: a number, a user of another island, or nobody. */
export function localOf(from: Shown): string {
  const { presented, asserted } = shownTo('user', { ...from, trust: 'network' })
  const uri = presented ?? asserted[0] ?? null
  if (uri === null) return anonymousLocal
  const tel = /^tel:([^;]+)/i.exec(uri)?.[1]
  if (tel !== undefined) return numberLocal(tel) ?? anonymousLocal
  const sip = /^sips?:([^@;?]+(?:;[^@]*)?)@([^;?>]+)/i.exec(uri)
  const user = unescapeSipUser((sip?.[1] ?? '').split(';')[0]?.split(':')[0] ?? '')
  const host = parseJid((sip?.[2] ?? '').replace(/:[0-9]+$/, ''))
  if (user === null || user === '' || host === null) return anonymousLocal
  const phone = numberLocal(user)
  if (phone !== null) return phone
  return user.toLowerCase() === 'anonymous' || host.domain === 'anonymous.invalid'
    ? anonymousLocal
    : escapeLocal(`${user}@${host.domain}`)
}

function numberLocal(text: string): string | null {
  const digits = withoutSeparators(text)
  return isE164(digits) ? digits : null
}

export interface Addresses extends CallAddresses {
  called(to: string): Called
  /** Whether a stanza may come from there: the island's own users and servers. */
  isOfIsland(from: string): boolean
}

export interface AddressParts {
  readonly island: XmppIslandConfig
  /** The number of a user by the provider's table; null for none. */
  readonly numberOf: (islandId: string, user: string) => string | null
}

export function createAddresses({ island, numberOf }: AddressParts): Addresses {
  const domain = island.domain.toLowerCase()
  const gateway = island.gateway.toLowerCase()
  const displays = new Map(island.users.map(({ name, display }) => [name.toLowerCase(), display]))
  const names = new Map(
    island.users.flatMap(({ name, number: owned }) => (owned === undefined ? [] : [[owned, name] as const]))
  )
  const accounts = island.connection.kind === 'accounts' ? island.connection.accounts : null
  const byAccount = new Map(accounts?.map(({ name, number: owned }) => [name.toLowerCase(), owned]))
  const byNumber = new Map(accounts?.map(({ name, number: owned }) => [owned, name.toLowerCase()]))

  /** Where one account stands for one number, no other caller can be shown. */
  const shownLocal = (from: Shown): string => {
    const local = localOf(from)
    return accounts === null ? local : (byNumber.get(local) ?? anonymousLocal)
  }
  const ownLocal = (to: string): string | null => {
    const jid = parseJid(to)
    return jid === null || jid.domain !== gateway ? null : jid.local
  }
  return {
    gatewayJid: from => gatewayAddress(gateway, shownLocal(from)),
    answering: to => {
      const local = ownLocal(to)
      return local === null ? null : gatewayAddress(gateway, local)
    },
    userJid: uri => {
      const owned = uri.startsWith('tel:') ? names.get(uri.slice('tel:'.length)) : undefined
      const sip = /^sip:([^@]+)@([^;?:]+)$/i.exec(owned === undefined ? uri : `sip:${owned}@${domain}`)
      const user = unescapeSipUser(sip?.[1] ?? '')
      if (user === null || sip?.[2]?.toLowerCase() !== domain) return null
      const jid = parseJid(`${escapeLocal(user)}@${domain}`)
      return jid?.local === null || jid === null ? null : `${jid.local}@${domain}`
    },
    caller: from => {
      const jid = parseJid(from)
      if (jid === null || jid.local === null || jid.domain !== domain) return null
      return partyOf(jid.local, domain, numberOf(island.id, unescapeLocal(jid.local)), displays.get(jid.local) ?? null)
    },
    called: to => {
      const local = ownLocal(to)
      if (local === null) return refused('not-found', 'write to +number at this domain')
      if (accounts === null) return dialled(local, island.dialPlan)
      const owned = byAccount.get(local)
      return owned === undefined ? refused('not-found', 'this account stands for no number') : numberCalled(owned)
    },
    isOfIsland: from => {
      const jid = parseJid(from)
      return jid !== null && (jid.domain === domain || jid.domain.endsWith(`.${domain}`))
    }
  }
}

/** The server has proven who sends, and the provider who owns the number: the hub vouches for both. */
function partyOf(local: string, domain: string, owned: string | null, display: string | null): Party {
  const sip = `sip:${escapeSipUser(unescapeLocal(local))}@${domain}`
  const tel = owned === null ? null : `tel:${owned}`
  return {
    asserted: tel === null ? [sip] : [tel, sip],
    presented: tel ?? sip,
    display: display?.slice(0, limits.displayCharactersMax) ?? null,
    privacy: [],
    trust: 'network'
  }
}
