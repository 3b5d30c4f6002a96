// Composition of fraud control: the rules over this hub's own records, and the blocks that its policy asks.

import type { AgreementBook } from './clearing/agreements.ts'
import { createFraudWatch } from './clearing/fraud/watch.ts'
import type { FraudWatch } from './clearing/fraud/watch.ts'
import { normalised } from './clearing/reconcile/number.ts'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'
import { withBlocks } from './qos-policy/blocked.ts'
import type { Policy } from './session/ports.ts'
import type { Database } from './store/database.ts'

export interface FraudParts {
  readonly database: Database
  readonly book: AgreementBook
  readonly log: Logger
}

export const openFraudWatch = (config: Config, { database, book, log }: FraudParts): FraudWatch =>
  createFraudWatch({ config: config.fraud, database, book, nodeId: config.hub.node, log })

/** The policy with the blocks before it; `party` names the commercial party of a peer. */
export const withFraudBlocks = (
  policy: Policy,
  watch: Pick<FraudWatch, 'blocks'>,
  { party, now }: { readonly party: (peerId: string) => string; readonly now: () => number }
): Policy =>
  withBlocks(policy, {
    now,
    find: ({ caller, target, called }, at) => {
      // Nearly always.
      if (watch.blocks.size === 0) return null
      const calling = caller.party.asserted[0] ?? null
      const numbers = { calling: calling === null ? null : normalised(calling), called: normalised(called) }
      const block = watch.blocks.find({ from: party(caller.peerId), to: party(target.peerId), ...numbers }, at)
      return block === null ? null : { ...block, isRoute: block.to !== null && block.from === null }
    }
  })
