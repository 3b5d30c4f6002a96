// Who calls whom, between the SIP of an island and the canonical vocabulary: addresses, parties, From lines. Pure.

import type { IslandConfig } from '../../config.ts'
import { isE164 } from '../../session/dial-plan.ts'
import { emergencyOf } from '../../session/emergency.ts'
import type { Party, Shown } from '../../session/model.ts'
import { shownTo } from '../../session/privacy.ts'
import { parseNameAddr, printNameAddr } from '../../sip/message.ts'
import type { Headers, NameAddr } from '../../sip/message.ts'
import { parseUri, stripSeparators } from '../../sip/uri.ts'
import type { SipUri, TelUri, Uri } from '../../sip/uri.ts'
import { limits } from './limits.ts'

export type UserConfig = IslandConfig['users'][number]

/** A user of an island, by configuration. */
export interface Account {
  readonly island: IslandConfig
  readonly user: UserConfig
}

export const addressOf = ({ island, user }: Account): string => `sip:${user.name}@${island.domain.toLowerCase()}`

/** Accounts of this access by `sip:user@domain`. Disabled islands have none. */
export function accountsOf(islands: readonly IslandConfig[]): ReadonlyMap<string, Account> {
  const accounts = new Map<string, Account>()
  for (const island of islands.filter(({ access, enabled }) => access === 'sip-ws' && enabled)) {
    for (const user of island.users) accounts.set(addressOf({ island, user }), { island, user })
  }
  return accounts
}

/** `sip:user@host` without port and parameters: how users are compared. Null for what names no user. */
export function userAddress(uri: Uri | null): string | null {
  if (uri === null || (uri.scheme !== 'sip' && uri.scheme !== 'sips') || uri.user === null) return null
  return `sip:${uri.user}@${uri.host}`
}

export type Called = { readonly called: string } | { readonly status: 404 | 416 | 484; readonly text: string }

