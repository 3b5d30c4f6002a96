// One XMPP island: its connections, and what comes in over them told apart: calls, messages, presence, questions.

import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import type { XmppIslandConfig } from '../../config.ts'
import { messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Clock, Inbox } from '../../session/ports.ts'
import { createAddresses } from './addresses.ts'
import type { AddressParts, Addresses } from './addresses.ts'
import type { Calls, CreateCalls } from './calls-port.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import { answerDisco } from './disco.ts'
import { Requester, newId } from './iq.ts'
import type { Limits } from './limits.ts'
import type { Link } from './link.ts'
import { Memory } from '../../memory.ts'
import { Presence } from './presence.ts'
import type { Roster } from './roster.ts'
import { bareOf, errorOf, gatewayAddress, ns, parseJid, printStanza } from './stanza.ts'
import { noticeStanza } from './text-stanza.ts'
import { Texts } from './texts.ts'

export interface IslandParts {
  readonly island: XmppIslandConfig
  readonly numberOf: AddressParts['numberOf']
  readonly version: string
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
  readonly inbox: Inbox
  readonly newLeg: Parameters<CreateCalls>[0]['newLeg']
  readonly createCalls: CreateCalls
  /** One for a component; one for each account, in the order of the configuration. */
  readonly connect: (events: ConnectionEvents, account: number) => Connection
  readonly roster?: Roster
}

export class Island implements Link {
  readonly islandId: string
  readonly gateway: string
  readonly newId = newId
  readonly texts: Texts
  readonly calls: Calls
  readonly presence: Presence
  readonly connections: readonly Connection[]
  readonly #parts: IslandParts
  readonly #addresses: Addresses
  readonly #requester: Requester
  readonly #startedAt: number
  /** Local parts of the accounts, in lower case; null for a component. */
  readonly #accounts: readonly string[] | null
  /** To whom a notice went lately. */
  readonly #noticed: Memory<true>
  readonly #cancels = new Map<Connection, () => void>()
  #answering = 0
  #strangers = 0

