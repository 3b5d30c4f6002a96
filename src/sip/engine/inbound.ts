// Requests of the network: answered by the engine where no application can, else handed up.

import { randomInt } from 'node:crypto'
import { newUuid } from '../../uuid.ts'
import { makeResponse } from '../message.ts'
import type { HeaderInit, SipRequest } from '../message.ts'
import { goesFirst, neighbourAbove } from '../overload.ts'
import type { ServerTransaction } from '../ports.ts'
import type { Flow } from '../transport/transport.ts'
import { systemClock } from '../timers.ts'
import { refuseFields } from '../validate.ts'
import { isText } from './body.ts'
import type { App } from './app.ts'
import { cseqOf, hasDialogRoom, reasonLine } from './context.ts'
import type { Context, Handler, Inbound } from './context.ts'
import { endByEngine } from './ending.ts'
import { tooShort } from './session-timer.ts'
import { dialogName } from './usages.ts'
import type { Usage } from './usages.ts'

/** What may open something with an application; `not here` is answered by the engine. */
const outside: ReadonlyMap<string, 'served' | 'no dialog' | 'not here'> = new Map([
  ['INVITE', 'served'],
  ['REGISTER', 'served'],
  ['MESSAGE', 'served'],
  ['OPTIONS', 'served'],
  ['INFO', 'served'],
  ['NOTIFY', 'served'],
  ['SUBSCRIBE', 'served'],
  ['PUBLISH', 'served'],
  ['BYE', 'no dialog'],
  ['UPDATE', 'no dialog'],
  ['PRACK', 'no dialog'],
  ['REFER', 'not here']
])
const allowed = 'INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, REGISTER, MESSAGE, OPTIONS, INFO, NOTIFY, SUBSCRIBE, PUBLISH'

/** A new request: the stack has checked and screened it. */
export function receive(ctx: Context, tx: ServerTransaction): void {
  const malformed = refuseFields(tx.request)
  if (malformed !== null) {
    tx.respond(makeResponse(tx.request, malformed.status, { reason: malformed.reason, toTag: tx.localTag }))
    return
  }
  const toTag = tx.request.headers.tag('To')
  if (toTag === '') receiveOutside(ctx, tx)
  else receiveInside(ctx, tx, toTag)
}

const refuse = (tx: ServerTransaction, status: number, headers: HeaderInit = []): void =>
  tx.respond(makeResponse(tx.request, status, { headers, toTag: tx.localTag }))

/** Applications read frames as UTF-8, other bytes would reach them broken. What only ends something is let through. */
function readable(app: App, tx: ServerTransaction): boolean {
  const { method, body } = tx.request
  if (app.binary || method === 'BYE' || method === 'PRACK' || isText(body)) return true
  refuse(tx, 415)
  return false
}

const pending = (tx: ServerTransaction): void => refuse(tx, 500, [['Retry-After', String(randomInt(11))]])

function receiveOutside(ctx: Context, tx: ServerTransaction): void {
  const { method, headers } = tx.request
  const place = outside.get(method)
  if (place === undefined) {
    refuse(tx, 501, [['Allow', allowed]])
    return
  }
  if (place === 'not here') {
    refuse(tx, 405, [['Allow', allowed]])
    return
  }
  if (place === 'no dialog') {
    refuse(tx, 481)
    return
  }
  if (method === 'INVITE' && tooShort(headers, ctx.session)) {
    refuse(tx, 422, [['Min-SE', String(ctx.session.minSeconds)]])
    return
  }
  // Without Retry-After, which would keep the whole peer away (RFC 7339, 5.10.2 and TS 29.165, OVL-05).
  if (!hasRoom(ctx, tx)) refuse(tx, 503)
  else if (ctx.handler !== null) void handOver(ctx, tx, ctx.handler)
  else {
    const app = ctx.control.pick(method.toLowerCase())
    if (app === null) refuse(tx, 503)
    else handUp(ctx, tx, app)
  }
}

/** Emergency and priority calls are not asked about the load, and have some room of their own. */
function hasRoom(ctx: Context, tx: ServerTransaction): boolean {
  const { waitingMax, reservePercent } = ctx.limits
  const isFirst = goesFirst(tx.request)
  const waiting = ctx.inbound.size + ctx.deciding.size
  if (waiting >= waitingMax * (isFirst ? 1 + reservePercent / 100 : 1)) return false
  if (!hasDialogRoom(ctx, tx.request)) return false
  return isFirst || ctx.overload.admit(neighbourAbove(tx.flow))
}

/** Outbound mode. CANCEL may be faster than the decision. */
async function handOver(ctx: Context, tx: ServerTransaction, handler: Handler): Promise<void> {
  const { request } = tx
  if (request.method === 'INVITE') tx.respond(makeResponse(request, 100))
  ctx.deciding.add(tx)
  const leave = (): boolean => ctx.deciding.delete(tx)
  tx.onCancel = () => leave() && refuse(tx, 487)
  tx.onEnd = leave
  const decision = await handler.decide(request, tx.flow)
  if (!leave()) return
  if (decision.kind === 'answer') {
    const { status, reason, contacts, fault } = decision
    if (fault !== null) ctx.log.warn({ fault, status }, 'no application for a request')
    const headers = contacts.map(contact => ['Contact', contact] as const)
    const phrase = reason === null ? {} : { reason }
    tx.respond(makeResponse(request, status, { headers, toTag: tx.localTag, ...phrase }))
    return
  }
  const app =
    decision.kind === 'tag'
      ? ctx.control.pick(request.method.toLowerCase(), decision.tag)
      : ctx.control.dial(decision.place, handler.ca)
  if (app === null) refuse(tx, 480)
  else handUp(ctx, tx, app)
}

