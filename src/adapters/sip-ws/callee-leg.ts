// A call into an island: every device of the user rings, the first that answers has the call.

import type { Reason, Refusal, Release, Sdp, Tone } from '../../session/model.ts'
import type { Invitation } from '../../session/ports.ts'
import type { CallEnd, CallHandler, Provisional, SipCall } from '../../sip/call.ts'
import { printNameAddr } from '../../sip/message.ts'
import type { SipResponse } from '../../sip/message.ts'
import { line } from './answer.ts'
import { answeredElsewhere, bestOf, isGlobal, reasonLines } from './causes.ts'
import type { Connection, Passenger } from './connection.ts'
import { addressOf, assertedLine, connectedParty, fromShown } from './identity.ts'
import type { Account } from './identity.ts'
import { allowed, connectionLost, factsOf, InCall, noDevice, reasonOfEnd, sdpOrNull } from './in-call.ts'
import type { Leg, LegParts } from './leg.ts'
import type { Binding } from './registrar.ts'

const incompatible: Reason = {
  cause: 'incompatible-media',
  text: 'the device wants its early media settled before the call is answered'
}

export class CalleeLeg implements Leg {
  readonly #parts: LegParts
  readonly #account: Account
  readonly #forks = new Set<Fork>()
  readonly #refusals: Reason[] = []
  #winner: Fork | null = null
  /** The fork whose early SDP stands. */
  #heard: Fork | null = null
  #alerted = false
  #over = false

