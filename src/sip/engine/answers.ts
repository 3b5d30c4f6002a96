// Answers of applications to requests of the network: To tag, Contact, reliability, retransmission, session terms.

import { randomInt } from 'node:crypto'
import { Dialog } from '../dialog.ts'
import { tagOf } from '../hop.ts'
import { makeResponse } from '../message.ts'
import type { Headers, SipRequest, SipResponse } from '../message.ts'
import { retransmit } from '../retransmit.ts'
import { systemClock } from '../timers.ts'
import type { App, Command } from './app.ts'
import { cseqOf, hasDialogRoom, reasonLine } from './context.ts'
import type { Context, Inbound } from './context.ts'
import { endByEngine } from './ending.ts'
import { completeBody, contactOf, linesOf, named } from './fill.ts'
import { afterAck, expire, forget } from './inbound.ts'
import { runSession } from './refresh.ts'
import { grant, parseSessionExpires, printSessionExpires, termsOf } from './session-timer.ts'
import { fieldOf, hasField } from './text.ts'
import type { AppField, AppFields, AppMessage } from './text.ts'
import { dialogName, Usage } from './usages.ts'

export type AppResponse = Extract<AppMessage, { readonly kind: 'response' }>

const unknown = 'Response not sent due to unknown transaction'

/** `sip|<txn>|...` with a response: sent, held back until a PRACK, or NOK. */
export function answer(ctx: Context, app: App, command: Command, message: AppResponse): void {
  const inbound = ctx.inbound.get(command.txn)
  if (inbound === undefined || inbound.answered === 'final') {
    app.refused(command.id, unknown)
    return
  }
  const reliable = isReliable(inbound, message)
  if (reliable && !offers100rel(inbound.tx.request.headers)) {
    app.refused(command.id, 'Remote endpoint does not support 100rel')
    return
  }
  const isSuccess = message.status >= 200 && message.status < 300
  // A 2xx waits for the PRACK (RFC 3262, 3), and so does a second reliable 1xx.
  const waits = inbound.unacknowledged !== null && (reliable || isSuccess)
  const run = (): void => send(ctx, { app, id: command.id, inbound, message, reliable })
  if (!waits && inbound.held.length === 0) {
    run()
    return
  }
  if (inbound.held.length >= ctx.limits.heldAnswersMax) {
    app.refused(command.id, 'too many answers wait for a PRACK')
    return
  }
  if (message.status >= 300) run()
  else inbound.held.push({ run, fail: text => app.refused(command.id, text) })
}

interface Answer {
  readonly app: App
  readonly id: string
  readonly inbound: Inbound
  readonly message: AppResponse
  readonly reliable: boolean
}

const isReliable = ({ tx }: Inbound, { status, rest }: AppResponse): boolean =>
  tx.request.method === 'INVITE' &&
  status > 100 &&
  status < 200 &&
  rest.fields.some(({ field, value }) => field.key === 'require' && /(^|[,\s])100rel($|[,\s])/i.test(value))

const offers100rel = (headers: Headers): boolean =>
  [...headers.all('Supported'), ...headers.all('Require')].some(tag => tag.toLowerCase() === '100rel')

function send(ctx: Context, said: Answer): void {
  const { app, id, inbound, message, reliable } = said
  const { tx } = inbound
  const { status } = message
  takeToTag(ctx, inbound, message.rest)
  const lines = linesFor(ctx, said)
  const toTag = status === 100 ? undefined : inbound.toTag
  const parts = { reason: message.reason, body: message.rest.body }
  const response = makeResponse(tx.request, status, toTag === undefined ? parts : { ...parts, toTag })
  for (const { field, value } of lines) response.headers.addField(field, value)
  const usage = usageFor(ctx, inbound, response)
  if (usage === 'full') {
    app.refused(id, 'too many dialogs')
    return
  }
  // Before it is sent: the transaction says at once that it is done.
  if (status >= 200) forget(ctx, inbound)
  tx.respond(response)
  const dialog = tx.request.method === 'BYE' ? '' : dialogOf(tx.request, usage)
  app.sent(id, response, { txn: inbound.txn, path: [tx.flow.transport, tx.flow.remote], dialog })
  if (status < 200) {
    if (reliable) keepSending(ctx, inbound, response)
    if (reliable && usage !== null && response.body.length > 0) usage.localBody = response.body
    return
  }
  const isInvite = tx.request.method === 'INVITE'
  const opened = usage !== null && usage.phase === 'early' && tx.request === usage.opening
  if (status < 300) {
    ctx.bindings.learn(tx.request, response, tx.flow, Date.now())
    if (usage !== null) succeed(ctx, usage, inbound, response)
  } else if (opened && usage !== null) ctx.usages.end(usage, Date.now())
  if (isInvite && status < 300 && usage !== null) awaitAck(ctx, usage, inbound, response)
}

/** The application may choose the tag with its first answer; afterwards it stays (RFC 3261, 12.1.1). */
function takeToTag(ctx: Context, inbound: Inbound, rest: AppFields): void {
  const forced = inbound.answered === 'no' && inbound.usage === null ? tagOf(fieldOf(rest, 'to')) : ''
  if (forced !== '') inbound.toTag = forced
  if (inbound.answered === 'no') {
    inbound.answered = 'early'
    ctx.overload.unanswered--
  }
  if (inbound.guard !== null) systemClock.clear(inbound.guard)
  inbound.guard = null
}

