// Two XMPP islands, a SIP-over-WebSocket island and an operator around a whole hub, all with real servers and media.

import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator, OperatorOptions } from '../../src/sandbox/operator.ts'
import type { PhoneCall } from '../../src/sandbox/phone-call.ts'
import { createIslandUser } from '../../src/sandbox/island-user.ts'
import type { IslandUser } from '../../src/sandbox/island-user.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { cleared, moneyFaults, recordFaults } from './books.ts'
import { startEjabberd } from './ejabberd.ts'
import { eventually, startHubProcess } from './hub.ts'
import type { HubProcess } from './hub.ts'
import { startProsody } from './prosody.ts'
import { startStanzaUser } from './stanza-user.ts'
import type { StanzaUser, StanzaUserOptions } from './stanza-user.ts'
import type { XmppServer } from './xmpp-server.ts'

/** `ott` is an island on Prosody, `chat` one on ejabberd, `acme` one of SIP over WebSocket. */
export const people = {
  alice: { island: 'ott', number: '+4930111001', domain: 'ott.test', gateway: 'phone.ott.test' },
  bob: { island: 'ott', number: '+4930111002', domain: 'ott.test', gateway: 'phone.ott.test' },
  carol: { island: 'chat', number: '+4930222001', domain: 'chat.test', gateway: 'phone.chat.test' },
  dave: { island: 'acme', number: '+4930333001', domain: 'acme.test', gateway: '' }
} as const
export type Person = keyof typeof people
export type XmppPerson = Exclude<Person, 'dave'>
/** Where the operator's phones answer with an echo. */
export const phoneNumber = '+4989123456'
const parties = ['ott', 'chat', 'acme', 'telco'] as const
export const codecPlans = { pcma: ['PCMA', 'telephone-event'], opus: ['opus', 'telephone-event'] } as const

export interface WorldOptions {
  readonly anchor: 'embedded' | 'rtpengine'
  readonly rtpengine?: { readonly host: string; readonly port: number }
  /** What the XMPP islands may use; the operator has PCMA only. */
  readonly codecs?: keyof typeof codecPlans
  /** The islands may use pictures as well. */
  readonly video?: boolean
  /** Pages of `acme`: what its browsers send as Origin. */
  readonly origin?: string
  /** Where the anchor binds its media; loopback unless given. */
  readonly address?: string
  /** No packet for so long ends a call. */
  readonly silenceMs?: number
  /** First of a thousand media ports. */
  readonly portMin?: number
  /** Prosody's place may be taken, by a server that is slower or dead. */
  readonly ott?: XmppServer
  readonly island?: Readonly<Record<string, unknown>>
  readonly hub?: Readonly<Record<string, unknown>>
  readonly operator?: OperatorOptions
  /** What was agreed with the operator, beside the defaults. */
  readonly telco?: Readonly<Record<string, unknown>>
}

export interface XmppWorld {
  readonly hub: HubProcess
  readonly operator: Operator
  readonly servers: Readonly<Record<'ott' | 'chat', XmppServer>>
  /** Logged in; closed with the world. */
  person(name: XmppPerson, options?: Partial<StanzaUserOptions>): Promise<StanzaUser>
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
  close(): Promise<number | NodeJS.Signals>
}

const xmppIsland = (id: 'ott' | 'chat', componentPort: number, options: WorldOptions) => {
  const members = Object.entries(people).filter(([, { island }]) => island === id)
  const [, { domain, gateway }] = members[0] ?? ['', people.alice]
  return {
    id,
    access: 'xmpp',
    domain,
    gateway,
    connection: { kind: 'component', host: '127.0.0.1', port: componentPort, secret: 's3cr3t' },
    codecs: [...codecPlans[options.codecs ?? 'pcma'], ...(options.video === true ? ['VP8'] : [])],
    users: members.map(([name, { number }]) => ({ name, number, display: name })),
    ...options.island
  }
}

const rate = { prefix: '+', destination: 'Anywhere' }
const agreements = parties.flatMap(party =>
  (['voice', 'video', 'message'] as const).flatMap(service => [
    { id: `${party}-buys-${service}`, buyer: party, seller: 'hub', service, rates: [{ ...rate, rate: '0.06' }] },
    { id: `${party}-sells-${service}`, buyer: 'hub', seller: party, service, rates: [{ ...rate, rate: '0.03' }] }
  ])
)

