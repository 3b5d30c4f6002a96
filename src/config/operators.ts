// The operators of the configuration: peers of the NNI, each with what was agreed with it (TS 29.165, annex C).

import { z } from 'zod'
import { callLimits, codec, e164, host, id, ioi, port, prefix, sipTransport, tls } from './basics.ts'
import { operatorStir } from './stir.ts'

/** Methods beyond those that every peer takes (29.165 table 6.1). */
export const agreedMethods = ['MESSAGE', 'INFO'] as const

/** Bodies of messages, and of what is told about them. */
export const messageTypes = [
  'text/plain',
  'message/cpim',
  'message/imdn+xml',
  'application/im-iscomposing+xml'
] as const

/** Option tags that the hub knows: what a peer may require, and is told that the hub supports. */
export const optionTags = [
  '100rel',
  'timer',
  '199',
  'from-change',
  'precondition',
  'histinfo',
  'uui',
  'resource-priority',
  'geolocation-sip',
  'geolocation-http'
] as const

/**
 * Header fields whose crossing is a matter of agreement, field by field (29.165 6.1.1.3.1): what a peer's trust says
 * of them, and what they are, is in src/nni/header-rules.ts.
 */
export const agreedFields = [
  'P-Asserted-Identity',
  'P-Charging-Vector',
  'P-Early-Media',
  'Reason',
  'Accept-Contact',
  'Accept-Language',
  'Additional-Identity',
  'Alert-Info',
  'Answer-Mode',
  'Attestation-Info',
  'Call-Info',
  'Cellular-Network-Info',
  'Date',
  'Feature-Caps',
  'Geolocation',
  'Geolocation-Error',
  'Geolocation-Routing',
  'History-Info',
  'Identity',
  'Organization',
  'Origination-Id',
  'P-Access-Network-Info',
  'P-Answer-State',
  'P-Asserted-Service',
  'P-Private-Network-Indication',
  'Priority',
  'Referred-By',
  'Reject-Contact',
  'Request-Disposition',
  'Resource-Priority',
  'Response-Source',
  'Service-Interact-Info',
  'Session-ID',
  'Subject',
  'User-to-User'
] as const
export type AgreedField = (typeof agreedFields)[number]

/** `sent`: to the peer; `received`: from it. */
export const crossings = ['both', 'sent', 'received', 'none'] as const

/** What a number may carry with it (29.165 8.1, RFC 4694, RFC 3966, TS 24.229 7.2A.20). */
export const numberParameters = ['rn', 'npdi', 'cpc', 'oli', 'isub', 'premium-rate', 'cic', 'verstat'] as const
export type NumberParameter = (typeof numberParameters)[number]

const transitName = z.string().regex(/^[A-Za-z][A-Za-z0-9]{0,62}$/, 'a letter, then letters and digits')

const charging = z
  .strictObject({
    /** Inter-operator identifiers of type 2 are exchanged. */
    ioi: z.boolean().default(true),
    /** orig-ioi of what goes to the peer: the hub, as it stands in `hub.ioi`, or the network where the call began. */
    origIoi: z.enum(['hub', 'originator']).default('hub'),
    /** The hub's name in transit-ioi towards this peer; unset: the list is not exchanged. */
    transitIoi: transitName.optional()
  })
  .prefault({})

const timers = z
  .strictObject({
    /** Session-Expires offered to this peer; that of the NNI unless set. */
    sessionExpiresSeconds: z.int().min(90).max(86_400).optional(),
    /** Shorter sessions are refused (422). */
    minSeSeconds: z.int().min(90).max(86_400).default(90),
    /** Without any answer above 100 for so long, the next route is tried; 0 waits for timer B. */
    firstAnswerMs: z.int().min(0).max(180_000).default(0)
  })
  .prefault({})

export const operator = z.strictObject({
  id,
  enabled: z.boolean().default(true),
  provider: id.optional(),
  /** Where requests go. */
  address: z.strictObject({
    host,
    port: port.default(5060),
    transport: sipTransport.default('udp'),
    /** How a host name is found (RFC 3263): its address; SRV of the transport, no port; NAPTR, no transport either. */
    dns: z.enum(['address', 'srv', 'naptr']).default('address')
  }),
  /** Where requests may come from: IP addresses or CIDR blocks. The address above is always among them. */
  sources: z.array(z.string()).default([]),
  /** Where its Contact and Record-Route may point besides its own addresses (SEC-05): IP addresses or CIDR blocks. */
  targets: z.array(z.string()).default([]),
  /** The hub's certificate towards it, and who must vouch for its own; those of the listener unless set. */
  tls: tls.optional(),
  /** Transports that requests of the peer may come by. */
  transports: z.array(sipTransport).min(1).default(['udp', 'tcp', 'tls']),
  /** Domains of which its certificate must prove one on TLS, whoever connects (RFC 5922). */
  certificateNames: z.array(z.string().min(1)).default([]),
  /** The domain written in Request-URI and To towards this peer; the address's host unless named. */
  domain: host.optional(),
  trust: z.enum(['network', 'user']).default('user'),
  /** Fields that are treated otherwise than the trust says. */
  headers: z.partialRecord(z.enum(agreedFields), z.enum(crossings)).default({}),
  ioi: ioi.optional(),
  charging,
  /** Numbers reached through this operator, longest prefix first, then priority and weight. */
  routes: z
    .array(z.strictObject({ prefix, priority: z.int().min(0).default(1), weight: z.int().min(1).default(1) }))
    .default([]),
  methods: z.array(z.enum(agreedMethods)).default([...agreedMethods]),
  options: z.array(z.enum(optionTags)).default(['100rel', 'timer', '199', 'from-change']),
  /** Values of Resource-Priority that it may require (RFC 4412), with the option tag; others are 417. */
  resourcePriorities: z.array(z.string().regex(/^[A-Za-z0-9!%*_+`'~-]+\.[A-Za-z0-9!%*_+`'~-]+$/)).default([]),
  /** Kinds of URI that it may call; the first of sip and tel is how the hub writes numbers to it (NUM-01). */
  uris: z
    .array(z.enum(['sip', 'sips', 'tel']))
    .min(1)
    .default(['sip', 'sips', 'tel']),
  numberParameters: z.array(z.enum(numberParameters)).default([]),
  /** How a caller without a number is named: unavailable@unknown.invalid, the user itself, or a number of a pool. */
  withoutNumber: z.union([z.enum(['unavailable', 'user']), e164]).default('unavailable'),
  codecs: z.array(codec).min(1).default(['PCMA', 'PCMU', 'telephone-event']),
  /** `authorised`: only with P-Early-Media (RFC 5009); `any`: as it comes; `none`: not before the answer. */
  earlyMedia: z.enum(['any', 'authorised', 'none']).default('any'),
  /** `local`: the hub meets what a caller of the peer requires (RFC 3312); `off`: 420. */
  preconditions: z.enum(['off', 'local']).default('off'),
  allowOfferless: z.boolean().default(true),
  /**
   * Bodies of messages besides SDP and multipart, which every peer may send. With message/imdn+xml (beside
   * message/cpim) both sides tell what became of a message (RFC 5438), with the last that somebody is writing.
   */
  mimeTypes: z.array(z.enum(messageTypes)).default(['text/plain', 'message/cpim']),
  /** Longer bodies are refused (413). */
  bodyBytesMax: z.int().min(1_024).max(65_536).default(65_536),
  /** Whether its callers are checked, and calls to it are signed, with what stands in `hub.stir`. */
  stir: operatorStir,
  timers,
  keepaliveMs: z.int().min(0).default(30_000),
  limits: callLimits
})
