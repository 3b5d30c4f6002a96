// Which connection a registered Contact is reached over: TCP and TLS clients cannot be called back at their address.

import { parseNameAddr } from '../message.ts'
import type { SipRequest, SipResponse } from '../message.ts'
import { parseNumber } from '../characters.ts'
import { parseUri } from '../uri.ts'
import type { Flow } from '../transport/transport.ts'

interface Binding {
  readonly flow: Flow
  readonly until: number
}

const reachable: ReadonlySet<string> = new Set(['INVITE', 'OPTIONS', 'NOTIFY', 'MESSAGE'])
const forever = 4_294_967_295

/** `user@host` of a Contact to the connection that registered it, until it expires or the connection closes. */
export class Bindings {
  readonly #max: number
  readonly #byContact = new Map<string, Binding>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#byContact.size
  }

  /** After a 2xx to REGISTER or SUBSCRIBE was sent over a connection. */
  learn(request: SipRequest, response: SipResponse, flow: Flow, now: number): void {
    if (flow.transport === 'udp' || (request.method !== 'REGISTER' && request.method !== 'SUBSCRIBE')) return
    const ours = parseNumber(response.headers.get('Expires') ?? request.headers.get('Expires') ?? '', forever)
    for (const value of request.headers.all('Contact')) {
      const contact = parseNameAddr(value)
      const key = contact === null ? null : keyOf(contact.uri)
      if (contact === null || key === null) continue
      const granted = response.headers
        .all('Contact')
        .map(parseNameAddr)
        .find(other => other?.uri === contact.uri)
      const said = granted?.params.get('expires') ?? contact.params.get('expires') ?? ''
      const seconds = parseNumber(said, forever) ?? ours ?? 3_600
      // The newest last, so that the bound takes the one that has been silent longest.
      this.#byContact.delete(key)
      if (seconds === 0) continue
      this.#byContact.set(key, { flow, until: now + seconds * 1_000 })
      if (this.#byContact.size > this.#max) this.#byContact.delete(this.#byContact.keys().next().value ?? '')
    }
  }

  /** The connection to use for a request to this URI, or null. */
  find(method: string, uri: string, now: number): Flow | null {
    if (this.#byContact.size === 0 || !reachable.has(method)) return null
    const key = keyOf(uri)
    const binding = key === null ? undefined : this.#byContact.get(key)
    if (key === null || binding === undefined) return null
    if (!binding.flow.closed && binding.until > now) return binding.flow
    this.#byContact.delete(key)
    return null
  }
}

function keyOf(text: string): string | null {
  const uri = parseUri(text)
  return uri === null || uri.scheme === 'tel' || uri.scheme === 'urn' ? null : `${uri.user ?? ''}@${uri.host}`
}
