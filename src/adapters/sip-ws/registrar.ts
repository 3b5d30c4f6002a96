// Which devices of which user are reachable over which connection (RFC 3261 10.3, RFC 5626 6).
// In memory: a binding dies with its connection.

import type { Clock } from '../../session/ports.ts'
import { parseNameAddr, printNameAddr, quote, unquote } from '../../sip/message.ts'
import type { NameAddr, SipRequest } from '../../sip/message.ts'
import type { Flow } from '../../sip/transport/transport.ts'
import { parseUri } from '../../sip/uri.ts'
import { answerWith, line, refuseWith } from './answer.ts'
import type { Answer } from './answer.ts'
import { addressOf } from './identity.ts'
import type { Account } from './identity.ts'
import type { Limits } from './limits.ts'

/** One device of a user on one connection. */
export interface Binding {
  readonly account: Account
  /** Where requests to it go: the Contact's URI as written. */
  readonly uri: string
  /** RFC 5626, 4.1: the device, whatever its address; null for clients without it. */
  readonly instance: string | null
  readonly regId: string | null
  readonly flow: Flow
  readonly callId: string
  readonly cseq: number
  readonly expiresAt: number
}

/** One Contact of a REGISTER, checked. */
interface Wish {
  readonly contact: NameAddr
  readonly instance: string | null
  readonly regId: string | null
  /** 0: remove. */
  readonly seconds: number
}

export class Registrar {
  readonly #limits: Limits
  readonly #clock: Clock
  /** By address of record, newest first. */
  readonly #bindings = new Map<string, readonly Binding[]>()
  /** Who has ever registered over a connection, by its flow's id. */
  readonly #users = new Map<number, Set<Account>>()

  constructor({ limits, clock }: { readonly limits: Limits; readonly clock: Clock }) {
    this.#limits = limits
    this.#clock = clock
  }