function handUp(ctx: Context, tx: ServerTransaction, app: App): void {
  const { method } = tx.request
  if (!readable(app, tx)) return
  const inbound = offer(ctx, tx, app, null)
  if (method === 'INVITE') {
    tx.respond(makeResponse(tx.request, 100))
    inbound.guard = systemClock.set(ctx.limits.firstAnswerMs, () => expire(ctx, inbound), null)
  }
  app.hear(tx.request, { txn: inbound.txn, dialog: '', flow: tx.flow, opening: true })
}

function receiveInside(ctx: Context, tx: ServerTransaction, toTag: string): void {
  const { request } = tx
  const usage = ctx.usages.tagged(request.headers.get('Call-ID') ?? '', toTag)
  if (usage === undefined || usage.phase === 'ended' || usage.app.gone) {
    refuse(tx, 481)
    return
  }
  const dialog = usage.dialogWith(request.headers.tag('From'))
  // The first NOTIFY of a subscription may be faster than the answer to SUBSCRIBE (RFC 6665, 4.4.1).
  const early = request.method === 'NOTIFY' && usage.opening.method === 'SUBSCRIBE' && usage.dialog === null
  if (dialog === null && !early) {
    refuse(tx, 481)
    return
  }
  if (dialog?.receive(request) === 'out-of-order') {
    refuse(tx, 500)
    return
  }
  usage.flow = tx.flow
  if (!readable(usage.app, tx) || !admit(ctx, tx, usage)) return
  const inbound = offer(ctx, tx, usage.app, usage)
  if (request.method === 'INVITE') tx.respond(makeResponse(request, 100))
  if (request.method === 'BYE') endByPeer(ctx, usage, inbound)
  usage.app.hear(request, { txn: inbound.txn, dialog: usage.id, flow: tx.flow })
  if (request.method === 'PRACK') release(usage, request)
  if (endsSubscription(usage, request)) ctx.usages.end(usage, Date.now())
}

/** Whether a request may be handed up now; if not, it has been answered. */
function admit(ctx: Context, tx: ServerTransaction, usage: Usage): boolean {
  const { request } = tx
  const open = (method: string): boolean => usage.open.some(other => other.tx.request.method === method)
  switch (request.method) {
    case 'INVITE':
      if (tooShort(request.headers, ctx.session)) refuse(tx, 422, [['Min-SE', String(ctx.session.minSeconds)]])
      else if (usage.reinvite !== null || usage.refreshing || usage.owedAck !== null) refuse(tx, 491)
      else if (usage.phase === 'early' || open('INVITE') || open('UPDATE')) pending(tx)
      else return true
      return false
    case 'UPDATE':
      if (tooShort(request.headers, ctx.session)) refuse(tx, 422, [['Min-SE', String(ctx.session.minSeconds)]])
      else if (request.body.length > 0 && (usage.reinvite !== null || usage.refreshing)) refuse(tx, 491)
      else if (open('UPDATE') || (usage.phase === 'confirmed' && open('INVITE'))) pending(tx)
      else return true
      return false
    case 'PRACK':
      if (invitationOf(usage, request) !== null) return true
      refuse(tx, 481)
      return false
    default:
      return true
  }
}

function offer(ctx: Context, tx: ServerTransaction, app: App, usage: Usage | null): Inbound {
  const inbound: Inbound = {
    txn: newUuid(),
    tx,
    app,
    usage,
    toTag: tx.localTag,
    answered: 'no',
    rseq: 0,
    unacknowledged: null,
    held: [],
    guard: null
  }
  ctx.inbound.set(inbound.txn, inbound)
  ctx.overload.unanswered++
  usage?.addOpen(inbound)
  if (tx.request.method === 'INVITE') tx.onCancel = cancel => cancelled(ctx, inbound, cancel)
  tx.onEnd = () => {
    if (inbound.answered === 'final') return
    if (tx.request.method === 'INVITE') expire(ctx, inbound)
    else forget(ctx, inbound)
  }
  return inbound
}

/** Nothing waits for the application's answer any more: whatever it still says is NOK. */
export function forget(ctx: Context, inbound: Inbound): void {
  if (inbound.answered === 'no') ctx.overload.unanswered--
  inbound.answered = 'final'
  if (inbound.guard !== null) systemClock.clear(inbound.guard)
  inbound.guard = null
  inbound.unacknowledged?.()
  inbound.unacknowledged = null
  ctx.inbound.delete(inbound.txn)
  inbound.usage?.closeOpen(inbound)
  for (const held of inbound.held.splice(0)) held.fail('Response not sent due to unknown transaction')
}

