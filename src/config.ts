// One schema for everything that can be configured: unknown keys are errors with their path, the result is frozen and
// handed down in slices. The only file that reads the environment. `isthmus.example.yaml` shows every key.

import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse } from 'yaml'
import { z } from 'zod'
import { HubError, messageOf } from './errors.ts'
import { logLevels } from './log.ts'

const port = z.int().min(0).max(65_535)
const host = z.string().min(1)
const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens')
/** RFC 7315 5.6: a name of letters and digits, dots between its parts. */
const ioi = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/)
const e164 = z.string().regex(/^\+[1-9][0-9]{1,14}$/, 'an E.164 number such as +4930123456')
const prefix = z.string().regex(/^\+([1-9][0-9]{0,14})?$/, 'an E.164 prefix such as +49')
const amount = z.string().regex(/^[0-9]{1,12}(\.[0-9]{1,9})?$/, 'an amount as text, such as "0.0123"')
const codec = z.enum(['opus', 'PCMA', 'PCMU', 'G722', 'AMR', 'AMR-WB', 'telephone-event', 'VP8', 'H264'])
const callLimits = z
  .strictObject({ callsMax: z.int().min(1).default(1_000), callsPerSecondMax: z.int().min(1).default(100) })
  .prefault({})
const tls = z.strictObject({ certFile: z.string(), keyFile: z.string(), caFile: z.string().optional() })

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
  /** What its users may dial besides E.164 numbers. */
  dialPlan: z
    .strictObject({
      countryCode: z
        .string()
        .regex(/^[1-9][0-9]{0,3}$/)
        .optional(),
      national: dialString.default('0'),
      international: z.array(dialString).default(['00']),
      short: z.array(z.strictObject({ dialled: dialString, number: e164 })).default([]),
      /** Without a number: the user is told to use a phone, and nothing is charged. */
      emergency: z
        .array(z.strictObject({ dialled: dialString, number: e164.optional() }))
        .default([{ dialled: '112' }, { dialled: '911' }])
    })
    .prefault({})
})

const island = z.discriminatedUnion('access', [sipWsIsland, xmppIsland])

const sipTransport = z.enum(['udp', 'tcp', 'tls'])
const operator = z.strictObject({
  id,
  enabled: z.boolean().default(true),
  provider: id.optional(),
  /** Where requests go. */
  address: z.strictObject({ host, port: port.default(5060), transport: sipTransport.default('udp') }),
  /** Where requests may come from: IP addresses or CIDR blocks. The address above is always among them. */
  sources: z.array(z.string()).default([]),
  /** Names in its client certificate, any of which proves it on TLS (RFC 5922). */
  certificateNames: z.array(z.string().min(1)).default([]),
  /** The domain written in Request-URI and To towards this peer; the address's host unless named. */
  domain: host.optional(),
  trust: z.enum(['network', 'user']).default('user'),
  ioi: ioi.optional(),
  /** Numbers reached through this operator, longest prefix first, then priority and weight. */
  routes: z
    .array(z.strictObject({ prefix, priority: z.int().min(0).default(1), weight: z.int().min(1).default(1) }))
    .default([]),
  codecs: z.array(codec).min(1).default(['PCMA', 'PCMU', 'telephone-event']),
  allowOfferless: z.boolean().default(true),
  messages: z.boolean().default(true),
  keepaliveMs: z.int().min(0).default(30_000),
  limits: callLimits
})

const band = z.strictObject({
  days: z.array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])).min(1),
  from: z.string().regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/),
  to: z.string().regex(/^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/),
  rate: amount
})
const rate = z.strictObject({
  prefix,
  destination: z.string().min(1),
  rate: amount,
  setupFee: amount.default('0'),
  minimumSeconds: z.int().min(0).default(0),
  initialSeconds: z.int().min(1).default(1),
  nextSeconds: z.int().min(1).default(1),
  bands: z.array(band).default([]),
  effectiveFrom: z.iso.datetime().default('2020-01-01T00:00:00Z'),
  effectiveTo: z.iso.datetime().optional()
})
const agreement = z.strictObject({
  id,
  /** Two parties, one of which may be `hub` (CLR-01): the buyer pays the seller for traffic it sends. */
  buyer: id,
  seller: id,
  service: z.enum(['voice', 'video', 'message']).default('voice'),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .default('EUR'),
  timeZone: z.string().default('UTC'),
  rounding: z
    .strictObject({
      seconds: z.enum(['up', 'down', 'half']).default('up'),
      scale: z.int().min(0).max(6).default(6),
      mode: z.enum(['half-up', 'half-even', 'up', 'down']).default('half-up')
    })
    .prefault({}),
  attemptFee: amount.default('0'),
  rates: z.array(rate).min(1)
})

