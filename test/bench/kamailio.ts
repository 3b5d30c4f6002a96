// Debian's Kamailio as the measure: a stateful, record-routing proxy between the same two SIPp, one UDP worker.

import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/sipp.ts'

export const kamailioLimits = { sharedMb: 512, privateMb: 16, readyMs: 10_000, pingMs: 200, stopMs: 10_000 } as const

export interface Kamailio {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

/** One number prefix and where its calls go. */
export interface Way {
  readonly prefix: string
  readonly host: string
  readonly port: number
}

const configuration = (port: number, ways: readonly Way[]): string => `#!KAMAILIO
debug=0
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
listen=udp:127.0.0.1:${port}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {
  if (!mf_process_maxfwd_header("70")) { sl_send_reply("483", "Too Many Hops"); exit; }
  if (has_totag()) {
    if (!loose_route()) { if (!is_method("ACK")) sl_send_reply("404", "Not Here"); exit; }
    t_relay();
    exit;
  }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  t_check_trans();
  record_route();
${ways.map(({ prefix, host, port }) => `  if ($rU =~ "^\\${prefix}") $du = "sip:${host}:${port}";`).join('\n')}
  t_relay();
}
`

/** Throws with its words where it leaves at once or is not up in time. */
export async function startKamailio(ways: readonly Way[]): Promise<Kamailio> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-kamailio-'))
  const file = join(folder, 'kamailio.cfg')
  await writeFile(file, configuration(port, ways))
  const { sharedMb, privateMb } = kamailioLimits
  const args = ['-DD', '-f', file, '-m', `${sharedMb}`, '-M', `${privateMb}`, '-w', folder, '-Y', folder]
  const child = spawn('/usr/sbin/kamailio', [...args, '-P', join(folder, 'pid')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-8_192)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const left = new Promise<void>(settle => child.once('close', () => settle()).once('error', () => settle()))
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const guard = setTimeout(() => child.kill('SIGKILL'), kamailioLimits.stopMs)
    await left
    clearTimeout(guard)
    await rm(folder, { recursive: true, force: true })
  }
  const until = Date.now() + kamailioLimits.readyMs
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > until) {
      await stop()
      throw new Error(`Kamailio is not up:\n${output}`)
    }
  }
  return { pid: child.pid ?? 0, port, stop }
}

/** A request that may go no further is answered 483 by whoever is up. */
async function answers(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  try {
    return await new Promise<boolean>(settle => {
      setTimeout(() => settle(false), kamailioLimits.pingMs)
      socket.once('message', () => settle(true)).once('error', () => settle(false))
      socket.bind(0, '127.0.0.1', () => {
        const lines = [
          `OPTIONS sip:127.0.0.1:${port} SIP/2.0`,
          `Via: SIP/2.0/UDP 127.0.0.1:${socket.address().port};branch=z9hG4bKready${Date.now()}`,
          'From: <sip:bench@127.0.0.1>;tag=1',
          `To: <sip:127.0.0.1:${port}>`,
          `Call-ID: ready-${Date.now()}`,
          'CSeq: 1 OPTIONS',
          'Max-Forwards: 0',
          'Content-Length: 0'
        ]
        socket.send(`${lines.join('\r\n')}\r\n\r\n`, port, '127.0.0.1')
      })
    })
  } finally {
    socket.close()
  }
}