  constructor(account: Account, invitation: Invitation, devices: readonly Binding[], parts: LegParts) {
    this.#parts = parts
    this.#account = account
    for (const binding of devices) this.#ring(binding, invitation)
    // The core learns the leg's name when `invite` returns: what is known already must wait for that.
    queueMicrotask(() => this.#introduce())
  }

  alert(): void {}
  progress(): void {}
  answer(): void {}

  acknowledge(sdp: Sdp): void {
    this.#winner?.call.ack({ body: sdp })
    this.#winner?.inCall.proceed()
  }

  reoffer(offer: { readonly exchange: number; readonly sdp: Sdp }): void {
    const { leg, inbox } = this.#parts
    const fork = this.#winner ?? this.#heard
    if (fork === null) inbox.reofferRefused(leg, { exchange: offer.exchange, why: 'glare' })
    else fork.inCall.reoffer(offer)
  }

  answerReoffer(sdp: Sdp): void {
    ;(this.#winner ?? this.#heard)?.inCall.answerReoffer(sdp)
  }

  refuseReoffer(why: Refusal): void {
    ;(this.#winner ?? this.#heard)?.inCall.refuseReoffer(why)
  }

  sendTone(tone: Tone): void {
    this.#winner?.inCall.sendTone(tone)
  }

  end(release: Release): void {
    if (this.#finish()) this.#endAll(release)
  }

  #ring(binding: Binding, invitation: Invitation): void {
    const { agent, connections, hubDomain, contact, limits } = this.#parts
    const connection = connections.of(binding.flow)
    if (connection === null) return void this.#refusals.push(connectionLost)
    if (connection.calls.size >= limits.callsPerConnectionMax) {
      return void this.#refusals.push({ cause: 'limit-reached', text: 'the device has too many calls' })
    }
    const asserted = assertedLine(invitation.from, hubDomain)
    const { from, sdp } = invitation
    const fork = new Fork(connection, this)
    this.#forks.add(fork)
    const call = agent.place({
      uri: binding.uri,
      to: { flow: binding.flow },
      from: printNameAddr(fromShown(from, hubDomain)),
      toHeader: `<${addressOf(this.#account)}>`,
      contact: contact.value,
      headers: [line('Allow', allowed), ...(asserted === null ? [] : [line('P-Asserted-Identity', asserted)])],
      ...(sdp === null ? {} : { body: sdp }),
      on: this.#handler(fork)
    })
    fork.begin(call, new InCall(call, this.#parts))
  }

  #introduce(): void {
    if (this.#over) return
    const { leg, inbox } = this.#parts
    const [first] = this.#forks
    if (first !== undefined) inbox.learned(leg, factsOf(first.call, first.connection.neighbour))
    this.#settle()
  }

  #handler(fork: Fork): CallHandler {
    return {
      provisional: provisional => this.#progressed(fork, provisional),
      answered: (response, needsAnswer) => this.#answered(fork, response, needsAnswer),
      acknowledged: ack => fork.inCall.acknowledged(ack, false),
      reoffered: reoffer => (this.#speaks(fork) ? fork.inCall.reoffered(reoffer) : reoffer.refuse(491)),
      withdrawn: reoffer => fork.inCall.withdrawn(reoffer),
      requested: tx => fork.inCall.requested(tx),
      ended: end => this.#forkEnded(fork, end)
    }
  }

  /** Towards the caller there is one early dialog: the first whose SDP came. */
  #speaks(fork: Fork): boolean {
    return fork === (this.#winner ?? this.#heard)
  }

  #progressed(fork: Fork, { response, reliable }: Provisional): void {
    if (this.#over || this.#winner !== null) return
    const { leg, inbox, limits } = this.#parts
    const sdp = sdpOrNull(response, limits)
    if (sdp !== null && reliable && fork.offerless) return this.#drop(fork, incompatible)
    if (response.status === 180 && !this.#alerted) {
      this.#alerted = true
      inbox.alerting(leg)
    }
    if (sdp === null) return
    fork.early = sdp
    if (this.#heard !== null) return
    this.#heard = fork
    // Never as settled: another device may still win, with media of its own.
    inbox.progressed(leg, { sdp, reliable: false })
  }

  #answered(fork: Fork, response: SipResponse, needsAnswer: boolean): void {
    // It was cancelled and was faster: the stack acknowledges and says goodbye.
    if (this.#over || this.#winner !== null) return
    const { leg, inbox, limits } = this.#parts
    this.#winner = fork
    for (const other of this.#forks) if (other !== fork) other.end(answeredElsewhere)
    inbox.learned(leg, factsOf(fork.call, fork.connection.neighbour))
    const sdp = sdpOrNull(response, limits) ?? (needsAnswer ? null : fork.early)
    inbox.answered(leg, { sdp, party: connectedParty(this.#account) })
  }

  #forkEnded(fork: Fork, end: CallEnd): void {
    const reason = reasonOfEnd(end)
    this.gone(fork, reason)
    if (
      this.#winner === null &&
      end.how === 'refused' &&
      end.message?.kind === 'response' &&
      isGlobal(end.message.status)
    ) {
      this.#fail(reason)
    }
  }

  /** A device is out: it refused, hung up, or its connection is lost. */
  gone(fork: Fork, reason: Reason): void {
    fork.connection.calls.delete(fork)
    this.#forks.delete(fork)
    if (this.#over) return
    if (this.#winner === fork) {
      if (this.#finish()) this.#parts.inbox.ended(this.#parts.leg, reason)
      return
    }
    this.#refusals.push(reason)
    this.#settle()
  }

  #drop(fork: Fork, reason: Reason): void {
    fork.end({ ...reason, from: 'hub' })
    this.gone(fork, reason)
  }

  /** Every device has refused: the best of their reasons is the answer. */
  #settle(): void {
    if (this.#winner !== null || this.#forks.size > 0) return
    this.#fail(bestOf(this.#refusals) ?? noDevice)
  }

  #fail(reason: Reason): void {
    if (!this.#finish()) return
    this.#endAll({ ...reason, from: 'hub' })
    this.#parts.inbox.ended(this.#parts.leg, reason)
  }

  #endAll(release: Release): void {
    for (const fork of this.#forks) fork.end(release)
  }

  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#parts.onOver()
    return true
  }
}

/** The call to one device. */
class Fork implements Passenger {
  readonly connection: Connection
  readonly #leg: CalleeLeg
  #begun: { readonly call: SipCall; readonly inCall: InCall } | null = null
  early: Sdp | null = null

  constructor(connection: Connection, leg: CalleeLeg) {
    this.connection = connection
    this.#leg = leg
    connection.calls.add(this)
  }

  begin(call: SipCall, inCall: InCall): void {
    this.#begun = { call, inCall }
  }

  get call(): SipCall {
    return this.#known().call
  }

  get inCall(): InCall {
    return this.#known().inCall
  }

  get offerless(): boolean {
    return this.call.invite.body.length === 0
  }

  end(release: Release): void {
    this.call.end({ headers: reasonLines(release) })
  }

  connectionLost(): void {
    this.#leg.gone(this, connectionLost)
    this.call.end()
  }

  #known(): { readonly call: SipCall; readonly inCall: InCall } {
    if (this.#begun === null) throw new Error('a call is placed before it is heard of')
    return this.#begun
  }
}