  constructor(parts: IslandParts) {
    const { island, limits, clock, log, inbox, numberOf, newLeg } = parts
    this.#parts = parts
    this.islandId = island.id
    this.gateway = island.gateway.toLowerCase()
    this.#startedAt = clock.now()
    this.#addresses = createAddresses({ island, numberOf })
    this.#requester = new Requester({ limits, clock, send: iq => this.send(iq) })
    const { noticesRememberedMax: entriesMax, noticeMs: keepMs } = limits
    this.#noticed = new Memory({ entriesMax, keepMs, now: () => clock.now() })
    const { connection } = island
    this.#accounts = connection.kind === 'accounts' ? connection.accounts.map(({ name }) => name.toLowerCase()) : null
    this.presence = new Presence({
      gateway: this.gateway,
      limits,
      send: stanza => this.send(stanza),
      request: iq => this.request(iq),
      stands: jid => this.#stands(jid),
      rosterElsewhere: this.#accounts !== null,
      keep: (change, watch) => parts.roster?.[change](island.id, watch)
    })
    const neighbour = connection.kind === 'component' ? `${connection.host}:${connection.port}` : connection.service
    const addresses = this.#addresses
    this.texts = new Texts({ island, link: this, addresses, limits, clock, inbox, neighbour })
    this.calls = parts.createCalls({
      island,
      link: this,
      addresses,
      presences: this.presence,
      inbox,
      clock,
      log,
      newLeg,
      neighbour
    })
    this.connections = (this.#accounts ?? ['']).map((_, at) => {
      const made: Connection = parts.connect(
        {
          onStanza: stanza => this.#heard(stanza, at),
          onUp: () => this.#up(made, at),
          onDown: why => this.#down(made, why)
        },
        at
      )
      return made
    })
  }

  get ready(): boolean {
    return this.connections.every(({ up }) => up)
  }

  start(): void {
    for (const connection of this.connections) connection.start()
  }

  async close(): Promise<void> {
    for (const cancel of this.#cancels.values()) cancel()
    await Promise.all(this.connections.map(connection => connection.close()))
    this.#requester.down('the hub is shutting down')
  }

  send(element: Element): boolean {
    const { log, limits } = this.#parts
    const from = parseJid(element.attrs['from'])
    const to = element.attrs['to']
    // A server closes the whole link for a wrong `from`, and every call of the island with it.
    if (from === null || from.domain !== this.gateway || (to !== undefined && parseJid(to) === null)) {
      log.error(
        { island: this.islandId, from: element.attrs['from'], to },
        'a stanza with wrong addresses was not sent'
      )
      return false
    }
    const connection = this.#connectionOf(from.local)
    if (connection === undefined || !connection.up) return false
    if (this.#accounts !== null) element.attrs['xmlns'] ??= 'jabber:client'
    const printed = printStanza(element)
    if (Buffer.byteLength(printed) > limits.stanzaBytesOutMax) {
      log.warn({ island: this.islandId, bytes: printed.length }, 'a stanza that is too long was not sent')
      return false
    }
    return connection.send(element, printed)
  }

  request(element: Element, ms?: number): Promise<Element> {
    return this.#requester.request(element, ms)
  }

  #connectionOf(local: string | null): Connection | undefined {
    if (this.#accounts === null) return this.connections[0]
    return local === null ? this.connections.find(({ up }) => up) : this.connections[this.#accounts.indexOf(local)]
  }

  /** Whether a call or message to this address would lead somewhere. */
  #stands(jid: string): boolean {
    return 'called' in this.#addresses.called(jid)
  }

  #up(connection: Connection, at: number): void {
    const { log } = this.#parts
    log.info({ island: this.islandId, link: connection.name }, 'the link to an XMPP server is up')
    this.#watch(connection, at)
    this.presence.up(this.#accounts === null ? [] : [this.#accounts[at] ?? ''])
    if (this.#accounts === null || this.connections.filter(({ up }) => up).length === 1) this.calls.onUp()
  }

  #down(connection: Connection, why: string): void {
    this.#cancels.get(connection)?.()
    if (this.connections.some(({ up }) => up)) return
    this.#requester.down(why)
    this.calls.onDown(why)
  }

  /** Nothing tells that a silent server is gone but asking it. */
  #watch(connection: Connection, at: number): void {
    const { clock, limits, island } = this.#parts
    const look = (): void => {
      this.#cancels.set(connection, clock.after(limits.quietMs, look))
      if (clock.now() - connection.heardAt < limits.quietMs) return
      const from = gatewayAddress(this.gateway, this.#accounts?.[at] ?? null)
      const ping = xml('iq', { type: 'get', from, to: island.domain }, xml('ping', { xmlns: ns.ping }))
      this.request(ping, limits.pongMs).catch((error: unknown) => {
        if (connection.up) connection.restart(messageOf(error))
      })
    }
    this.#cancels.get(connection)?.()
    this.#cancels.set(connection, clock.after(limits.quietMs, look))
  }

  /** What a stanza does wrong in our own code must not take its link with it. */
  #heard(stanza: Element, at: number): void {
    try {
      this.#accept(stanza, at)
    } catch (error) {
      this.#parts.log.error({ island: this.islandId, err: error }, 'a stanza could not be handled')
    }
  }

  #accept(stanza: Element, at: number): void {
    const { attrs } = stanza
    if (this.#accounts !== null) {
      // A server may leave out what goes without saying on a client's stream.
      attrs['to'] ??= gatewayAddress(this.gateway, this.#accounts[at] ?? null)
      attrs['from'] ??= this.gateway
    }
    const { from = '', to = '' } = attrs
    const name = stanza.getName()
    const sender = parseJid(from)
    if (sender === null || parseJid(to)?.domain !== this.gateway) return
    if (name === 'iq' && (attrs['type'] === 'result' || attrs['type'] === 'error')) {
      this.#requester.settle(stanza)
      return
    }
    if (!this.#addresses.isOfIsland(from)) return this.#stranger(stanza)
    this.#notice(stanza)
    if (name === 'iq') return this.#asked(stanza)
    if (name === 'message') {
      if (!this.calls.onMessage(stanza)) this.texts.heard(stanza)
      return
    }
    if (name !== 'presence' || attrs['type'] === 'error') return
    this.presence.heard(stanza)
    this.calls.onPresence(stanza)
  }

  /** Users of other servers have no agreement with anybody here. */
  #stranger(stanza: Element): void {
    this.#strangers += 1
    const { log } = this.#parts
    if (this.#strangers === 1)
      log.warn({ island: this.islandId, from: stanza.attrs['from'] }, 'somebody from elsewhere')
    const { type } = stanza.attrs
    const isQuestion = stanza.getName() === 'iq' || (stanza.getName() === 'message' && type !== 'headline')
    if (type === 'error' || !isQuestion) return
    this.send(errorOf(stanza, 'forbidden', { text: 'only users of this island may use its gateway' }))
  }

  #asked(iq: Element): void {
    const { attrs } = iq
    if (attrs['id'] === undefined || (attrs['type'] !== 'get' && attrs['type'] !== 'set')) {
      return void this.send(errorOf(iq, 'bad-request'))
    }
    if (iq.getChildElements().length !== 1) return void this.send(errorOf(iq, 'bad-request'))
    const reply = this.calls.onIq(iq) ?? answerDisco(iq, this.#disco()) ?? errorOf(iq, 'service-unavailable')
    if (!(reply instanceof Promise)) return void this.send(reply)
    if (this.#answering >= this.#parts.limits.iqAnsweringMax) return void this.send(errorOf(iq, 'resource-constraint'))
    void this.#answer(iq, reply)
  }

  async #answer(iq: Element, reply: Promise<Element>): Promise<void> {
    this.#answering += 1
    try {
      this.send(await reply)
    } catch (error) {
      this.#parts.log.error({ island: this.islandId, err: error }, 'a question could not be answered')
      this.send(errorOf(iq, 'internal-server-error'))
    } finally {
      this.#answering -= 1
    }
  }

  #disco(): Parameters<typeof answerDisco>[1] {
    const { version, clock } = this.#parts
    return {
      gateway: this.gateway,
      version,
      stands: jid => this.#stands(jid),
      upSeconds: () => (clock.now() - this.#startedAt) / 1_000
    }
  }

  /** Whoever dials an emergency number that leads nowhere is told so in words, whatever a client shows of errors. */
  #notice(stanza: Element): void {
    const { from = '', to = '' } = stanza.attrs
    const asks =
      stanza.getChild('propose', 'urn:xmpp:jingle-message:0') !== undefined ||
      stanza.getChild('jingle', 'urn:xmpp:jingle:1')?.attrs['action'] === 'session-initiate' ||
      stanza.getChild('body') !== undefined
    if (!asks || stanza.attrs['type'] === 'error') return
    const called = this.#addresses.called(to)
    if (!('refused' in called) || called.emergency !== true) return
    const key = `${bareOf(from)} ${bareOf(to)}`
    if (this.#noticed.get(key) !== null) return
    this.#noticed.set(key, true)
    const sender = this.#addresses.answering(to)
    const text = called.refused.text ?? ''
    if (sender !== null) this.send(noticeStanza({ from: sender, to: from, id: newId() }, text))
  }
}
