// The Policy port: asks the agreements, looks at the counters, decides, has credit held for what it grants, and keeps
// what it granted until it is freed.

import { isEmergency } from '../session/emergency.ts'
import type { Credited, PolicyDecision, Reason } from '../session/model.ts'
import type {
  Admission,
  Agreements,
  Clock,
  Credit,
  Policy,
  Reserved,
  TermsAsked,
  TextAdmission
} from '../session/ports.ts'
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

const noCredit: Pick<Credit, 'reserve'> = { reserve: () => Promise.resolve(null) }

export function createPolicy({ peers, agreements, credit = noCredit, clock }: PolicyParts): Policy {
  const byId = new Map(peers.map(peer => [peer.id, peer]))
  const counters = new Counters()
  /** What each grant counts against; a message counts only in its second. */
  const granted = new Map<string, readonly string[]>()

  async function admit(
    admission: TextAdmission,
    service: Admission['service'] | 'message',
    media: { readonly transcode: boolean } | null,
    urgent: boolean
  ): Promise<PolicyDecision> {
    const { id, attempt, caller, target, called, rn, at } = admission
    const helps = isEmergency(called)
    const asked: TermsAsked = {
      fromPeerId: caller.peerId,
      toPeerId: target.peerId,
      service,
      called,
      rn,
      calling: caller.party.asserted[0] ?? null,
      at
    }
    // Nobody is asked what help costs, and it counts against no limit (EMG-03).
    const terms = helps ? 'no-agreement' : await agreements.terms(asked)
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
    const counted = [...new Set([caller.peerId, target.peerId])]
    for (const peerId of counted) counters.begin(peerId, now, media !== null)
    granted.set(decision.grant.id, media === null ? [] : counted)
    // Neither a call for help nor one back from it waits for money (EMG-03, EMG-05).
    if (urgent || typeof terms === 'string') return decision
    try {
      const reserved = await credit.reserve(id, attempt, terms, asked)
      const why = refusals.find(({ verdict }) => verdict === reserved)?.reason ?? null
      if (why === null) return { admit: true, grant: { ...decision.grant, credit: mediaCredit(reserved, media) } }
      await free(decision.grant.id)
      return { admit: false, reason: why }
    } catch (error) {
      await free(decision.grant.id)
      throw error
    }
  }

  async function free(grantId: string): Promise<void> {
    for (const peerId of granted.get(grantId) ?? []) counters.end(peerId)
    granted.delete(grantId)
  }

  return {
    decide: admission => admit(admission, admission.service, { transcode: admission.transcode }, admission.urgent),
    decideText: admission => admit(admission, 'message', null, false),
    free
  }
}

const refusals: readonly { readonly verdict: Reserved; readonly reason: Reason }[] = [
  { verdict: 'no-credit', reason: { cause: 'no-credit', text: 'there is no credit left' } },
  { verdict: 'unavailable', reason: { cause: 'congestion', text: 'credit cannot be asked at the moment' } }
]

/** A message is paid at once: there is nothing to watch. */
const mediaCredit = (reserved: Reserved, media: object | null): Credited | null =>
  media === null || reserved === null || typeof reserved === 'string' ? null : reserved
