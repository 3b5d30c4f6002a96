// Requests of applications outside dialogs, CANCEL of them, and what comes back.

import { randomInt } from 'node:crypto'
import { messageOf } from '../../errors.ts'
import { newUuid } from '../../uuid.ts'
import { Dialog } from '../dialog.ts'
import { tagOf } from '../hop.ts'
import { createHeaders, fieldNamed, fieldSet, isInSet, isNameAddr, isToken, makeRequest } from '../message.ts'
import { makeResponse, newCallId, newTag, parseCSeq, splitList, uriIn } from '../message.ts'
import type { FieldName, SipRequest, SipResponse } from '../message.ts'
import type { Address, Destination, Flow, RemoteDestination } from '../transport/transport.ts'
import { hostPort } from '../transport/transport.ts'
import { parseUri } from '../uri.ts'
import type { SipUri } from '../uri.ts'
import type { App, Command } from './app.ts'
import { cseqOf, reasonLine, rseqOf } from './context.ts'
import type { Context, Outbound } from './context.ts'
import { endByEngine, endFork, pathOf } from './ending.ts'
import { completeBody, contactOf, linesOf, named } from './fill.ts'
import { elsewhere, nextHop } from './next-hop.ts'
import type { NextHop } from './next-hop.ts'
import { heardSession } from './refresh.ts'
import { fieldOf, hasField, readableReason } from './text.ts'
import type { AppField, AppMessage } from './text.ts'
import { Usage } from './usages.ts'

export type AppRequest = Extract<AppMessage, { readonly kind: 'request' }>

interface Wish {
  readonly app: App
  readonly command: Command
  readonly message: AppRequest
}

/** `sip||` with a request: sent, or NOK with the reason. */
export function sendOutside(ctx: Context, app: App, command: Command, message: AppRequest): void {
  const wish = { app, command, message }
  const bound = ctx.bindings.find(message.method, message.uri, Date.now())
  const hop = bound === null ? hopOf(ctx, command, message) : { to: { flow: bound } }
  if ('refused' in hop) app.refused(command.id, hop.refused)
  else if ('name' in hop) void locateFirst(ctx, wish, hop.name)
  else leave(ctx, wish, hop.to, null)
}

/** The next hop that the application names, the first Route it preloads (RFC 3261, 8.1.2), or the Request-URI. */
function hopOf({ hops, stack }: Context, { proxy }: Command, { uri, rest }: AppRequest): NextHop {
  if (proxy !== '') return hops.find(proxy, stack)
  const route = splitList(fieldOf(rest, 'route') ?? '')[0]
  return nextHop(route === undefined ? uri : (uriIn(route) ?? route), stack.listening)
}

/** RFC 3263 for a host name; the application may be gone when the DNS has answered. */
async function locateFirst(ctx: Context, wish: Wish, name: SipUri): Promise<void> {
  const { app, command } = wish
  const refuse = (text: string): void => app.refused(command.id, text)
  try {
    const targets = elsewhere(await ctx.stack.locate(name), ctx.stack.listening, name.host)
    if (app.gone) return
    if ('refused' in targets) refuse(targets.refused)
    else leave(ctx, wish, targets[0], targets)
  } catch (error) {
    ctx.log.warn({ error: messageOf(error), host: name.host }, 'next hop not located')
    refuse(`no address for ${name.host}: ${messageOf(error)}`)
  }
}

/** `to` is where the request goes first, `targets` all the places there are for it. */
function leave(ctx: Context, { app, command, message }: Wish, to: Destination, targets: Launch['targets']): void {
  const { method, rest } = message
  const transport = 'flow' in to ? to.flow.transport : to.transport
  const local = 'flow' in to ? to.flow.local : ctx.stack.localAddress(transport, to.host)
  if (local === null) {
    app.refused(command.id, 'requested protocol/transport not available')
    return
  }
  if (ctx.usages.size >= ctx.limits.dialogsMax) {
    app.refused(command.id, 'too many dialogs')
    return
  }
  const lines = linesOf(rest, local, 'outside')
  if (!completeBody(rest, lines)) {
    app.refused(command.id, 'missing content-type')
    return
  }
  if (opens(method)) openingLines(ctx, message, lines, contactOf(local, transport))
  const request = requestOf(message, lines, local)
  if (typeof request === 'string') {
    app.refused(command.id, request)
    return
  }
  launch(ctx, { app, command, request, to, targets })
}

const opens = (method: string): boolean => method === 'INVITE' || method === 'SUBSCRIBE'

function openingLines(ctx: Context, { method, rest }: AppRequest, lines: AppField[], contact: string): void {
  if (!hasField(rest, 'contact')) lines.push(named('Contact', contact))
  if (method !== 'INVITE' || ctx.session.seconds === null || hasField(rest, 'session-expires')) return
  lines.push(named('Session-Expires', String(ctx.session.seconds)))
  if (!hasField(rest, 'min-se')) lines.push(named('Min-SE', String(ctx.session.minSeconds)))
  lines.push(named('Supported', 'timer'))
}

