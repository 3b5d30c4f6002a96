// The NNI's tests: operators, a hub, and descriptions of media.

import { configSchema } from '../../src/config.ts'
import type { OperatorConfig } from '../../src/config.ts'
import { peerOf } from '../../src/nni/peers.ts'
import type { HubFace, Peer } from '../../src/nni/peers.ts'
import type { Sdp } from '../../src/session/model.ts'

export const hubFace: HubFace = { domain: 'hub.example', ioi: 'hub.example', id: 'isthmus' }

/** An operator as the configuration would give it. */
export function operator(id: string, port: number, over: Record<string, unknown> = {}): OperatorConfig {
  const { operators } = configSchema.parse({
    operators: [{ id, address: { host: '127.0.0.1', port }, domain: `${id}.example`, keepaliveMs: 0, ...over }]
  })
  return operators[0]!
}

export const trustedPeer: Peer = peerOf(operator('op-trusted', 5060, { trust: 'network', ioi: 'op-trusted.example' }))
export const untrustedPeer: Peer = peerOf(operator('op-untrusted', 5062))

export const sdpWith = (port: number, direction = 'sendrecv', host = '127.0.0.1'): Sdp =>
  [
    'v=0',
    `o=someone 1 1 IN IP4 ${host}`,
    's=-',
    `c=IN IP4 ${host}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 8 101`,
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:101 telephone-event/8000',
    `a=${direction}`,
    ''
  ].join('\r\n') as Sdp
