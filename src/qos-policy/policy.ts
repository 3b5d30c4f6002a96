// The Policy port: asks the agreements, looks at the counters, decides, and keeps what it granted until it is freed.

import { isEmergency } from '../session/emergency.ts'
import type { PolicyDecision } from '../session/model.ts'
import type { Admission, Agreements, Clock, Policy, TextAdmission } from '../session/ports.ts'
import { Counters } from './counters.ts'
import { decide } from './decide.ts'
import type { PolicyPeer } from './decide.ts'

export interface PolicyParts {
  readonly peers: readonly PolicyPeer[]
  readonly agreements: Agreements
  readonly clock: Pick<Clock, 'now'>
}

export function createPolicy({ peers, agreements, clock }: PolicyParts): Policy {
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
    const asked = {
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
    return decision
  }

  return {
    decide: admission => admit(admission, admission.service, { transcode: admission.transcode }, admission.urgent),
    decideText: admission => admit(admission, 'message', null, false),
    free: async grantId => {
      for (const peerId of granted.get(grantId) ?? []) counters.end(peerId)
      granted.delete(grantId)
    }
  }
}
