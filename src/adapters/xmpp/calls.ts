// All calls of one island: finds the call that a stanza or a command belongs to, opens new ones within bounds.

import type { LegRef, Reason, Refusal, Release, Sdp, Shown, Tone } from '../../session/model.ts'
import type { Invitation } from '../../session/ports.ts'
import { wordsOf } from '../../session/words.ts'
import { newUuid } from '../../uuid.ts'
import { because } from './call-acts.ts'
import { askFirst, takeInitiate, takeProposal } from './call-in.ts'
import { callLimits } from './call-limits.ts'
import type { CallLimits } from './call-limits.ts'
import { hubSdp, isVideo, trickle } from './call-media.ts'
import type { Act, Call, CallEvent, Identity, JingleError, Phase, Tell, Trickled } from './call-model.ts'
import { initiate, propose } from './call-out.ts'
import type { Calls, CallsParts } from './calls-port.ts'
import { conditionOfCause } from './causes.ts'
import type { Condition } from './causes.ts'
import { xml } from './elements.ts'
import type { Element } from './elements.ts'
import { parseJingle } from './jingle.ts'
import type { Jingle } from './jingle.ts'
import { bouncedProposal, isOwnBounce, parseJmi, printJmi } from './jmi.ts'
import type { Jmi } from './jmi.ts'
import { eventOf, mayHear, mediaRefusal } from './jmi-event.ts'
import type { Device } from './link.ts'
import { LiveCall } from './live-call.ts'
import { Memory } from '../../memory.ts'
import { namespaces } from './namespaces.ts'
import { crossedReason, staysBefore, tieBreak } from './tie-break.ts'
import { bareOf, conditionOf, errorOf, resultOf, sameJid } from './stanza.ts'

export interface CallsOptions extends CallsParts {
  readonly callLimits?: Partial<CallLimits>
  /** The sid of a call from the core. */
  readonly newSid?: () => string
}

export const createCalls = (options: CallsOptions): Calls => new IslandCalls(options)

class IslandCalls implements Calls {
  readonly #parts: CallsOptions
  readonly #limits: CallLimits
  readonly #byLeg = new Map<LegRef, LiveCall>()
  /** By the user's bare JID and the sid: a sid alone is the word of whoever sends it. */
  readonly #bySession = new Map<string, LiveCall>()
  readonly #byDevice = new Map<string, Set<LiveCall>>()
  readonly #byUser = new Map<string, Set<LiveCall>>()
  readonly #proposals = new Map<string, number>()
  readonly #ended: Memory<true>
  readonly #early: Memory<Trickled>
  #owed: Element[] = []
  #proposalCount = 0
  #draining = false

  constructor(options: CallsOptions) {
    this.#parts = options
    this.#limits = { ...callLimits, ...options.callLimits }
    const { endedMax, endedMs, earlyMax, earlyMs } = this.#limits
    const now = (): number => options.clock.now()
    this.#ended = new Memory({ entriesMax: endedMax, keepMs: endedMs, now })
    this.#early = new Memory({ entriesMax: earlyMax, keepMs: earlyMs, now })
  }

  get count(): number {
    return this.#byLeg.size
  }

  drain(): void {
    this.#draining = true
  }

