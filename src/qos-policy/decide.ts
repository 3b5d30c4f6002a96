// Whether a call or a message is admitted, and with which codecs. Pure: counters and terms come in as facts.

import { isEmergency } from '../session/emergency.ts'
import type { Grant, PolicyDecision, Reason } from '../session/model.ts'
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
  /** Limits do not hold it back. */
  readonly urgent: boolean
  /** Null for a message: it has no media. */
  readonly media: { readonly transcode: boolean } | null
  readonly grantId: string
}

const refuse = (reason: Reason): PolicyDecision => ({ admit: false, reason })

export function decide(facts: Facts): PolicyDecision {
  const { from, to, called } = facts
  if (from === null || to === null) return refuse({ cause: 'forbidden', text: 'a peer of this call is not known' })
  const kept = isEmergency(called) ? null : keptBack(from, to, facts)
  if (kept !== null) return refuse(kept)
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
      ...pricedBy(isEmergency(called) ? null : facts.terms),
      credit: null
    }
  }
}

/** What speaks against a call that is no call for help (EMG-03). */
function keptBack(from: PolicyPeer, to: PolicyPeer, { usage, terms, called, urgent }: Facts): Reason | null {
  const disabled = [from, to].find(({ enabled }) => !enabled)
  if (disabled !== undefined) return { cause: 'forbidden', text: `${disabled.id} is disabled` }
  if (terms === 'no-agreement') {
    return { cause: 'no-agreement', text: `no agreement covers traffic from ${from.id} to ${to.id}` }
  }
  if (terms === 'no-rate') {
    return { cause: 'no-rate', text: `no rate from ${from.id} to ${to.id} covers ${called}` }
  }
  const full = urgent ? null : (exceeded(from, usage.from) ?? exceeded(to, usage.to))
  return full === null ? null : { cause: 'limit-reached', text: full }
}

/** A call for help is priced by nothing. */
function pricedBy(terms: Facts['terms'] | null): Pick<Grant, 'chargingKey' | 'terms'> {
  if (terms === null || typeof terms === 'string') return { chargingKey: 'emergency', terms: null }
  return { chargingKey: `${terms.ingressAgreementId}/${terms.egressAgreementId}`, terms: terms.legs }
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
