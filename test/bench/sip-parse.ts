// Messages per CPU-second that `sip/` parses and prints: the 1.5 kB INVITE of an IMS network. Runs alone with node.

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { parseMessage, printMessage } from '../../src/sip/message.ts'
import type { SipMessage } from '../../src/sip/message.ts'

const rounds = 40
const messagesPerRound = 5_000

export interface BenchResult {
  readonly name: string
  /** Messages per second of one core. */
  readonly perSecond: number
}

/** In memory of its own, as datagrams come; a small file's bytes stand in a block with others. */
function datagram(): Buffer {
  const file = readFileSync(new URL('fixtures/invite.dat', import.meta.url))
  const bytes = Buffer.allocUnsafeSlow(file.length)
  file.copy(bytes)
  return bytes
}

/** CPU time of this process, not wall time; the best of many short rounds, since neighbours also slow a core down. */
function measure(name: string, change: (message: SipMessage) => void): BenchResult {
  const invite = datagram()
  let perSecond = 0
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage()
    let bytes = 0
    for (let count = 0; count < messagesPerRound; count++) {
      const parsed = parseMessage(invite)
      if (!parsed.ok) throw new Error(parsed.reason)
      change(parsed.message)
      bytes += printMessage(parsed.message).length
    }
    const { user, system } = process.cpuUsage(start)
    if (bytes < messagesPerRound * 1_000) throw new Error('printed something else than was parsed')
    perSecond = Math.max(perSecond, Math.round((messagesPerRound / (user + system)) * 1_000_000))
  }
  return { name: `${name}, INVITE of ${invite.length} bytes`, perSecond }
}

/** As it came: what a server with nothing to change does. */
export const benchSipParse = (): BenchResult => measure('SIP parse+print', () => undefined)

/** With the changes of a proxy: a Via and a Record-Route on top, one hop less. */
export const benchSipForward = (): BenchResult =>
  measure('SIP parse+forward', ({ headers }) => {
    headers.prepend('Via', 'SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0123456789abcdef')
    headers.prepend('Record-Route', '<sip:192.0.2.1;lr>')
    headers.set('Max-Forwards', String(Number(headers.get('Max-Forwards')) - 1))
  })

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) console.log(benchSipParse(), benchSipForward())
