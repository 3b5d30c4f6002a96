// Calls of a Matrix island on a fake link: what a client says, what the core says, what each of them hears.

import { createCalls } from '../../src/adapters/matrix/calls.ts'
import type { RoomEvent } from '../../src/adapters/matrix/link.ts'
import type { CallDriver } from '../../src/adapters/matrix/parts.ts'
import type { ChargingId, LegRef, Sdp, SessionId, Shown } from '../../src/session/model.ts'
import { fakeParts, roomEvent, serverName } from './matrix-fakes.ts'
import type { FakePart } from './matrix-fakes.ts'
import { settle } from './world.ts'

export const device = 'DEVICE'
/** A description with one medium, and the session's version to tell one from another. */
export const sdpOf = (version = 1, ...more: readonly string[]): Sdp =>
  [
    'v=0',
    `o=- 1 ${version} IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    'm=audio 9 UDP/TLS/RTP/SAVPF 8',
    'c=IN IP4 0.0.0.0',
    'a=mid:0',
    'a=candidate:1 1 udp 1 127.0.0.1 9 typ host',
    ...more,
    ''
  ].join('\r\n') as Sdp
export const bareSdp = sdpOf().replace(/a=candidate.*\r\n/, '') as Sdp
export const from: Shown = { asserted: [], presented: 'tel:+4989123456', display: 'Bob', privacy: [] }

export interface CallWorld extends FakePart {
  readonly calls: CallDriver
  /** What alice's client says: `m.call.` is put before the type. */
  hears(type: string, content?: Readonly<Record<string, unknown>>, more?: Partial<RoomEvent>): void
  /** A call of hers, offered to the core. */
  placed(content?: Readonly<Record<string, unknown>>, more?: Partial<RoomEvent>): LegRef
  /** A call to her that rings. */
  ringing(): Promise<LegRef>
  invite(more?: { readonly id?: string; readonly uri?: string; readonly sdp?: Sdp | null }): LegRef
  /** The call id of the call to her. */
  idOf(leg: LegRef): string
  /** A call of hers, or to her, that was answered; what was said until then is forgotten. */
  talking(direction: 'from-user' | 'to-user'): Promise<LegRef>
}

export const theirCall = 'their-call'

export function callWorld(): CallWorld {
  const parts = fakeParts()
  const calls = createCalls(parts)
  let invited = 0
  const hears: CallWorld['hears'] = (type, content = {}, more = {}) => {
    const base = { call_id: theirCall, party_id: device, version: '1' }
    calls.onEvent(roomEvent(type.includes('.') ? type : `m.call.${type}`, { ...base, ...content }, more))
  }
  const world: CallWorld = {
    ...parts,
    calls,
    hears,
    placed: (content = {}, more = {}) => {
      const before = parts.inbox.all('offered').length
      hears('invite', { lifetime: 60_000, offer: { type: 'offer', sdp: sdpOf() }, ...content }, more)
      const offered = parts.inbox.all('offered')[before]
      if (offered === undefined) throw new Error('nothing was offered')
      return offered.leg
    },
    invite: ({ id = `s${++invited}`, uri = `sip:alice@${serverName}`, sdp = sdpOf() } = {}) =>
      calls.invite({
        id: id as SessionId,
        attempt: 1,
        charging: {} as ChargingId,
        from,
        target: { access: 'matrix', peerId: 'rooms', uri, trust: 'user', media: 'webrtc', needsOffer: true },
        origin: {} as never,
        service: 'voice',
        sdp
      }),
    ringing: async () => {
      const leg = world.invite()
      await parts.clock.advance(0)
      await settle()
      return leg
    },
    idOf: leg => parts.inbox.all('learned', leg)[0]?.facts.dialogId ?? '',
    talking: async direction => {
      let leg: LegRef
      if (direction === 'from-user') {
        leg = world.placed()
        calls.answer(leg, { sdp: sdpOf(2), connected: null })
      } else {
        leg = await world.ringing()
        hears('answer', { call_id: world.idOf(leg), answer: { type: 'answer', sdp: sdpOf(2) } })
      }
      await settle()
      parts.link.sent.length = 0
      parts.inbox.heard.splice(0, parts.inbox.heard.length, ...parts.inbox.all('learned'))
      return leg
    }
  }
  return world
}