  invite({ target, from, sdp }: Invitation): LegRef {
    const { addresses, presences, newLeg, newSid = newUuid } = this.#parts
    const leg = newLeg()
    const offer = sdp === null ? null : hubSdp(sdp)
    const user = addresses.userJid(target.uri)
    const reason = this.#inviteRefusal(user, offer === null)
    if (user === null || offer === null || reason !== null) {
      queueMicrotask(() => this.#parts.inbox.ended(leg, reason ?? { cause: 'internal' }))
      return leg
    }
    const device = deviceToCall(presences.devices(user), isVideo(offer))
    const own = addresses.gatewayJid(from)
    const id = { sid: newSid(), own, peer: device ?? user, role: 'initiator', announced: device === null } as const
    const live = this.#open(leg, id)
    queueMicrotask(() => this.#parts.inbox.learned(leg, live.facts))
    live.begin(device === null ? propose(id, offer) : initiate(id, offer))
    return leg
  }

  #inviteRefusal(user: string | null, withoutOffer: boolean): Reason | null {
    if (user === null) return { cause: 'not-found', text: 'no such user on this island' }
    if (withoutOffer) return { cause: 'internal', text: 'a call to this island needs an offer' }
    if (this.count >= this.#limits.sessionsMax) return { cause: 'congestion', text: 'the island has too many calls' }
    return null
  }

  alert(leg: LegRef): void {
    this.#command(leg, { type: 'core.alert' })
  }
  progress(leg: LegRef, { sdp }: { readonly sdp: Sdp | null; readonly reliable: boolean }): void {
    this.#command(leg, { type: 'core.progress', sdp })
  }
  answer(leg: LegRef, { sdp }: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void {
    this.#command(leg, { type: 'core.answer', sdp })
  }
  /** Only who was invited without an offer is acknowledged with one, and nobody here is. */
  acknowledge(): void {}
  reoffer(leg: LegRef, { exchange, sdp }: { readonly exchange: number; readonly sdp: Sdp }): void {
    this.#command(leg, { type: 'core.reoffer', exchange, sdp })
  }
  answerReoffer(leg: LegRef, sdp: Sdp): void {
    this.#command(leg, { type: 'core.answer-reoffer', sdp })
  }
  refuseReoffer(leg: LegRef, why: Refusal): void {
    this.#command(leg, { type: 'core.refuse-reoffer', why })
  }
  sendTone(leg: LegRef, tone: Tone): void {
    this.#command(leg, { type: 'core.tone', tone })
  }
  end(leg: LegRef, release: Release): void {
    this.#command(leg, { type: 'core.end', release })
  }
  #command(leg: LegRef, event: CallEvent): void {
    this.#byLeg.get(leg)?.step(event)
  }

  onIq(iq: Element): Element | null {
    const child = iq.getChild('jingle', namespaces.jingle)
    if (child === undefined) return null
    const jingle = parseJingle(child)
    const from = sameJid(iq.attrs['from'])
    const own = this.#parts.addresses.answering(iq.attrs['to'] ?? '')
    if (iq.attrs['type'] !== 'set' || jingle === null) return errorOf(iq, 'bad-request')
    if (own === null || from === null || !from.includes('/')) return errorOf(iq, 'item-not-found')
    const key = keyOf(from, jingle.sid)
    const live = this.#bySession.get(key)
    if (live !== undefined) {
      if (live.id.peer.includes('/') && live.id.peer !== from)
        return jingleError(iq, 'item-not-found', 'unknown-session')
      return answerOf(iq, live.step({ type: 'jingle', from, jingle }))
    }
    if (this.#ended.get(key) !== null && jingle.action !== 'session-initiate') return resultOf(iq)
    if (jingle.action === 'session-initiate') return this.#initiated(iq, jingle, from, own)
    // Some clients send candidates before they send the session (they wait for themselves in between).
    if (jingle.action === 'transport-info') {
      this.#early.set(key, trickle(this.#early.get(key) ?? new Map(), jingle))
      return resultOf(iq)
    }
    return jingleError(iq, 'item-not-found', 'unknown-session')
  }

  #initiated(iq: Element, jingle: Jingle, from: string, own: string): Element {
    const refusal = this.#refusalOf(from, iq.attrs['to'] ?? '')
    if (refusal !== null) return errorOf(iq, conditionOfCause(refusal), { text: wordsOf(refusal) })
    if (jingle.contents.length === 0) return errorOf(iq, 'bad-request', { text: 'a session needs a content' })
    const crossing = this.#between(from, iq.attrs['to'] ?? '', 'initiating').filter(({ id }) => id.peer === from)
    if (crossing.some(({ id }) => !id.announced && !staysBefore(jingle.sid, id.sid))) {
      return jingleError(iq, 'conflict', 'tie-break')
    }
    const key = keyOf(from, jingle.sid)
    const early = this.#early.get(key) ?? new Map()
    this.#early.delete(key)
    const id = { sid: jingle.sid, own, peer: from, role: 'responder', announced: false } as const
    const live = this.#open(this.#parts.newLeg(), id, iq.attrs['to'])
    return answerOf(iq, live.begin(takeInitiate(id, jingle, early)))
  }

  /** Why no call of this sender to this address is begun; null where it is. */
  #refusalOf(from: string, to: string): Reason | null {
    const { addresses } = this.#parts
    if (addresses.caller(from) === null) return { cause: 'forbidden', text: 'only users of this island may call here' }
    const called = addresses.called(to)
    if ('refused' in called) return called.refused
    if (this.#draining) return { cause: 'congestion', text: 'the hub is shutting down' }
    if (this.count >= this.#limits.sessionsMax) return { cause: 'congestion', text: 'too many calls, try again later' }
    return null
  }

  onMessage(message: Element): boolean {
    const from = sameJid(message.attrs['from'])
    const bounced = bouncedProposal(message)
    if (bounced !== null) {
      this.#bounced(from, bounced, message)
      return true
    }
    const jmi = parseJmi(message)
    if (jmi === null) return isOwnBounce(message)
    const own = this.#parts.addresses.answering(message.attrs['to'] ?? '')
    if (own === null || from === null || !from.includes('/')) return true
    const live = this.#bySession.get(keyOf(from, jmi.id))
    if (live === undefined) {
      if (jmi.kind === 'propose') this.#proposed(jmi, from, own, message.attrs['to'] ?? '')
      return true
    }
    const event = eventOf(jmi, from)
    if (event !== null && mayHear(live.id, jmi, from)) live.step(event)
    return true
  }

  /** Only what says that nobody is there at all counts, and only while no device has answered. */
  #bounced(from: string | null, sid: string, message: Element): void {
    const { condition } = conditionOf(message)
    const live = from === null ? undefined : this.#bySession.get(keyOf(from, sid))
    const cause = { 'service-unavailable': 'unavailable', 'item-not-found': 'not-found' } as const
    if (condition !== 'service-unavailable' && condition !== 'item-not-found') return
    live?.step({ type: 'jmi.bounced', reason: { cause: cause[condition], text: 'nobody is there to ring' } })
  }

  #proposed(jmi: Jmi, from: string, own: string, to: string): void {
    const { island, link } = this.#parts
    if (this.#ended.get(keyOf(from, jmi.id)) !== null) return
    const reason = this.#refusalOf(from, to) ?? this.#tooMany(from) ?? mediaRefusal(jmi)
    const reject = { kind: 'reject', id: jmi.id, from: own, to: from } as const
    if (reason !== null) return void link.send(printJmi({ ...reject, reason: because(reason) }))
    const crossing = this.#between(from, to, 'proposing')
    if (crossing.some(({ id }) => !staysBefore(jmi.id, id.sid))) {
      return void link.send(printJmi({ ...reject, reason: because(crossedReason), extra: tieBreak() }))
    }
    for (const ours of crossing) ours.step({ type: 'jmi.crossed', told: false })
    for (const old of this.#between(from, to, 'active')) {
      if (old.id.announced) old.step({ type: 'jmi.replaced', by: jmi.id })
    }
    const id = { sid: jmi.id, own, peer: from, role: 'responder', announced: true } as const
    const live = this.#open(this.#parts.newLeg(), id, to)
    live.begin(island.start === 'B' ? askFirst(id, jmi.media) : takeProposal(id))
  }

  /** Calls in that phase between the user of a JID and an address of the gateway, however that is written. */
  #between(from: string, to: string, phase: Phase): readonly LiveCall[] {
    const { addresses } = this.#parts
    const called = addresses.called(to)
    if ('refused' in called) return []
    return Array.from(this.#byUser.get(bareOf(from) ?? from) ?? []).filter(({ call, id }) => {
      const other = call.phase === phase ? addresses.called(id.own) : null
      return other !== null && 'called' in other && other.called === called.called
    })
  }

