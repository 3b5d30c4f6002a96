// Two operators with the whole core between them, told apart by address; media passed through. Each serves a country.

import { createLog } from '../../src/log.ts'
import { createNni } from '../../src/nni/nni.ts'
import type { Nni } from '../../src/nni/nni.ts'
import type { Stir } from '../../src/nni/stir/stir.ts'
import { createRouter } from '../../src/routing/routing.ts'
import { Hub } from '../../src/session/hub.ts'
import type { Cdr, Grant } from '../../src/session/model.ts'
import { createEngine } from '../../src/sip/engine/engine.ts'
import type { Engine } from '../../src/sip/engine/engine.ts'
import { screenPeers } from '../../src/sip/engine/screening.ts'
import { createPassthroughAnchor } from '../../src/media/passthrough.ts'
import type { SipResponse } from '../../src/sip/message.ts'
import type { ServerTransaction } from '../../src/sip/stack.ts'
import { clock } from './nni-border.ts'
import { SipPeer } from './nni-peer.ts'
import type { Exchange, Sending } from './nni-peer.ts'
import { hubFace, operator, sdpWith } from './nni.ts'
import { until } from './until.ts'

/** Numbers of each, as any peer may write them. */
export const numberOf = { alpha: '+441632960083', beta: '+4930901820' } as const
export const uriOf = (side: 'alpha' | 'beta', params = ''): string =>
  `sip:${numberOf[side]}${params}@hub.example;user=phone`

export interface PairOptions {
  readonly alpha?: Readonly<Record<string, unknown>>
  readonly beta?: Readonly<Record<string, unknown>>
  /** Signs and checks; neither unless given. */
  readonly stir?: Stir
  /** What looking numbers up leads to. */
  readonly enumeration?: Parameters<typeof createRouter>[0]['lookUp']
  /** More operators at beta's address and port, tried after it. */
  readonly others?: readonly string[]
}

export interface Pair {
  readonly alpha: SipPeer
  readonly beta: SipPeer
  readonly nni: Nni
  readonly hub: Hub
  readonly engine: Engine
  readonly cdrs: Cdr[]
  /** A call of one side, taken by the other: the INVITE as it goes out. */
  invite(from: 'alpha' | 'beta', sending?: Sending, uri?: string): Promise<{ call: Exchange; tx: ServerTransaction }>
  close(): Promise<void>
}

const grant: Grant = {
  id: 'g',
  bandwidthKbpsMax: 100,
  dscp: 46,
  codecs: ['PCMA'],
  callerCodecs: ['PCMA'],
  chargingKey: 'k',
  terms: null,
  credit: null
}

const log = createLog('silent')

export async function startPair(options: PairOptions = {}): Promise<Pair> {
  const alpha = await new SipPeer('alpha', '127.0.0.2').start()
  const beta = await new SipPeer('beta', '127.0.0.3').start()
  const peers = [
    operator('alpha', alpha.port, {
      address: { host: alpha.host, port: alpha.port },
      trust: 'network',
      ioi: 'alpha.example',
      routes: [{ prefix: '+44' }],
      ...options.alpha
    }),
    ...['beta', ...(options.others ?? [])].map((id, priority) =>
      operator(id, beta.port, {
        address: { host: beta.host, port: beta.port },
        trust: 'network',
        ioi: `${id}.example`,
        routes: [{ prefix: '+49', priority }],
        ...options.beta
      })
    )
  ]
  const screened = [alpha, beta].map(({ name, host }) => ({ id: name, addresses: [host], certificateNames: [] }))
  const engine = createEngine({
    control: { host: '127.0.0.1', port: 0, secret: 'x' },
    listen: [
      { transport: 'udp', host: '127.0.0.1', port: 0 },
      { transport: 'tcp', host: '127.0.0.1', port: 0 }
    ],
    screen: screenPeers(screened),
    // A busy machine is not what these tests are about.
    limits: { lagMsMax: 60_000 },
    log
  })
  await engine.start()
  alpha.to = beta.to = { transport: 'udp', host: '127.0.0.1', port: engine.listening[0]!.port }
  const { enumeration: lookUp } = options
  const router = createRouter({ islands: [], operators: peers, ownerOf: () => null, ...(lookUp && { lookUp }) })
  const nni = createNni({
    config: { hub: hubFace, peers, sessionExpiresSeconds: 1_800 },
    log,
    clock,
    connect: { ...engine.control, secret: 'x' },
    ...(options.stir === undefined ? {} : { stir: options.stir }),
    onHealth: (peerId, up) => router.health(peerId, up)
  })
  const cdrs: Cdr[] = []
  const passing = createPassthroughAnchor()
  const hub = new Hub({
    adapters: [nni],
    router,
    policy: {
      decide: async () => ({ admit: true, grant }),
      decideText: async () => ({ admit: true, grant }),
      free: async () => {}
    },
    credit: { reserve: async () => 'no-credit' as const, refresh: async () => 'no-credit', settle: async () => {} },
    media: { ...passing, makeOffer: async () => ({ anchored: true, sdp: sdpWith(60_000) }) },
    cdrs: { admit: () => true, note: () => {}, write: async cdr => void cdrs.push(cdr), release: () => {} },
    chargingHost: 'hub.example',
    sessionsMax: 100,
    clock: { ...clock, elapsed: () => performance.now() },
    onFault: fault => {
      throw new Error(`a fault: ${JSON.stringify(fault)}`)
    }
  })
  await hub.start()
  const sides = { alpha, beta }
  return {
    alpha,
    beta,
    nni,
    hub,
    engine,
    cdrs,
    invite: async (from, sending = { body: sdpWith(40_000, 'sendrecv', sides[from].host) }, uri) => {
      const to = from === 'alpha' ? 'beta' : 'alpha'
      const call = sides[from].request('INVITE', uri ?? uriOf(to), sending)
      return { call, tx: await sides[to].take('INVITE') }
    },
    close: async () => {
      await nni.close()
      await engine.close()
      await alpha.close()
      await beta.close()
    }
  }
}

/** The names of a message's header fields in lower case, each once, sorted: its complete set. */
export const fieldsOf = ({ headers }: { readonly headers: SipResponse['headers'] }): readonly string[] =>
  [...new Set(headers.lines().map(({ name }) => name.toLowerCase()))].sort()

/** Refuses the call and waits until the hub has forgotten it. */
export async function refuse(pair: Pair, at: SipPeer, tx: ServerTransaction, call: Exchange): Promise<SipResponse> {
  at.answer(tx, 486)
  const refused = await call.final()
  await until(() => pair.hub.sessionCount === 0)
  return refused
}