  /** Live bindings of a user, newest first. */
  bindings(address: string): readonly Binding[] {
    const now = this.#clock.now()
    return (this.#bindings.get(address) ?? []).filter(({ expiresAt, flow }) => expiresAt > now && !flow.closed)
  }

  /** The devices to ring: one path to each, the newest (RFC 5626, 6: never two to one instance at once). */
  devices(address: string): readonly Binding[] {
    const seen = new Set<string>()
    return this.bindings(address).filter(({ instance }) => {
      if (instance === null) return true
      const known = seen.has(instance)
      seen.add(instance)
      return !known
    })
  }

  /** Who is registered over this connection. */
  accountsOn(flow: Flow): readonly Account[] {
    return [...(this.#users.get(flow.id) ?? [])].filter(account => this.isOn(flow, account))
  }

  isOn(flow: Flow, account: Account): boolean {
    return this.bindings(addressOf(account)).some(binding => binding.flow.id === flow.id)
  }

  lost(flow: Flow): void {
    for (const account of this.#users.get(flow.id) ?? []) {
      const address = addressOf(account)
      const others = (this.#bindings.get(address) ?? []).filter(binding => binding.flow.id !== flow.id)
      this.#store(address, others)
    }
    this.#users.delete(flow.id)
  }

  /** Carries out a REGISTER of a user who has proven to be one. All of its contacts, or none (10.3, step 7). */
  register(account: Account, request: SipRequest, flow: Flow): Answer {
    const address = addressOf(account)
    const before = this.bindings(address)
    const callId = request.headers.get('Call-ID') ?? ''
    const cseq = request.headers.cseq()?.number ?? 0
    const contacts = request.headers.all('Contact')
    if (contacts.length === 0) return this.#ok(before, request)
    if (contacts.length > this.#limits.contactsPerRegisterMax)
      return refuseWith(400, 'too many Contacts in one REGISTER')
    if (before.some(known => known.callId === callId && cseq <= known.cseq)) {
      return refuseWith(500, 'this REGISTER is older than one that was carried out')
    }
    if (contacts.includes('*')) return this.#removeAll(address, contacts, request)
    const wishes: Wish[] = []
    for (const text of contacts) {
      const wish = this.#wish(text, request)
      if ('status' in wish) return wish
      wishes.push(wish)
    }
    let after = before
    for (const wish of wishes) {
      after = after.filter(known => !sameDevice(known, wish))
      if (wish.seconds > 0) {
        const { contact, instance, regId, seconds } = wish
        const expiresAt = this.#clock.now() + seconds * 1_000
        after = [{ account, uri: contact.uri, instance, regId, flow, callId, cseq, expiresAt }, ...after]
      }
    }
    if (after.length > this.#limits.bindingsPerUserMax) return refuseWith(403, 'too many devices are registered')
    const users = this.#users.get(flow.id) ?? new Set()
    if (!users.has(account) && users.size >= this.#limits.usersPerConnectionMax) {
      return refuseWith(403, 'too many users are registered on this connection')
    }
    this.#users.set(flow.id, users.add(account))
    this.#store(address, after)
    return this.#ok(after, request)
  }

  /** `Contact: *` stands alone and only removes (10.2.2). */
  #removeAll(address: string, contacts: readonly string[], request: SipRequest): Answer {
    if (contacts.length > 1 || request.headers.get('Expires')?.trim() !== '0') {
      return refuseWith(400, 'Contact: * stands alone, with Expires: 0')
    }
    this.#store(address, [])
    return this.#ok([], request)
  }

  #wish(text: string, { headers }: SipRequest): Wish | Answer {
    const contact = text.length > this.#limits.contactBytesMax ? null : parseNameAddr(text)
    const uri = parseUri(contact?.uri ?? '')
    if (contact === null || uri === null || (uri.scheme !== 'sip' && uri.scheme !== 'sips')) {
      return refuseWith(400, 'a Contact must be a SIP address')
    }
    const { expiresSecondsMin: least, expiresSecondsMax: most, expiresSecondsDefault } = this.#limits
    // What is malformed counts as the default (RFC 3261, 20.10 and 20.19).
    const asked = secondsOf(contact.params.get('expires')) ?? secondsOf(headers.get('Expires')) ?? expiresSecondsDefault
    if (asked > 0 && asked < least) return answerWith(423, line('Min-Expires', String(least)))
    const instance = contact.params.get('+sip.instance') ?? null
    const regId = contact.params.get('reg-id') ?? null
    return {
      contact,
      instance: instance === null ? null : unquote(instance),
      regId: instance === null ? null : regId,
      seconds: Math.min(asked, most)
    }
  }

  #ok(bindings: readonly Binding[], request: SipRequest): Answer {
    const now = this.#clock.now()
    const contacts = bindings.map(({ uri, instance, regId, expiresAt }) => {
      const params = new Map<string, string | null>()
      if (instance !== null) params.set('+sip.instance', quote(instance))
      if (regId !== null) params.set('reg-id', regId)
      params.set('expires', String(Math.ceil((expiresAt - now) / 1_000)))
      return line('Contact', printNameAddr({ display: null, uri, params }))
    })
    const outbound =
      bindings.some(({ regId }) => regId !== null) && request.headers.all('Supported').includes('outbound')
    return answerWith(200, ...contacts, ...(outbound ? [line('Require', 'outbound')] : []))
  }

  #store(address: string, bindings: readonly Binding[]): void {
    if (bindings.length === 0) this.#bindings.delete(address)
    else this.#bindings.set(address, bindings)
  }
}

/** RFC 5626, 6: by instance and reg-id where a device names both, else by address. */
function sameDevice(known: Binding, { contact, instance, regId }: Wish): boolean {
  if (instance !== null && regId !== null && known.instance === instance && known.regId === regId) return true
  return known.uri === contact.uri
}

function secondsOf(text: string | null | undefined): number | null {
  return text !== null && text !== undefined && /^[0-9]{1,10}$/.test(text) ? Number(text) : null
}
