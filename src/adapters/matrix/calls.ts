// All calls of one island, by m.call.* events in rooms: which event belongs to which call, and what starts a new one.

import { Memory } from '../../memory.ts'
import type { LegRef, Party, Refusal, Release, Sdp, Shown } from '../../session/model.ts'
import type { Invitation } from '../../session/ports.ts'
import { Call, callFacts } from './call.ts'
import type { CallParts } from './call.ts'
import { isCallEvent, isOtherCall, isOtherCallEvent, readCallEvent } from './call-events.ts'
import type { CallEvent } from './call-events.ts'
import { hasCandidates, isVideo, withCandidates } from './call-sdp.ts'
import { limits } from './limits.ts'
import type { RoomEvent } from './link.ts'
import { notices } from './notices.ts'
import type { CallDriver, CreateCallDriver } from './parts.ts'

type Options = Parameters<CreateCallDriver>[0]
type Invited = Extract<CallEvent, { type: 'invite' }>

/** m.call.*, version 1 and 0. */
export const createCalls: CreateCallDriver = options => new RoomCalls(options)

class RoomCalls implements CallDriver {
  readonly #options: Options
  readonly #byLeg = new Map<LegRef, Call>()
  /** By call id: SDKs tell calls apart by nothing else. */
  readonly #byId = new Map<string, Call>()
  /** Ids of calls that are over, or were never taken: nothing rings twice. */
  readonly #past: Memory<true>
  readonly #warned: Memory<true>
  #draining = false

  constructor(options: Options) {
    const { clock } = options
    const now = (): number => clock.now()
    this.#options = options
    this.#past = new Memory({ entriesMax: limits.textsRememberedMax, keepMs: limits.textsRememberedMs, now })
    this.#warned = new Memory({ entriesMax: limits.typingRoomsMax, keepMs: limits.warningMs, now })
  }

