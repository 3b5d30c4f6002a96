// One call in a room: what the user's client says and what the core says, in which phase what means what.

import { noFacts } from '../../session/model.ts'
import type { LegRef, Reason, Refusal, Release, Sdp, Shown } from '../../session/model.ts'
import { wordsOf } from '../../session/words.ts'
import { CallLine } from './call-line.ts'
import { described, unchanged, withCandidates } from './call-sdp.ts'
import type { CallEvent, Candidate } from './call-events.ts'
import { matrixOf, reasonFrom } from './causes.ts'
import type { HangupReason } from './causes.ts'
import { limits } from './limits.ts'
import { SendFailed } from './link.ts'
import { notices } from './notices.ts'
import type { PartOptions } from './parts.ts'

/** Who has called whom. */
export type Direction = 'from-user' | 'to-user'

/**
 * `opening`: to a user, before the invitation stands in the room. `ringing`: it stands there. `answered`: from the
 * answer on. `over`: nothing is said any more.
 */
export type Phase = 'opening' | 'ringing' | 'answered' | 'over'

export interface CallParts extends PartOptions {
  readonly leg: LegRef
  readonly direction: Direction
  readonly callId: string
  readonly ghost: string
  readonly user: string
  readonly isOld: boolean
  /** It is over: nothing comes to it any more. */
  readonly onOver: () => void
}

interface Offered {
  readonly exchange: number
  readonly cancel: () => void
}

export class Call {
  readonly #parts: CallParts
  readonly #line: CallLine
  readonly #stream: string
  #phase: Phase = 'opening'
  #roomId = ''
  /** The user's device that the call is with. */
  #theirs: string | null = null
  /** What this side said last, for a client that must be told that nothing changes. */
  #said: Sdp | null = null
  #early: Sdp | null = null
  #candidates: Candidate[] = []
  #onCandidates: (() => void) | null = null
  /** An offer of ours that waits for its answer. */
  #offered: Offered | null = null
  /** An offer of theirs that the core has. */
  #asked: Sdp | null = null
  #timers = new Set<() => void>()

  constructor(parts: CallParts) {
    this.#parts = parts
    this.#line = new CallLine(parts, () => this.#roomId)
    this.#stream = `isthmus-${parts.callId.slice(0, 24).replace(/[^A-Za-z0-9-]/g, '')}`
  }

  get roomId(): string {
    return this.#roomId
  }

  get phase(): Phase {
    return this.#phase
  }

  get parts(): CallParts {
    return this.#parts
  }

  get candidates(): readonly Candidate[] {
    return this.#candidates
  }

  /** From a user: the invitation stands in the room already. */
  rings(roomId: string, partyId: string | null, leftMs: number): void {
    this.#roomId = roomId
    this.#theirs = partyId
    this.#phase = 'ringing'
    // Their client gives up by itself; one that has died does not.
    this.#after(leftMs, () => this.#expire())
  }

  /** Runs once: with the first candidates, or after so long without any; not where it is over by then. */
  whenCandidates(ms: number, run: () => void): void {
    const once = (): void => {
      cancel()
      this.#onCandidates = null
      run()
    }
    const cancel = this.#after(ms, once)
    this.#onCandidates = once
  }

