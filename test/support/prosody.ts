// Prosody from Debian, by hand and unprivileged, for one test: its own folder, free ports, no TLS.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from './free-port.ts'
import { ServerProcess, asRoot } from './xmpp-server.ts'
import type { ServerOptions, XmppServer } from './xmpp-server.ts'

export async function startProsody(options: ServerOptions): Promise<XmppServer> {
  const { domain, components, users, desktop } = options
  const home = mkdtempSync(join(tmpdir(), 'isthmus-prosody-'))
  const [free = 0, component = 0, http = 0] = await freePorts(3)
  const c2s = desktop === undefined ? free : 5_222
  const store = join(home, 'data', domain.replaceAll('.', '%2e'), 'accounts')
  for (const folder of [store, join(home, 'run')]) mkdirSync(folder, { recursive: true })
  for (const [name, password] of Object.entries(users)) {
    writeFileSync(join(store, `${name}.dat`), `return { ["password"] = "${password}"; };\n`)
  }
  const file = join(home, 'prosody.cfg.lua')
  writeFileSync(file, configuration({ home, domain, components, desktop, c2s, component, http }))
  writeFileSync(join(home, 'prosody.log'), '')
  if (asRoot) execFileSync('chown', ['-R', 'prosody:prosody', home])
  const plain = ['/usr/bin/prosody', '--config', file, '-F']
  const child = new ServerProcess({
    kind: 'prosody',
    home,
    logFile: join(home, 'prosody.log'),
    // As `setpriv`, not `runuser`: signals must reach the server itself.
    command: asRoot ? ['setpriv', '--reuid=prosody', '--regid=prosody', '--clear-groups', ...plain] : plain,
    cwd: home,
    env: { HOME: home },
    ports: desktop === undefined ? [c2s, component, http] : [component, http],
    ready: async () => true
  })
  await child.start()
  return {
    kind: 'prosody',
    domain,
    componentPort: component,
    tcp: `xmpp://${desktop?.address ?? '127.0.0.1'}:${c2s}`,
    ws: `ws://127.0.0.1:${http}/xmpp-websocket`,
    get pid() {
      return child.pid
    },
    log: () => child.log(),
    crash: () => child.crash(),
    start: () => child.start(),
    stop: () => child.stop()
  }
}

interface Places {
  readonly home: string
  readonly domain: string
  readonly components: ServerOptions['components']
  readonly desktop: ServerOptions['desktop']
  readonly c2s: number
  readonly component: number
  readonly http: number
}

const configuration = ({ home, domain, components, desktop, c2s, component, http }: Places): string => `
run_as_root = false
pidfile = "${home}/run/prosody.pid"; data_path = "${home}/data"; plugin_paths = {}
interfaces = {"127.0.0.1"}; local_interfaces = {"127.0.0.1"}; component_interfaces = {"127.0.0.1"}
component_ports = {${component}}; c2s_ports = {${c2s}}; c2s_direct_tls_ports = {}; s2s_ports = {}
http_ports = {${http}}; https_ports = {}; http_interfaces = {"127.0.0.1"}; http_default_host = "${domain}"
consider_websocket_secure = true
modules_enabled = { "roster", "saslauth", "disco", "ping", "pep", "carbons", "smacks", "csi_simple", "blocklist",
  "mam", "time", "version", "websocket", "lastactivity"${desktop === undefined ? '' : ', "tls"'} }
modules_disabled = { "s2s", "offline", "register"${desktop === undefined ? ', "tls"' : ''} }
${desktop === undefined ? '' : secured(desktop)}
authentication = "internal_plain"; storage = "internal"
c2s_require_encryption = false; allow_unencrypted_plain_auth = true
limits = {}
log = { { levels = { min = "debug" }, to = "file", filename = "${home}/prosody.log" } }
VirtualHost "${domain}"
  disco_items = { ${components.map(item => `{ "${item.domain}", "gateway" }`).join('; ')} }
${components.map(item => `Component "${item.domain}"\n  component_secret = "${item.secret ?? 's3cr3t'}"`).join('\n')}
`

const secured = ({ address, certificateFile, keyFile }: NonNullable<ServerOptions['desktop']>): string =>
  `c2s_interfaces = { "${address}" }; ssl = { key = "${keyFile}"; certificate = "${certificateFile}" }`
