// Presence: who of an island watches which gateway address, which devices its users have, and what those can do.
// It gates nothing: a user of whom nothing is known may be online all the same (dead sessions look alive, too).

import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { capsElement, capsHash, featuresOf, infoOf } from './disco.ts'
import type { Limits } from './limits.ts'
import type { Device, Presences } from './link.ts'
import type { Watch } from './roster.ts'
import { bareOf, gatewayAddress, ns, parseJid, printJid, sameJid } from './stanza.ts'

export interface PresenceParts {
  readonly gateway: string
  readonly limits: Limits
  readonly send: (stanza: Element) => boolean
  readonly request: (iq: Element) => Promise<Element>
  /** Whether the gateway stands for anybody there who may be watched. */
  readonly stands: (jid: string) => boolean
  /** True where accounts are used: their server keeps the roster and tells their presence. */
  readonly rosterElsewhere: boolean
  /** What is to be kept of who watches whom. */
  readonly keep?: (change: 'add' | 'remove', watch: Watch) => void
}

interface Known {
  readonly jid: string
  readonly priority: number
  features: ReadonlySet<string> | null
}

export class Presence implements Presences {
  readonly #parts: PresenceParts
  /** By bare JID of a user: the local parts of the gateway that it watches. Oldest first. */
  readonly #watchers = new Map<string, Set<string>>()
  /** By bare JID of a user, then by full JID. Oldest first. */
  readonly #devices = new Map<string, Map<string, Known>>()
  /** Features by `ver`; a question under way is a promise. Oldest first. */
  readonly #caps = new Map<string, Promise<ReadonlySet<string> | null>>()

  constructor(parts: PresenceParts) {
    this.#parts = parts
  }

