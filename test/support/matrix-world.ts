// A Matrix island on a real Synapse, a SIP-over-WebSocket island and an operator around a whole hub.

import { registrationOf } from '../../src/adapters/matrix/registration.ts'
import { createIslandUser } from '../../src/sandbox/island-user.ts'
import type { IslandUser } from '../../src/sandbox/island-user.ts'
import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator, OperatorOptions } from '../../src/sandbox/operator.ts'
import type { PhoneCall } from '../../src/sandbox/phone-call.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { cleared, moneyFaults, recordFaults } from './books.ts'
import { freePorts } from './free-port.ts'
import { eventually, startHubProcess } from './hub.ts'
import type { HubProcess } from './hub.ts'
import { startSynapse } from './synapse.ts'
import type { Synapse, SynapseOptions } from './synapse.ts'

export const serverName = 'rooms.test'
export const numbers = { alice: '+4930111001', bob: '+4930111002', dave: '+4930333001', phone: '+4989123456' } as const
/** The ghost of a number. */
export const ghostOf = (number: string): string => `@_isthmus_${number.slice(1)}:${serverName}`
const parties = ['rooms', 'acme', 'telco']

export type OtherIsland = Readonly<Record<string, unknown>> & { readonly id: string }

export interface MatrixHubOptions {
  readonly anchor: 'embedded' | 'rtpengine'
  readonly rtpengine?: { readonly host: string; readonly port: number }
  readonly synapse?: Partial<SynapseOptions>
  readonly codecs?: readonly string[]
  readonly operator?: OperatorOptions
  readonly portMin?: number
  /** Islands beside these, each a party of its own. */
  readonly islands?: readonly OtherIsland[]
  /** The same, made once it is known where homeservers reach the hub. */
  readonly moreIslands?: (at: { readonly hub: string; readonly homeserver: string }) => Promise<readonly OtherIsland[]>
  readonly hub?: Readonly<Record<string, unknown>>
  /** More of the Matrix island, and of the operator. */
  readonly island?: Readonly<Record<string, unknown>>
  readonly telco?: Readonly<Record<string, unknown>>
  /** The registration file, before the homeserver reads it. */
  readonly registration?: (text: string) => string
}

export interface MatrixHub {
  /** The one that runs now. */
  readonly hub: HubProcess
  readonly synapse: Synapse
  readonly operator: Operator
  dave(): Promise<IslandUser>
  /** The operator's phone calls a number. */
  phoneCalls(number: string, toneHz: number): Promise<PhoneCall>
  /** The oldest call that came to the operator and was not asked for yet. */
  phone(): Promise<PhoneCall>
  /** All final records once there are `count` of them more than `since`. */
  finals(count: number, since?: number): Promise<readonly CdrRecord[]>
  finalCount(): Promise<number>
  /** In words, what is wrong with records and money once everything is cleared. */
  faults(): Promise<readonly string[]>
  /** `kill -9` of the hub; with `restart` it starts again on its data, at the same place for homeservers. */
  crash(): Promise<void>
  restart(): Promise<void>
  close(): Promise<number | NodeJS.Signals>
}

const agreementsOf = (names: readonly string[]) =>
  names.flatMap(party =>
    (['voice', 'video', 'message'] as const).flatMap(service => [
      { id: `${party}-buys-${service}`, buyer: party, seller: 'hub', service, rates: [row('0.06')] },
      { id: `${party}-sells-${service}`, buyer: 'hub', seller: party, service, rates: [row('0.03')] }
    ])
  )
function row(rate: string) {
  return { prefix: '+', destination: 'Anywhere', rate }
}