export const configSchema = z.strictObject({
  hub: z
    .strictObject({
      id: id.default('isthmus'),
      node: z
        .string()
        .min(1)
        .max(64)
        .default(() => hostname()),
      /** The host name the hub writes in From, Contact and P-Asserted-Identity. */
      domain: host.default('isthmus.invalid'),
      ioi: ioi.default('isthmus.invalid'),
      dataDir: z.string().default('./data'),
      drainMs: z.int().min(0).max(600_000).default(10_000),
      sessionsMax: z.int().min(1).default(2_000)
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(logLevels).default('info') }).prefault({}),
  database: z
    .strictObject({
      /** The environment variable that holds a PostgreSQL URL; unset: an embedded PostgreSQL in `dataDir`. */
      urlEnv: z.string().default('DATABASE_URL'),
      poolMax: z.int().min(1).max(64).default(4)
    })
    .prefault({}),
  events: z
    .strictObject({
      /** Slots of 4 KiB in the preallocated journal; a call needs its worst case free before it may start. */
      journalSlots: z.int().min(64).max(1_048_576).default(22_528),
      heartbeatMs: z.int().min(100).default(5_000)
    })
    .prefault({}),
  media: z
    .strictObject({
      /** `none` passes SDP through: a signalling-only transit hub. */
      anchor: z.enum(['embedded', 'rtpengine', 'none']).default('embedded'),
      /** The addresses the anchor binds and announces. */
      address: host.default('127.0.0.1'),
      portMin: port.default(20_000),
      portMax: port.default(29_999),
      /** No packet for so long ends the call as `media-lost` (MED-11). */
      silenceMs: z.int().min(1_000).default(60_000),
      rtpengine: z.array(z.strictObject({ host, port })).default([])
    })
    .prefault({}),
  sipWs: z
    .strictObject({
      host: host.default('127.0.0.1'),
      port: port.default(8_080),
      tls: tls.optional(),
      pingMs: z.int().min(100).default(20_000),
      connectionsMax: z.int().min(1).default(10_000)
    })
    .prefault({}),
  nni: z
    .strictObject({
      listen: z
        .array(z.strictObject({ transport: sipTransport, host: host.default('127.0.0.1'), port, tls: tls.optional() }))
        .default([
          { transport: 'udp', host: '127.0.0.1', port: 5_060 },
          { transport: 'tcp', host: '127.0.0.1', port: 5_060 }
        ]),
      /** `embedded`, or the control port of a drachtio-server. */
      engine: z
        .union([
          z.literal('embedded'),
          z.strictObject({ host, port, secretEnv: z.string().default('DRACHTIO_SECRET') })
        ])
        .default('embedded'),
      sessionExpiresSeconds: z.int().min(90).default(1_800)
    })
    .prefault({}),
  islands: z.array(island).default([]),
  operators: z.array(operator).default([]),
  agreements: z.array(agreement).default([])
})

export type Config = z.infer<typeof configSchema>
export type IslandConfig = Config['islands'][number]
export type XmppIslandConfig = Extract<IslandConfig, { access: 'xmpp' }>
export type OperatorConfig = Config['operators'][number]
export type AgreementConfig = Config['agreements'][number]
export type RateConfig = AgreementConfig['rates'][number]
export type MediaConfig = Config['media']
export type NniConfig = Config['nni']
export type SipWsConfig = Config['sipWs']

/** Every problem of a text, one a line, each with its path. Throws HUB_CONFIG. */
export function parseConfig(text: string, name = 'configuration'): Config {
  let raw: unknown
  try {
    raw = parse(text, { maxAliasCount: 100 }) ?? {}
  } catch (cause) {
    // What follows the first line is the text itself, and perhaps a password.
    const [what = ''] = messageOf(cause).split('\n')
    throw new HubError('HUB_CONFIG', `${name}: ${what.replace(/:$/, '')}`)
  }
  const parsed = configSchema.safeParse(raw)
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => `  ${path.join('.') || '(top)'}: ${message}`)
    throw new HubError('HUB_CONFIG', `${name}:\n${lines.join('\n')}`)
  }
  const problems = contradictions(parsed.data)
  if (problems.length > 0) throw new HubError('HUB_CONFIG', `${name}:\n${problems.map(p => `  ${p}`).join('\n')}`)
  return deepFreeze(parsed.data)
}

export function readConfig(file: string): Config {
  return parseConfig(fileOf(file).toString('utf8'), file)
}

