// What the engine ends in its own name: a dialog whose ACK, refresh or application never came, and forks nobody wants.

import { messageOf } from '../../errors.ts'
import { Dialog } from '../dialog.ts'
import type { Parts } from '../dialog.ts'
import type { Path } from '../link.ts'
import type { HeaderLine, SipRequest, SipResponse } from '../message.ts'
import type { ClientHandler, ClientTransaction } from '../ports.ts'
import type { Destination, Flow } from '../transport/transport.ts'
import type { Context } from './context.ts'
import { restricted, wayTo } from './targets.ts'
import type { SentAck, Usage } from './usages.ts'

/** What comes back is nobody's business. */
export const unheard: ClientHandler = { response: () => {}, failed: () => {} }

/**
 * BYE with a reason, told to the application as `unsolicited`. Waits for the peer's ACK where one is due
 * (RFC 3261, 15); gives the ACK that the application still owes. Once: an ended dialog stays as it is.
 */
export function endByEngine(ctx: Context, usage: Usage, reason: HeaderLine): void {
  if (usage.phase === 'ended') return
  if (usage.awaitedAck !== null) {
    usage.endAfterAck ??= reason
    return
  }
  if (usage.owedAck !== null) acknowledge(ctx, usage)
  usage.reinvite?.tx.cancel()
  const { dialog } = usage
  const to = wayTo(ctx, usage)
  ctx.usages.end(usage, Date.now())
  if (dialog === null) return
  const bye = dialog.request('BYE', { headers: [reason] })
  const tx = to === null ? null : trySend(ctx, bye, to)
  usage.app.ended(tx?.request ?? bye, usage.id, pathOf(tx, to))
}

/** Null where it could not be sent; the log says why. */
function trySend(ctx: Context, request: SipRequest, to: Destination): ClientTransaction | null {
  try {
    return ctx.stack.send(request, to, unheard)
  } catch (error) {
    ctx.log.warn({ error: messageOf(error), method: request.method }, 'could not be sent')
    return null
  }
}

/** Transport and address that a request went to. */
export function pathOf(tx: ClientTransaction | null, to: Destination | null): Path {
  const flow = tx?.flow ?? (to !== null && 'flow' in to ? to.flow : null)
  if (flow !== null) return [flow.transport, flow.remote]
  return to === null || 'flow' in to ? ['udp', { host: '', port: 0 }] : [to.transport, to]
}

/** ACK to the 2xx that has none yet, made again for its retransmissions. Null where nothing is to be acknowledged. */
export function acknowledge(
  ctx: Context,
  usage: Usage,
  parts: Parts = {},
  to: Destination | null = wayTo(ctx, usage)
): SentAck | null {
  const { dialog, owedAck } = usage
  if (dialog === null || owedAck === null || to === null) return null
  usage.owedAck = null
  const request = dialog.ack(owedAck, parts)
  usage.lastAck = { cseq: owedAck, at: Date.now(), parts, to }
  ctx.stack.sendAck(request, to)
  return { request, to }
}

/** A 2xx of another fork than the first: ACK and BYE (13.2.2.4), and the ACK again for each retransmission of it. */
export function endFork(ctx: Context, usage: Usage, response: SipResponse, flow: Flow): void {
  const tag = response.headers.tag('To')
  const before = usage.forkAcks.get(tag)
  if (before !== undefined) {
    ctx.stack.sendAck(before.request, before.to)
    return
  }
  if (usage.forkAcks.size >= ctx.limits.forksMax) return
  const dialog = Dialog.uac(usage.opening, response)
  const to = restricted(ctx, dialog.nextHop(), flow)
  if (to === null) return
  const request = dialog.ack(dialog.localCseq)
  usage.addForkAck(tag, { request, to })
  ctx.stack.sendAck(request, to)
  const reason = { name: 'Reason', value: 'SIP;cause=200;text="Call completed elsewhere"' }
  trySend(ctx, dialog.request('BYE', { headers: [reason] }), to)
}
