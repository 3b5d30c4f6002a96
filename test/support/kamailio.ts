// Debian's Kamailio as the border of an operator's network: TLS both ways towards the hub, plain SIP inside.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Authority } from './certificates.ts'
import { eventually, startProgram } from './child.ts'
import { freePort } from './sipp.ts'

export interface Kamailio {
  readonly host: string
  /** For the network behind it, UDP and TCP. */
  readonly port: number
  /** Towards the hub. */
  readonly tlsPort: number
  /** The last of what it has logged. */
  log(): string
  stop(): Promise<void>
}

interface Place {
  readonly host: string
  readonly port: number
}

export interface KamailioOptions {
  /** Bound for everything, and where its connections come from. */
  readonly host: string
  /** What its certificate proves. */
  readonly domain: string
  /** Who vouches for it, and must vouch for the hub; by default both are one. */
  readonly authority: Authority
  readonly trusts?: Authority
  /** Where what comes by TLS goes: the first of these whose number is called, or that has none. */
  readonly inside: readonly (Place & { readonly number?: string })[]
  /** Where what comes from inside goes; null: nowhere. */
  readonly hub: Place | null
  readonly transport?: 'tls' | 'udp'
}

const modules = 'tls tm sl rr pv maxfwd siputils textops textopsx'.split(' ')

/** Waits until it listens. Asked for where a test file says `// needs: kamailio openssl`. */
export async function startKamailio(options: KamailioOptions): Promise<Kamailio> {
  const { host, domain, authority, trusts = authority } = options
  const [port, tlsPort] = [await freePort(host), await freePort(host)]
  const home = mkdtempSync(join(tmpdir(), 'isthmus-kamailio-'))
  const file = (name: string): string => join(home, name)
  const { cert, key } = authority.issue(domain, `URI:sip:${domain}`, `DNS:${domain}`)
  writeFileSync(file('cert.pem'), cert)
  writeFileSync(file('key.pem'), key, { mode: 0o600 })
  writeFileSync(file('ca.pem'), trusts.cert)
  writeFileSync(file('tls.cfg'), tlsConfig(home))
  writeFileSync(file('kamailio.cfg'), config(options, home, port, tlsPort))
  const args = ['-DD', '-E', '-f', file('kamailio.cfg'), '-Y', home, '-P', file('pid'), '-m', '64', '-M', '16']
  const child = startProgram('/usr/sbin/kamailio', args, { cwd: home })
  const stop = async (): Promise<void> => {
    if (child.process.exitCode === null) child.process.kill('SIGTERM')
    await child.ended
    rmSync(home, { recursive: true, force: true })
  }
  try {
    await eventually(() => {
      if (child.process.exitCode !== null) throw new Error(`kamailio left: ${child.errors}`)
      return takes(host, tlsPort)
    }, 60_000)
  } catch (error) {
    await stop()
    throw error
  }
  return { host, port, tlsPort, log: () => child.errors, stop }
}

const takes = (host: string, port: number): Promise<boolean> =>
  new Promise(settle => {
    const socket = connect({ host, port })
    const done = (taken: boolean): void => {
      socket.destroy()
      settle(taken)
    }
    socket.once('connect', () => done(true)).once('error', () => done(false))
  })

const tlsConfig = (home: string): string =>
  ['server', 'client']
    .map(
      side => `[${side}:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = ${home}/key.pem
certificate = ${home}/cert.pem
ca_list = ${home}/ca.pem
`
    )
    .join('\n')

/** A border that passes calls both ways, stays in their path, and knows nothing of numbers. */
function config(
  { host, inside, hub, transport = 'tls' }: KamailioOptions,
  home: string,
  port: number,
  tlsPort: number
) {
  const within = inside.map(({ number, ...to }, index) => {
    const when = `${index === 0 ? '' : 'else '}if (${number === undefined ? '1' : `$rU == "${number}"`})`
    return `    ${when} $du = "sip:${to.host}:${to.port}";`
  })
  const out =
    hub === null
      ? 'sl_send_reply("404", "No Route"); exit;'
      : `$du = "sip:${hub.host}:${hub.port};transport=${transport}";`
  return `#!KAMAILIO
debug=1
log_stderror=yes
fork=yes
children=2
tcp_children=2
enable_tls=yes
auto_aliases=no
dns=no
rev_dns=no
tcp_connection_lifetime=600
tcp_source_ipv4=${host}
server_header="Server: kamailio"
listen=udp:${host}:${port}
listen=tcp:${host}:${port}
listen=tls:${host}:${tlsPort}
${modules.map(name => `loadmodule "${name}.so"`).join('\n')}
modparam("tls", "config", "${home}/tls.cfg")
modparam("rr", "enable_double_rr", 1)
modparam("tm", "fr_timer", 20000)

request_route {
  if (!mf_process_maxfwd_header("70")) {
    sl_send_reply("483", "Too Many Hops");
    exit;
  }
  if (is_method("OPTIONS") && $rU == $null) {
    append_to_reply("Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, OPTIONS, INFO, MESSAGE\\r\\n");
    sl_send_reply("200", "OK");
    exit;
  }
  if (is_method("CANCEL")) {
    if (t_check_trans()) t_relay();
    exit;
  }
  if (has_totag()) {
    if (loose_route()) {
      t_relay();
      exit;
    }
    if (is_method("ACK")) {
      if (t_check_trans()) t_relay();
      exit;
    }
    sl_send_reply("481", "Call/Transaction Does Not Exist");
    exit;
  }
  if (!is_method("INVITE|MESSAGE|OPTIONS")) {
    if (is_method("BYE|PRACK|UPDATE|INFO|ACK")) sl_send_reply("481", "Call/Transaction Does Not Exist");
    else if (is_method("REGISTER|PUBLISH|SUBSCRIBE|NOTIFY|REFER")) {
      append_to_reply("Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, OPTIONS, INFO, MESSAGE\\r\\n");
      sl_send_reply("405", "Method Not Allowed");
    }
    else sl_send_reply("501", "Not Implemented");
    exit;
  }
  t_check_trans();
  record_route();
  if ($pr == "tls") {
${within.join('\n')}
  }
  else { ${out} }
  t_relay();
}
`
}
