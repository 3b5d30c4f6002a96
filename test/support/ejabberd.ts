// ejabberd from Debian, by hand and unprivileged, for one test: no distribution, no epmd, free ports, no TLS.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePorts } from './free-port.ts'
import { ServerProcess, asRoot } from './xmpp-server.ts'
import type { ServerOptions, XmppServer } from './xmpp-server.ts'

export async function startEjabberd(options: ServerOptions): Promise<XmppServer> {
  const { domain, users } = options
  const home = mkdtempSync(join(tmpdir(), 'isthmus-ejabberd-'))
  const [c2s = 0, component = 0, http = 0] = await freePorts(3)
  for (const folder of ['spool', 'run', 'log']) mkdirSync(join(home, folder))
  writeFileSync(join(home, 'ejabberd.yml'), stringify(configuration(options, { c2s, component, http })))
  writeFileSync(join(home, 'log', 'ejabberd.log'), '')
  if (asRoot) execFileSync('chown', ['-R', 'ejabberd:ejabberd', home])
  const spool = join(home, 'spool')
  const erl = ['erl', '+K', 'true', '+S', '2:2', '-noinput', '-mnesia', 'dir', `"${spool}"`, '-s', 'ejabberd']
  const api = `http://127.0.0.1:${http}/api`
  const child = new ServerProcess({
    kind: 'ejabberd',
    home,
    logFile: join(home, 'log', 'ejabberd.log'),
    command: asRoot ? ['setpriv', '--reuid=ejabberd', '--regid=ejabberd', '--clear-groups', ...erl] : erl,
    cwd: spool,
    env: {
      HOME: spool,
      EJABBERD_CONFIG_PATH: join(home, 'ejabberd.yml'),
      EJABBERD_LOG_PATH: join(home, 'log', 'ejabberd.log'),
      EJABBERD_PID_PATH: join(home, 'run', 'ejabberd.pid'),
      ERL_LIBS: '/usr/lib/x86_64-linux-gnu',
      ERL_CRASH_DUMP_BYTES: '0'
    },
    ports: [c2s, component, http],
    ready: async () => {
      const answer = await fetch(`${api}/status`, { method: 'POST', body: '{}' }).catch(() => null)
      return answer?.ok === true
    }
  })
  await child.start()
  for (const [user, password] of Object.entries(users)) {
    const body = JSON.stringify({ user, host: domain, password })
    const answer = await fetch(`${api}/register`, { method: 'POST', body })
    if (!answer.ok) throw new Error(`ejabberd did not register ${user}: ${await answer.text()}`)
  }
  return {
    kind: 'ejabberd',
    domain,
    componentPort: component,
    tcp: `xmpp://127.0.0.1:${c2s}`,
    ws: `ws://127.0.0.1:${http}/ws`,
    get pid() {
      return child.pid
    },
    log: () => child.log(),
    crash: () => child.crash(),
    start: () => child.start(),
    stop: () => child.stop()
  }
}

interface Ports {
  readonly c2s: number
  readonly component: number
  readonly http: number
}

const configuration = ({ domain, components }: ServerOptions, { c2s, component, http }: Ports) => ({
  loglevel: 'info',
  log_rotate_count: 0,
  acme: { auto: false },
  hosts: [domain],
  auth_password_format: 'scram',
  disable_sasl_mechanisms: ['digest-md5', 'X-OAUTH2'],
  listen: [
    { port: c2s, ip: '127.0.0.1', module: 'ejabberd_c2s', max_stanza_size: 262_144, starttls: false },
    {
      port: component,
      ip: '127.0.0.1',
      module: 'ejabberd_service',
      access: 'all',
      global_routes: false,
      shaper_rule: 'none',
      check_from: true,
      hosts: Object.fromEntries(components.map(item => [item.domain, { password: item.secret ?? 's3cr3t' }]))
    },
    {
      port: http,
      ip: '127.0.0.1',
      module: 'ejabberd_http',
      request_handlers: { '/api': 'mod_http_api', '/ws': 'ejabberd_http_ws' }
    }
  ],
  acl: { local: { user_regexp: '' } },
  access_rules: { local: { allow: 'local' }, c2s: { allow: 'all' } },
  api_permissions: { loopback: { who: [{ ip: '127.0.0.1/8' }], what: ['*'] } },
  shaper_rules: { max_user_sessions: 10, max_user_offline_messages: 100 },
  modules: {
    mod_caps: {},
    mod_carboncopy: {},
    mod_client_state: {},
    mod_http_api: {},
    mod_disco: { extra_domains: components.map(item => item.domain) },
    mod_last: {},
    mod_ping: {},
    mod_private: {},
    mod_pubsub: { plugins: ['flat', 'pep'] },
    mod_roster: { versioning: true },
    mod_stream_mgmt: {},
    mod_version: {}
  }
})
