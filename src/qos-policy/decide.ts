// Whether a call or a message is admitted, and with which codecs. Pure: counters and terms come in as facts.

import type { PolicyDecision, Reason } from '../session/model.ts'
import type { Terms } from '../session/ports.ts'

/** What policy knows of a peer, an island or an operator. */
export interface PolicyPeer {
  readonly id: string
  readonly enabled: boolean
  readonly codecs: readonly string[]
  readonly callsMax: number
  readonly callsPerSecondMax: number
}

export interface Usage {
  readonly calls: number
  readonly startedThisSecond: number
}

export interface Facts {
  readonly from: PolicyPeer | null
  readonly to: PolicyPeer | null
  readonly usage: { readonly from: Usage; readonly to: Usage }
  readonly terms: Terms | 'no-agreement' | 'no-rate'
  readonly called: string
  /** Null for a message: it has no media. */
  readonly media: { readonly transcode: boolean } | null
  readonly grantId: string
}

const refuse = (reason: Reason): PolicyDecision => ({ admit: false, reason })

export function decide(facts: Facts): PolicyDecision {
  const { from, to, usage, terms, called } = facts
  if (from === null || to === null) return refuse({ cause: 'forbidden', text: 'a peer of this call is not known' })
  const disabled = [from, to].find(({ enabled }) => !enabled)
  if (disabled !== undefined) return refuse({ cause: 'forbidden', text: `${disabled.id} is disabled` })
  if (terms === 'no-agreement') {
    return refuse({ cause: 'no-agreement', text: `no agreement covers traffic from ${from.id} to ${to.id}` })
  }
  if (terms === 'no-rate') {
    return refuse({ cause: 'no-rate', text: `no rate from ${from.id} to ${to.id} covers ${called}` })
  }
  const full = exceeded(from, usage.from) ?? exceeded(to, usage.to)
  if (full !== null) return refuse({ cause: 'limit-reached', text: full })
  const codecs = facts.media === null ? [] : shared(from, to, facts.media.transcode)
  const callerCodecs = facts.media?.transcode === true ? from.codecs : codecs
  if (facts.media !== null && !codecs.some(name => name !== 'telephone-event')) {
    return refuse({ cause: 'incompatible-media', text: `${from.id} and ${to.id} have no codec in common` })
  }
  return {
    admit: true,
    grant: {
      id: facts.grantId,
      bandwidthKbpsMax: 100,
      dscp: 46,
      codecs,
      callerCodecs,
      chargingKey: `${terms.ingressAgreementId}/${terms.egressAgreementId}`,
      terms: terms.legs,
      credit: null
    }
  }
}

function exceeded({ id, callsMax, callsPerSecondMax }: PolicyPeer, usage: Usage): string | null {
  if (usage.calls >= callsMax) return `${id} has ${usage.calls} calls, as many as it may have at once`
  if (usage.startedThisSecond >= callsPerSecondMax) return `${id} may start ${callsPerSecondMax} calls a second`
  return null
}

/** In the order of the side that is called; with a transcoder only that side's list counts. */
function shared(from: PolicyPeer, to: PolicyPeer, transcode: boolean): readonly string[] {
  return transcode ? to.codecs : to.codecs.filter(name => from.codecs.includes(name))
}