  #tooMany(from: string): Reason | null {
    const { proposalsMax, proposalsPerUserMax } = this.#limits
    const own = this.#proposals.get(bareOf(from) ?? from) ?? 0
    if (this.#proposalCount < proposalsMax && own < proposalsPerUserMax) return null
    return { cause: 'congestion', text: 'too many calls are being set up, try again later' }
  }

  onPresence(presence: Element): void {
    const from = sameJid(presence.attrs['from'])
    const { type } = presence.attrs
    if (from === null || (type !== undefined && type !== 'unavailable')) return
    const event = { type: type === undefined ? 'peer.back' : 'peer.gone' } as const
    for (const live of Array.from(this.#byDevice.get(from) ?? [])) live.step(event)
  }

  /** What could not be said while the island was away is said now; its calls went on. */
  onUp(): void {
    const { link } = this.#parts
    const owed = this.#owed
    this.#owed = []
    for (const stanza of owed) {
      if (stanza.getName() === 'iq') void link.request(stanza).catch(() => undefined)
      else link.send(stanza)
    }
  }

  onDown(): void {}

  #open(leg: LegRef, id: Identity, to = ''): LiveCall {
    const { link, inbox, clock, neighbour, addresses } = this.#parts
    const live = new LiveCall(
      {
        leg,
        link,
        inbox,
        clock,
        neighbour,
        offered: (call, tell) => this.#offered(call, tell, to),
        partyOf: jid => addresses.caller(jid),
        onStep: (call, before) => this.#stepped(call, before),
        onOwed: stanza => {
          if (this.#owed.length < this.#limits.owedMax) this.#owed.push(stanza)
        }
      },
      id
    )
    this.#byLeg.set(leg, live)
    this.#bySession.set(keyOf(id.peer, id.sid), live)
    join(this.#byDevice, id.peer, live)
    join(this.#byUser, bareOf(id.peer) ?? id.peer, live)
    return live
  }

  #offered(live: LiveCall, { service, sdp }: Extract<Tell, { tell: 'offered' }>, to: string): void {
    const { island, inbox, addresses } = this.#parts
    const party = addresses.caller(live.id.peer)
    const called = addresses.called(to)
    // Both were looked up when the stanza came, and do not change.
    if (party === null || 'refused' in called) return
    const caller = { access: 'xmpp', peerId: island.id, party, media: island.media } as const
    inbox.offered({
      leg: live.leg,
      caller,
      called: called.called,
      service,
      sdp,
      charging: null,
      facts: { ...live.facts, calledRaw: to }
    })
  }

  #stepped(live: LiveCall, before: Call): void {
    const { call, id } = live
    this.#countProposal(live, before.phase === 'proposed', call.phase === 'proposed')
    const was = before.phase === 'ended' ? null : before.id.peer
    if (call.phase === 'ended') {
      this.#byLeg.delete(live.leg)
      this.#bySession.delete(keyOf(id.peer, id.sid))
      this.#ended.set(keyOf(id.peer, id.sid), true)
      leave(this.#byDevice, id.peer, live)
      leave(this.#byUser, bareOf(id.peer) ?? id.peer, live)
      if (was !== null) leave(this.#byDevice, was, live)
    } else if (was !== null && was !== id.peer) {
      leave(this.#byDevice, was, live)
      join(this.#byDevice, id.peer, live)
    }
  }

  #countProposal({ id: { peer } }: LiveCall, was: boolean, is: boolean): void {
    if (was === is) return
    const bare = bareOf(peer) ?? peer
    const change = is ? 1 : -1
    const now = (this.#proposals.get(bare) ?? 0) + change
    this.#proposalCount += change
    if (now > 0) this.#proposals.set(bare, now)
    else this.#proposals.delete(bare)
  }
}

function join(calls: Map<string, Set<LiveCall>>, key: string, live: LiveCall): void {
  calls.set(key, (calls.get(key) ?? new Set()).add(live))
}

function leave(calls: Map<string, Set<LiveCall>>, key: string, live: LiveCall): void {
  const left = calls.get(key)
  left?.delete(live)
  if (left?.size === 0) calls.delete(key)
}

const keyOf = (jid: string, sid: string): string => `${bareOf(jid) ?? jid} ${sid}`

/**
 * Null: the devices are asked by message. Only where none of them is known to understand that, and one is known to take
 * Jingle calls, it is called at once: the one with the highest priority.
 */
export function deviceToCall(devices: readonly Device[], video: boolean): string | null {
  const knows = (device: Device, ...features: readonly string[]): boolean =>
    features.every(feature => device.features?.has(feature) === true)
  if (devices.some(device => knows(device, namespaces.jmi))) return null
  const able = devices.filter(device => knows(device, namespaces.jingle, namespaces.audio))
  const best = [...able].sort((a, b) => {
    const seeing = (device: Device): number => (video && knows(device, namespaces.video) ? 1 : 0)
    return seeing(b) - seeing(a) || b.priority - a.priority
  })
  return best[0]?.jid ?? null
}

function answerOf(iq: Element, reply: Extract<Act, { act: 'reply' }> | null): Element {
  const refusal = reply?.refusal ?? null
  if (refusal === null) return resultOf(iq)
  return refusal.jingle === null ? errorOf(iq, refusal.condition) : jingleError(iq, refusal.condition, refusal.jingle)
}

const jingleError = (iq: Element, condition: Condition, jingle: JingleError): Element =>
  errorOf(iq, condition, { extra: xml(jingle, { xmlns: namespaces.jingleErrors }) })
