// Messages over the border: MESSAGE in, answered with the core's verdict; MESSAGE out (RFC 3428).

import type { Logger } from '../log.ts'
import { noFacts } from '../session/model.ts'
import type { LegFacts } from '../session/model.ts'
import type { Clock, Inbox, OutgoingText, TextOutcome } from '../session/ports.ts'
import type { TextRef } from '../session/text.ts'
import type { SipResponse } from '../sip/message.ts'
import { reasonOfStatus, statusOf } from './causes.ts'
import type { Control, Received } from './control.ts'
import { chargingFields, chargingOf, originatorFor } from './charging.ts'
import { carriedFields, carriedOf, newBack } from './crossing.ts'
import type { Crossing } from './crossing.ts'
import { plainWords, refusalFields, toldIn } from './headers.ts'
import type { Fields } from './headers.ts'
import { fromMessage, toMessage, traceOf } from './invite.ts'
import type { Surroundings } from './invite.ts'
import { limits } from './limits.ts'
import type { Peer } from './peers.ts'
import { hopFor } from './reports.ts'
import type { Reports } from './reports.ts'
import { refusalOf } from './stir/stir.ts'
import type { Stir } from './stir/stir.ts'

export interface TextParts {
  readonly clock: Clock
  readonly control: Control
  readonly newId: () => string
  readonly reports: Reports
  readonly stir: Stir
  readonly log: Logger
  /** Of messages that came in and wait for the core's verdict: at most one for each the core has. */
  readonly crossings: Map<TextRef, Crossing>
}

/** Hands a message to the core and answers with what became of it. */
export async function receiveText(
  request: Received,
  at: Surroundings,
  { clock, newId, crossings, reports, stir, log }: Omit<TextParts, 'control'>,
  inbox: Inbox
): Promise<void> {
  if (reports.heard(request, at, inbox)) return
  const understood = fromMessage(request.message, at)
  if (!understood.ok) return request.respond(understood.refused.status, understood.refused)
  const { caller, called, body, crossing } = understood.value
  const { tells, refused } = await stir.incoming(request.message, at.peer, understood.value)
  const facts = { ...understood.value.facts, ...tells }
  const back = newBack()
  const charging = understood.value.charging ?? { icid: newId(), generatedAt: at.hub.domain }
  const fields = (): Fields => ({
    ...carriedFields(back.carried, at.peer, false),
    ...chargingFields(charging, { originator: facts.origIoi, term: at.hub.ioi, transit: back.transit }, at.peer, at.hub)
  })
  let answered = false
  const answer = (status: number, headers = fields(), reason?: string): void => {
    if (answered) return
    answered = true
    cancel()
    request.respond(status, { headers, reason })
  }
  const cancel = clock.after(limits.verdictMs, () => answer(504))
  const ref = newId() as TextRef
  const offered = { ref, caller, called, body, charging, facts }
  if (refused === null) reports.came(ref, understood.value, at.peer)
  else log.info({ peerId: at.peer.id, ...refused }, 'a message was refused: its sender is not proven')
  crossings.set(ref, { ...crossing, back })
  const refusal = refused === null ? {} : { refusal: refusalOf(refused) }
  const verdict = await inbox.texted({ ...offered, ...refusal }).catch(() => null)
  crossings.delete(ref)
  if (verdict === null) return answer(500)
  if (verdict.taken) return answer(200)
  const { release } = verdict
  answer(statusOf(release), { ...fields(), ...refusalFields(release, at.peer) }, plainWords(release) ?? undefined)
}

/** Sends one message; a refusal is data. */
export function sendText(
  text: OutgoingText,
  at: Omit<Surroundings, 'neighbour'>,
  { control, newId, crossings, reports, stir }: Omit<TextParts, 'clock' | 'log'>
): Promise<TextOutcome> {
  const { peer, hub } = at
  const crossing = text.callerRef === undefined ? undefined : crossings.get(text.callerRef)
  const ids = { callId: newId(), fromTag: newId(), maxForwards: crossing?.hopsLeft ?? limits.maxForwards }
  const { outgoing, id } = reports.asking(toMessage(text, ids, at, crossing), text.body, peer)
  const { method, uri, body } = outgoing
  const { target, origin } = text
  const leaving = { headers: outgoing.headers, peer, targetUri: target.uri, origin, crossing: crossing ?? null }
  const { headers, attest, originationId } = stir.outgoing(leaving)
  const facts: LegFacts = {
    ...noFacts,
    dialogId: ids.callId,
    traceId: null,
    origIoi: originatorFor(peer, text.origin.origIoi) ?? hub.ioi,
    termIoi: peer.ioi,
    transitIoi: [],
    neighbour: peer.neighbour,
    attest,
    originationId
  }
  if (ids.maxForwards < 1) return refusedText('unreachable', 'too many hops', facts)
  if (!peer.config.methods.includes('MESSAGE')) return refusedText('forbidden', 'the peer takes no messages', facts)
  if (Buffer.byteLength(body) > limits.bodyBytesMax) return refusedText('unavailable', 'the message is too long', facts)
  const nextHop = hopFor(peer, { ...outgoing, headers })
  const ref = newId() as TextRef
  // Before it leaves: what is told of it may overtake its answer.
  reports.sent(peer, id, ref)
  const unreached = nextHop === peer.nextHop ? ({ cause: 'unreachable' } as const) : tooLarge
  return new Promise(resolve => {
    control.send(
      { method, uri, headers, body, nextHop },
      {
        answered: ({ message, local }) => {
          const { status } = message
          if (status < 200) return
          const known = learnt(facts, message, peer)
          if (crossing !== undefined) crossing.back.carried = carriedOf(message.headers, peer, hub)
          // 200: the reader's own device has it, unless that is told apart; 202: somebody keeps it for later
          // (RFC 3428, 7).
          if (status < 300) {
            return resolve({ taken: true, ref, facts: known, delivered: status === 200 && id === null })
          }
          const told = peer.heard.has('Reason') ? toldIn(message.headers.all('Reason')) : []
          const reason = local ? unreached : reasonOfStatus(status, told)
          resolve({ taken: false, reason, facts: known })
        },
        failed: why => resolve({ taken: false, reason: { cause: 'peer-failed', text: why }, facts }),
        updated: () => {}
      }
    )
  })
}

const tooLarge = {
  cause: 'unreachable',
  text: 'the message is too large for one datagram, and the operator takes no TCP'
} as const

const refusedText = (
  cause: 'forbidden' | 'unavailable' | 'unreachable',
  text: string,
  facts: LegFacts
): Promise<TextOutcome> => Promise.resolve({ taken: false, reason: { cause, text }, facts })

function learnt(facts: LegFacts, { headers }: SipResponse, peer: Peer): LegFacts {
  const charging = chargingOf(headers, peer)
  return {
    ...facts,
    traceId: traceOf(headers),
    termIoi: charging?.termIoi ?? facts.termIoi,
    transitIoi: charging?.transitIoi ?? []
  }
}
