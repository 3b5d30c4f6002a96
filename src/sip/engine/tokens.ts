// The tokens of the control protocol that say where a message came from or went to.

import type { Path } from '../link.ts'
import type { Flow } from '../transport/transport.ts'

let lastMs = 0
let lastTime = ''
/** `HH:MM:SS.micros`, UTC. */
export function timeOfDay(): string {
  const now = Date.now()
  if (now !== lastMs) {
    lastMs = now
    lastTime = `${new Date(now).toISOString().slice(11, 23)}000`
  }
  return lastTime
}

/** Of a message that came from the network. */
export const fromNetwork = (flow: Flow, bytes: number, txn: string, dialog: string): string =>
  `network|${bytes}|${flow.transport}|${flow.remote.host}|${flow.remote.port}|${timeOfDay()}|${txn}|${dialog}|`

/** Of a response that the engine had to make up: no path, no bytes. */
export const fromNowhere = (txn: string, dialog: string): string => `network|0|||0|${timeOfDay()}|${txn}|${dialog}|`

/** Of a message that was sent from here. */
export const fromHere = ([transport, remote]: Path, bytes: number, txn: string): string =>
  `application|${bytes}|${transport}|${remote.host}|${remote.port}|${timeOfDay()}|${txn}`

/** What the meta line may carry: a peer writes Call-ID and tag, and must not write tokens. */
export const oneToken = (text: string): string =>
  /[|\r\n]/.test(text) ? text.replaceAll(/[|\r\n]/g, found => `%${found.charCodeAt(0)}`) : text
