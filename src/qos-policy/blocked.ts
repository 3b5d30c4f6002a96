// Calls and messages that fraud control refuses for now: explained, until it expires, never a call for help (FRD-01).

import { isEmergency } from '../session/emergency.ts'
import type { PolicyDecision } from '../session/model.ts'
import type { Policy, TextAdmission } from '../session/ports.ts'

/** What refuses a call. */
export interface CallBlock {
  readonly id: bigint
  readonly rule: string
  readonly expiresAt: Date
  /** It is about where calls go to, not about who calls or what is called: the next target may be tried. */
  readonly isRoute: boolean
}

/** Null: nothing stands against it. `urgent`: an emergency centre calls back, and nothing is asked (EMG-05). */
export type FindBlock = (call: Pick<TextAdmission, 'caller' | 'target' | 'called'>, now: number) => CallBlock | null

/** The policy with the blocks before it. */
export function withBlocks(
  policy: Policy,
  { find, now }: { readonly find: FindBlock; readonly now: () => number }
): Policy {
  const refusal = (admission: TextAdmission, urgent: boolean): PolicyDecision | null => {
    if (urgent || isEmergency(admission.called)) return null
    const block = find(admission, now())
    if (block === null) return null
    // Without a colon: words that may be an address cross no border (SEC-04).
    const until = `${block.expiresAt.toISOString().slice(0, 16).replace(':', '')}Z`
    const text = `blocked by ${block.rule} until ${until} (block ${block.id})`
    // A quarantined way out says nothing against another one.
    return { admit: false, reason: { cause: block.isRoute ? 'limit-reached' : 'forbidden', text } }
  }
  return {
    decide: admission => refusal(admission, admission.urgent) ?? policy.decide(admission),
    decideText: admission => refusal(admission, false) ?? policy.decideText(admission),
    free: grantId => policy.free(grantId)
  }
}