/** From, To, Call-ID and CSeq as the application wrote them, or made up. A text says what is wrong with them. */
function requestOf({ method, uri, rest }: AppRequest, lines: readonly AppField[], local: Address): SipRequest | string {
  const from = given(lines, fields.from) ?? `<sip:${hostPort(local)}>`
  const to = given(lines, fields.to) ?? `<${uri}>`
  if (!isNameAddr(from)) return `bad From: ${from}`
  if (!isNameAddr(to)) return `bad To: ${to}`
  const wrong = strictRoute(lines)
  if (wrong !== null) return `bad Route: ${wrong}: a SIP URI with lr is needed`
  const cseq = given(lines, fields.cseq)
  const number = (cseq === undefined ? null : parseCSeq(cseq)?.number) ?? randomInt(1, 1_000_000)
  const headers = createHeaders()
  headers.addField(fields.from, tagOf(from) === '' ? `${from};tag=${newTag()}` : from)
  headers.addField(fields.to, to)
  headers.addField(fields.callId, given(lines, fields.callId) ?? newCallId())
  headers.addField(fields.cseq, `${number} ${method}`)
  for (const { field, value } of lines) if (!isInSet(own, field)) headers.addField(field, value)
  try {
    return makeRequest({ method, uri, headers, body: rest.body })
  } catch {
    return `bad request line: ${method} ${uri}`
  }
}

function given(lines: readonly AppField[], { id }: FieldName): string | undefined {
  for (const { field, value } of lines) if (field.id === id) return value
  return undefined
}

/** The first Route that is not loose, or null. */
function strictRoute(lines: readonly AppField[]): string | null {
  for (const { field, value } of lines) {
    const wrong = field.id === fields.route.id ? splitList(value).find(route => !isLoose(route)) : undefined
    if (wrong !== undefined) return wrong
  }
  return null
}

/** Strict routers want the Request-URI rewritten: nobody has them any more, and the next hop does the same. */
function isLoose(route: string): boolean {
  const uri = parseUri(uriIn(route) ?? '')
  return uri !== null && (uri.scheme === 'sip' || uri.scheme === 'sips') && uri.params.has('lr')
}

const fields = {
  from: fieldNamed('From'),
  to: fieldNamed('To'),
  callId: fieldNamed('Call-ID'),
  cseq: fieldNamed('CSeq'),
  route: fieldNamed('Route')
} as const
const own = fieldSet(['From', 'To', 'Call-ID', 'CSeq'])

interface Launch {
  readonly app: App
  readonly command: Command
  readonly request: SipRequest
  readonly to: Destination
  readonly targets: readonly [RemoteDestination, ...RemoteDestination[]] | null
}

function launch(ctx: Context, { app, command, request, to, targets }: Launch): void {
  const usage = opens(request.method) ? usageOf(ctx, app, request) : null
  const txn = newUuid()
  const tx = ctx.stack.send(request, targets ?? to, {
    response: (response, flow) => outside(ctx, outbound, response, flow),
    failed: why => outside(ctx, outbound, faked(request, why), null)
  })
  const outbound: Outbound = { txn, app, tx, usage, cancelled: false }
  ctx.outbound.set(txn, outbound)
  if (usage !== null) usage.pinned = 'flow' in to
  echoRequest(app, command.id, outbound, to)
}

function usageOf(ctx: Context, app: App, request: SipRequest): Usage {
  const fromTag = request.headers.tag('From')
  const callId = request.headers.get('Call-ID') ?? ''
  const usage = new Usage({ role: 'uac', callId, localTag: fromTag, fromTag, opening: request, app })
  usage.contact = request.headers.get('Contact') ?? null
  ctx.usages.add(usage)
  return usage
}

/** The answer to a command: the request exactly as it was sent. Before anything else about its transaction. */
export function echoRequest(app: App, id: string, { tx, txn }: Outbound, to: Destination): void {
  app.sent(id, tx.request, { txn, path: pathOf(tx, to) })
}

/** What no answer at all is to the application (RFC 3261, 8.1.3.1). */
export const faked = (request: SipRequest, why: 'timeout' | 'transport'): SipResponse =>
  makeResponse(request, why === 'timeout' ? 408 : 503)

/** Hands an answer up; 100 is the stack's business. `flow` null: it was made up here. */
export function tellResponse(outbound: Outbound, response: SipResponse, flow: Flow | null, dialog: string): void {
  const reason = readableReason(response.status, response.reason)
  const readable = reason === response.reason ? response : { ...response, reason }
  outbound.app.hear(readable, { txn: outbound.txn, dialog, flow })
}

