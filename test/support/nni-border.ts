// The NNI on the embedded engine with two operators around it, and the core played by the test.

import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createLog } from '../../src/log.ts'
import type { Answer, AnswerHandler } from '../../src/nni/control.ts'
import { createNni } from '../../src/nni/nni.ts'
import type { Nni } from '../../src/nni/nni.ts'
import type { Stir } from '../../src/nni/stir/stir.ts'
import { noFacts } from '../../src/session/model.ts'
import type { ChargingId, SessionId, Shown, Target } from '../../src/session/model.ts'
import type { Clock, Invitation } from '../../src/session/ports.ts'
import { createEngine } from '../../src/sip/engine/engine.ts'
import type { Engine } from '../../src/sip/engine/engine.ts'
import { screenPeers } from '../../src/sip/engine/screening.ts'
import { freePorts } from './free-port.ts'
import { FakeInbox } from './inbox.ts'
import { hubFace, operator, sdpWith } from './nni.ts'
import { SipPeer } from './nni-peer.ts'
import { until } from './until.ts'

export const clock: Clock = {
  now: Date.now,
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

/** What a request of ours hears: statuses, methods of updates, reasons; and the answers whole. */
export function listenToAnswers() {
  const said: (number | string)[] = []
  const answers: Answer[] = []
  const on: AnswerHandler = {
    answered: answer => {
      said.push(answer.message.status)
      answers.push(answer)
    },
    failed: why => void said.push(why),
    updated: update => void said.push(update.method)
  }
  return { said, answers, on }
}

export interface Border {
  readonly engine: Engine
  readonly nni: Nni
  readonly inbox: FakeInbox
  /** Trusted, at 127.0.0.1. */
  readonly alpha: SipPeer
  readonly health: [string, boolean][]
  /** Between the NNI and the engine, so that a test can cut the connection. */
  readonly relay: { readonly connections: number }
  readonly cut: () => void
  /** The peer's requests go over TCP from now on. */
  readonly overTcp: () => void
  readonly until: typeof until
  close(): Promise<void>
}

export interface BorderOptions {
  readonly peer?: Record<string, unknown>
  /** The operator takes requests over TCP at the port of UDP. */
  readonly onePort?: boolean
  /** The engine tells no verified peer, as a drachtio-server would. */
  readonly unscreened?: boolean
  readonly sessionExpiresSeconds?: number
  readonly timers?: NonNullable<Parameters<typeof createEngine>[0]['timers']>
  readonly secondMs?: number
  readonly stir?: Stir
  /** To the engine; `borderDefaults` unless named. */
  readonly link?: BorderLink
}

/** To the engine: in memory, through drachtio-srf in memory, or through drachtio-srf over its control port. */
type BorderLink = 'direct' | 'srf-in-memory' | 'drachtio-srf'

/** `over-srf.test.ts` and `over-srf-in-memory.test.ts` run the same tests over drachtio-srf. */
export const borderDefaults: { link: BorderLink } = { link: 'direct' }

const log = createLog('silent')

export async function startBorder(options: BorderOptions = {}): Promise<Border> {
  const [port = 0] = options.onePort === true ? await freePorts(1) : []
  const alpha = await new SipPeer('alpha', '127.0.0.1', port).start()
  const peers = [operator('alpha', alpha.port, { trust: 'network', ioi: 'alpha.example', ...options.peer })]
  const engine = createEngine({
    control: { host: '127.0.0.1', port: 0, secret: 'cymru' },
    listen: [
      { transport: 'udp', host: '127.0.0.1', port: 0 },
      { transport: 'tcp', host: '127.0.0.1', port: 0 }
    ],
    log,
    // A busy machine is not what these tests are about.
    limits: { lagMsMax: 60_000 },
    ...(options.unscreened === true
      ? {}
      : { screen: screenPeers([{ id: 'alpha', addresses: ['127.0.0.1'], certificateNames: [] }]) }),
    ...(options.timers === undefined ? {} : { timers: options.timers }),
    ...(options.secondMs === undefined ? {} : { secondMs: options.secondMs })
  })
  await engine.start()
  const portOf = (transport: string) => engine.listening.find(own => own.transport === transport)!.port
  alpha.to = { transport: 'udp', host: '127.0.0.1', port: portOf('udp') }
  const relay = await startRelay(engine.control.port)
  const inbox = new FakeInbox()
  const { link = borderDefaults.link } = options
  const health: [string, boolean][] = []
  const nni = createNni({
    config: { hub: hubFace, peers, sessionExpiresSeconds: options.sessionExpiresSeconds ?? 1_800 },
    log,
    clock,
    connect:
      link === 'direct'
        ? engine
        : link === 'srf-in-memory'
          ? { engine }
          : { host: '127.0.0.1', port: relay.port, secret: 'cymru' },
    ...(options.stir === undefined ? {} : { stir: options.stir }),
    onHealth: (id, up) => void health.push([id, up])
  })
  await nni.start(inbox)
  return {
    engine,
    nni,
    inbox,
    alpha,
    health,
    relay,
    cut: relay.cut,
    overTcp: () => void (alpha.to = { transport: 'tcp', host: '127.0.0.1', port: portOf('tcp') }),
    until,
    close: async () => {
      await nni.close()
      relay.close()
      await engine.close()
      await alpha.close()
    }
  }
}

/** Passes bytes both ways until it is told to cut. */
async function startRelay(to: number) {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer(near => {
    connections++
    const far = connect({ host: '127.0.0.1', port: to })
    for (const [from, other] of [
      [near, far],
      [far, near]
    ] as const) {
      sockets.add(from)
      from.on('data', data => void other.write(data))
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        other.destroy()
      })
    }
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections
    },
    cut,
    close: () => {
      server.close()
      cut()
    }
  }
}

export const charging: ChargingId = { icid: 'icid-77', generatedAt: 'hub.example' }
export const caller: Shown = {
  asserted: ['tel:+441632960083'],
  presented: 'tel:+441632960083',
  display: null,
  privacy: []
}
export const targetAlpha: Target = {
  access: 'nni',
  peerId: 'alpha',
  uri: 'tel:+4930901820',
  trust: 'network',
  media: 'rtp',
  needsOffer: false
}

export const invitation = (over: Partial<Invitation> = {}): Invitation => ({
  id: 'session-1' as SessionId,
  attempt: 1,
  charging,
  from: caller,
  target: targetAlpha,
  origin: noFacts,
  service: 'voice',
  sdp: sdpWith(4_000),
  ...over
})

export const number = 'sip:+4930901820@hub.example;user=phone'
