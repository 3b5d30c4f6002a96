// One schema for everything that can be configured: unknown keys are errors with their path, the result is frozen and
// handed down in slices. The only file that reads the environment. `isthmus.example.yaml` shows every key.

import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse } from 'yaml'
import { z } from 'zod'
import { agreement } from './config/agreements.ts'
import { alarms } from './config/alarms.ts'
import { host, id, ioi, port, sipTls, sipTransport, tls } from './config/basics.ts'
import { emergency, emergencyContradictions, withEmergencyRoutes } from './config/emergency.ts'
import { events } from './config/events.ts'
import { fraud } from './config/fraud.ts'
import { island } from './config/islands.ts'
import { limits } from './config/limits.ts'
import { moneyContradictions, nettingGroups, parties } from './config/money.ts'
import { operator } from './config/operators.ts'
import { overload } from './config/overload.ts'
import { privacy } from './config/privacy.ts'
import { routing } from './config/routing.ts'
import { hubStir, stirContradictions } from './config/stir.ts'
import { HubError, messageOf } from './errors.ts'
import { logLevels } from './log.ts'

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
      sessionsMax: z.int().min(1).default(2_000),
      stir: hubStir
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(logLevels).default('info') }).prefault({}),
  alarms,
  database: z
    .strictObject({
      /** The environment variable that holds a PostgreSQL URL; unset: an embedded PostgreSQL in `dataDir`. */
      urlEnv: z.string().default('DATABASE_URL'),
      poolMax: z.int().min(1).max(64).default(4)
    })
    .prefault({}),
  events,
  limits,
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
  matrix: z
    .strictObject({
      /** Where homeservers push events to, and where their users fetch what phones sent them. */
      host: host.default('127.0.0.1'),
      port: port.default(8_090),
      tls: tls.optional(),
      /** How homeservers and users reach it; `http://host:port` unless named. */
      publicUrl: z
        .string()
        .regex(/^https?:\/\/[^/]/)
        .optional(),
      /** How long a link to a file stays good. */
      fileLinkMs: z
        .int()
        .min(1_000)
        .default(7 * 86_400_000)
    })
    .prefault({}),
  nni: z
    .strictObject({
      listen: z
        .array(
          z.strictObject({ transport: sipTransport, host: host.default('127.0.0.1'), port, tls: sipTls.optional() })
        )
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
      /** To the embedded engine, in memory: through drachtio-srf, as to a drachtio-server, or directly. */
      link: z.enum(['drachtio-srf', 'direct']).default('drachtio-srf'),
      sessionExpiresSeconds: z.int().min(90).default(1_800),
      /** Longer requests go by TCP rather than UDP where the hub listens on TCP (RFC 3261, 18.1.1). */
      udpRequestBytesMax: z.int().min(0).max(65_535).default(1_300),
      overload,
      /** For the names of operators: addresses with or without a port; empty: those of the system. */
      dnsServers: z.array(z.string().regex(/^[0-9.]+(:[0-9]+)?$|^\[?[0-9a-fA-F:.]+\]?(:[0-9]+)?$/)).default([])
    })
    .prefault({}),
  routing,
  emergency,
  fraud,
  privacy,
  islands: z.array(island).default([]),
  operators: z.array(operator).default([]),
  agreements: z.array(agreement).default([]),
  parties,
  netting: nettingGroups
})

export type Config = z.infer<typeof configSchema>
export type IslandConfig = Config['islands'][number]
export type XmppIslandConfig = Extract<IslandConfig, { access: 'xmpp' }>
export type MatrixIslandConfig = Extract<IslandConfig, { access: 'matrix' }>
export type MatrixConfig = Config['matrix']
export type OperatorConfig = Config['operators'][number]
export type AgreementConfig = Config['agreements'][number]
export type PartyConfig = Config['parties'][number]
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
  const { islands, emergency: help } = parsed.data
  return deepFreeze({ ...parsed.data, islands: [...withEmergencyRoutes(islands, help)] })
}

export function readConfig(file: string): Config {
  return parseConfig(fileOf(file).toString('utf8'), file)
}

/** What a schema of one key cannot see. */
function contradictions(config: Config): readonly string[] {
  const { hub, islands, operators, agreements, emergency } = config
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
  for (const island of islands) {
    problems.push(...insecureLinks(island))
  }
  problems.push(...stirContradictions(hub.stir, operators), ...emergencyContradictions(emergency, operators))
  if (config.alarms.webhook !== undefined && ['error', 'fatal', 'silent'].includes(config.log.level)) {
    problems.push(`alarms: log.level ${config.log.level} would keep back those that are warnings`)
  }
  const known = new Set(['hub', ...[...islands, ...operators].map(providerOf)])
  const isHub = [...islands, ...operators].some(peer => providerOf(peer) === 'hub')
  if (isHub) problems.push('no peer may be called "hub": that is the hub itself')
  problems.push(...moneyContradictions(config, known))
  for (const { id, buyer, seller } of agreements) {
    if (buyer === seller) problems.push(`agreement ${id}: buyer and seller are the same party`)
    for (const party of [buyer, seller])
      if (!known.has(party)) problems.push(`agreement ${id}: nobody is called "${party}"`)
  }
  return problems
}

/** Component domains belong to one island each; accounts are of the island's own domain. */
const gatewaysOf = (island: IslandConfig): readonly string[] =>
  island.access === 'xmpp' && island.connection.kind === 'component' ? [island.gateway.toLowerCase()] : []

const isLoopback = (name: string): boolean => /^(localhost|127\.[0-9.]+|::1|\[::1\])$/i.test(name)

/** A secret or a login in plain text, where others could read it. */
function insecureLinks(island: IslandConfig): readonly string[] {
  if (island.access === 'matrix' && island.enabled && !island.insecure) return insecureHomeserver(island)
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

function insecureHomeserver({ id, homeserver }: MatrixIslandConfig): readonly string[] {
  const [, name = ''] = /^http:\/\/(\[[^\]]+\]|[^:/]+)/.exec(homeserver) ?? []
  if (name === '' || isLoopback(name)) return []
  return [`island ${id}: ${homeserver} would be plain text off loopback: use https, or say \`insecure: true\``]
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