function outside(ctx: Context, outbound: Outbound, response: SipResponse, flow: Flow | null): void {
  const { usage } = outbound
  const { status } = response
  if (status === 100) return
  if (status >= 200) ctx.outbound.delete(outbound.txn)
  if (usage === null) {
    tellResponse(outbound, response, flow, '')
    return
  }
  if (flow !== null) usage.flow = flow
  if (status < 200) {
    if (!early(ctx, usage, outbound, response)) return
  } else if (status < 300) confirm(ctx, usage, outbound, response)
  else ctx.usages.end(usage, Date.now())
  tellResponse(outbound, response, flow, usage.id)
  if (usage.app.gone && status < 300 && status >= 200) endByEngine(ctx, usage, reasonLine(503, 'Application gone'))
}

/** False for a reliable 1xx that came before, or that is one too far: both are discarded (RFC 3262, 4). */
function early(ctx: Context, usage: Usage, { tx }: Outbound, response: SipResponse): boolean {
  const tag = response.headers.tag('To')
  if (tag === '' || usage.phase !== 'early') return true
  const rseq = rseqOf(response)
  const known = usage.forkOf(tag)
  if (known !== undefined) {
    if (Number.isNaN(rseq)) return true
    if (known.last !== null && rseq !== known.last + 1) return false
    known.rseq = known.last = rseq
    return true
  }
  if (usage.forks.length >= ctx.limits.forksMax) return true
  const dialog = Dialog.uac(tx.request, response)
  const first = Number.isNaN(rseq) ? null : rseq
  usage.forks = [...usage.forks, { tag, dialog, rseq: first, last: first }]
  usage.dialog ??= dialog
  return true
}

/** The first 2xx makes the dialog: the early one of its tag, or a new one. */
function confirm(ctx: Context, usage: Usage, outbound: Outbound, response: SipResponse): void {
  if (usage.phase !== 'early') return
  const { request } = outbound.tx
  const before = usage.forkOf(response.headers.tag('To'))?.dialog
  before?.confirm(response)
  usage.dialog = before ?? Dialog.uac(request, response)
  usage.confirm()
  usage.peerAllowsUpdate = response.headers.all('Allow').includes('UPDATE')
  if (request.body.length > 0) usage.localBody = request.body
  if (request.method !== 'INVITE') return
  usage.owedAck = cseqOf(request)
  // The 2xx was faster than our CANCEL: the application acknowledges, the engine ends it.
  if (outbound.cancelled) usage.endAfterAck = reasonLine(487, 'Call cancelled')
  heardSession(ctx, usage, request, response)
}

/** A 2xx after the first: again the one we know, or another fork. */
export function stray(ctx: Context, response: SipResponse, flow: Flow): void {
  const usage = ctx.usages.tagged(response.headers.get('Call-ID') ?? '', response.headers.tag('From'))
  const known = usage?.dialog ?? null
  if (usage === undefined || known === null || usage.opening.method !== 'INVITE') return
  if (response.headers.tag('To') !== known.remoteTag) {
    if (usage.phase !== 'early' && usage.role === 'uac') endFork(ctx, usage, response, flow)
    return
  }
  const { lastAck } = usage
  // Before the application's ACK a copy of the 2xx says nothing new.
  const number = response.headers.cseq()?.number
  if (lastAck !== null && lastAck.cseq === number) ctx.stack.sendAck(known.ack(lastAck.cseq, lastAck.parts), lastAck.to)
}

/** `sip|<txn>|` with CANCEL: of the application's message only what it adds counts. */
export function cancel(ctx: Context, app: App, command: Command, message: AppRequest): void {
  const outbound = ctx.outbound.get(command.txn)
  if (outbound === undefined || outbound.tx.request.method !== 'INVITE') {
    app.refused(command.id, 'CANCEL for an unknown transaction')
    return
  }
  const lines = message.rest.fields.filter(({ field, name }) => !isInSet(kept, field) && isToken(name))
  outbound.cancelled = true
  outbound.tx.cancel(lines)
  const { request } = outbound.tx
  const headers = createHeaders()
  headers.add('Via', request.headers.all('Via')[0] ?? '')
  for (const name of ['From', 'To', 'Call-ID']) headers.add(name, request.headers.get(name) ?? '')
  headers.add('CSeq', `${cseqOf(request)} CANCEL`)
  headers.add('Max-Forwards', '70')
  for (const { name, value } of lines) headers.add(name, value)
  const sent: SipRequest = { ...request, method: 'CANCEL', headers, body: Buffer.alloc(0) }
  app.sent(command.id, sent, { txn: newUuid(), path: pathOf(outbound.tx, null) })
}
const kept = fieldSet(
  'From To Call-ID CSeq Contact P-Asserted-Identity Max-Forwards Content-Type Require Supported'.split(' ')
)

/** The application of these requests is gone: nobody waits for what they ring. */
export function abandon(ctx: Context, app: App): void {
  for (const outbound of ctx.outbound.values()) {
    if (outbound.app === app && outbound.tx.request.method === 'INVITE' && outbound.usage?.phase === 'early') {
      outbound.tx.cancel([reasonLine(503, 'Application gone')])
    }
  }
}
