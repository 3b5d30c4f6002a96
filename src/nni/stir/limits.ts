// Every bound of STIR, named with its unit.

export const stirLimits = {
  /** Identity header fields of one request, and the bytes of one. */
  identitiesMax: 8,
  identityBytesMax: 8_192,
  /** Of Date and iat (RFC 8224, 6.2.2). */
  freshMs: 60_000,
  /** What was diverted may have rung elsewhere first: of the token that a fresh `div` leads back to (RFC 8946, 5). */
  divertedMs: 300_000,
  /** Called numbers of one token. */
  destinationsMax: 16,
  /** Requests whose certificates are under way; one more counts as one that nobody could check. */
  checksMax: 1_000,
  /** Certificates that are being fetched at once, and how long one may take. */
  fetchesMax: 32,
  fetchMs: 2_000,
  certificateBytesMax: 32_768,
  /** Certificates of one chain. */
  chainMax: 6,
  /** Addresses remembered; the one asked for longest ago goes first. */
  cacheMax: 1_000,
  /** How long a certificate is kept where its server says nothing, and the limits of what it may say. */
  keptMs: 3_600_000,
  keptMsMin: 60_000,
  keptMsMax: 86_400_000,
  /** After a failure nobody asks again for so long. */
  failedMs: 5_000
} as const
