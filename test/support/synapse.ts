// A real Synapse for one test: its own folder, free ports, users with tokens, application services registered.

import { createHmac } from 'node:crypto'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePorts } from './free-port.ts'
import { synapsePython } from './synapse-install.ts'
import { ServerProcess } from './xmpp-server.ts'

export interface SynapseOptions {
  /** The part of user ids behind the colon. */
  readonly serverName: string
  /** Texts of registration files; more with `register`. */
  readonly registrations: readonly string[]
  /** Users join direct chats by themselves unless false. */
  readonly autoJoin?: boolean
  /** Real limits instead of none: few messages and few rooms a second. */
  readonly tight?: boolean
}

export interface MatrixAccount {
  readonly userId: string
  readonly token: string
  readonly deviceId: string
  /** One request of the client API as this user; the answer's body, whatever its status. */
  request(method: string, path: string, body?: unknown): Promise<MatrixAnswer>
}

export interface MatrixAnswer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

export interface Synapse {
  readonly serverName: string
  /** `http://127.0.0.1:port` */
  readonly url: string
  readonly pid: number
  /** Another device of the same user with the same name and password. */
  login(name: string): Promise<MatrixAccount>
  /** A new user, logged in. */
  user(name: string): Promise<MatrixAccount>
  log(): string
  /** `kill -9`. */
  crash(): Promise<void>
  /** On the same port and data, after `crash`. */
  start(): Promise<void>
  stop(): Promise<void>
}

const sharedSecret = 'test-shared-secret'
const passwordOf = (name: string): string => `password of ${name}`

export async function startSynapse(options: SynapseOptions): Promise<Synapse> {
  const { serverName, registrations } = options
  const python = await synapsePython()
  const home = mkdtempSync(join(tmpdir(), 'isthmus-synapse-'))
  const [port = 0] = await freePorts(1)
  mkdirSync(join(home, 'media'))
  const files = registrations.map((text, index) => {
    const file = join(home, `application-service-${index}.yaml`)
    writeFileSync(file, text)
    return file
  })
  writeFileSync(join(home, 'log.yaml'), stringify(logging))
  writeFileSync(join(home, 'homeserver.yaml'), stringify(configuration({ ...options, home, port, files })))
  const url = `http://127.0.0.1:${port}`
  const child = new ServerProcess({
    kind: 'synapse',
    home,
    logFile: join(home, 'console.log'),
    command: [python, '-m', 'synapse.app.homeserver', '-c', join(home, 'homeserver.yaml')],
    cwd: home,
    env: { HOME: home, PYTHONUNBUFFERED: '1' },
    ports: [port],
    ready: async () => (await fetch(`${url}/health`).catch(() => null))?.status === 200
  })
  await child.start()
  const login = async (name: string): Promise<MatrixAccount> => {
    const { body, status } = await request(url, null, 'POST', '/_matrix/client/v3/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: name },
      password: passwordOf(name)
    })
    if (status !== 200) throw new Error(`login of ${name}: ${status} ${JSON.stringify(body)}`)
    const token = String(body['access_token'])
    return {
      userId: String(body['user_id']),
      deviceId: String(body['device_id']),
      token,
      request: (method, path, more) => request(url, token, method, path, more)
    }
  }
  return {
    serverName,
    url,
    get pid() {
      return child.pid
    },
    login,
    user: async name => {
      await register(url, name)
      return login(name)
    },
    log: () => child.log(),
    crash: () => child.crash(),
    start: () => child.start(),
    stop: () => child.stop()
  }
}

async function request(
  url: string,
  token: string | null,
  method: string,
  path: string,
  body?: unknown
): Promise<MatrixAnswer> {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  return { status: answer.status, body: (await answer.json()) as MatrixAnswer['body'] }
}

/** By the shared secret: milliseconds, where the script takes seconds. */
async function register(url: string, name: string): Promise<void> {
  const path = '/_synapse/admin/v1/register'
  const { body } = await request(url, null, 'GET', path)
  const nonce = String(body['nonce'])
  const password = passwordOf(name)
  const mac = createHmac('sha1', sharedSecret).update([nonce, name, password, 'notadmin'].join('\0')).digest('hex')
  const { status, body: answer } = await request(url, null, 'POST', path, {
    nonce,
    username: name,
    password,
    admin: false,
    mac
  })
  if (status !== 200) throw new Error(`register ${name}: ${status} ${JSON.stringify(answer)}`)
}

const logging = {
  version: 1,
  formatters: { plain: { format: '%(asctime)s %(levelname)s %(name)s %(message)s' } },
  handlers: { console: { class: 'logging.StreamHandler', formatter: 'plain' } },
  root: { level: 'WARNING', handlers: ['console'] },
  disable_existing_loggers: false
}

interface Places extends SynapseOptions {
  readonly home: string
  readonly port: number
  readonly files: readonly string[]
}

function configuration({ serverName, home, port, files, autoJoin = true, tight = false }: Places): object {
  const off = tight ? { per_second: 1, burst_count: 5 } : { per_second: 1_000_000, burst_count: 1_000_000 }
  return {
    server_name: serverName,
    public_baseurl: `http://127.0.0.1:${port}/`,
    report_stats: false,
    suppress_key_server_warning: true,
    trusted_key_servers: [],
    federation_domain_whitelist: [],
    pid_file: join(home, 'pid'),
    signing_key_path: join(home, 'signing.key'),
    log_config: join(home, 'log.yaml'),
    media_store_path: join(home, 'media'),
    registration_shared_secret: sharedSecret,
    macaroon_secret_key: 'test-macaroon',
    form_secret: 'test-form',
    bcrypt_rounds: 4,
    listeners: [
      {
        port,
        type: 'http',
        tls: false,
        bind_addresses: ['127.0.0.1'],
        resources: [{ names: ['client', 'media'], compress: false }]
      }
    ],
    database: { name: 'sqlite3', args: { database: join(home, 'homeserver.db') } },
    app_service_config_files: files,
    // Two minutes by default: a reloaded page with the same device gets the old answers again, and dead calls ring.
    caches: { sync_response_cache_duration: '0s' },
    auto_accept_invites: { enabled: autoJoin, only_for_direct_messages: true },
    rc_message: off,
    rc_registration: off,
    rc_login: { address: off, account: off, failed_attempts: off },
    rc_joins: { local: off, remote: off },
    rc_joins_per_room: off,
    rc_invites: { per_room: off, per_user: off, per_issuer: off },
    rc_media_create: off,
    rc_presence: { per_user: off },
    rc_delayed_event_mgmt: off,
    rc_room_creation: off,
    rc_user_directory: off,
    rc_profile: off,
    rc_reports: off
  }
}
