// Every bound of the SIP-over-WebSocket access, named with its unit.

export const limits = {
  /** One frame, one SIP message. A larger one closes its connection (1009). */
  frameBytesMax: 65_536,
  /** What a slow reader may leave unread before its connection is ended. */
  unsentBytesMax: 1_048_576,
  /** Frames of one connection: so many at once, and then so many a second. More closes it (1008). */
  framesBurst: 200,
  framesPerSecond: 50,
  /** An upgrade must be complete by then. */
  upgradeMs: 10_000,
  /** Plain HTTP and half-open upgrades beside the connections. */
  halfOpenMax: 256,
  /** A connection on which nobody has proven an identity by then is closed (1008). */
  strangerMs: 60_000,
  /** Connections on which nobody has proven an identity yet; one more ends the oldest of them. */
  strangersMax: 1_000,
  /** Until then: one frame (1009 above), and frames at once and a second (1008). */
  strangerFrameBytesMax: 16_384,
  strangerFramesBurst: 60,
  strangerFramesPerSecond: 2,
  pongsMissedMax: 2,
  /** Wrong credentials on one connection before it is closed (1008). */
  credentialsWrongMax: 10,
  bindingsPerUserMax: 10,
  usersPerConnectionMax: 8,
  contactsPerRegisterMax: 10,
  contactBytesMax: 1_024,
  expiresSecondsMin: 60,
  expiresSecondsMax: 3_600,
  expiresSecondsDefault: 600,
  /** Calls of one connection at the same time, both directions: 503 for the next. */
  callsPerConnectionMax: 32,
  /** Messages of one connection that wait for their verdict: 503 for the next. */
  textsPerConnectionMax: 32,
  /** The text of one message: 413 above. */
  textBytesMax: 20_000,
  /** Messages whose senders want to be told of them, each way: the oldest is forgotten. */
  reportsMax: 10_000,
  sdpBytesMax: 32_768,
  displayCharactersMax: 64,
  reasonCharactersMax: 128,
  toneMsMin: 40,
  toneMsMax: 8_000,
  /** A peer that does not answer the closing of its WebSocket is cut off after this. */
  closeMs: 1_000
} as const

export type Limits = { readonly [name in keyof typeof limits]: number }
