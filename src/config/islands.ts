// The islands of the configuration: a union by access.

import { z } from 'zod'
import { callLimits, codec, e164, emergencyService, host, id, port } from './basics.ts'

const user = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
  /** The environment variable or file that holds the password; `password` itself is for sandboxes. */
  password: z.string().min(1).optional(),
  passwordEnv: z.string().optional(),
  passwordFile: z.string().optional(),
  number: e164.optional(),
  display: z.string().max(64).optional()
})

/** What every island has. */
const islandBase = {
  id,
  enabled: z.boolean().default(true),
  /** The commercial party; the id unless named. */
  provider: id.optional(),
  domain: host,
  users: z.array(user).default([]),
  codecs: z.array(codec).min(1).default(['opus', 'PCMA', 'PCMU', 'telephone-event']),
  media: z.enum(['webrtc', 'rtp']).default('webrtc'),
  limits: callLimits
}

const sipWsIsland = z.strictObject({
  ...islandBase,
  access: z.literal('sip-ws'),
  /** Pages that may open a WebSocket; `null` stands for clients that send no Origin. Empty: nobody may. */
  origins: z.array(z.string()).default([])
})

const secret = {
  secret: z.string().min(1).optional(),
  secretEnv: z.string().optional(),
  secretFile: z.string().optional()
}
const dialString = z.string().regex(/^[0-9*#]{1,16}$/, 'digits, * and #')
/** What an island's users may dial besides E.164 numbers. */
const dialPlan = z
  .strictObject({
    countryCode: z
      .string()
      .regex(/^[1-9][0-9]{0,3}$/)
      .optional(),
    national: dialString.default('0'),
    international: z.array(dialString).default(['00']),
    short: z.array(z.strictObject({ dialled: dialString, number: e164 })).default([]),
    /**
     * To a number, or to an emergency service of the hub: `urn:service:sos` where the hub has emergency routes. Without
     * either the user is told to use a phone, and nothing is charged.
     */
    emergency: z
      .array(z.strictObject({ dialled: dialString, number: e164.optional(), service: emergencyService.optional() }))
      .default([{ dialled: '112' }, { dialled: '911' }])
  })
  .prefault({})

const xmppIsland = z.strictObject({
  ...islandBase,
  access: z.literal('xmpp'),
  /** The domain its users call numbers at: `+49...@gateway`. */
  gateway: host,
  connection: z.discriminatedUnion('kind', [
    /** XEP-0114: one line in the server's configuration. */
    z.strictObject({
      kind: z.literal('component'),
      host,
      port: port.default(5347),
      ...secret,
      /** Through a TLS tunnel in front of the server's component port. */
      tls: z.strictObject({ caFile: z.string().optional(), serverName: host.optional() }).optional(),
      /** A component link is plain text: off loopback it needs a tunnel, or this word. */
      insecure: z.boolean().default(false)
    }),
    /** A plain account for each number, where no component can be added. */
    z.strictObject({
      kind: z.literal('accounts'),
      /** xmpp://, xmpps://, ws:// or wss:// */
      service: z.string().regex(/^(xmpps?|wss?):\/\//),
      /** Log in without TLS, off loopback. */
      insecure: z.boolean().default(false),
      accounts: z
        .array(z.strictObject({ name: z.string().min(1), ...secret, number: e164 }))
        .min(1)
        .max(1_000)
    })
  ]),
  /** When the other side is asked: A with the user's session-initiate, B before it, with an offer of the hub's own. */
  start: z.enum(['A', 'B']).default('A'),
  dialPlan
})

const matrixIsland = z.strictObject({
  ...islandBase,
  access: z.literal('matrix'),
  /** The homeserver's client API; `domain` is its server name, the part of user ids behind the colon. */
  homeserver: z.string().regex(/^https?:\/\/[^/]/, 'a URL such as https://matrix.example'),
  /** Plain http off loopback: tokens and messages could be read on the way. */
  insecure: z.boolean().default(false),
  /** What the local parts of its ghosts begin with: `@_isthmus_4930123456:domain`. */
  ghostPrefix: z
    .string()
    .regex(/^_[a-z0-9.=-]{1,31}_$/, 'lower-case letters and digits between two underscores')
    .default('_isthmus_'),
  /** What the hub proves itself with, and what the homeserver does; both stand in the registration file. */
  asToken: z.strictObject(secret),
  hsToken: z.strictObject(secret),
  dialPlan
})

export const island = z.discriminatedUnion('access', [sipWsIsland, xmppIsland, matrixIsland])
