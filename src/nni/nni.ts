// The border to the operators' networks: a SignallingAdapter over drachtio-srf, on whichever engine it finds.

import { randomInt } from 'node:crypto'
import type { OperatorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import { isEmergency } from '../session/emergency.ts'
import { noFacts } from '../session/model.ts'
import type { ChargingId, LegRef, Reason, Refusal, Release, Sdp, Shown, Tone } from '../session/model.ts'
import type { Clock, Inbox, Invitation, OutgoingText, OutgoingTyping } from '../session/ports.ts'
import type { SignallingAdapter, TextOutcome } from '../session/ports.ts'
import type { Receipt, TextRef } from '../session/text.ts'
import { newUuid } from '../uuid.ts'
import { isLonger, sdpTypes } from './body.ts'
import { createControl } from './control.ts'
import type { Crossing } from './crossing.ts'
import type { Control, ControlOptions, Received } from './control.ts'
import { allowOf } from './headers.ts'
import { InboundLeg } from './inbound.ts'
import { fromInvite, supportedBy } from './invite.ts'
import type { Surroundings } from './invite.ts'
import { keepAlive } from './keepalive.ts'
import type { Keepalive } from './keepalive.ts'
import type { Leg, LegParts } from './leg.ts'
import { limits } from './limits.ts'
import type { Refused } from './numbers.ts'
import { OutboundLeg } from './outbound.ts'
import { createPeers } from './peers.ts'
import type { HubFace, Peer, Peers } from './peers.ts'
import { Reports } from './reports.ts'
import { refusalOf, withoutStir } from './stir/stir.ts'
import type { Checked, Stir } from './stir/stir.ts'
import { receiveText, sendText } from './texts.ts'

/** What the NNI sees of the configuration. */
export interface NniSlice {
  readonly hub: HubFace
  readonly peers: readonly OperatorConfig[]
  readonly sessionExpiresSeconds: number
}

export interface NniParts {
  readonly config: NniSlice
  readonly log: Logger
  readonly clock: Clock
  /** Unique over space and time, a token: Call-IDs, tags and charging ids are made of it. */
  readonly newId?: () => string
  /** Signs and checks callers' numbers; neither unless given. */
  readonly stir?: Stir
  /** The SIP engine, and how it is spoken to. */
  readonly connect: ControlOptions['connect']
  /** By keepalive, on changes only; a peer counts as up until then. */
  readonly onHealth: (peerId: string, up: boolean) => void
}

export interface Nni extends SignallingAdapter {
  /** Lets go of the engine; what still lives is lost. */
  close(): Promise<void>
}

/** The adapter for `nni`. `start` rejects with HUB_SIP_ENGINE where the engine cannot be reached. */
export const createNni = (parts: NniParts): Nni => createAdapter(parts, createControl(parts))

/** For tests: the same over any control connection. */
export const createAdapter = (parts: Omit<NniParts, 'connect'>, control: Control): Nni => new Border(parts, control)

/** Methods that we know and serve no operator with (table 6.1 of 29.165). */
const refusedMethods: ReadonlySet<string> = new Set(['REGISTER', 'SUBSCRIBE', 'NOTIFY', 'PUBLISH', 'REFER'])
/** Methods that mean something inside a dialog only. */
const dialogMethods: ReadonlySet<string> = new Set(['BYE', 'PRACK', 'UPDATE', 'INFO', 'CANCEL'])

const done: Promise<void> = Promise.resolve()
/** Ids of session descriptions: as many as `randomInt` can tell apart. */
const originsMax = 2 ** 48 - 1

class Border implements Nni {
  readonly access = 'nni'
  readonly #parts: Omit<NniParts, 'connect'>
  readonly #control: Control
  readonly #peers: Peers
  readonly #newId: () => string
  readonly #stir: Stir
  readonly #legs = new Map<LegRef, Leg>()
  readonly #dialogs = new Map<string, Leg>()
  /** Of messages that came in and wait for the core's verdict. */
  readonly #crossings = new Map<TextRef, Crossing>()
  /** Charging id and target of live calls that went out: the same coming back is a loop (RTE-08). */
  readonly #targets = new Map<string, LegRef>()
  readonly #reports: Reports
  readonly #keepalives: Keepalive[] = []
  /** Dialogs that lost their connection: the peers in them are told after the next one. */
  readonly #orphans = new Set<string>()
  /** Peers that have asked to be left alone, and until when (RTE-03). */
  readonly #leftAlone = new Map<string, number>()
  #inbox: Inbox | null = null
  #draining = false

  constructor(parts: Omit<NniParts, 'connect'>, control: Control) {
    this.#parts = parts
    this.#control = control
    this.#peers = createPeers(parts.config.peers)
    this.#newId = parts.newId ?? newUuid
    const { clock, config } = parts
    this.#stir = parts.stir ?? withoutStir(config.hub, clock)
    this.#reports = new Reports({ clock, control, newId: this.#newId, hub: config.hub })
  }

  async start(inbox: Inbox): Promise<void> {
    this.#inbox = inbox
    await this.#control.start({
      received: request => this.#received(request, inbox),
      lost: () => this.#lost(),
      connected: () => this.#connected()
    })
    const { clock, onHealth, config } = this.#parts
    for (const peer of this.#peers.all) {
      const parts = { peer, hub: config.hub, control: this.#control, clock, newId: this.#newId, onHealth }
      this.#keepalives.push(keepAlive(parts))
    }
  }

  drain(): Promise<void> {
    this.#draining = true
    for (const keepalive of this.#keepalives) keepalive.stop()
    return Promise.resolve()
  }

  async close(): Promise<void> {
    await this.drain()
    this.#reports.close()
    this.#control.close()
  }

  // From the network

  #received(request: Received, inbox: Inbox): void {
    const leg = this.#dialogs.get(request.dialogId)
    const peer = leg?.parts.peer ?? this.#peers.identify(request.peerId, request.address)
    const tooLong = peer !== null && request.message.body.length > peer.config.bodyBytesMax
    if (tooLong && request.method !== 'ACK' && !request.unsolicited) request.respond(413)
    else if (leg !== undefined) leg.receive(request)
    else if (request.method !== 'ACK' && !request.unsolicited) this.#outside(request, peer, inbox)
  }

  #outside(request: Received, peer: Peer | null, inbox: Inbox): void {
    const { method } = request
    if (peer === null) return request.respond(403)
    if (!comesBy(request, peer)) return request.respond(403, { reason: 'Transport Not Agreed' })
    if (request.message.headers.tag('To') !== '') return request.respond(481)
    if (this.#draining && !(method === 'INVITE' && isEmergency(request.message.uri)))
      return request.respond(503, { headers: { 'Retry-After': '10' } })
    if (method === 'INVITE') return this.#invited(request, peer, inbox)
    if (method === 'OPTIONS')
      return request.respond(200, { headers: { Allow: allowOf(peer), Accept: sdpTypes, Supported: supportedBy(peer) } })
    if (method === 'MESSAGE' && peer.config.methods.includes('MESSAGE')) {
      return void receiveText(request, this.#around(request, peer), this.#textParts, inbox)
    }
    if (dialogMethods.has(method)) return request.respond(481)
    const known = method === 'MESSAGE' || refusedMethods.has(method)
    request.respond(known ? 405 : 501, { headers: { Allow: allowOf(peer) } })
  }

  #invited(request: Received, peer: Peer, inbox: Inbox): void {
    const { headers } = request.message
    const dialogId = `${headers.get('Call-ID') ?? ''};from-tag=${headers.tag('From')}`
    const refuse = ({ status, ...parts }: Refused): void => request.respond(status, parts)
    // The same call over another path (RFC 3261, 8.2.2.2).
    if (this.#dialogs.has(dialogId)) return refuse({ status: 482 })
    const understood = fromInvite(request.message, this.#around(request, peer))
    if (!understood.ok) return refuse(understood.refused)
    const { value: call } = understood
    const { caller, called, service, sdp, facts } = call
    const charging = call.charging ?? { icid: this.#newId(), generatedAt: this.#parts.config.hub.domain }
    if (this.#targets.has(loopKey(charging, called))) return refuse({ status: 482 })
    const ref = this.#newId() as LegRef
    const leg = new InboundLeg(this.#legParts({ ref, peer, dialogId, charging, called, inbox }), request, call)
    this.#remember(leg)
    const checked = (found: Checked): void => {
      if (leg.ended) return
      const offer = { leg: ref, caller, called, service, sdp, charging, facts: { ...facts, ...found.tells } }
      if (found.refused === null) return inbox.offered(offer)
      this.#parts.log.info({ peerId: peer.id, ...found.refused }, 'a call was refused: its caller is not proven')
      inbox.offered({ ...offer, refusal: refusalOf(found.refused) })
    }
    const found = this.#stir.incoming(request.message, peer, call)
    if ('tells' in found) checked(found)
    else void found.then(checked)
  }

  #around({ address, port }: Received, peer: Peer): Surroundings {
    const { hub } = this.#parts.config
    const sessionExpiresSeconds = this.#sessionExpires(peer)
    const neighbour = `${address.includes(':') ? `[${address}]` : address}:${port}`
    return { peer, hub, sessionExpiresSeconds, neighbour }
  }

  #sessionExpires(peer: Peer): number {
    return peer.config.timers.sessionExpiresSeconds ?? this.#parts.config.sessionExpiresSeconds
  }

  // Legs

  #legParts(own: Pick<LegParts, 'ref' | 'peer' | 'dialogId' | 'charging' | 'called' | 'inbox'>): LegParts {
    const { clock, config } = this.#parts
    return {
      ...own,
      clock,
      originId: String(randomInt(originsMax)),
      forget: this.#forget,
      hub: config.hub,
      control: this.#control
    }
  }

  #remember(leg: Leg): void {
    this.#legs.set(leg.ref, leg)
    this.#dialogs.set(leg.parts.dialogId, leg)
  }

  readonly #forget = (leg: Leg): void => {
    const { ref, dialogId, charging, called } = leg.parts
    if (this.#legs.get(ref)?.parts.dialogId === dialogId) this.#legs.delete(ref)
    this.#dialogs.delete(dialogId)
    if (leg instanceof InboundLeg) return
    const key = loopKey(charging, called)
    if (this.#targets.get(key) === ref) this.#targets.delete(key)
  }

  #lost(): void {
    for (const leg of Array.from(this.#legs.values())) {
      const { dialogId } = leg.parts
      if (leg.state !== 'early' && this.#orphans.size < limits.orphansMax) this.#orphans.add(dialogId)
      leg.over({ cause: 'peer-failed', text: 'the connection to the SIP engine was lost' })
    }
  }

  /** The engine still knows the dialogs (protocol, 11): the peers in them need not wait for their session timers. */
  #connected(): void {
    const headers = { Reason: 'Q.850;cause=41' }
    const unheard = { answered: () => {}, failed: () => {}, updated: () => {} }
    for (const dialogId of this.#orphans) this.#control.send({ method: 'BYE', dialogId, headers }, unheard)
    this.#orphans.clear()
  }

  // From the core

  invite(invitation: Invitation): LegRef {
    const ref = this.#newId() as LegRef
    this.#place(ref, invitation, null)
    return ref
  }

  /** `again`: Session-Expires of the second try, after 422. */
  #place(ref: LegRef, invitation: Invitation, again: number | null): void {
    const { target, charging, sdp, callerLeg } = invitation
    const inbox = this.#started()
    const peer = this.#peers.get(target.peerId)
    const caller = callerLeg === undefined ? undefined : this.#legs.get(callerLeg)
    const crossing = caller instanceof InboundLeg ? caller.crossing : null
    const hops = crossing?.hopsLeft ?? limits.maxForwards
    const never = (reason: Reason): void => void this.#parts.clock.after(0, () => inbox.ended(ref, reason))
    if (peer === null) return never({ cause: 'unreachable', text: 'no such peer' })
    if (this.#isLeftAlone(peer) && !isEmergency(target.uri))
      return never({ cause: 'congestion', text: 'the operator has asked to wait' })
    if (hops < 1) return never({ cause: 'unreachable', sip: 483, text: 'too many hops' })
    if (isLonger(sdp ?? '', limits.bodyBytesMax)) {
      return never({ cause: 'incompatible-media', text: 'the media description is too long' })
    }
    const ids = { callId: this.#newId(), fromTag: this.#newId(), maxForwards: hops }
    const dialogId = `${ids.callId};from-tag=${ids.fromTag}`
    const leg: OutboundLeg = new OutboundLeg(
      this.#legParts({ ref, peer, dialogId, charging, called: target.uri, inbox }),
      {
        invitation,
        ids,
        sessionExpiresSeconds: again ?? this.#sessionExpires(peer),
        crossing,
        stir: this.#stir,
        again: seconds => {
          this.#forget(leg)
          if (again !== null) return inbox.ended(ref, { cause: 'peer-failed', sip: 422 })
          this.#place(ref, invitation, seconds)
        },
        leaveAlone: ms => void this.#leftAlone.set(peer.id, this.#parts.clock.now() + ms)
      }
    )
    this.#remember(leg)
    this.#targets.set(loopKey(charging, target.uri), ref)
    leg.place()
  }

  #isLeftAlone(peer: Peer): boolean {
    const until = this.#leftAlone.get(peer.id)
    if (until === undefined) return false
    if (until > this.#parts.clock.now()) return true
    this.#leftAlone.delete(peer.id)
    return false
  }

  /** A leg that has ended hears nothing: the core is on its way to knowing. */
  #tell(ref: LegRef, run: (leg: Leg) => void): Promise<void> {
    const leg = this.#legs.get(ref)
    try {
      if (leg !== undefined) run(leg)
      return done
    } catch (error) {
      return Promise.reject(error)
    }
  }

  alert(ref: LegRef): Promise<void> {
    return this.#tell(ref, leg => leg.alert())
  }
  progress(ref: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): Promise<void> {
    return this.#tell(ref, leg => leg.progress(early))
  }
  answer(ref: LegRef, answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): Promise<void> {
    return this.#tell(ref, leg => leg.answer(answer))
  }
  acknowledge(ref: LegRef, sdp: Sdp): Promise<void> {
    return this.#tell(ref, leg => leg.acknowledge(sdp))
  }
  reoffer(ref: LegRef, offer: { readonly exchange: number; readonly sdp: Sdp }): Promise<void> {
    return this.#tell(ref, leg => leg.reoffer(offer))
  }
  answerReoffer(ref: LegRef, sdp: Sdp): Promise<void> {
    return this.#tell(ref, leg => leg.answerReoffer(sdp))
  }
  refuseReoffer(ref: LegRef, why: Refusal): Promise<void> {
    return this.#tell(ref, leg => leg.refuseReoffer(why))
  }
  sendTone(ref: LegRef, tone: Tone): Promise<void> {
    return this.#tell(ref, leg => leg.sendTone(tone))
  }
  end(ref: LegRef, release: Release): Promise<void> {
    return this.#tell(ref, leg => leg.end(release))
  }

  sendText(text: OutgoingText): Promise<TextOutcome> {
    const { hub } = this.#parts.config
    const peer = this.#peers.get(text.target.peerId)
    if (peer !== null) {
      return sendText(text, { peer, hub, sessionExpiresSeconds: this.#sessionExpires(peer) }, this.#textParts)
    }
    return Promise.resolve({ taken: false, reason: { cause: 'unreachable', text: 'no such peer' }, facts: noFacts })
  }

  sendReceipt(ref: TextRef, receipt: Receipt): Promise<void> {
    this.#reports.receipt(ref, receipt)
    return Promise.resolve()
  }

  sendTyping(typing: OutgoingTyping): Promise<void> {
    const peer = this.#peers.get(typing.target.peerId)
    if (peer !== null) this.#reports.typing(typing, peer)
    return Promise.resolve()
  }

  get #textParts() {
    const { clock } = this.#parts
    return {
      clock,
      control: this.#control,
      newId: this.#newId,
      crossings: this.#crossings,
      reports: this.#reports,
      stir: this.#stir,
      log: this.#parts.log
    }
  }

  #started(): Inbox {
    if (this.#inbox === null) throw new Error('the NNI has not been started')
    return this.#inbox
  }
}

const loopKey = ({ icid }: ChargingId, called: string): string => `${icid} ${called}`

/** Whether the request came by a transport that was agreed on; the engine has held the Via to what it came by. */
function comesBy({ message }: Received, { config }: Peer): boolean {
  const transport = message.headers.via()?.transport.toLowerCase()
  return config.transports.some(one => one === transport)
}
