// The words of a reconciliation: our calls, the partner's, and what a difference is made of (SET-03).

/** A call that we charged. Numbers are normalised: digits without a sign in front. */
export interface OwnCall {
  readonly cdrId: string
  readonly number: string
  readonly calling: string | null
  /** The answer (of an attempt: the request), in epoch milliseconds. */
  readonly at: number
  readonly endAt: number
  readonly durationMs: number
  /** Seconds or messages, as billed. */
  readonly units: bigint
  readonly amountMicros: bigint
  /** The code and the name of the row that priced it. */
  readonly code: string | null
  readonly destination: string | null
  readonly quality: string | null
  readonly isText: boolean
  /** False: we count it in the period before or after. */
  readonly inPeriod: boolean
  /** It goes on across one end of the period. */
  readonly onEdge: boolean
}

/** One line of the partner's file; what it does not say is null. */
export interface TheirCall {
  readonly line: number
  readonly number: string
  readonly calling: string | null
  readonly at: number
  readonly durationMs: number | null
  readonly units: bigint | null
  readonly amountMicros: bigint | null
  /** How many digits its amount has after the point: what it was rounded to. */
  readonly amountDigits: number
  readonly rateNanos: bigint | null
  readonly code: string | null
  readonly destination: string | null
  /** One of our own records, by its id. */
  readonly cdrId: string | null
}

/**
 * What differs: calls that only one side has, one call twice, its length, where it went, its rate. `period-edge`: the
 * other side counts it in another period. `rounding`: what is left of a pair, less than its amounts are precise.
 */
export const outcomeClasses = [
  'only-ours',
  'only-theirs',
  'duration-diff',
  'destination-diff',
  'rate-diff',
  'duplicate',
  'period-edge',
  'rounding'
] as const
export type OutcomeClass = (typeof outcomeClasses)[number]

/** A part of the difference: theirs less ours. */
export interface Part {
  readonly outcome: OutcomeClass
  readonly units: bigint
  readonly amountMicros: bigint
}

/** What one call, of one side or of both, adds to the difference. */
export interface Item {
  readonly own: OwnCall | null
  readonly their: TheirCall | null
  readonly destination: string
  readonly ours: Volume
  readonly theirs: Volume
  readonly parts: readonly Part[]
}

export interface Volume {
  readonly units: bigint
  readonly amountMicros: bigint
}
export const nothing: Volume = { units: 0n, amountMicros: 0n }

/** Our prices, for what the partner's file says. */
export interface Pricer {
  /** Billed units of so much time, by the row that priced the call. */
  units(call: OwnCall, durationMs: number): bigint
  /** What so many units of the call cost by its own row, or by that of another code; null: nothing prices it. */
  price(call: OwnCall, units: bigint, code: string | null): bigint | null
  /** Whether a code is priced by the row of the call. */
  isSameRow(call: OwnCall, code: string): boolean
  /** The rate of a row in nanos, where it has only one; null where it has several or none. */
  rate(call: OwnCall, code: string | null): bigint | null
  /** A call that we do not have: by our row for its number. */
  foreign(call: TheirCall): Volume & { readonly destination: string | null }
}

export const limits = {
  /** Lines of a partner's file. */
  linesMax: 2_000_000,
  /** Rows read from the database at once. */
  pageRows: 2_000,
  /** Calls to one number that are looked at together. */
  clusterMax: 10_000,
  /** Destinations that are told apart; what is beyond is one. */
  destinationsMax: 10_000,
  /** How far apart the clocks of two hubs may be. */
  offsetMsMax: 900_000,
  /** Times of calls that agree are no further apart than that: whole seconds, and the way between two hubs. */
  offsetPeakMs: 2_000,
  /** By so much the lengths of one call may differ where only the clock is asked. */
  offsetDurationMs: 2_000,
  /** Calls whose clocks are compared, at most and at least, and for how many of ours. */
  offsetSamplesMax: 500,
  offsetSamplesMin: 5,
  offsetDeltasMax: 50_000
} as const