  devices(bareJid: string): readonly Device[] {
    const devices = [...(this.#devices.get(bareOf(bareJid) ?? '')?.values() ?? [])]
    return devices.sort((a, b) => b.priority - a.priority)
  }

  /** Whether this user watches that gateway address. */
  watches(user: string, local: string): boolean {
    return this.#watchers.get(user)?.has(local) ?? false
  }

  get watcherCount(): number {
    return this.#watchers.size
  }

  /** Who watched whom when the hub ran last. */
  remember(watches: readonly Watch[]): void {
    for (const { user, contact } of watches) {
      if (this.#parts.stands(this.#jid(contact, false))) this.#watch(user, contact, false)
    }
  }

  heard(presence: Element): void {
    const from = parseJid(presence.attrs['from'])
    const to = parseJid(presence.attrs['to'])
    if (from === null || to === null || from.local === null) return
    const user = printJid({ ...from, resource: null })
    const { type } = presence.attrs
    if (type === undefined || type === '') return this.#available(user, printJid(from), presence)
    if (type === 'unavailable') return this.#unavailable(user, from.resource === null ? null : printJid(from))
    if (type === 'subscribe') return this.#subscribe(user, to.local)
    if (type === 'probe') return this.#probed(printJid(from), user, to.local)
    if (type === 'unsubscribe') return this.#unsubscribe(user, to.local)
    if (type === 'unsubscribed') this.#forget(user, to.local)
  }

  /** After a break: devices may have gone unseen, and everybody who watches hears again that we are there. */
  up(accounts: readonly string[]): void {
    this.#devices.clear()
    if (this.#parts.rosterElsewhere) {
      for (const local of accounts) this.#parts.send(xml('presence', { from: this.#jid(local) }, capsElement()))
      return
    }
    for (const [user, locals] of this.#watchers) {
      for (const local of locals) this.#tell(user, local)
      // Any of them may ask which devices there are (RFC 6121, 4.3).
      const [local = ''] = locals
      this.#parts.send(xml('presence', { from: this.#jid(local, false), to: user, type: 'probe' }))
    }
  }

  #jid(local: string, device = true): string {
    return gatewayAddress(this.#parts.gateway, local, device)
  }

  #tell(to: string, local: string): void {
    this.#parts.send(xml('presence', { from: this.#jid(local), to }, capsElement()))
  }

  #subscribe(user: string, local: string | null): void {
    const { send, stands, rosterElsewhere } = this.#parts
    if (local === null || !stands(this.#jid(local, false)) || !this.#watch(user, local)) {
      const from = gatewayAddress(this.#parts.gateway, local, false)
      send(xml('presence', { from, to: user, type: 'unsubscribed' }))
      return
    }
    const from = this.#jid(local, false)
    send(xml('presence', { from, to: user, type: 'subscribed' }))
    // Their devices are of interest too: which of them can be called, and how.
    send(xml('presence', { from, to: user, type: 'subscribe' }))
    if (!rosterElsewhere) this.#tell(user, local)
  }

  /** Their server keeps the subscription: a hub that has started anew learns of it again by the probe. */
  #probed(device: string, user: string, local: string | null): void {
    if (local === null || !this.#parts.stands(this.#jid(local, false))) {
      const from = gatewayAddress(this.#parts.gateway, local, false)
      this.#parts.send(xml('presence', { from, to: user, type: 'unsubscribed' }))
      return
    }
    this.#watch(user, local)
    this.#tell(device, local)
  }

  #unsubscribe(user: string, local: string | null): void {
    if (local === null) return
    this.#forget(user, local)
    this.#parts.send(xml('presence', { from: this.#jid(local), to: user, type: 'unavailable' }))
    this.#parts.send(xml('presence', { from: this.#jid(local, false), to: user, type: 'unsubscribed' }))
  }

  /** False: no room. */
  #watch(user: string, local: string, isNew = true): boolean {
    const { watchersMax, contactsPerWatcherMax } = this.#parts.limits
    const locals = this.#watchers.get(user) ?? new Set()
    if (!locals.has(local) && locals.size >= contactsPerWatcherMax) return false
    if (!this.#watchers.has(user) && this.#watchers.size >= watchersMax) return false
    if (isNew && !locals.has(local)) this.#parts.keep?.('add', { user, contact: local })
    locals.add(local)
    this.#watchers.set(user, locals)
    return true
  }

  #forget(user: string, local: string | null): void {
    const locals = this.#watchers.get(user)
    if (local !== null && locals?.delete(local) === true) this.#parts.keep?.('remove', { user, contact: local })
    if (locals?.size === 0) this.#watchers.delete(user)
  }

  #available(user: string, jid: string, presence: Element): void {
    if (jid === user) return
    const { watchersMax, devicesPerUserMax } = this.#parts.limits
    const devices = this.#devices.get(user) ?? new Map<string, Known>()
    if (!devices.has(jid) && devices.size >= devicesPerUserMax) devices.delete(devices.keys().next().value ?? '')
    const asked = Number(presence.getChildText('priority') ?? '0')
    const priority = Number.isInteger(asked) ? Math.max(-128, Math.min(127, asked)) : 0
    const device: Known = { jid, priority, features: devices.get(jid)?.features ?? null }
    devices.set(jid, device)
    this.#devices.set(user, devices)
    if (this.#devices.size > watchersMax) this.#devices.delete(this.#devices.keys().next().value ?? '')
    void this.#learn(device, presence)
  }

  #unavailable(user: string, jid: string | null): void {
    const devices = this.#devices.get(user)
    if (jid === null) devices?.clear()
    else devices?.delete(jid)
    if (devices?.size === 0) this.#devices.delete(user)
  }

  async #learn(device: Known, presence: Element): Promise<void> {
    const caps = presence.getChild('c', ns.caps)
    const { node, ver, hash } = caps?.attrs ?? {}
    if (caps === undefined || node === undefined || ver === undefined) return
    const to = sameJid(presence.attrs['to'])
    const from = parseJid(to ?? undefined)?.local ?? null
    const local = gatewayAddress(this.#parts.gateway, from)
    const key = hash === 'sha-1' ? ver : null
    const known = key === null ? undefined : this.#caps.get(key)
    const asked = known ?? this.#ask(local, device.jid, `${node}#${ver}`, key)
    device.features =
      (await asked) ?? (known === undefined ? null : await this.#ask(local, device.jid, undefined, null))
  }

  /** Asks one device. Its answer is kept for all that show the same hash, if the hash is right. */
  #ask(from: string, to: string, node: string | undefined, key: string | null): Promise<ReadonlySet<string> | null> {
    const { limits, request } = this.#parts
    const iq = xml('iq', { type: 'get', from, to }, xml('query', { xmlns: ns.discoInfo, node }))
    let trusted = false
    const answer = request(iq).then(
      reply => {
        const info = infoOf(reply)
        trusted = info !== null && capsHash(info) === key
        return featuresOf(reply, limits.featuresPerDeviceMax)
      },
      () => null
    )
    if (key === null) return answer
    const shared = answer.then(features => {
      if (!trusted) this.#caps.delete(key)
      return trusted ? features : null
    })
    this.#caps.set(key, shared)
    if (this.#caps.size > limits.capsRememberedMax) this.#caps.delete(this.#caps.keys().next().value ?? '')
    return answer
  }
}
