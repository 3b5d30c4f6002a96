// The Matrix world: islands whose users call and write in rooms with ghosts, over the Application Service API.

import { HubError } from '../../errors.ts'
import { fileOf } from '../../config.ts'
import type { IslandConfig, MatrixConfig, MatrixIslandConfig } from '../../config.ts'
import type { Logger } from '../../log.ts'
import { IslandAdapter, islandIn } from '../../session/island-adapter.ts'
import type { IslandCalls } from '../../session/island-adapter.ts'
import { noFacts } from '../../session/model.ts'
import type { LegRef } from '../../session/model.ts'
import type { Clock, Inbox, Invitation, OutgoingText } from '../../session/ports.ts'
import type { OutgoingTyping, SignallingAdapter, TextOutcome } from '../../session/ports.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import type { Database } from '../../store/database.ts'
import { startEndpoint } from './endpoint.ts'
import type { Endpoint, EndpointParts } from './endpoint.ts'
import { createCalls as createRoomCalls } from './calls.ts'
import { createFiles } from './files.ts'
import type { Files } from './files.ts'
import { Island } from './island.ts'
import { limits as defaultLimits } from './limits.ts'
import type { Limits } from './limits.ts'
import type { CreateCallDriver, CreateTexts } from './parts.ts'
import { publicUrlOf } from './registration.ts'
import { createTexts as createRoomTexts } from './texts.ts'

export interface MatrixParts {
  readonly config: { readonly matrix: MatrixConfig; readonly islands: readonly IslandConfig[] }
  readonly database: Database
  readonly log: Logger
  readonly clock: Clock
  /** A token by where the configuration says it is. Throws HUB_CONFIG where that place is empty. */
  readonly secretOf: (at: MatrixIslandConfig['asToken']) => string
  /** A user's number by the provider's table. */
  readonly numberOf: (islandId: string, user: string) => string | null
  /** Calls by m.call.* events, unless a test has others. */
  readonly createCalls?: CreateCallDriver
  /** Messages by rooms, unless a test has others. */
  readonly createTexts?: CreateTexts
  readonly limits?: Partial<Limits>
  /** 0 <= n < 1, for the jitter of waits. */
  readonly random?: () => number
}

export interface Matrix extends SignallingAdapter {
  /** Where homeservers push to; empty before the start. */
  readonly url: string
  /** Whether the island's homeserver answers. */
  ready(islandId: string): boolean
  close(): Promise<void>
}

const isMatrix = (island: IslandConfig): island is MatrixIslandConfig => island.access === 'matrix' && island.enabled

/** Throws HUB_CONFIG for a token that is not where the configuration says. */
export const createMatrix = (parts: MatrixParts): Matrix => new MatrixAdapter(parts)

class MatrixAdapter extends IslandAdapter implements Matrix {
  readonly access = 'matrix'
  readonly #parts: MatrixParts
  readonly #limits: Limits
  readonly #configured: readonly {
    readonly island: MatrixIslandConfig
    readonly asToken: string
    readonly hsToken: string
  }[]
  readonly #islands = new Map<string, Island>()
  #endpoint: Endpoint | null = null
  #made = 0

  constructor(parts: MatrixParts) {
    super()
    this.#parts = parts
    this.#limits = { ...defaultLimits, ...parts.limits }
    // Tokens are read now: a place that is empty stops the start.
    this.#configured = parts.config.islands.filter(isMatrix).map(island => ({
      island,
      asToken: parts.secretOf(island.asToken),
      hsToken: parts.secretOf(island.hsToken)
    }))
  }

  get url(): string {
    return this.#endpoint?.url ?? ''
  }

  /** Where users reach it. */
  get publicUrl(): string {
    const { matrix } = this.#parts.config
    return publicUrlOf(matrix, Number(new URL(this.url === '' ? 'http://localhost' : this.url).port))
  }

  ready(islandId: string): boolean {
    return this.#islands.get(islandId)?.up ?? false
  }

  /** Listens; does not wait for the homeservers. Throws HUB_LISTEN, HUB_DATABASE. */
  async start(inbox: Inbox): Promise<void> {
    const { config, log, clock } = this.#parts
    const files = createFiles({
      sources: this.#islands,
      publicUrl: () => this.publicUrl,
      linkMs: config.matrix.fileLinkMs,
      limits: this.#limits,
      clock,
      log
    })
    for (const { island, asToken } of this.#configured) {
      this.#islands.set(island.id, this.#island(island, asToken, inbox, files))
    }
    for (const island of this.#islands.values()) await island.start()
    this.#endpoint = await startEndpoint({
      listen: { host: config.matrix.host, port: config.matrix.port, tls: materialOf(config.matrix) },
      receivers: this.#configured.flatMap(({ island, hsToken }) => {
        const receiver = this.#islands.get(island.id)
        return receiver === undefined ? [] : [{ hsToken, receiver }]
      }),
      routes: server => files.serve(server),
      limits: this.#limits,
      log
    })
    for (const island of this.#islands.values()) island.connect()
  }

  protected callsOf(leg: LegRef): IslandCalls | undefined {
    return this.#islands.get(islandIn(leg))?.calls
  }

  protected allCalls(): readonly IslandCalls[] {
    return [...this.#islands.values()].map(({ calls }) => calls)
  }

  async close(): Promise<void> {
    await this.#endpoint?.close()
    await Promise.all([...this.#islands.values()].map(island => island.close()))
  }

  invite(invitation: Invitation): LegRef {
    const island = this.#islands.get(invitation.target.peerId)
    if (island === undefined)
      throw new HubError('HUB_PEER', `no Matrix island ${invitation.target.peerId} is connected`)
    return island.calls.invite(invitation)
  }

  async sendText(text: OutgoingText): Promise<TextOutcome> {
    const island = this.#islands.get(text.target.peerId)
    if (island !== undefined) return island.texts.send(text)
    return { taken: false, reason: { cause: 'not-found', text: 'no such island is connected' }, facts: noFacts }
  }

  async sendTyping(typing: OutgoingTyping): Promise<void> {
    await this.#islands.get(typing.target.peerId)?.texts.typing(typing)
  }

  async sendReceipt(ref: TextRef, receipt: Receipt): Promise<void> {
    await this.#islands.get(islandIn(ref))?.texts.receipt(ref, receipt)
  }

  #island(island: MatrixIslandConfig, asToken: string, inbox: Inbox, files: Files): Island {
    const {
      database,
      numberOf,
      clock,
      log,
      random = Math.random,
      createCalls = createRoomCalls,
      createTexts = createRoomTexts
    } = this.#parts
    const newRef = (): string => {
      this.#made += 1
      return `matrix ${island.id} ${this.#made}`
    }
    const common = { database, numberOf, clock, log, random, createCalls, createTexts, inbox, newRef }
    const linkTo = (mxc: string): string | null => files.linkTo(island.id, mxc)
    return new Island({ ...common, island, asToken, linkTo, limits: this.#limits })
  }
}

function materialOf({ tls }: MatrixConfig): EndpointParts['listen']['tls'] {
  if (tls === undefined) return null
  const { certFile, keyFile, caFile } = tls
  return { cert: fileOf(certFile), key: fileOf(keyFile), ...(caFile === undefined ? {} : { ca: fileOf(caFile) }) }
}
