// The rtpengine daemons of the configuration: which are alive, and which takes the next call.

import { createHash } from 'node:crypto'
import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Clock } from '../session/ports.ts'
import { RtpengineClient } from './rtpengine-client.ts'
import type { NgAddress } from './rtpengine-client.ts'

/**
 * `pingTries`: a lost datagram is not a lost daemon. `goneAfterMs`: how long a silent daemon keeps its calls: media may
 * well flow while its control port does not answer.
 */
export const poolLimits = { pingMs: 5_000, pingTries: 2, goneAfterMs: 15_000 } as const

export class RtpengineNode {
  readonly name: string
  readonly client: RtpengineClient
  alive = true
  /** Calls anchored here. */
  calls = 0
  silentSince: number | null = null

  constructor({ host, port }: NgAddress) {
    this.name = `${host}:${port}`
    this.client = new RtpengineClient({ host, port })
  }
}

export class RtpenginePool {
  readonly nodes: readonly RtpengineNode[]
  readonly #log: Logger
  readonly #clock: Clock
  #stopPinging: () => void = () => {}
  #onGone: (node: RtpengineNode) => void = () => {}
  #closed = false

  constructor(addresses: readonly NgAddress[], { log, clock }: { log: Logger; clock: Clock }) {
    this.nodes = addresses.map(address => new RtpengineNode(address))
    this.#log = log
    this.#clock = clock
  }

  /** Resolves after the first round of pings; dead daemons are no reason not to start. */
  async start(onGone: (node: RtpengineNode) => void): Promise<void> {
    this.#onGone = onGone
    await this.#round()
  }

  /** The living node with the fewest calls; among equals the session's own, so that a retry finds the same. */
  pick(name: string, except: readonly RtpengineNode[] = []): RtpengineNode | null {
    const alive = this.nodes.filter(node => node.alive && !except.includes(node))
    const fewest = Math.min(...alive.map(({ calls }) => calls))
    const ranked = alive
      .filter(({ calls }) => calls === fewest)
      .map(node => ({ node, rank: createHash('sha256').update(`${name} ${node.name}`).digest('hex') }))
      .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    return ranked[0]?.node ?? null
  }

  /** Somebody waited in vain: asked again at once, and out of use until it answers. */
  suspect(node: RtpengineNode): void {
    this.#mark(node, false)
    void this.#check(node)
  }

  close(): void {
    this.#closed = true
    this.#stopPinging()
    for (const { client } of this.nodes) client.close()
  }

  async #round(): Promise<void> {
    await Promise.all(this.nodes.map(node => this.#check(node)))
    if (this.#closed) return
    this.#stopPinging = this.#clock.after(poolLimits.pingMs, () => void this.#round())
  }

  async #check(node: RtpengineNode): Promise<void> {
    let error: unknown = null
    for (let tried = 0; tried < poolLimits.pingTries; tried++) {
      try {
        await node.client.ask('ping')
        this.#mark(node, true)
        return
      } catch (cause) {
        error = cause
      }
    }
    if (this.#closed) return
    this.#mark(node, false)
    this.#log.debug({ node: node.name, error: messageOf(error) }, 'rtpengine does not answer')
    const since = node.silentSince
    if (since !== null && this.#clock.now() - since >= poolLimits.goneAfterMs) this.#onGone(node)
  }

  #mark(node: RtpengineNode, alive: boolean): void {
    if (alive && !node.alive) this.#log.info({ node: node.name }, 'rtpengine answers again')
    if (!alive && node.alive) this.#log.warn({ node: node.name, calls: node.calls }, 'rtpengine does not answer')
    node.alive = alive
    node.silentSince = alive ? null : (node.silentSince ?? this.#clock.now())
  }
}