function configuration(options: WorldOptions, ports: { ott: number; chat: number; operator: number }) {
  const { anchor, rtpengine, address = '127.0.0.1', silenceMs = 60_000, portMin = 44_000, hub = {} } = options
  return {
    media: {
      anchor,
      address,
      silenceMs,
      portMin,
      portMax: portMin + 999,
      ...(rtpengine === undefined ? {} : { rtpengine: [{ host: rtpengine.host, port: rtpengine.port }] })
    },
    islands: [
      xmppIsland('ott', ports.ott, options),
      xmppIsland('chat', ports.chat, options),
      {
        id: 'acme',
        access: 'sip-ws',
        domain: people.dave.domain,
        origins: ['null', ...(options.origin === undefined ? [] : [options.origin])],
        codecs: [...codecPlans.pcma, ...(options.video === true ? ['VP8'] : [])],
        users: [{ name: 'dave', password: 'secret', number: people.dave.number }]
      }
    ],
    operators: [
      {
        id: 'telco',
        address: { host: '127.0.0.1', port: ports.operator },
        trust: 'network',
        routes: [{ prefix: '+49' }],
        codecs: codecPlans.pcma,
        keepaliveMs: 0,
        ...options.telco
      }
    ],
    agreements,
    ...hub
  }
}

const passwords = (names: readonly string[]) => Object.fromEntries(names.map(name => [name, `pw-${name}`]))
/** What Prosody serves. */
export const ottServer = {
  domain: people.alice.domain,
  components: [{ domain: people.alice.gateway }],
  users: passwords(['alice', 'bob'])
} as const
const startChat = (): Promise<XmppServer> =>
  startEjabberd({
    domain: people.carol.domain,
    components: [{ domain: people.carol.gateway }],
    users: passwords(['carol'])
  })

/** Starts everything; XMPP links are up when it returns. */
export async function openXmppWorld(options: WorldOptions): Promise<XmppWorld> {
  const phones: PhoneCall[] = []
  const operator = createOperator({
    transports: ['udp'],
    codecs: ['PCMA'],
    ...options.operator,
    onCall: call => void (call.direction === 'in' && phones.push(call))
  })
  await operator.start()
  const [ott, chat] = await Promise.all([options.ott ?? startProsody(ottServer), startChat()])
  const servers = { ott, chat }
  const ports = {
    ott: ott.componentPort,
    chat: chat.componentPort,
    operator: operator.listening[0]?.port ?? 0
  }
  // Servers that nobody stops would keep the whole test run alive.
  const hub = await startHubProcess({ config: configuration(options, ports) }).catch(async (error: unknown) => {
    await Promise.all([operator.close(), ott.stop(), chat.stop()])
    throw error
  })
  const to = { host: '127.0.0.1', port: hub.sipPort('udp'), transport: 'udp' } as const
  const users: { close(): Promise<void> }[] = []
  const finals = async (): Promise<readonly CdrRecord[]> => (await hub.records()).filter(({ kind }) => kind === 'final')
  return {
    hub,
    operator,
    servers,
    person: async (name, more = {}) => {
      const { island, domain } = people[name]
      const user = await startStanzaUser({
        url: servers[island].ws,
        jid: `${name}@${domain}`,
        password: `pw-${name}`,
        ...more
      })
      users.push(user)
      return user
    },
    dave: async () => {
      const { domain } = people.dave
      const url = hub.where('SIP over WebSocket')
      const user = createIslandUser({ url, name: 'dave', password: 'secret', domain, codecs: ['PCMA'] })
      await user.connect()
      users.push(user)
      return user
    },
    phoneCalls: (number, toneHz) => operator.call(number, { to, from: phoneNumber, toneHz }),
    phone: () =>
      eventually('a call at the phone', () => {
        const call = phones.shift()
        return call ?? null
      }),
    finals: (count, since = 0) =>
      eventually(`${count} final records`, async () => {
        const found = await finals()
        return found.length >= since + count ? found.slice(since) : null
      }),
    finalCount: async () => (await finals()).length,
    faults: async () => {
      const database = await hub.database()
      let wrong: readonly string[] = []
      // The last records may still be on their way, to the log and to the books.
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
    close: async () => {
      await Promise.all(users.map(user => user.close()))
      await operator.close()
      const left = await hub.stop()
      await Promise.all([ott.stop(), chat.stop()])
      return left
    }
  }
}

/** The bare address of a number at somebody's gateway. */
export const at = (person: XmppPerson, number: string): string => `${number}@${people[person].gateway}`

/** The same at a phone or an island user of the sandbox. */
export async function phoneHears({ media }: PhoneCall, hz: number, packetsMin = 100): Promise<void> {
  await eventually(`a phone with ${packetsMin} packets each way and ${hz} Hz`, () => {
    const { packetsReceived, packetsSent } = media.heard
    return packetsReceived > packetsMin && packetsSent > packetsMin && media.hears(hz)
  })
}