function configuration(options: MatrixHubOptions, at: { homeserver: string; port: number; operator: number }) {
  const { anchor, rtpengine, codecs = ['PCMA', 'telephone-event'], portMin = 46_000, hub = {}, islands = [] } = options
  return {
    media: {
      anchor,
      address: '127.0.0.1',
      portMin,
      portMax: portMin + 999,
      ...(rtpengine === undefined ? {} : { rtpengine: [{ host: rtpengine.host, port: rtpengine.port }] })
    },
    matrix: { host: '127.0.0.1', port: at.port },
    islands: [
      {
        id: 'rooms',
        access: 'matrix',
        domain: serverName,
        homeserver: at.homeserver,
        asToken: { secret: 'as-token' },
        hsToken: { secret: 'hs-token' },
        codecs,
        dialPlan: { countryCode: '49' },
        ...options.island,
        users: [
          { name: 'alice', number: numbers.alice, display: 'Alice' },
          { name: 'bob', number: numbers.bob, display: 'Bob' }
        ]
      },
      {
        id: 'acme',
        access: 'sip-ws',
        domain: 'acme.test',
        origins: ['null'],
        codecs: ['PCMA', 'telephone-event'],
        users: [{ name: 'dave', password: 'secret', number: numbers.dave }]
      },
      ...islands
    ],
    operators: [
      {
        id: 'telco',
        address: { host: '127.0.0.1', port: at.operator },
        trust: 'network',
        routes: [{ prefix: '+49' }],
        codecs: ['PCMA', 'telephone-event'],
        keepaliveMs: 0,
        ...options.telco
      }
    ],
    agreements: agreementsOf([...parties, ...islands.map(({ id }) => id)]),
    ...hub
  }
}

/** Starts everything; the homeserver is known to answer when it returns. */
export async function openMatrixHub(options: MatrixHubOptions): Promise<MatrixHub> {
  const phones: PhoneCall[] = []
  const operator = createOperator({
    transports: ['udp'],
    codecs: ['PCMA'],
    ...options.operator,
    onCall: call => void (call.direction === 'in' && phones.push(call))
  })
  await operator.start()
  const [port = 0] = await freePorts(1)
  const tokens = { asToken: 'as-token', hsToken: 'hs-token' }
  const place = { islandId: 'rooms', domain: serverName, ghostPrefix: '_isthmus_', url: `http://127.0.0.1:${port}` }
  const registration = registrationOf({ ...place, ...tokens })
  const synapse = await startSynapse({
    serverName,
    registrations: [(options.registration ?? String)(registration)],
    ...options.synapse
  })
  const at = { homeserver: synapse.url, port, operator: operator.listening[0]?.port ?? 0 }
  const more = (await options.moreIslands?.({ hub: place.url, homeserver: synapse.url })) ?? []
  const config = configuration({ ...options, islands: [...(options.islands ?? []), ...more] }, at)
  const start = async (folder?: string): Promise<HubProcess> => {
    const started = await startHubProcess({
      config,
      ...(folder === undefined ? {} : { folder })
    })
    const answers = (): boolean => started.logged().some(({ msg }) => msg === 'the homeserver answers')
    await eventually('the homeserver answers', answers, 60_000)
    return started
  }
  let hub = await start()
  const users: { close(): Promise<void> }[] = []
  const finals = async (): Promise<readonly CdrRecord[]> => (await hub.records()).filter(({ kind }) => kind === 'final')
  return {
    get hub() {
      return hub
    },
    synapse,
    operator,
    dave: async () => {
      const url = hub.where('SIP over WebSocket')
      const place = { url, name: 'dave', password: 'secret', domain: 'acme.test' }
      const user = createIslandUser({ ...place, codecs: ['PCMA'] })
      await user.connect()
      users.push(user)
      return user
    },
    phoneCalls: (number, toneHz) => {
      const to = { host: '127.0.0.1', port: hub.sipPort('udp'), transport: 'udp' } as const
      return operator.call(number, { to, from: numbers.phone, toneHz })
    },
    phone: () => eventually('a call at the phone', () => phones.shift() ?? null),
    finals: (count, since = 0) =>
      eventually(`${count} final records`, async () => {
        const found = await finals()
        return found.length >= since + count ? found.slice(since) : null
      }),
    finalCount: async () => (await finals()).length,
    faults: async () => {
      const database = await hub.database()
      let wrong: readonly string[] = []
      await eventually('everything is cleared', async () => {
        const all = (await finals()).length
        const isCleared = (await cleared(database)) >= all
        const records = await hub.records()
        wrong = [...recordFaults(records), ...(await moneyFaults(database, records))]
        return isCleared && wrong.length === 0
      }).catch((error: unknown) => {
        if (wrong.length === 0) throw error
      })
      return wrong
    },
    crash: () => hub.crash(),
    restart: async () => {
      hub = await start(hub.folder)
    },
    close: async () => {
      await Promise.all(users.map(user => user.close()))
      await operator.close()
      const left = await hub.stop()
      await synapse.stop()
      return left
    }
  }
}
