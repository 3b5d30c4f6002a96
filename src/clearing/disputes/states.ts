// The states of a dispute (SET-09): which follows which, who has to move, and within how many days. Pure.

export const disputeStates = [
  'draft',
  'raised',
  'acknowledged',
  'evidence-exchanged',
  'accepted',
  'partly',
  'rejected',
  'escalated',
  'settled',
  'withdrawn'
] as const
export type DisputeState = (typeof disputeStates)[number]

/** `raiser` has raised it, `respondent` answers. */
export type DisputeOwner = 'raiser' | 'respondent' | 'both'

interface StateTerms {
  readonly next: readonly DisputeState[]
  /** Whose move it is; null: nobody's, it is over. */
  readonly owner: DisputeOwner | null
  /** Within so many days; null: no deadline of its own (a draft has that of the window). */
  readonly days: number | null
  /** The amount is held out of what is due. */
  readonly holds: boolean
}

/** Total by type: a new state does not compile without its row. */
export const stateTerms: Readonly<Record<DisputeState, StateTerms>> = {
  draft: { next: ['raised', 'withdrawn'], owner: 'raiser', days: null, holds: false },
  raised: {
    next: ['acknowledged', 'accepted', 'partly', 'rejected', 'withdrawn'],
    owner: 'respondent',
    days: 7,
    holds: true
  },
  acknowledged: {
    next: ['evidence-exchanged', 'accepted', 'partly', 'rejected', 'withdrawn'],
    owner: 'both',
    days: 14,
    holds: true
  },
  'evidence-exchanged': {
    next: ['accepted', 'partly', 'rejected', 'escalated', 'withdrawn'],
    owner: 'respondent',
    days: 30,
    holds: true
  },
  accepted: { next: ['settled'], owner: 'respondent', days: 30, holds: true },
  partly: { next: ['settled', 'escalated', 'withdrawn'], owner: 'raiser', days: 14, holds: true },
  rejected: { next: ['settled', 'escalated', 'withdrawn'], owner: 'raiser', days: 14, holds: true },
  escalated: { next: ['accepted', 'partly', 'rejected', 'withdrawn'], owner: 'both', days: 30, holds: true },
  settled: { next: [], owner: null, days: null, holds: false },
  withdrawn: { next: [], owner: null, days: null, holds: false }
}

export const isOver = (state: DisputeState): boolean => stateTerms[state].next.length === 0

/** Which share of the amount a decision concedes. */
export const decisions = ['accepted', 'partly', 'rejected'] as const
export type Decision = (typeof decisions)[number]
export const isDecision = (state: DisputeState): state is Decision => decisions.some(name => name === state)

/** The decision that an amount makes. */
export const decisionOf = (concededMicros: bigint, amountMicros: bigint): Decision =>
  concededMicros === 0n ? 'rejected' : concededMicros === amountMicros ? 'accepted' : 'partly'

export const disputeTypes = ['volume', 'rate', 'destination', 'duplicate', 'period', 'fraud'] as const
export type DisputeType = (typeof disputeTypes)[number]
