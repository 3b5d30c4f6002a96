// Every bound of the XMPP access, named with its unit.

export const limits = {
  /** One stanza from a server; a larger one closes its stream (RFC 6120, 4.9.3.14). */
  stanzaBytesMax: 524_288,
  /** One stanza to a server. Clients' listeners take less than components may send. */
  stanzaBytesOutMax: 262_144,
  elementDepthMax: 32,
  elementsPerStanzaMax: 8_192,
  /** Stanzas of one island: so many at once, and then so many a second. More are not read until their time has come. */
  stanzasBurst: 6_000,
  stanzasPerSecond: 6_000,
  /** What a slow server may leave unread before its connection is ended. */
  unsentBytesMax: 8_388_608,
  /** From the first packet to a proven stream. */
  connectMs: 15_000,
  /** Silence after which the server is asked whether it lives, and how long it may take. */
  quietMs: 30_000,
  pongMs: 10_000,
  /** Waits between attempts to connect: doubled each time, with a random part of up to a half. */
  backOffMs: 500,
  backOffMsMax: 60_000,
  /** A link that has lived so long starts again from the shortest wait. */
  steadyMs: 30_000,
  closeMs: 1_000,
  /** A reply to an IQ, unless asked otherwise. */
  iqReplyMs: 10_000,
  /** IQs of one island that wait for a reply. */
  iqWaitingMax: 4_000,
  /** IQs to the hub that wait for an answer of ours. */
  iqAnsweringMax: 4_000,
  /** Messages of one island that wait for their verdict: an error for the next. */
  textsWaitingMax: 500,
  /** The text of one message. */
  textBytesMax: 20_000,
  /** Messages of one island whose identity or receipt is remembered. */
  textsRememberedMax: 10_000,
  textsRememberedMs: 86_400_000,
  /** After the server has answered what was sent behind a message: how long an error may still come. */
  bounceMs: 100,
  /** Users, and of each the gateway addresses that share presence with it. */
  watchersMax: 20_000,
  contactsPerWatcherMax: 500,
  devicesPerUserMax: 16,
  /** Device features by hash (XEP-0115, 5.4). */
  capsRememberedMax: 2_000,
  featuresPerDeviceMax: 512,
  /** One notice to one user in this time. */
  noticeMs: 30_000,
  noticesRememberedMax: 1_000,
  jidBytesMax: 1_023,
  /** Addresses that need not be read again, and how long they may be. */
  jidsRememberedMax: 4_000,
  jidRememberedCharactersMax: 256,
  displayCharactersMax: 64,
  reasonCharactersMax: 160
} as const

export type Limits = { readonly [name in keyof typeof limits]: number }
