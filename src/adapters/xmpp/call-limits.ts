// Every bound of calls over XMPP, named with its unit.

export const callLimits = {
  /** Calls of one island at the same time: resource-constraint for the next. */
  sessionsMax: 2_000,
  /** Proposals of one island that have not become sessions. */
  proposalsMax: 500,
  proposalsPerUserMax: 8,
  /** From our proceed to the session-initiate. */
  initiateMs: 30_000,
  /** How long a session-initiate without candidates waits for the first. */
  candidatesMs: 200,
  /** A device that says nothing is taken to ring after this. */
  ringingMs: 3_000,
  /** An undeliverable proposal fails the call only if nobody has answered by then. */
  bounceMs: 2_000,
  /** A reply to a Jingle IQ. */
  iqReplyMs: 20_000,
  /** The other side's answer to a content-add or to new ICE credentials; shorter than the core's own bound. */
  changeMs: 25_000,
  restartMs: 5_000,
  /** A change that has crossed another one is tried again so often, after this. */
  crossedMs: 1_000,
  crossedMax: 4,
  /** A device that has gone offline in a call may come back. */
  goneMs: 30_000,
  /** Actions for a session that nobody has opened yet. */
  earlyMs: 5_000,
  earlyMax: 200,
  candidatesPerSessionMax: 64,
  candidateCharactersMax: 1_024,
  /** Sessions that are over: what still comes for them is taken without a word. */
  endedMs: 60_000,
  endedMax: 4_000,
  /** Endings that could not be sent while the island was away. */
  owedMax: 500,
  toneMs: 160,
  toneMsMin: 40,
  toneMsMax: 8_000
} as const

export type CallLimits = { readonly [name in keyof typeof callLimits]: number }