const refreshing: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE'])

function linesFor(ctx: Context, { inbound, message, reliable }: Answer): AppField[] {
  const { tx, usage } = inbound
  const { status, rest } = message
  const { method } = tx.request
  const lines = linesOf(rest, tx.flow.local, 'answer')
  completeBody(rest, lines)
  const isSuccess = status >= 200 && status < 300
  if (((isSuccess && refreshing.has(method)) || reliable) && !hasField(rest, 'contact')) {
    lines.push(named('Contact', usage?.contact ?? contactOf(tx.flow.local, tx.flow.transport)))
  }
  if (reliable) {
    inbound.rseq = inbound.rseq === 0 ? randomInt(1, 1_000_000_000) : inbound.rseq + 1
    lines.push(named('RSeq', String(inbound.rseq)))
  }
  if (isSuccess && (method === 'INVITE' || method === 'UPDATE')) grantSession(ctx, inbound, rest, lines)
  return lines
}

/** Session-Expires of a 2xx: what the application said, or what the request asked for. */
function grantSession(ctx: Context, { tx }: Inbound, rest: AppFields, lines: AppField[]): void {
  const { headers, method } = tx.request
  const said = parseSessionExpires(fieldOf(rest, 'session-expires'))
  // An UPDATE before the answer, or one that does not ask, leaves the session as it is.
  if (method === 'UPDATE' && said === null && headers.get('Session-Expires') === undefined) return
  const granted = grant(headers, said, ctx.session)
  if (granted === null) return
  const at = lines.findIndex(({ name }) => name === 'Session-Expires')
  const line = named('Session-Expires', printSessionExpires(granted))
  if (at < 0) lines.push(line)
  else lines[at] = line
  if (granted.refresher === 'uac' && !/(^|[,\s])timer/i.test(fieldOf(rest, 'require') ?? '')) {
    lines.push(named('Require', 'timer'))
  }
}

/** The dialog that an answer opens or belongs to; null where there is none. */
function usageFor(ctx: Context, inbound: Inbound, response: SipResponse): Usage | 'full' | null {
  const { tx, usage } = inbound
  if (usage !== null) return usage
  const { request } = tx
  const opens = request.method === 'INVITE' || request.method === 'SUBSCRIBE'
  if (!opens || response.status === 100 || response.status >= 300) return null
  if (!hasDialogRoom(ctx, request)) return 'full'
  const opened = new Usage({
    role: 'uas',
    callId: request.headers.get('Call-ID') ?? '',
    localTag: inbound.toTag,
    fromTag: request.headers.tag('From'),
    opening: request,
    app: inbound.app
  })
  opened.dialog = Dialog.uas(request, response)
  opened.flow = tx.flow
  opened.pinned = ctx.bindings.find('INVITE', opened.dialog.remoteTarget, Date.now()) === tx.flow
  opened.peerAllowsUpdate = request.headers.all('Allow').includes('UPDATE')
  opened.addOpen(inbound)
  inbound.usage = opened
  ctx.usages.add(opened)
  return opened
}

/** A refused first INVITE has had a name all the same. */
function dialogOf(request: SipRequest, usage: Usage | null): string {
  if (usage !== null) return usage.id
  if (request.method !== 'INVITE' && request.method !== 'SUBSCRIBE') return ''
  return dialogName(request.headers.get('Call-ID') ?? '', request.headers.tag('From'))
}

/** A reliable 1xx again and again until its PRACK; without one the INVITE is refused (RFC 3262, 3). */
function keepSending(ctx: Context, inbound: Inbound, response: SipResponse): void {
  inbound.unacknowledged = retransmit({
    T1: ctx.timers.T1,
    gapMsMax: Number.POSITIVE_INFINITY,
    again: () => inbound.tx.respond(response),
    expired: () => expire(ctx, inbound, 504)
  })
}

function succeed(ctx: Context, usage: Usage, { tx }: Inbound, response: SipResponse): void {
  const { method, headers } = tx.request
  if (!refreshing.has(method)) return
  if (tx.request === usage.opening) usage.confirm()
  else usage.dialog?.refresh(tx.request)
  usage.contact = response.headers.get('Contact') ?? usage.contact
  if (response.body.length > 0) usage.localBody = response.body
  if (method === 'SUBSCRIBE') return
  const answer = parseSessionExpires(response.headers.get('Session-Expires'))
  // A re-INVITE that says nothing leaves the running session as it was, but proves that the peer lives.
  const silent = answer === null && parseSessionExpires(headers.get('Session-Expires')) === null
  runSession(ctx, usage, silent ? usage.session : termsOf(answer, false, null))
}

/** 2xx to INVITE: again until the ACK comes, whatever the transport; without one the dialog ends (13.3.1.4). */
function awaitAck(ctx: Context, usage: Usage, { tx, txn }: Inbound, response: SipResponse): void {
  usage.awaitedAck?.stop()
  const stop = retransmit({
    T1: ctx.timers.T1,
    gapMsMax: ctx.timers.T2,
    again: () => tx.respond(response),
    expired: () => {
      usage.awaitedAck = null
      usage.endAfterAck ??= reasonLine(200, 'ACK timeout')
      if (usage.heldBye === null) endByEngine(ctx, usage, usage.endAfterAck)
      else afterAck(ctx, usage)
    }
  })
  usage.awaitedAck = { txn, cseq: cseqOf(tx.request), stop }
}