/** Behind escapes in a user part: what would end the address, its line or its field wherever it is written again. */
const unusable = /[\p{Cc}\s@<>"]/u
const international = 'write the number in international form, with + and the country code'

/**
 * Where a Request-URI leads: `tel:+E164` or `sip:user@domain`. National forms are not guessed, since only the user's
 * own provider knows which country `0049` or `030` was dialled in.
 */
export function calledOf(
  requestUri: string,
  home: ReadonlySet<string>,
  accounts: ReadonlyMap<string, Account>,
  help: HelpNumbers = new Map()
): Called {
  const uri = parseUri(requestUri)
  if (uri === null) return { status: 416, text: 'only sip and tel addresses can be called' }
  if (uri.scheme === 'urn') {
    const service = emergencyOf(requestUri)
    return service === null
      ? { status: 404, text: `nothing here serves urn:${uri.nid}:${uri.nss}` }
      : { called: service }
  }
  const service = helpAt(uri, home, help)
  if (service !== null) return { called: service }
  if (uri.scheme === 'tel') return numberOf(uri.number)
  const { user, host } = uri
  if (user === null) return { status: 404, text: 'the address names no user' }
  if (unusable.test(user)) return { status: 404, text: 'nobody is known under this address' }
  const address = `sip:${user}@${host}`
  const digits = stripSeparators(user.split(';')[0] ?? '')
  if (digits !== null && user.startsWith('+')) return numberOf(digits)
  const dialled = digits !== null && /^[0-9*#]+$/.test(digits)
  const here = home.has(host) && !accounts.has(address)
  if (dialled && (here || uri.params.get('user') === 'phone')) return { status: 484, text: international }
  return { called: address }
}

/** Emergency services by what is dialled: `112`, at home or as a telephone number. */
export type HelpNumbers = ReadonlyMap<string, string>

function helpAt(uri: SipUri | TelUri, home: ReadonlySet<string>, help: HelpNumbers): string | null {
  if (uri.scheme === 'tel') return help.get(uri.number) ?? null
  const phone = uri.params.get('user')?.toLowerCase() === 'phone'
  return phone || home.has(uri.host) ? (help.get(stripSeparators(uri.user?.split(';')[0] ?? '') ?? '') ?? null) : null
}

function numberOf(number: string): Called {
  return isE164(number) ? { called: `tel:${number}` } : { status: 484, text: international }
}

/** Words of a Privacy field that mean something (RFC 3323, 4.2; RFC 3325, 9.3). */
const privacyWords: ReadonlySet<string> = new Set(['id', 'user', 'header', 'session', 'none', 'critical'])

export function privacyOf(headers: Headers): readonly string[] {
  const words = headers.all('Privacy').flatMap(line => line.toLowerCase().split(/[;,\s]+/))
  return [...new Set(words.filter(word => privacyWords.has(word)))]
}

/** RFC 3323, 4.1.1.3 and RFC 3325: who writes this wants to be nobody. */
export function isAnonymous(from: Uri | null): boolean {
  if (from === null || (from.scheme !== 'sip' && from.scheme !== 'sips')) return false
  return from.host === 'anonymous.invalid' || from.user?.toLowerCase() === 'anonymous'
}

/** The user as a party: the hub has checked the password, so it vouches for the address and the configured number. */
export function partyOf(account: Account, headers: Headers): Party {
  const { user } = account
  const from = parseNameAddr(headers.get('From') ?? '')
  const anonymous = isAnonymous(parseUri(from?.uri ?? ''))
  const sip = addressOf(account)
  const tel = user.number === undefined ? null : `tel:${user.number}`
  const asked = privacyOf(headers)
  return {
    asserted: tel === null ? [sip] : [tel, sip],
    presented: anonymous ? null : (tel ?? sip),
    display: anonymous ? null : displayOf(user.display ?? from?.display ?? null),
    privacy: anonymous ? [...new Set([...asked.filter(word => word !== 'none'), 'id', 'user'])] : asked,
    trust: 'network'
  }
}

/** The party that has answered: nothing is known of its wishes but who it is. */
export function connectedParty(account: Account): Party {
  const { user } = account
  const sip = addressOf(account)
  const tel = user.number === undefined ? null : `tel:${user.number}`
  return {
    asserted: tel === null ? [sip] : [tel, sip],
    presented: tel ?? sip,
    display: displayOf(user.display ?? null),
    privacy: [],
    trust: 'network'
  }
}

function displayOf(display: string | null): string | null {
  if (display === null) return null
  let out = ''
  for (const character of display) {
    const code = character.codePointAt(0) ?? 0
    if (code >= 32 && code !== 127) out += character
    if (out.length >= limits.displayCharactersMax) break
  }
  return out.trim() === '' ? null : out.trim()
}

const anonymous: NameAddr = { display: 'Anonymous', uri: 'sip:anonymous@anonymous.invalid', params: new Map() }

/**
 * The From of a request into an island. Its users are outside the trust domain, whatever the target says: nothing
 * restricted goes there (RFC 3325, 7), and of other networks no more than the address that can be called back.
 */
export function fromShown(from: Shown, hubDomain: string): NameAddr {
  const { presented, display } = shownTo('user', { ...from, trust: 'network' })
  const uri = presented === null ? null : publicAddress(presented, hubDomain)
  return uri === null ? anonymous : { display: displayOf(display), uri, params: new Map() }
}

/** `P-Asserted-Identity` of a request or answer into an island, or null where nobody may be named. */
export function assertedLine(from: Shown, hubDomain: string): string | null {
  const { asserted } = shownTo('user', { ...from, trust: 'network' })
  const uris = asserted.flatMap(uri => publicAddress(uri, hubDomain) ?? [])
  const [uri] = uris
  return uri === undefined ? null : printNameAddr({ display: null, uri, params: new Map() })
}

/** A number at the hub's own domain, or another island's user as it is; no foreign ports and parameters. */
function publicAddress(text: string, hubDomain: string): string | null {
  const uri = parseUri(text)
  if (uri === null || uri.scheme === 'urn') return null
  const number = uri.scheme === 'tel' ? uri.number : stripSeparators((uri.user ?? '').split(';')[0] ?? '')
  if (number !== null && isE164(number)) return `sip:${number}@${hubDomain};user=phone`
  return uri.scheme === 'tel' ? null : printAddress(uri)
}

function printAddress({ user, host }: SipUri): string | null {
  if (user === null) return null
  const host_ = host.includes(':') ? `[${host}]` : host
  return `sip:${encodeURIComponent(user)}@${host_}`
}
