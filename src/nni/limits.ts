// Every bound of the NNI, named with its unit.

export const limits = {
  /** First connection to the SIP engine. */
  connectMs: 10_000,
  /** Longest pause between two attempts to reconnect. */
  reconnectMs: 2_000,
  /** The engine says that it has sent a request, or why not. */
  controlReplyMs: 5_000,
  /** A final answer to anything but a first INVITE: timer F (RTE-05) and some. */
  requestMs: 35_000,
  /** The last answer to an INVITE that was cancelled. */
  cancelMs: 40_000,
  /** The core's answer to an offer in a 2xx: 64 * T1 (RFC 3261, 13.3.1.4) and some. */
  ackMs: 35_000,
  /** The core's verdict on a message: before timer F gives up on us. */
  verdictMs: 30_000,
  /** OPTIONS without an answer counts as missed. */
  probeMs: 32_000,
  probesMissedMax: 3,
  probesAnsweredMin: 2,
  /** A drachtio-server hangs at control frames over 12 kB: headers and body must fit. */
  bodyBytesMax: 8_192,
  /** A MESSAGE may not be larger than this on UDP (RFC 3428, 8); the rest is what the engine adds to it. */
  datagramBytesMax: 1_300,
  addedBytesMax: 300,
  /** Messages whose senders want to be told of them, each way: the oldest is forgotten. */
  reportsMax: 10_000,
  /** Provisional answers passed on for one call. */
  provisionalsMax: 32,
  /** Dialogs that lost their control connection and are ended after the next one. */
  orphansMax: 1_000,
  identityBytesMax: 255,
  chargingBytesMax: 1_024,
  /** Called numbers whose length was checked: all are forgotten when there are more. */
  numbersKnownMax: 10_000,
  /** Media sections whose bandwidth was worked out: all of a family are forgotten when there are more. */
  bandwidthsKnownMax: 256,
  transitsMax: 16,
  /** Header fields that cross from one operator to another: what is more is left out. */
  crossingBytesMax: 4_096,
  crossingValuesMax: 16,
  /** RFC 5393, 5.3.3. */
  maxBreadth: 60,
  /** A peer is left alone no longer than this, whatever Retry-After says. */
  retryAfterMsMax: 600_000,
  sessionExpiresMax: 86_400,
  /** RFC 3261, 8.1.1.6. */
  maxForwards: 70
} as const
