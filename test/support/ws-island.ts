// The SIP-over-WebSocket adapter on loopback, alone, with an inbox that remembers: for tests of its calls and messages.

import { createSipWs } from '../../src/adapters/sip-ws/sip-ws.ts'
import type { SipWs, SipWsParts } from '../../src/adapters/sip-ws/sip-ws.ts'
import { parseConfig, passwordOf } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { noFacts } from '../../src/session/model.ts'
import type { LegRef, Sdp, SessionId, Shown } from '../../src/session/model.ts'
import type { Clock } from '../../src/session/ports.ts'
import type { SipMessage, SipRequest, SipResponse } from '../../src/sip/message.ts'
import { FakeInbox } from './inbox.ts'
import { until } from './until.ts'
import { connectUser } from './ws-user.ts'
import type { WsUser, WsUserOptions } from './ws-user.ts'

const yaml = `
hub: { domain: hub.example }
sipWs: { port: 0 }
islands:
  - id: island
    access: sip-ws
    domain: island.example
    origins: ['https://pages.example', 'null']
    users:
      - { name: alice, password: secret, number: '+493012345601', display: Alice }
      - { name: bob, password: secret }
  - id: other
    access: sip-ws
    domain: other.example
    origins: ['https://pages.example']
    users: [{ name: dora, password: secret }]
`

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

export const sdp = (name: string): Sdp =>
  `v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=${name}\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n` as Sdp

export interface Island {
  readonly adapter: SipWs
  readonly inbox: FakeInbox
  /** Connects and registers. */
  user(name: string, options?: Partial<WsUserOptions>): Promise<WsUser>
  /** Connects only. */
  stranger(name: string, options?: Partial<WsUserOptions>): Promise<WsUser>
  /** The core invites a user of the island. */
  invite(name: string, options?: { readonly sdp?: Sdp | null; readonly from?: Partial<Shown> }): LegRef
  close(): Promise<void>
}

export async function openIsland(options: Partial<SipWsParts> = {}): Promise<Island> {
  const adapter = createSipWs({
    config: parseConfig(yaml),
    log: createLog('silent'),
    clock: systemClock,
    passwordOf,
    ...options
  })
  const inbox = new FakeInbox()
  await adapter.start(inbox)
  const users: WsUser[] = []
  const stranger: Island['stranger'] = async (name, more = {}) => {
    const user = await connectUser({ url: adapter.url, name, ...more })
    users.push(user)
    return user
  }
  return {
    adapter,
    inbox,
    stranger,
    user: async (name, more) => {
      const user = await stranger(name, more)
      const { status } = await user.register()
      if (status !== 200) throw new Error(`REGISTER of ${name}: ${status}`)
      return user
    },
    invite: (name, { sdp: offer = sdp('offer'), from = {} } = {}) =>
      adapter.invite({
        id: 'session' as SessionId,
        attempt: 1,
        charging: { icid: 'icid', generatedAt: 'hub' },
        from: { asserted: ['tel:+4930900100'], presented: 'tel:+4930900100', display: 'Caller', privacy: [], ...from },
        target: {
          access: 'sip-ws',
          peerId: 'island',
          uri: `sip:${name}@island.example`,
          trust: 'user',
          media: 'webrtc',
          needsOffer: false
        },
        origin: noFacts,
        service: 'voice',
        sdp: offer
      }),
    close: async () => {
      for (const user of users) await user.close()
      await adapter.close()
    }
  }
}

const isRequest = (message: SipMessage, method: string): message is SipRequest =>
  message.kind === 'request' && message.method === method
const isResponse = (message: SipMessage, status: number, method: string): message is SipResponse =>
  message.kind === 'response' && message.status === status && (message.headers.get('CSeq') ?? '').endsWith(` ${method}`)

/** The nth request of that method that the user has heard, waited for. */
export async function request(user: WsUser, method: string, nth = 1): Promise<SipRequest> {
  const found = (): readonly SipRequest[] => user.heard.filter(message => isRequest(message, method))
  await until(() => found().length >= nth)
  return found()[nth - 1]!
}

/** The first answer with that status to that method that the user has heard, waited for. */
export async function response(user: WsUser, status: number, method = 'INVITE', nth = 1): Promise<SipResponse> {
  const found = (): readonly SipResponse[] => user.heard.filter(message => isResponse(message, status, method))
  await until(() => found().length >= nth)
  return found()[nth - 1]!
}
