// Every bound of the Matrix adapter, by name.

export const limits = {
  /** Of one pushed transaction: a homeserver sends at most 100 events of at most 64 KiB each. */
  transactionBytesMax: 16 * 1_048_576,
  eventsPerTransactionMax: 1_000,
  /** Levels of an event's content: deeper ones are no event. */
  contentDepthMax: 64,
  /** An event's content as the hub sends it; the homeserver refuses 65,536 with everything around it. */
  contentBytesMax: 60_000,
  /** Events that wait to be handled, of one island; more are left with the homeserver (503). */
  waitingEventsMax: 10_000,
  /** Rooms whose events are handled at once, of one island. */
  roomsAtOnceMax: 64,
  /** How long events of a room wait for what was said before them to be read again, after the homeserver was away. */
  holdMs: 10_000,
  /** How long an event id is remembered, against a repetition. */
  eventsKeptMs: 7 * 86_400_000,
  pruneMs: 3_600_000,
  /** Of one request to a homeserver. */
  requestMs: 20_000,
  /** Requests under way to one homeserver; more wait in order. */
  requestsAtOnceMax: 32,
  /** Events that wait to be sent to one homeserver. */
  outgoingEventsMax: 5_000,
  /** Of one event. */
  triesMax: 20,
  /** While the homeserver does not answer. */
  backOffMs: 500,
  backOffMsMax: 30_000,
  /** A homeserver that is up is asked so often whether it still is. */
  pingMs: 15_000,
  /** What a limit without a time is taken for (429, `retry_after_ms`). */
  limitedMs: 1_000,
  /** How often a limited request that is no event is asked again, for rooms and ghosts. */
  limitedTriesMax: 10,
  /** Nothing older is taken from what is read again: shorter than `eventsKeptMs`, or it would come twice. */
  backfillMs: 3 * 86_400_000,
  /** Events read again of one room after an outage. */
  backfillPages: 20,
  backfillPageEvents: 100,
  /** Ghosts read again after an outage, at once. */
  recoverAtOnceMax: 4,
  /** Rooms and ghosts known by heart; the rest is in the database. */
  rememberedMax: 20_000,
  /** What an answer to the homeserver's own questions may take: a slow one stalls its pushes. */
  lookUpMs: 2_000,
  /** How long a ghost is shown writing without hearing more. */
  typingMs: 30_000,
  displayCharactersMax: 64,
  textBytesMax: 32_768,
  /** How long a user's devices ring (the specification asks for 90 s at least). */
  ringMs: 90_000,
  /** An invitation of a user's with less time left than this is not worth a call: its client stops ringing. */
  ringMsMin: 3_000,
  /** How long an answer or a hangup is tried. */
  answerMs: 60_000,
  negotiateMs: 30_000,
  /** How long the first candidates of an offer without any are waited for. */
  candidatesMs: 400,
  candidatesMax: 64,
  /** Calls of one island that are alive. */
  callsMax: 2_000,
  /** Messages whose verdict is awaited. */
  textsWaitingMax: 1_000,
  /** For receipts, and for who takes a message back. */
  textsRememberedMax: 10_000,
  textsRememberedMs: 86_400_000,
  /** Messages of one room whose reading is awaited. */
  unreadMax: 100,
  /** How long a message for a user is tried, and a notice. */
  textMs: 25_000,
  noticeMs: 60_000,
  /** Between two warnings in one room that it is encrypted. */
  warningMs: 3_600_000,
  /** Rooms in which somebody is writing. */
  typingRoomsMax: 1_000,
  /** Files on their way to phones at once, and the largest. */
  filesAtOnceMax: 16,
  fileBytesMax: 104_857_600
} as const
export type Limits = { readonly [Name in keyof typeof limits]: number }
