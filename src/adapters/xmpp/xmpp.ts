// The XMPP world: islands whose users call by Jingle and write messages, over a component link or plain accounts.

import { readFileSync } from 'node:fs'
import type { IslandConfig, XmppIslandConfig } from '../../config.ts'
import { HubError, messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { IslandAdapter, islandIn } from '../../session/island-adapter.ts'
import type { IslandCalls } from '../../session/island-adapter.ts'
import { noFacts } from '../../session/model.ts'
import type { LegRef } from '../../session/model.ts'
import type { Clock, Inbox, Invitation, OutgoingText } from '../../session/ports.ts'
import type { OutgoingTyping, SignallingAdapter, TextOutcome } from '../../session/ports.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import { createAccount } from './account.ts'
import type { CreateCalls } from './calls-port.ts'
import { createCalls } from './calls.ts'
import { createComponent } from './component.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import { Island } from './island.ts'
import { limits as defaultLimits } from './limits.ts'
import type { Limits } from './limits.ts'
import type { Roster } from './roster.ts'

export interface XmppParts {
  readonly config: {
    readonly islands: readonly IslandConfig[]
    readonly hub: { readonly domain: string; readonly version?: string }
  }
  readonly log: Logger
  readonly clock: Clock
  /** The secret of a component or the password of an account. Throws HUB_CONFIG where the place it names is empty. */
  readonly secretOf: (at: {
    readonly secret?: string | undefined
    readonly secretEnv?: string | undefined
    readonly secretFile?: string | undefined
  }) => string
  /** A user's number by the provider's table; by the configuration unless given. */
  readonly numberOf?: (islandId: string, user: string) => string | null
  /** Where it is kept who watches whom; in memory alone unless given. */
  readonly roster?: Roster
  readonly limits?: Partial<Limits>
  /** The calls of an island; others for tests of the link alone. */
  readonly createCalls?: CreateCalls
  /** 0 <= n < 1, for the jitter of waits. */
  readonly random?: () => number
}

export interface Xmpp extends SignallingAdapter {
  /** What it connects to, for people. */
  readonly links: readonly string[]
  /** Whether every link of that island is up. */
  ready(islandId: string): boolean
  close(): Promise<void>
}

const isXmpp = (island: IslandConfig): island is XmppIslandConfig => island.access === 'xmpp' && island.enabled

/** Throws HUB_CONFIG for a secret or certificate that is not where the configuration says. */
export const createXmpp = (parts: XmppParts): Xmpp => new XmppAdapter(parts)

class XmppAdapter extends IslandAdapter implements Xmpp {
  readonly access = 'xmpp'
  readonly #parts: XmppParts
  readonly #limits: Limits
  readonly #configured: readonly XmppIslandConfig[]
  readonly #connectors: ReadonlyMap<string, (events: ConnectionEvents, account: number) => Connection>
  readonly #islands = new Map<string, Island>()
  #legsMade = 0

  constructor(parts: XmppParts) {
    super()
    this.#parts = parts
    this.#limits = { ...defaultLimits, ...parts.limits }
    this.#configured = parts.config.islands.filter(isXmpp)
    // Secrets are read now: a place that is empty stops the start.
    this.#connectors = new Map(this.#configured.map(island => [island.id, this.#connector(island)]))
  }

  get links(): readonly string[] {
    return [...this.#islands.values()].flatMap(({ connections }) => connections.map(({ name }) => name))
  }

  ready(islandId: string): boolean {
    return this.#islands.get(islandId)?.ready ?? false
  }

  /** Does not wait for the servers: a hub starts whether they are there or not. */
  async start(inbox: Inbox): Promise<void> {
    const { config, clock, log, numberOf, roster } = this.#parts
    const byConfig = new Map(
      this.#configured.flatMap(({ id, users }) =>
        users.map(({ name, number }) => [`${id} ${name.toLowerCase()}`, number ?? null] as const)
      )
    )
    for (const island of this.#configured) {
      const connect = this.#connectors.get(island.id)
      if (connect === undefined) continue
      this.#islands.set(
        island.id,
        new Island({
          island,
          numberOf: numberOf ?? ((islandId, user) => byConfig.get(`${islandId} ${user}`) ?? null),
          version: config.hub.version ?? '',
          limits: this.#limits,
          clock,
          log,
          inbox,
          newLeg: () => this.#newLeg(island.id),
          createCalls: this.#parts.createCalls ?? createCalls,
          connect,
          ...(roster === undefined ? {} : { roster })
        })
      )
    }
    for (const [id, island] of this.#islands) {
      if (roster !== undefined) island.presence.remember(await roster.read(id))
      island.start()
    }
  }

  protected callsOf(leg: LegRef): IslandCalls | undefined {
    return this.#islands.get(islandIn(leg))?.calls
  }

  protected allCalls(): readonly IslandCalls[] {
    return [...this.#islands.values()].map(({ calls }) => calls)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#islands.values()].map(island => island.close()))
    await this.#parts.roster?.settled()
  }

  invite(invitation: Invitation): LegRef {
    const island = this.#islands.get(invitation.target.peerId)
    if (island === undefined) throw new HubError('HUB_PEER', `no XMPP island ${invitation.target.peerId} is connected`)
    return island.calls.invite(invitation)
  }

  async sendText(text: OutgoingText): Promise<TextOutcome> {
    const island = this.#islands.get(text.target.peerId)
    if (island !== undefined) return island.texts.send(text)
    return { taken: false, reason: { cause: 'not-found', text: 'no such island is connected' }, facts: noFacts }
  }

  async sendTyping(typing: OutgoingTyping): Promise<void> {
    this.#islands.get(typing.target.peerId)?.texts.typing(typing)
  }

  async sendReceipt(ref: TextRef, receipt: Receipt): Promise<void> {
    this.#islands.get(islandIn(ref))?.texts.receipt(ref, receipt)
  }

  #newLeg(islandId: string): LegRef {
    this.#legsMade += 1
    return `xmpp ${islandId} ${this.#legsMade}` as LegRef
  }

  #connector(island: XmppIslandConfig): (events: ConnectionEvents, account: number) => Connection {
    const { secretOf, clock, log, random } = this.#parts
    const { connection, domain, gateway } = island
    const common = { limits: this.#limits, clock, log, ...(random === undefined ? {} : { random }) }
    if (connection.kind === 'component') {
      const { host, port, tls } = connection
      const secret = secretOf(connection)
      const own =
        tls === undefined
          ? null
          : { serverName: tls.serverName ?? host, ca: tls.caFile === undefined ? null : certificate(tls.caFile) }
      return events =>
        createComponent({ ...common, events, domain: gateway.toLowerCase(), host, port, secret, tls: own })
    }
    const { service, insecure } = connection
    const accounts = connection.accounts.map(({ name, ...at }) => ({ username: name, password: secretOf(at) }))
    return (events, at) => {
      const account = accounts[at] ?? { username: '', password: '' }
      return createAccount({ ...common, events, service, insecure, domain, ...account })
    }
  }
}

function certificate(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `cannot read ${file}: ${messageOf(cause)}`, { cause })
  }
}
