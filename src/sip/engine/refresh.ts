// Session timers of dialogs (RFC 4028): refreshing in time, and BYE when the other side does not.

import type { HeaderLine, SipRequest, SipResponse } from '../message.ts'
import { systemClock } from '../timers.ts'
import { cseqOf, reasonLine } from './context.ts'
import type { Context } from './context.ts'
import { acknowledge, endByEngine } from './ending.ts'
import { actAfter, parseSessionExpires, printSessionExpires, termsOf } from './session-timer.ts'
import type { SessionExpires, SessionTerms } from './session-timer.ts'
import { wayTo } from './targets.ts'
import type { Usage } from './usages.ts'

/** The longest that Node's timers can wait. */
const timerMsMax = 2_147_483_647
/** Between a refresh that met another exchange and the next try. */
const againSeconds = 2

/** Starts over with new terms; null: the session needs no sign of life. */
export function runSession(ctx: Context, usage: Usage, terms: SessionTerms | null): void {
  usage.stopSession()
  usage.session = terms
  if (terms !== null && usage.phase !== 'ended') schedule(ctx, usage, actAfter(terms))
}

function schedule(ctx: Context, usage: Usage, seconds: number): void {
  const ms = Math.min(seconds * ctx.secondMs, timerMsMax)
  usage.sessionTimer = systemClock.set(ms, () => act(ctx, usage), null)
}

/** After a 2xx to an INVITE or UPDATE of ours. */
export function heardSession(ctx: Context, usage: Usage, request: SipRequest, response: SipResponse): void {
  const answer = parseSessionExpires(response.headers.get('Session-Expires'))
  const asked = parseSessionExpires(request.headers.get('Session-Expires'))
  // A 2xx to a request without Session-Expires inside a dialog says nothing about the session.
  if (answer === null && asked === null && usage.session !== null) return
  runSession(ctx, usage, termsOf(answer, true, asked))
}

/** What a refreshing request of ours says about the session that is running. */
export function sessionLines(
  { seconds, ours }: SessionTerms,
  { minSeconds }: { readonly minSeconds: number }
): HeaderLine[] {
  return [
    { name: 'Session-Expires', value: printSessionExpires({ seconds, refresher: ours ? 'uac' : 'uas' }) },
    { name: 'Min-SE', value: String(minSeconds) },
    { name: 'Supported', value: 'timer' }
  ]
}

function act(ctx: Context, usage: Usage): void {
  const { session } = usage
  if (session === null || usage.phase === 'ended') return
  if (session.ours) refresh(ctx, usage, session)
  else endByEngine(ctx, usage, reasonLine(408, 'Session timer expired'))
}

/** UPDATE where the peer has it, since it leaves the media alone; else INVITE with the SDP as it was. */
function refresh(ctx: Context, usage: Usage, session: SessionTerms): void {
  const { dialog } = usage
  const to = wayTo(ctx, usage)
  const busy =
    usage.refreshing ||
    usage.reinvite !== null ||
    usage.owedAck !== null ||
    usage.awaitedAck !== null ||
    usage.open.length > 0
  if (busy) {
    schedule(ctx, usage, againSeconds)
    return
  }
  if (dialog === null || to === null) return
  const byUpdate = usage.peerAllowsUpdate || usage.localBody === null
  const asked: SessionExpires = { seconds: session.seconds, refresher: 'uac' }
  const headers = sessionLines({ seconds: session.seconds, ours: true }, ctx.session)
  if (usage.contact !== null) headers.push({ name: 'Contact', value: usage.contact })
  const request = dialog.request(
    byUpdate ? 'UPDATE' : 'INVITE',
    byUpdate || usage.localBody === null ? { headers } : { headers, body: usage.localBody }
  )
  usage.refreshing = !byUpdate
  ctx.stack.send(request, to, {
    response: response => refreshed(ctx, usage, request, response, asked),
    failed: () => endByEngine(ctx, usage, reasonLine(408, 'Session refresh failed'))
  })
}

function refreshed(
  ctx: Context,
  usage: Usage,
  request: SipRequest,
  response: SipResponse,
  asked: SessionExpires
): void {
  if (response.status < 200 || usage.phase === 'ended') return
  usage.refreshing = false
  if (response.status < 300) {
    if (request.method === 'INVITE') {
      usage.owedAck = cseqOf(request)
      acknowledge(ctx, usage)
    }
    usage.dialog?.refresh(response)
    const answer = parseSessionExpires(response.headers.get('Session-Expires'))
    runSession(ctx, usage, termsOf(answer, true, asked))
    return
  }
  const atLeast = parseSessionExpires(response.headers.get('Min-SE'))
  if (response.status === 491) schedule(ctx, usage, againSeconds)
  else if (response.status === 422 && atLeast !== null && atLeast.seconds > asked.seconds) {
    usage.session = { seconds: atLeast.seconds, ours: true }
    refresh(ctx, usage, usage.session)
  } else endByEngine(ctx, usage, reasonLine(408, 'Session refresh failed'))
}
