// The SIP-over-WebSocket world (RFC 7118): islands whose users speak SIP from a browser or an app.

import type { IslandConfig, SipWsConfig } from '../../config.ts'
import type { EmergencyConfig } from '../../config/emergency.ts'
import { HubError, messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { isEmergency } from '../../session/emergency.ts'
import { noFacts } from '../../session/model.ts'
import type { LegRef, Refusal, Release, Sdp, Shown, Tone } from '../../session/model.ts'
import type { Clock, Inbox, Invitation, OutgoingText, OutgoingTyping } from '../../session/ports.ts'
import type { SignallingAdapter, TextOutcome } from '../../session/ports.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import { createUserAgent } from '../../sip/call.ts'
import type { SipCall, UserAgent } from '../../sip/call.ts'
import { makeResponse } from '../../sip/message.ts'
import type { ServerTransaction, SipTimers } from '../../sip/stack.ts'
import { parseUri } from '../../sip/uri.ts'
import { answerWith, line, refuseWith } from './answer.ts'
import type { Answer } from './answer.ts'
import { Authentication } from './authentication.ts'
import { CalleeLeg } from './callee-leg.ts'
import { CallerLeg } from './caller-leg.ts'
import { Connection, Connections } from './connection.ts'
import { accountsOf, addressOf, calledOf, userAddress } from './identity.ts'
import type { Account, HelpNumbers, UserConfig } from './identity.ts'
import { allowed, sdpOf } from './in-call.ts'
import type { Leg, LegParts } from './leg.ts'
import { limits as defaultLimits } from './limits.ts'
import type { Limits } from './limits.ts'
import { Registrar } from './registrar.ts'
import { Reports } from './reports.ts'
import { createWebSockets } from './server.ts'
import type { Socket, SocketEvents, WebSockets } from './server.ts'
import { sendReceipt, sendText, sendTyping, takeText, textTypes } from './texts.ts'
import type { TextOut } from './texts.ts'

export interface SipWsParts {
  readonly config: {
    readonly sipWs: SipWsConfig
    readonly islands: readonly IslandConfig[]
    readonly hub: { readonly domain: string }
    /** What users may dial to call for help. */
    readonly emergency?: Pick<EmergencyConfig, 'dialled'>
  }
  readonly log: Logger
  readonly clock: Clock
  readonly passwordOf: (user: UserConfig) => string
  readonly limits?: Partial<Limits>
  readonly timers?: Partial<SipTimers>
}

export interface SipWs extends SignallingAdapter {
  /** `ws://host:port` once started. */
  readonly url: string
  /** How many devices of that user are registered. */
  registered(islandId: string, user: string): number
  /** Ends what still lives and closes every connection. */
  close(): Promise<void>
}

/** Throws HUB_CONFIG for a password or certificate that is not where the configuration says; `start` HUB_LISTEN. */
export const createSipWs = (parts: SipWsParts): SipWs => new SipOverWebSocket(parts)

class SipOverWebSocket implements SipWs {
  readonly access = 'sip-ws'
  readonly #parts: SipWsParts
  readonly #limits: Limits
  readonly #accounts: ReadonlyMap<string, Account>
  readonly #home: ReadonlySet<string>
  readonly #help: HelpNumbers
  readonly #connections = new Connections()
  readonly #registrar: Registrar
  readonly #authentication: Authentication
  readonly #agent: UserAgent
  readonly #sockets: WebSockets
  readonly #reports: Reports
  readonly #legs = new Map<LegRef, Leg>()
  #legsMade = 0
  #inbox: Inbox | null = null
  #url = ''
  #draining = false

  constructor(parts: SipWsParts) {
    const { config, clock, log, passwordOf } = parts
    const { islands, sipWs, hub } = config
    const limits = { ...defaultLimits, ...parts.limits }
    this.#parts = parts
    this.#limits = limits
    this.#accounts = accountsOf(islands)
    this.#home = new Set([hub.domain, ...islands.map(({ domain }) => domain)].map(name => name.toLowerCase()))
    this.#help = new Map(config.emergency?.dialled.map(({ dialled, service }) => [dialled, service]))
    this.#registrar = new Registrar({ limits, clock })
    this.#reports = new Reports({ limits, clock, hubDomain: hub.domain })
    this.#authentication = new Authentication({
      accounts: this.#accounts,
      registrar: this.#registrar,
      limits,
      clock,
      passwordOf
    })
    this.#agent = createUserAgent({
      listen: [],
      log,
      limits: { messageBytesMax: limits.frameBytesMax, headerBytesMax: limits.frameBytesMax },
      ...(parts.timers === undefined ? {} : { timers: parts.timers }),
      incoming: call => this.#incoming(call),
      requested: tx => this.#requested(tx)
    })
    this.#sockets = createWebSockets({
      config: sipWs,
      islands,
      limits,
      clock,
      log,
      accept: socket => this.#accept(socket)
    })
  }

  get url(): string {
    return this.#url
  }

  async start(inbox: Inbox): Promise<void> {
    this.#inbox = inbox
    await this.#agent.start()
    this.#url = await this.#sockets.start()
  }

  async drain(): Promise<void> {
    this.#draining = true
  }

  async close(): Promise<void> {
    this.#draining = true
    this.#reports.close()
    await this.#agent.close()
    await this.#sockets.close()
  }

  registered(islandId: string, user: string): number {
    const island = this.#parts.config.islands.find(({ id }) => id === islandId)
    return island === undefined ? 0 : this.#registrar.bindings(`sip:${user}@${island.domain.toLowerCase()}`).length
  }

  invite(invitation: Invitation): LegRef {
    const { ref, parts } = this.#newLeg()
    const account = this.#accountAt(invitation.target.uri)
    if (account === null) {
      this.#legs.delete(ref)
      queueMicrotask(() => parts.inbox.ended(ref, { cause: 'not-found', text: 'no such user on this island' }))
      return ref
    }
    const devices = this.#registrar.devices(addressOf(account))
    this.#legs.set(ref, new CalleeLeg(account, invitation, devices, parts))
    return ref
  }

  async alert(leg: LegRef): Promise<void> {
    this.#legs.get(leg)?.alert()
  }

  async progress(leg: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): Promise<void> {
    this.#legs.get(leg)?.progress(early)
  }

  async answer(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): Promise<void> {
    this.#legs.get(leg)?.answer(answer)
  }

  async acknowledge(leg: LegRef, sdp: Sdp): Promise<void> {
    this.#legs.get(leg)?.acknowledge(sdp)
  }

  async reoffer(leg: LegRef, offer: { readonly exchange: number; readonly sdp: Sdp }): Promise<void> {
    this.#legs.get(leg)?.reoffer(offer)
  }

  async answerReoffer(leg: LegRef, sdp: Sdp): Promise<void> {
    this.#legs.get(leg)?.answerReoffer(sdp)
  }

  async refuseReoffer(leg: LegRef, why: Refusal): Promise<void> {
    this.#legs.get(leg)?.refuseReoffer(why)
  }

  async sendTone(leg: LegRef, tone: Tone): Promise<void> {
    this.#legs.get(leg)?.sendTone(tone)
  }

  async end(leg: LegRef, release: Release): Promise<void> {
    this.#legs.get(leg)?.end(release)
  }

  async sendText(text: OutgoingText): Promise<TextOutcome> {
    const account = this.#accountAt(text.target.uri)
    if (account === null) {
      const reason = { cause: 'not-found', text: 'no such user on this island' } as const
      return { taken: false, reason, facts: noFacts }
    }
    return sendText(text, this.#towards(account))
  }

  async sendReceipt(ref: TextRef, receipt: Receipt): Promise<void> {
    sendReceipt(ref, receipt, this.#reports, account => this.#towards(account))
  }

  async sendTyping(typing: OutgoingTyping): Promise<void> {
    const account = this.#accountAt(typing.target.uri)
    if (account !== null) sendTyping(typing, this.#towards(account))
  }

  #towards(account: Account): TextOut {
    return {
      account,
      devices: this.#registrar.devices(addressOf(account)),
      connections: this.#connections,
      stack: this.#agent.stack,
      hubDomain: this.#parts.config.hub.domain,
      reports: this.#reports
    }
  }

  #accountAt(uri: string): Account | null {
    return this.#accounts.get(userAddress(parseUri(uri)) ?? '') ?? null
  }

  #newLeg(): { readonly ref: LegRef; readonly parts: LegParts } {
    this.#legsMade += 1
    const ref = `sip-ws ${this.#legsMade}` as LegRef
    const { domain: hubDomain } = this.#parts.config.hub
    const parts: LegParts = {
      leg: ref,
      inbox: this.#heardBy(),
      agent: this.#agent,
      connections: this.#connections,
      hubDomain,
      contact: line('Contact', `<sip:isthmus@${hubDomain};transport=ws>`),
      limits: this.#limits,
      onOver: () => this.#legs.delete(ref)
    }
    return { ref, parts }
  }

  #heardBy(): Inbox {
    if (this.#inbox === null) throw new HubError('HUB_INTERNAL', 'the sip-ws adapter is not started')
    return this.#inbox
  }

  #accept(socket: Socket): SocketEvents {
    const { transport, local, remote } = socket
    const flow = this.#agent.stack.adopt({
      transport,
      local,
      remote,
      peerId: null,
      send: bytes => socket.send(bytes),
      close: () => socket.close(1000, 'closed')
    })
    const connection = new Connection(socket, flow)
    this.#connections.add(connection)
    const cancel = this.#parts.clock.after(this.#limits.strangerMs, () => {
      if (!connection.proven) socket.close(1008, 'nobody has proven who they are')
    })
    return {
      message: bytes => flow.receive(bytes),
      lost: () => {
        cancel()
        this.#registrar.lost(flow)
        this.#connections.lost(connection)
        flow.lost()
      }
    }
  }

  #incoming(call: SipCall): void {
    const offered = this.#offer(call)
    if (offered !== null) call.refuse(offered.status, { headers: offered.headers })
  }

  /** Null once the core has the call, else the answer that refuses it. */
  #offer(call: SipCall): Answer | null {
    const { invite } = call
    const connection = this.#connections.of(call.flow)
    if (connection === null) return answerWith(500)
    const proof = this.#authentication.calling(invite, connection)
    if ('status' in proof) return proof
    const called = calledOf(invite.uri, this.#home, this.#accounts, this.#help)
    const helps = 'called' in called && isEmergency(called.called)
    if (this.#draining && !helps) return shuttingDown
    if (connection.calls.size >= this.#limits.callsPerConnectionMax && !helps) {
      return refuseWith(503, 'too many calls on this connection')
    }
    if ('status' in called) return refuseWith(called.status, called.text)
    const sdp = sdpOf(invite, this.#limits)
    if (sdp !== null && typeof sdp === 'object') {
      return refuseWith(sdp.unusable, 'the offer must be SDP within bounds', line('Accept', 'application/sdp'))
    }
    const { ref, parts } = this.#newLeg()
    const leg = new CallerLeg(call, connection, parts)
    this.#legs.set(ref, leg)
    leg.offer(proof.account, called.called, sdp)
    return null
  }

  #requested(tx: ServerTransaction): void {
    const connection = this.#connections.of(tx.flow)
    if (connection === null) return respond(tx, answerWith(500))
    const { request } = tx
    switch (request.method) {
      case 'REGISTER':
        return respond(tx, this.#register(tx, connection))
      case 'MESSAGE':
        return this.#texted(tx, connection)
      case 'OPTIONS': {
        const proof = this.#authentication.calling(request, connection)
        const able = answerWith(200, line('Allow', allowed), line('Accept', `application/sdp, ${textTypes}`))
        return respond(tx, 'status' in proof ? proof : able)
      }
      default:
        return respond(tx, answerWith(405, line('Allow', allowed)))
    }
  }

  #register({ request }: ServerTransaction, connection: Connection): Answer {
    const proof = this.#authentication.registering(request, connection)
    if ('status' in proof) return proof
    const answer = this.#registrar.register(proof.account, request, connection.flow)
    const { island, user } = proof.account
    this.#parts.log.debug({ island: island.id, user: user.name, status: answer.status }, 'registration')
    return answer
  }

  #texted(tx: ServerTransaction, connection: Connection): void {
    const { request } = tx
    const proof = this.#authentication.calling(request, connection)
    if ('status' in proof) return respond(tx, proof)
    if (this.#draining) return respond(tx, shuttingDown)
    const called = calledOf(request.uri, this.#home, this.#accounts)
    if ('status' in called) return respond(tx, refuseWith(called.status, called.text))
    const incoming = { request, account: proof.account, called: called.called, connection }
    takeText(incoming, { inbox: this.#heardBy(), limits: this.#limits, reports: this.#reports }).then(
      answer => respond(tx, answer),
      (error: unknown) => {
        this.#parts.log.error({ error: messageOf(error) }, 'a message could not be handed on')
        respond(tx, refuseWith(500, 'the hub has failed'))
      }
    )
  }
}

const shuttingDown = refuseWith(503, 'the hub is shutting down')

function respond(tx: ServerTransaction, { status, headers }: Answer): void {
  tx.respond(makeResponse(tx.request, status, { headers, toTag: tx.localTag }))
}