  /** To a user. */
  async place(sdp: Sdp, display: string | null): Promise<void> {
    const { link, ghost, user } = this.#parts
    try {
      const room = await link.directRoom(ghost, user, display)
      if (this.#phase !== 'opening') return
      this.#roomId = room.roomId
      if (room.encrypted) {
        await this.#line.notice(notices.encryptedCall)
        return this.#lost({ cause: 'unavailable', text: 'the chat of this user is encrypted' })
      }
      // Nothing rings for somebody who has not joined yet.
      if (!room.joined && !(await link.joined(room.roomId, user, limits.ringMs))) {
        return this.#lost({ cause: 'unavailable', text: 'the user has not joined the chat' })
      }
      if (this.#phase !== 'opening') return
      this.#said = sdp
      // From here on their answer may come, even before we hear that the invitation stands there.
      this.#phase = 'ringing'
      await this.#invite(sdp)
    } catch (error) {
      this.#lost(lostBy(error))
    }
  }

  async #invite(sdp: Sdp): Promise<void> {
    const { user, clock, inbox, leg } = this.#parts
    const { sdp: text, metadata } = described(sdp, this.#stream)
    const lifetime = limits.ringMs
    const expiresAt = clock.now() + lifetime
    const offer = { type: 'offer', sdp: text }
    const content = { lifetime, invitee: user, offer, capabilities, sdp_stream_metadata: metadata }
    await this.#line.send('m.call.invite', content, expiresAt)
    if (this.#phase !== 'ringing') return
    this.#after(Math.max(0, expiresAt - clock.now()), () => this.#expire())
    inbox.alerting(leg)
  }

  heard(event: CallEvent): void {
    switch (event.type) {
      case 'invite':
        return
      case 'candidates':
        this.#candidates = [...this.#candidates, ...event.candidates].slice(0, limits.candidatesMax)
        if (this.#candidates.length > 0) this.#onCandidates?.()
        return
      case 'answer':
        return this.#answered(event)
      case 'select':
        return this.#selected(event.selected)
      case 'reject':
      case 'hangup':
        return this.#hungUp(event)
      case 'negotiate':
        if (this.#phase !== 'answered' || !this.#isTheirs(event)) return
        return event.kind === 'offer' ? this.#negotiated(event.sdp) : this.#agreed(event.sdp)
    }
  }

  /** Of version 0 there are no devices to tell apart. */
  #isTheirs({ partyId, isOld }: CallEvent): boolean {
    return isOld || this.#theirs === null || partyId === this.#theirs
  }

  #answered(event: Extract<CallEvent, { type: 'answer' }>): void {
    const { direction, inbox, leg } = this.#parts
    // The first answer wins; the others learn so from `select_answer`.
    if (direction !== 'to-user' || this.#phase !== 'ringing') return
    this.#phase = 'answered'
    this.#cancelTimers()
    this.#theirs = event.partyId
    if (!event.isOld) this.#line.quietly('m.call.select_answer', { selected_party_id: event.partyId })
    inbox.answered(leg, { sdp: withCandidates(event.sdp, this.#candidates), party: null })
  }

  #selected(selected: string | null): void {
    if (this.#parts.direction !== 'from-user' || this.#phase !== 'answered' || selected === this.#line.party) return
    // Another party of the room has taken the call.
    this.#lost({ cause: 'answered-elsewhere' })
  }

  #hungUp(event: Extract<CallEvent, { type: 'reject' | 'hangup' }>): void {
    const { direction } = this.#parts
    if (this.#phase === 'answered') {
      // Another device of theirs that stops ringing is not the one that talks.
      if (event.type === 'reject' || !this.#isTheirs(event)) return
      return this.#lost(reasonFrom(event.reason, 'answered'))
    }
    if (this.#phase !== 'ringing') return
    if (direction === 'from-user') {
      if (event.type === 'hangup' && this.#isTheirs(event)) this.#lost(reasonFrom(event.reason, 'from-caller'))
      return
    }
    this.#lost(reasonFrom(event.reason, 'from-callee'))
  }

  /** The user (or the ghost) has left the room. */
  gone(): void {
    this.#lost(reasonFrom('user_hangup', this.#moment()))
  }

  /** Our call gave way to one of theirs in the same room at the same time. */
  yield(): void {
    if (this.#phase === 'over') return
    this.#line.quietly('m.call.hangup', { reason: 'replaced' })
    this.#lost({ cause: 'busy', text: 'they are calling at the same moment' })
  }

  #moment(): 'from-caller' | 'from-callee' | 'answered' {
    if (this.#phase === 'answered') return 'answered'
    return this.#parts.direction === 'from-user' ? 'from-caller' : 'from-callee'
  }

  progress(sdp: Sdp | null): void {
    // There is no early media: it is kept as the answer that a reliable one would be.
    this.#early = sdp ?? this.#early
  }

  answer(sdp: Sdp | null, connected: Shown | null): void {
    const said = sdp ?? this.#early
    if (this.#parts.direction !== 'from-user' || this.#phase !== 'ringing' || said === null) return
    this.#phase = 'answered'
    this.#cancelTimers()
    this.#said = said
    const { sdp: text, metadata } = described(said, this.#stream)
    const { clock, inbox, leg } = this.#parts
    const content = { answer: { type: 'answer', sdp: text }, capabilities, sdp_stream_metadata: metadata }
    this.#line.send('m.call.answer', content, clock.now() + limits.answerMs).then(
      () => inbox.acknowledged(leg, null),
      (error: unknown) => this.#lost(lostBy(error))
    )
    if (connected !== null) this.#assert(connected)
  }

  /** Who is really at the other end: under both names that clients know. */
  #assert({ presented, asserted, display }: Shown): void {
    const { addresses, ghost } = this.#parts
    const id = addresses.ghostOf({ presented, asserted, display, privacy: [] })
    if (id === ghost) return
    const identity = { asserted_identity: { id, display_name: display ?? undefined } }
    for (const type of ['m.call.asserted_identity', 'org.matrix.call.asserted_identity']) {
      this.#line.quietly(type, identity)
    }
  }

  reoffer(exchange: number, sdp: Sdp): void {
    const { inbox, leg, clock, isOld } = this.#parts
    const refuse = (why: Refusal): void => {
      if (this.#offered?.exchange === exchange) this.#offered = null
      inbox.reofferRefused(leg, { exchange, why })
    }
    // Version 0 cannot change a call.
    if (this.#phase !== 'answered' || isOld) return refuse('unacceptable')
    if (this.#asked !== null || this.#offered !== null) return refuse('glare')
    const cancel = this.#after(limits.negotiateMs, () => refuse('timeout'))
    this.#offered = { exchange, cancel }
    this.#said = sdp
    this.#negotiate('offer', sdp, clock.now() + limits.negotiateMs, () => {
      cancel()
      refuse('timeout')
    })
  }

  answerReoffer(sdp: Sdp): void {
    if (this.#asked === null || this.#phase !== 'answered') return
    this.#asked = null
    this.#said = sdp
    this.#negotiate('answer', sdp)
  }

  refuseReoffer(): void {
    const asked = this.#asked
    this.#asked = null
    const same = asked === null || this.#said === null ? null : unchanged(asked, this.#said)
    if (same !== null && this.#phase === 'answered') this.#negotiate('answer', same)
  }

  #negotiate(type: 'offer' | 'answer', sdp: Sdp, expiresAt?: number, failed?: () => void): void {
    const { sdp: text, metadata } = described(sdp, this.#stream)
    const content = { lifetime: limits.negotiateMs, description: { type, sdp: text }, sdp_stream_metadata: metadata }
    this.#line
      .send('m.call.negotiate', content, expiresAt ?? this.#parts.clock.now() + limits.answerMs)
      .catch(() => failed?.())
  }

  #negotiated(sdp: Sdp): void {
    const { inbox, leg, direction } = this.#parts
    if (this.#asked !== null) return
    if (this.#offered !== null) {
      // Both at once: the callee is polite and takes theirs, the caller goes on waiting for the answer to its own.
      if (direction === 'to-user') return
      const { exchange, cancel } = this.#offered
      cancel()
      this.#offered = null
      inbox.reofferRefused(leg, { exchange, why: 'glare' })
    }
    this.#asked = sdp
    inbox.reoffered(leg, sdp)
  }

  #agreed(sdp: Sdp): void {
    const offered = this.#offered
    if (offered === null) return
    offered.cancel()
    this.#offered = null
    this.#parts.inbox.reofferAnswered(this.#parts.leg, { exchange: offered.exchange, sdp })
  }

  /** The core has ended it. */
  end(release: Release): void {
    if (this.#phase === 'over') return
    const phase = this.#phase
    const { direction, isOld } = this.#parts
    this.#over()
    const { reject, hangup, told } = matrixOf[release.cause]
    if (phase === 'opening') return
    if (phase === 'ringing' && direction === 'from-user') {
      // A callee's hangup before the answer is not heeded, and version 0 knows no reject.
      this.#line.quietly(isOld ? 'm.call.hangup' : 'm.call.reject', { reason: reject })
      if (told) void this.#line.notice(notices.callFailed(wordsOf(release)))
      return
    }
    this.#line.quietly('m.call.hangup', { reason: hangup })
    if (phase === 'ringing' && release.cause !== 'answered-elsewhere') void this.#line.notice(notices.missed)
    if (phase === 'answered' && told) void this.#line.notice(notices.callEnded(wordsOf(release)))
  }

  /** Rings for too long. */
  #expire(): void {
    const { direction } = this.#parts
    if (this.#phase !== 'ringing') return
    if (direction === 'from-user') return this.#lost({ cause: 'expired', text: 'the invitation has expired' })
    this.#line.quietly('m.call.hangup', { reason: 'invite_timeout' satisfies HangupReason })
    void this.#line.notice(notices.unheard)
    // Whether somebody was there or no device could ring: Matrix does not say.
    this.#lost({ cause: 'unavailable', text: 'no device of the user has answered' })
  }

  #lost(reason: Reason): void {
    if (this.#phase === 'over') return
    const { inbox, leg } = this.#parts
    this.#over()
    inbox.ended(leg, reason)
  }

  #over(): void {
    this.#phase = 'over'
    this.#onCandidates = null
    this.#cancelTimers()
    this.#offered?.cancel()
    this.#offered = null
    this.#parts.onOver()
  }

  #after(ms: number, run: () => void): () => void {
    const cancel = this.#parts.clock.after(ms, () => {
      this.#timers.delete(cancel)
      run()
    })
    this.#timers.add(cancel)
    return cancel
  }

  #cancelTimers(): void {
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
  }
}

/** DTMF goes as RTP events; nothing is transferred. */
const capabilities = { 'm.call.transferee': false, 'm.call.dtmf': false } as const

const lostBy = (error: unknown): Reason => {
  if (!(error instanceof SendFailed)) return { cause: 'internal', text: 'the call could not be placed' }
  const cause = {
    forbidden: 'unavailable',
    'too-large': 'incompatible-media',
    limited: 'congestion',
    down: 'unreachable',
    'queue-full': 'congestion',
    refused: 'peer-failed',
    'not-found': 'not-found'
  } as const
  return { cause: cause[error.why], text: error.message }
}

export const callFacts = (callId: string, neighbour: string) => ({ ...noFacts, dialogId: callId, neighbour })