/** Answers in the application's place; an INVITE that opened a dialog takes it along. */
export function answerFor(ctx: Context, inbound: Inbound, status: number): void {
  if (inbound.answered === 'final') return
  forget(ctx, inbound)
  const { usage, tx } = inbound
  tx.respond(makeResponse(tx.request, status, { toTag: inbound.toTag }))
  if (usage !== null && usage.phase === 'early' && tx.request === usage.opening) ctx.usages.end(usage, Date.now())
}

/** CANCEL before the 2xx: the stack has answered it, the INVITE is over, and the application hears of both. */
function cancelled(ctx: Context, inbound: Inbound, cancel: SipRequest): void {
  const { usage, app, txn, tx } = inbound
  if (inbound.answered === 'final') return
  answerFor(ctx, inbound, 487)
  app.hear(cancel, { txn, dialog: usage?.id ?? '', flow: tx.flow })
}

/** CANCEL after the 2xx has no effect on the INVITE (RFC 3261, 9.2), but whoever sent it wants no call. */
export function cancelledLate(ctx: Context, { headers }: SipRequest): void {
  const fromTag = headers.tag('From')
  const usage = ctx.usages.named(dialogName(headers.get('Call-ID') ?? '', fromTag))
  if (usage === undefined || usage.role !== 'uas' || usage.awaitedAck === null) return
  if (usage.awaitedAck.cseq !== Number.parseInt(headers.get('CSeq') ?? '', 10)) return
  endByEngine(ctx, usage, reasonLine(487, 'CANCEL after 200 OK'))
}

/** The application said nothing, or no PRACK came: the peer gets an end, the application a CANCEL. */
export function expire(ctx: Context, inbound: Inbound, status = 480): void {
  const { tx, usage, txn, app } = inbound
  answerFor(ctx, inbound, status)
  app.hear(cancelOf(tx.request), { txn, dialog: usage?.id ?? '', flow: tx.flow })
}

function cancelOf(invite: SipRequest): SipRequest {
  const headers = invite.headers.clone()
  for (const name of ['Content-Type', 'Content-Disposition', 'Require', 'Contact']) headers.remove(name)
  headers.set('CSeq', `${cseqOf(invite)} CANCEL`)
  return { ...invite, method: 'CANCEL', headers, body: Buffer.alloc(0) }
}

/** BYE from the peer: what else is open ends with it (15.1.2). */
function endByPeer(ctx: Context, usage: Usage, bye: Inbound): void {
  for (const other of usage.open) {
    if (other !== bye) answerFor(ctx, other, other.tx.request.method === 'INVITE' ? 487 : 500)
  }
  usage.reinvite?.tx.cancel()
  ctx.usages.end(usage, Date.now())
}

const endsSubscription = (usage: Usage, { method, headers }: SipRequest): boolean =>
  method === 'NOTIFY' &&
  usage.opening.method === 'SUBSCRIBE' &&
  /^\s*terminated\b/i.test(headers.get('Subscription-State') ?? '') &&
  !/^\s*refer\b/i.test(headers.get('Event') ?? '')

/** The INVITE whose reliable 1xx a PRACK acknowledges (RFC 3262, 3), or null. */
function invitationOf(usage: Usage, prack: SipRequest): Inbound | null {
  const [rseq, cseq, method] = (prack.headers.get('RAck') ?? '').trim().split(/\s+/)
  for (const inbound of usage.open) {
    const { request } = inbound.tx
    if (request.method !== 'INVITE' || inbound.unacknowledged === null || method !== 'INVITE') continue
    if (Number(rseq) === inbound.rseq && Number(cseq) === cseqOf(request)) return inbound
  }
  return null
}

/** Sends what waited for this PRACK, up to the next reliable answer. */
function release(usage: Usage, prack: SipRequest): void {
  const inbound = invitationOf(usage, prack)
  inbound?.unacknowledged?.()
  if (inbound === null) return
  inbound.unacknowledged = null
  while (inbound.unacknowledged === null && inbound.held.length > 0) inbound.held.shift()?.run()
}

/** ACK to a 2xx: told once, whatever was waiting for it goes on. */
export function acknowledged(ctx: Context, ack: SipRequest, flow: Flow): void {
  const usage = ctx.usages.tagged(ack.headers.get('Call-ID') ?? '', ack.headers.tag('To'))
  const awaited = usage?.awaitedAck ?? null
  if (usage === undefined || awaited === null || awaited.cseq !== cseqOf(ack)) return
  awaited.stop()
  usage.awaitedAck = null
  usage.flow = flow
  usage.app.hear(ack, { txn: awaited.txn, dialog: usage.id, flow })
  afterAck(ctx, usage)
}

/** The ACK has come or never will: a BYE that waited for it goes now. */
export function afterAck(ctx: Context, usage: Usage): void {
  const { heldBye, endAfterAck } = usage
  usage.heldBye = null
  usage.endAfterAck = null
  if (heldBye !== null) heldBye()
  else if (endAfterAck !== null) endByEngine(ctx, usage, endAfterAck)
}
