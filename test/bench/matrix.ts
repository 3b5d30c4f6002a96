// The Matrix access of a whole hub behind a homeserver that only does as it is told: events taken durably beside an
// endpoint that keeps nothing, from m.call.invite to INVITE, memory of ghosts. Alone: `node test/bench/matrix.ts`.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createAddresses } from '../../src/adapters/matrix/addresses.ts'
import { limits } from '../../src/adapters/matrix/limits.ts'
import { Rooms } from '../../src/adapters/matrix/rooms.ts'
import type { Store } from '../../src/adapters/matrix/store.ts'
import { systemClock } from '../../src/compose.ts'
import { createLog } from '../../src/log.ts'
import { createOperator } from '../../src/sandbox/operator.ts'
import { freePorts } from '../support/free-port.ts'
import { startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { webrtcOffer } from '../support/matrix-call-events.ts'
import { FakeServer } from '../support/matrix-fake-server.ts'
import { FakeHomeserver, matrixIsland } from '../support/matrix-fakes.ts'
import { eventually } from '../support/until.ts'

export const matrixBenchLimits = {
  rounds: 5,
  /** Of one round: a homeserver sends one at a time, of at most 100 events. */
  transactionsPerRound: 30,
  eventsPerTransaction: 100,
  singlesPerRound: 150,
  calls: 60,
  ghosts: 10_000
} as const

export interface MatrixFigures {
  /** Events a second in transactions of 100, each durable before its answer; the median round. */
  readonly eventsPerSecond: number
  /** By an endpoint that parses the same and keeps nothing. */
  readonly bareEventsPerSecond: number
  readonly ratio: number
  /** In transactions of one event. */
  readonly singlesPerSecond: number
  readonly inviteP50Ms: number
  readonly inviteP95Ms: number
  readonly bytesPerThousandGhosts: number
}

const serverName = 'bench.example'
const hsToken = 'hs-bench'
const phone = `@_isthmus_4989123456:${serverName}`

/** Parses what comes, and answers. */
async function startBare(): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { events } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly events: readonly unknown[] }
      response.writeHead(events.length > 0 ? 200 : 400, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() }
}

const at = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
const sorted = (values: readonly number[]): readonly number[] => values.toSorted((a, b) => a - b)

/** So many transactions, one after the other; events a second. */
async function pushed(server: FakeServer, endpoint: string, transactions: number, events: number): Promise<number> {
  server.endpoint = endpoint
  const made = Array.from({ length: transactions }, () =>
    Array.from({ length: events }, (_, n) =>
      server.event(`!room-${n % 20}`, 'm.reaction', { 'm.relates_to': { rel_type: 'm.annotation', key: '👍' } })
    )
  )
  const start = performance.now()
  for (const one of made) if ((await server.push(one)) !== 200) throw new Error('a transaction was not taken')
  return ((transactions * events) / (performance.now() - start)) * 1_000
}

async function invites(
  server: FakeServer,
  roomId: string,
  calls: number,
  invited: () => Promise<number>
): Promise<readonly number[]> {
  const took: number[] = []
  for (let n = 0; n < calls; n++) {
    const base = { call_id: `bench-${n}`, party_id: 'BENCH', version: '1' }
    const offer = { type: 'offer', sdp: webrtcOffer }
    const start = performance.now()
    const arrived = invited()
    await server.push([server.event(roomId, 'm.call.invite', { ...base, lifetime: 60_000, offer })])
    took.push((await arrived) - start)
    await server.push([server.event(roomId, 'm.call.hangup', base)])
  }
  return took
}

/** Heap that stays for each thousand ghosts with a room each, in bytes. */
export async function ghostMemory(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const homeserver = new FakeHomeserver()
  const island = matrixIsland()
  let made = 0
  homeserver.answer = ({ path }) => (path === '/v3/createRoom' ? { room_id: `!room-${++made}:${serverName}` } : {})
  const rooms = new Rooms({
    islandId: 'bench',
    homeserver,
    addresses: createAddresses({ island, numberOf: () => null }),
    // Tables are not in this process's memory.
    store: nothingStored(),
    limits,
    clock: systemClock,
    log: createLog('silent'),
    joining: async (_room, _ghost, join) => void (await join()),
    onGone: () => undefined
  })
  const open = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) {
      await rooms.direct(`@_isthmus_4940${100_000 + n}:${serverName}`, `@user${n}:${serverName}`, null)
      homeserver.asked.length = 0
    }
    collect()
  }
  await open(0, 1_000)
  const before = process.memoryUsage().heapUsed
  await open(1_000, 1_000 + matrixBenchLimits.ghosts)
  const grown = process.memoryUsage().heapUsed - before
  return Math.round((grown / matrixBenchLimits.ghosts) * 1_000)
}