/** What a schema of one key cannot see. */
function contradictions({ islands, operators, agreements }: Config): readonly string[] {
  const problems: string[] = []
  const twice = (what: string, names: readonly string[]): void => {
    const seen = new Set<string>()
    for (const name of names) {
      if (seen.has(name)) problems.push(`${what} "${name}" appears twice`)
      seen.add(name)
    }
  }
  twice(
    'peer id',
    [...islands, ...operators].map(peer => peer.id)
  )
  twice(
    'domain',
    islands.map(({ domain }) => domain.toLowerCase())
  )
  twice(
    'agreement',
    agreements.map(agreement => agreement.id)
  )
  twice(
    'number',
    islands.flatMap(({ users }) => users.flatMap(({ number }) => (number === undefined ? [] : [number])))
  )
  for (const { id, users } of islands)
    twice(
      `user of island ${id}`,
      users.map(({ name }) => name.toLowerCase())
    )
  twice('gateway', islands.flatMap(gatewaysOf))
  for (const island of islands) problems.push(...insecureLinks(island))
  const parties = new Set(['hub', ...[...islands, ...operators].map(providerOf)])
  const isHub = [...islands, ...operators].some(peer => providerOf(peer) === 'hub')
  if (isHub) problems.push('no peer may be called "hub": that is the hub itself')
  for (const { id, buyer, seller } of agreements) {
    if (buyer === seller) problems.push(`agreement ${id}: buyer and seller are the same party`)
    for (const party of [buyer, seller])
      if (!parties.has(party)) problems.push(`agreement ${id}: nobody is called "${party}"`)
  }
  return problems
}

/** Component domains belong to one island each; accounts are of the island's own domain. */
const gatewaysOf = (island: IslandConfig): readonly string[] =>
  island.access === 'xmpp' && island.connection.kind === 'component' ? [island.gateway.toLowerCase()] : []

const isLoopback = (name: string): boolean => /^(localhost|127\.[0-9.]+|::1|\[::1\])$/i.test(name)

/** A secret or a login in plain text, where others could read it. */
function insecureLinks(island: IslandConfig): readonly string[] {
  if (island.access !== 'xmpp' || !island.enabled || island.connection.insecure) return []
  const { connection } = island
  const how = 'use TLS or a tunnel, or say `insecure: true`'
  if (connection.kind === 'component') {
    if (connection.tls !== undefined || isLoopback(connection.host)) return []
    return [`island ${island.id}: the component link to ${connection.host} would be plain text off loopback: ${how}`]
  }
  const [, scheme = '', name = ''] = /^([a-z]+):\/\/(\[[^\]]+\]|[^:/]+)/.exec(connection.service) ?? []
  if (scheme !== 'ws' || isLoopback(name)) return []
  return [`island ${island.id}: ${connection.service} would be plain text off loopback: ${how}`]
}

/** The commercial party of a peer. */
export const providerOf = (peer: { readonly id: string; readonly provider?: string | undefined }): string =>
  peer.provider ?? peer.id

/** A file that the configuration names. Throws HUB_CONFIG. */
export function fileOf(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `cannot read ${file}: ${messageOf(cause)}`, { cause })
  }
}

/** A secret named in the configuration. Throws HUB_CONFIG where the place it names is empty. */
export function secretOf(from: { readonly env?: string | undefined; readonly file?: string | undefined }): string {
  if (from.file !== undefined) {
    const secret = fileOf(from.file).toString('utf8').trim()
    if (secret === '') throw new HubError('HUB_CONFIG', `the file ${from.file} is empty`)
    return secret
  }
  const value = from.env === undefined ? undefined : process.env[from.env]
  if (value === undefined || value === '') {
    throw new HubError('HUB_CONFIG', `the environment variable ${from.env ?? '(none)'} is empty`)
  }
  return value
}

/** The secret of a component, or the password of an account. Throws HUB_CONFIG where none is named. */
export const linkSecretOf = (at: {
  readonly secret?: string | undefined
  readonly secretEnv?: string | undefined
  readonly secretFile?: string | undefined
}): string => at.secret ?? secretOf({ env: at.secretEnv, file: at.secretFile })

export const passwordOf = ({ password, passwordEnv, passwordFile }: IslandConfig['users'][number]): string =>
  password ?? secretOf({ env: passwordEnv, file: passwordFile })

/** The database to use, or null for the embedded one. */
export const databaseUrl = ({ database }: Config): string | null => process.env[database.urlEnv] ?? null

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze)
    Object.freeze(value)
  }
  return value
}
