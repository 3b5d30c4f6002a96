// Messages per CPU-second that `sip/` parses and prints: the 1.5 kB INVITE of an IMS network. Runs alone with node.

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { parseMessage, printMessage } from '../../src/sip/message.ts'

const rounds = 5
const messagesPerRound = 40_000

/** CPU time of this process, not wall time: neighbours on the machine do not count. The best of some rounds. */
export function benchSipParse(): { readonly name: string; readonly perSecond: number } {
  const invite = readFileSync(new URL('fixtures/invite.dat', import.meta.url))
  let perSecond = 0
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage()
    let bytes = 0
    for (let count = 0; count < messagesPerRound; count++) {
      const parsed = parseMessage(invite)
      if (!parsed.ok) throw new Error(parsed.reason)
      bytes += printMessage(parsed.message).length
    }
    const { user, system } = process.cpuUsage(start)
    if (bytes !== messagesPerRound * invite.length) throw new Error('printed something else than was parsed')
    perSecond = Math.max(perSecond, Math.round((messagesPerRound / (user + system)) * 1_000_000))
  }
  return { name: `SIP parse+print, INVITE of ${invite.length} bytes`, perSecond }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) console.log(benchSipParse())