  invite({ id, attempt, from, target, sdp }: Invitation): LegRef {
    const { addresses, newLeg, clock, inbox, neighbour } = this.#options
    const leg = newLeg()
    const user = addresses.userOf(target.uri)
    const callId = `${id}-${attempt}`
    const refuse = (cause: 'not-found' | 'incompatible-media' | 'unavailable', text: string): LegRef => {
      // Later: nobody expects news of a leg before it has a name.
      clock.after(0, () => inbox.ended(leg, { cause, text }))
      return leg
    }
    if (user === null) return refuse('not-found', 'no such user on this island')
    if (sdp === null) return refuse('incompatible-media', 'a call in Matrix begins with an offer')
    if (this.#draining || this.#byLeg.size >= limits.callsMax) return refuse('unavailable', 'no more calls are taken')
    const call = this.#add({ leg, direction: 'to-user', callId, ghost: addresses.ghostOf(from), user, isOld: false })
    clock.after(0, () => {
      inbox.learned(leg, callFacts(callId, neighbour))
      void call.place(sdp, from.display)
    })
    return leg
  }

  /** Matrix has no word for ringing. */
  alert(): void {
    return
  }

  progress(leg: LegRef, { sdp }: { readonly sdp: Sdp | null }): void {
    this.#byLeg.get(leg)?.progress(sdp)
  }

  answer(leg: LegRef, { sdp, connected }: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void {
    this.#byLeg.get(leg)?.answer(sdp, connected)
  }

  /** Their answer never carries an offer. */
  acknowledge(): void {
    return
  }

  reoffer(leg: LegRef, { exchange, sdp }: { readonly exchange: number; readonly sdp: Sdp }): void {
    this.#byLeg.get(leg)?.reoffer(exchange, sdp)
  }

  answerReoffer(leg: LegRef, sdp: Sdp): void {
    this.#byLeg.get(leg)?.answerReoffer(sdp)
  }

  refuseReoffer(leg: LegRef, _why: Refusal): void {
    this.#byLeg.get(leg)?.refuseReoffer()
  }

  /** Digits go in the media (RFC 4733), which the anchor passes on. */
  sendTone(): void {
    return
  }

  end(leg: LegRef, release: Release): void {
    this.#byLeg.get(leg)?.end(release)
  }

  drain(): void {
    this.#draining = true
  }

  onEvent(event: RoomEvent): boolean {
    if (isOtherCallEvent(event.type)) {
      if (isOtherCall(event.type, event.content)) this.#otherCall(event)
      return true
    }
    if (!isCallEvent(event.type)) return false
    const read = readCallEvent(event.type, event.content)
    if (read === null) return true
    const call = this.#byId.get(read.callId)
    if (call === undefined) {
      if (read.type === 'invite') this.#invited(event, read)
    } else if (call.roomId === event.roomId && call.parts.user === event.sender) call.heard(read)
    return true
  }

  onGone(roomId: string, user: string): void {
    for (const call of Array.from(this.#byLeg.values())) {
      const { parts } = call
      if (call.roomId === roomId && (parts.user === user || parts.ghost === user)) call.gone()
    }
  }

  #invited(event: RoomEvent, invited: Invited): void {
    const { addresses, newLeg, log, island } = this.#options
    const { ghost, roomId, sender } = event
    const party = addresses.caller(sender)
    const leftMs = invited.lifetimeMs - event.ageMs
    if (ghost === null || party === null || (invited.invitee !== null && invited.invitee !== ghost)) return
    if (this.#past.get(invited.callId) !== null) return
    this.#past.set(invited.callId, true)
    if (leftMs < limits.ringMsMin) {
      log.info({ island: island.id, ageMs: event.ageMs }, 'a call was over before it was heard of')
      return
    }
    // Both call at once: the lower id stays (Client-Server API, "Glare").
    const ours = [...this.#byLeg.values()].find(
      call => call.roomId === roomId && call.parts.direction === 'to-user' && call.phase === 'ringing'
    )
    if (ours !== undefined && ours.parts.callId < invited.callId) return
    ours?.yield()
    const { callId, isOld } = invited
    const call = this.#add({ leg: newLeg(), direction: 'from-user', callId, ghost, user: sender, isOld })
    call.rings(roomId, invited.partyId, leftMs)
    this.#offer(call, party, invited)
  }

  #offer(call: Call, party: Party, { sdp }: Invited): void {
    const { addresses, inbox, island, neighbour } = this.#options
    const { leg, ghost, callId } = call.parts
    const called = addresses.called(ghost)
    if ('refused' in called) return call.end({ ...called.refused, from: 'hub' })
    if (this.#draining) return call.end({ cause: 'unavailable', from: 'hub' })
    if (this.#byLeg.size > limits.callsMax) return call.end({ cause: 'congestion', from: 'hub' })
    const offer = (): void => {
      inbox.offered({
        leg,
        caller: { access: 'matrix', peerId: island.id, party, media: island.media },
        called: called.called,
        service: isVideo(sdp) ? 'video' : 'voice',
        sdp: withCandidates(sdp, call.candidates),
        charging: null,
        facts: { ...callFacts(callId, neighbour), calledRaw: ghost }
      })
    }
    if (hasCandidates(sdp)) offer()
    // The first batch comes right behind; who sends none at all is found by what it sends (RFC 8445, 7.3.1.3).
    else call.whenCandidates(limits.candidatesMs, offer)
  }

  /** A client of another kind of calls has started one: nobody at a phone would ever hear of it. */
  #otherCall({ ghost, roomId, sender }: RoomEvent): void {
    const { addresses, link, clock, log, island } = this.#options
    if (ghost === null || addresses.caller(sender) === null || this.#warned.get(roomId) !== null) return
    this.#warned.set(roomId, true)
    const content = { msgtype: 'm.notice', body: notices.otherCall }
    const event = { ghost, roomId, type: 'm.room.message', content, txnId: `other-call-${link.newId()}` }
    link.send({ ...event, expiresAt: clock.now() + limits.noticeMs }).catch((error: unknown) => {
      log.info({ err: error, island: island.id }, 'a notice could not be shown')
    })
  }

  #add(parts: Pick<CallParts, 'leg' | 'direction' | 'callId' | 'ghost' | 'user' | 'isOld'>): Call {
    const call: Call = new Call({
      ...this.#options,
      ...parts,
      onOver: () => {
        this.#byLeg.delete(parts.leg)
        if (this.#byId.get(parts.callId) === call) this.#byId.delete(parts.callId)
      }
    })
    this.#byLeg.set(parts.leg, call)
    this.#byId.set(parts.callId, call)
    this.#past.set(parts.callId, true)
    return call
  }
}
