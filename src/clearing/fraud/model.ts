// The words of fraud control: what of a finished call matters, what a rule has seen, and what is refused because of it.

export const fraudRules = ['irsf-money', 'irsf-range', 'wangiri', 'fas', 'spike'] as const
export type FraudRule = (typeof fraudRules)[number]

/** In plain words, for lists. */
export const ruleWords = {
  'irsf-money': 'one provider spends much on one destination (international revenue share)',
  'irsf-range': 'calls to ranges that are known for revenue share, or that nobody has',
  wangiri: 'many numbers are rung for a moment so that they call back',
  fas: 'calls are answered that nobody has taken (false answer supervision)',
  spike: 'much more traffic than usual'
} as const satisfies Record<FraudRule, string>

/** What of a final record rules look at. Numbers are digits without a sign. */
export interface CallFacts {
  readonly leg: 'ingress' | 'egress'
  /** When it ended. */
  readonly at: number
  /** The party of this leg: of an ingress the caller's, of an egress the callee's. */
  readonly provider: string
  readonly calling: string | null
  readonly called: string
  /** The code that prices it; of a call without one its country. */
  readonly code: string
  readonly answered: boolean
  /** How long it rang without an answer until the caller hung up; null: it was not so. */
  readonly rangMs: number | null
  /** From the request to the answer. */
  readonly setupMs: number | null
  readonly alerted: boolean
  readonly durationMs: number
  readonly endedByCaller: boolean
  /** Nothing was heard of the called side; null: nobody listened. */
  readonly silent: boolean | null
  /** What its caller's provider owes for it. */
  readonly price: { readonly currency: string; readonly amountMicros: bigint } | null
}

/** Which calls: all that match every part that is not null. */
export interface CallScope {
  readonly from: string | null
  readonly to: string | null
  readonly callingPrefix: string | null
  readonly calledPrefix: string | null
}

/** What a rule has seen (FRD-01): everything that is needed to understand why. */
export interface Signal {
  readonly rule: FraudRule
  readonly scope: CallScope
  /** What is refused where the rule blocks. */
  readonly blocks: readonly CallScope[]
  readonly at: number
  readonly windowMs: number
  readonly counters: Readonly<Record<string, string>>
  readonly text: string
}

/** Calls that are refused for now. */
export interface Block extends CallScope {
  readonly id: bigint
  /** A rule, or `manual`. */
  readonly rule: string
  readonly signalId: bigint | null
  readonly reason: string
  readonly startsAt: Date
  readonly expiresAt: Date
  readonly by: string
}

export const limits = {
  /** Pairs of providers and destinations, or ranges of callers, that each rule remembers. */
  keysMax: 20_000,
  /** Signals that wait for the database. */
  signalsWaitingMax: 1_000,
  /** Blocks in force. */
  blocksMax: 10_000,
  /** Between two looks at the blocks that others have made. */
  pollMs: 5_000
} as const
