// The Policy port: asks the agreements, looks at the counters, decides, has credit held for what it grants, and keeps
// what it granted until it is freed.

import { isEmergency } from '../session/emergency.ts'
import type { Credited, Grant, PolicyDecision, Reason } from '../session/model.ts'
import type { Agreements, Clock, Credit, Policy, Reserved, Terms, TermsAsked, TextAdmission } from '../session/ports.ts'
import { whenKnown } from '../session/soon.ts'
import type { Soon } from '../session/soon.ts'
import { Counters } from './counters.ts'
import { decide } from './decide.ts'
import type { PolicyPeer } from './decide.ts'

export interface PolicyParts {
  readonly peers: readonly PolicyPeer[]
  readonly agreements: Agreements
  /** Left out: nobody has to have any. */
  readonly credit?: Pick<Credit, 'reserve'>
  readonly clock: Pick<Clock, 'now'>
}

const noCredit: Pick<Credit, 'reserve'> = { reserve: () => null }

/** Null for a message: it has no media. */
type Media = { readonly transcode: boolean } | null

export function createPolicy({ peers, agreements, credit = noCredit, clock }: PolicyParts): Policy {
  const byId = new Map(peers.map(peer => [peer.id, peer]))
  const counters = new Counters()
  /** What each grant counts against; a message counts only in its second. */
  const granted = new Map<string, readonly string[]>()

  function admit(
    admission: TextAdmission,
    service: TermsAsked['service'],
    media: Media,
    urgent: boolean
  ): Soon<PolicyDecision> {
    const helps = isEmergency(admission.called)
    const asked = askedOf(admission, service)
    // Nobody is asked what help costs, and it counts against no limit (EMG-03).
    const told = helps ? 'no-agreement' : agreements.terms(asked)
    return whenKnown(told, terms => admitBy(terms, admission, asked, media, { urgent, helps }))
  }

  function admitBy(
    terms: Terms | 'no-agreement' | 'no-rate',
    { id, attempt, caller, target, called }: TextAdmission,
    asked: TermsAsked,
    media: Media,
    { urgent, helps }: { readonly urgent: boolean; readonly helps: boolean }
  ): Soon<PolicyDecision> {
    const now = clock.now()
    const decision = decide({
      from: byId.get(caller.peerId) ?? null,
      to: byId.get(target.peerId) ?? null,
      usage: { from: counters.usage(caller.peerId, now), to: counters.usage(target.peerId, now) },
      terms,
      called,
      urgent,
      media,
      grantId: `${id}/${attempt}`
    })
    if (!decision.admit || helps) return decision
    const counted = caller.peerId === target.peerId ? [caller.peerId] : [caller.peerId, target.peerId]
    for (const peerId of counted) counters.begin(peerId, now, media !== null)
    granted.set(decision.grant.id, media === null ? [] : counted)
    // Neither a call for help nor one back from it waits for money (EMG-03, EMG-05).
    if (urgent || typeof terms === 'string') return decision
    try {
      const reserved = credit.reserve(id, attempt, terms, asked)
      // As nearly always: who pays later has nothing held.
      return reserved === null ? decision : whenReserved(reserved, decision.grant, media, free)
    } catch (error) {
      free(decision.grant.id)
      throw error
    }
  }

  function free(grantId: string): void {
    for (const peerId of granted.get(grantId) ?? []) counters.end(peerId)
    granted.delete(grantId)
  }

  return {
    decide: admission => admit(admission, admission.service, { transcode: admission.transcode }, admission.urgent),
    decideText: admission => admit(admission, 'message', null, false),
    free
  }
}

const askedOf = ({ caller, target, called, rn, at }: TextAdmission, service: TermsAsked['service']): TermsAsked => ({
  fromPeerId: caller.peerId,
  toPeerId: target.peerId,
  service,
  called,
  rn,
  calling: caller.party.asserted[0] ?? null,
  at
})

/** Without the credit it needs, a grant goes back. */
async function whenReserved(
  asked: Promise<Reserved>,
  grant: Grant,
  media: Media,
  free: (grantId: string) => void
): Promise<PolicyDecision> {
  try {
    const reserved = await asked
    const why = refusals.find(({ verdict }) => verdict === reserved)?.reason ?? null
    if (why === null) return { admit: true, grant: { ...grant, credit: mediaCredit(reserved, media) } }
    free(grant.id)
    return { admit: false, reason: why }
  } catch (error) {
    free(grant.id)
    throw error
  }
}

const refusals: readonly { readonly verdict: Reserved; readonly reason: Reason }[] = [
  { verdict: 'no-credit', reason: { cause: 'no-credit', text: 'there is no credit left' } },
  { verdict: 'unavailable', reason: { cause: 'congestion', text: 'credit cannot be asked at the moment' } }
]

/** A message is paid at once: there is nothing to watch. */
const mediaCredit = (reserved: Reserved, media: object | null): Credited | null =>
  media === null || reserved === null || typeof reserved === 'string' ? null : reserved