function nothingStored(): Store {
  const nothing = async (): Promise<never[]> => []
  return {
    keep: nothing,
    waiting: nothing,
    ghosts: nothing,
    rooms: nothing,
    room: nothing,
    known: async () => new Set(),
    begin: async () => true,
    direct: async () => null,
    handled: async () => undefined,
    prune: async () => undefined,
    saveGhost: async () => undefined,
    saveRoom: async () => undefined,
    closeRoom: async () => undefined
  }
}

function configuration(homeserver: string, operator: number): Readonly<Record<string, unknown>> {
  const rates = [{ prefix: '+', destination: 'Anywhere', rate: '0.06' }]
  return {
    media: { anchor: 'embedded', address: '127.0.0.1', portMin: 42_000, portMax: 42_999 },
    matrix: { host: '127.0.0.1', port: 0 },
    log: { level: 'info' },
    islands: [
      {
        id: 'bench',
        access: 'matrix',
        domain: serverName,
        homeserver,
        asToken: { secret: 'as-bench' },
        hsToken: { secret: hsToken },
        codecs: ['PCMA', 'telephone-event'],
        users: [{ name: 'alice', number: '+4930111001' }]
      }
    ],
    operators: [
      {
        id: 'telco',
        address: { host: '127.0.0.1', port: operator },
        routes: [{ prefix: '+49' }],
        codecs: ['PCMA', 'telephone-event'],
        keepaliveMs: 0
      }
    ],
    agreements: [
      { id: 'in', buyer: 'bench', seller: 'hub', service: 'voice', rates },
      { id: 'out', buyer: 'hub', seller: 'telco', service: 'voice', rates }
    ]
  }
}

/** Starts a whole hub with an embedded, durable PostgreSQL. */
export async function benchMatrix(report: (line: string) => void): Promise<MatrixFigures> {
  const { rounds, transactionsPerRound, eventsPerTransaction, singlesPerRound } = matrixBenchLimits
  const server = new FakeServer({ serverName, hsToken })
  await server.start()
  let onInvite: (atMs: number) => void = () => undefined
  const [port = 0] = await freePorts(1)
  const operator = createOperator({
    transports: ['udp'],
    port,
    codecs: ['PCMA'],
    tap: (way, message) => {
      if (way === 'in' && message.kind === 'request' && message.method === 'INVITE') onInvite(performance.now())
    }
  })
  await operator.start()
  const bare = await startBare()
  let hub: HubProcess | null = null
  try {
    hub = await startHubProcess({ config: configuration(server.url, port) })
    const endpoint = hub.where('Matrix homeservers')
    const logged = hub.logged.bind(hub)
    await eventually('the homeserver answers', () => logged().some(({ msg }) => msg === 'the homeserver answers'))
    const rates = { hub: [] as number[], bare: [] as number[], singles: [] as number[] }
    for (let round = 0; round <= rounds; round++) {
      const durable = await pushed(server, endpoint, transactionsPerRound, eventsPerTransaction)
      const kept = await pushed(server, bare.url, transactionsPerRound, eventsPerTransaction)
      const single = await pushed(server, endpoint, singlesPerRound, 1)
      report(
        `round ${round}: ${Math.round(durable)} events/s durable, ${Math.round(kept)} bare, ${Math.round(single)} one by one`
      )
      // The first one warms up.
      if (round === 0) continue
      rates.hub.push(durable)
      rates.bare.push(kept)
      rates.singles.push(single)
    }
    server.endpoint = endpoint
    await server.push([server.invitation('!calls', phone)])
    const took = sorted(
      await invites(server, '!calls', matrixBenchLimits.calls, () => new Promise<number>(done => (onInvite = done)))
    )
    const median = (values: readonly number[]): number => at(sorted(values), 0.5)
    return {
      eventsPerSecond: Math.round(median(rates.hub)),
      bareEventsPerSecond: Math.round(median(rates.bare)),
      ratio: median(rates.hub.map((rate, round) => rate / (rates.bare[round] ?? rate))),
      singlesPerSecond: Math.round(median(rates.singles)),
      inviteP50Ms: at(took, 0.5),
      inviteP95Ms: at(took, 0.95),
      bytesPerThousandGhosts: await ghostMemory()
    }
  } finally {
    await hub?.stop()
    await operator.close()
    bare.close()
    await server.close()
  }
}

/** The figures as lines. */
export const matrixLines = (figures: MatrixFigures): string =>
  [
    `events taken durably: ${figures.eventsPerSecond}/s in hundreds, ${figures.singlesPerSecond}/s one by one`,
    `an endpoint that keeps nothing: ${figures.bareEventsPerSecond}/s; the hub does ${figures.ratio.toFixed(2)} of that`,
    `m.call.invite to INVITE: p50 ${figures.inviteP50Ms.toFixed(1)} ms, p95 ${figures.inviteP95Ms.toFixed(1)} ms`,
    `memory per 1,000 ghosts, a room each: ${(figures.bytesPerThousandGhosts / 1_048_576).toFixed(2)} MiB`
  ].join('\n')

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(matrixLines(await benchMatrix(line => console.log(line))))
}
