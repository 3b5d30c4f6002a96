// One Matrix island on a real Synapse and a real PostgreSQL, without a core: what it hears is written down.

import { matrixMigrations } from '../../src/adapters/matrix/store.ts'
import { registrationOf } from '../../src/adapters/matrix/registration.ts'
import { startEndpoint } from '../../src/adapters/matrix/endpoint.ts'
import type { Endpoint } from '../../src/adapters/matrix/endpoint.ts'
import { Island } from '../../src/adapters/matrix/island.ts'
import { limits as defaultLimits } from '../../src/adapters/matrix/limits.ts'
import type { Limits } from '../../src/adapters/matrix/limits.ts'
import type { Ephemeral, RoomEvent } from '../../src/adapters/matrix/link.ts'
import type { CallDriver } from '../../src/adapters/matrix/parts.ts'
import { systemClock } from '../../src/compose.ts'
import { parseConfig } from '../../src/config.ts'
import type { MatrixIslandConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import type { TestDatabase, TestPostgres } from './database.ts'
import { freePorts } from './free-port.ts'
import { FakeInbox } from './inbox.ts'
import { startSynapse } from './synapse.ts'
import type { Synapse, SynapseOptions } from './synapse.ts'

export const serverName = 'hs.test'
export const tokens = { as: 'as-token', hs: 'hs-token' } as const
export const ghostOf = (what: string): string => `@_isthmus_${what}:${serverName}`

export interface MatrixWorld {
  readonly synapse: Synapse
  readonly database: TestDatabase
  /** The one that runs now. */
  readonly island: Island
  readonly endpointUrl: string
  /** Events handed on to calls and messages, by every island that has run. */
  readonly events: readonly RoomEvent[]
  readonly ephemeral: readonly Ephemeral[]
  readonly gone: readonly { readonly roomId: string; readonly user: string }[]
  /** While it is set, handling an event waits for it. */
  hold: Promise<void> | null
  /** Stops the hub's side, without the homeserver. */
  halt(): Promise<void>
  /** Starts it again on the same database and port. */
  restart(): Promise<void>
  close(): Promise<void>
}

export interface MatrixWorldOptions extends Partial<Omit<SynapseOptions, 'serverName' | 'registrations'>> {
  readonly postgres: TestPostgres
  readonly limits?: Partial<Limits>
}

export function islandConfig(homeserver: string): MatrixIslandConfig {
  const { islands } = parseConfig(
    JSON.stringify({
      islands: [
        {
          id: 'rooms',
          access: 'matrix',
          domain: serverName,
          homeserver,
          asToken: { secret: tokens.as },
          hsToken: { secret: tokens.hs },
          users: [{ name: 'alice', number: '+4930111001', display: 'Alice' }],
          dialPlan: { countryCode: '49' }
        }
      ]
    })
  )
  const [island] = islands
  if (island?.access !== 'matrix') throw new Error('no Matrix island')
  return island
}

/** Nobody calls here. */
const noCalls: CallDriver = {
  invite: () => {
    throw new Error('no calls here')
  },
  alert: () => undefined,
  progress: () => undefined,
  answer: () => undefined,
  acknowledge: () => undefined,
  reoffer: () => undefined,
  answerReoffer: () => undefined,
  refuseReoffer: () => undefined,
  sendTone: () => undefined,
  end: () => undefined,
  drain: () => undefined,
  onEvent: () => false,
  onGone: () => undefined
}

export async function startMatrixWorld({
  postgres,
  limits = {},
  ...synapseOptions
}: MatrixWorldOptions): Promise<MatrixWorld> {
  const [port = 0] = await freePorts(1)
  const database = await postgres.fresh(matrixMigrations)
  const registration = registrationOf({
    islandId: 'rooms',
    domain: serverName,
    ghostPrefix: '_isthmus_',
    url: `http://127.0.0.1:${port}`,
    asToken: tokens.as,
    hsToken: tokens.hs
  })
  const events: RoomEvent[] = []
  const ephemeral: Ephemeral[] = []
  const gone: { roomId: string; user: string }[] = []
  const synapse = await startSynapse({ serverName, registrations: [registration], ...synapseOptions })
  const log = createLog('silent')
  let running: { readonly island: Island; readonly endpoint: Endpoint } | null = null
  const start = async (): Promise<void> => {
    const all = { ...defaultLimits, ...limits }
    const island = new Island({
      island: islandConfig(synapse.url),
      asToken: tokens.as,
      database,
      limits: all,
      log,
      numberOf: (_, user) => (user === 'alice' ? '+4930111001' : null),
      clock: systemClock,
      random: () => 0,
      inbox: new FakeInbox(),
      newRef: () => 'matrix rooms 1',
      linkTo: () => null,
      createCalls: () => ({ ...noCalls, onGone: (roomId, user) => void gone.push({ roomId, user }) }),
      createTexts: () => ({
        send: () => Promise.reject(new Error('no messages here')),
        typing: async () => undefined,
        receipt: async () => undefined,
        onEvent: async event => {
          events.push(event)
          await world.hold
        },
        onEphemeral: heard => void ephemeral.push(heard)
      })
    })
    await island.start()
    const endpoint = await startEndpoint({
      listen: { host: '127.0.0.1', port, tls: null },
      receivers: [{ hsToken: tokens.hs, receiver: island }],
      limits: all,
      log
    })
    running = { island, endpoint }
    island.connect()
  }
  const halt = async (): Promise<void> => {
    await running?.endpoint.close()
    await running?.island.close()
    running = null
  }
  const world: MatrixWorld = {
    synapse,
    database,
    events,
    ephemeral,
    gone,
    hold: null,
    halt,
    restart: start,
    get island() {
      if (running === null) throw new Error('halted')
      return running.island
    },
    get endpointUrl() {
      return `http://127.0.0.1:${port}`
    },
    close: async () => {
      await halt()
      await synapse.stop()
      await database.close()
    }
  }
  await start()
  return world
}
