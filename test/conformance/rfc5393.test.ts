// RFC 5393: loops. A request of ours that comes back by another way is one where it asks for the same as before.
// (Max-Breadth and Max-Forwards end at the border: test/nni.)

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { makeRequest, printMessage } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { EngineBench, from, text } from '../support/engine-bench.ts'
import { rawUdp } from '../support/sip-wire.ts'
import type { RawPeer } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'

const bench = new EngineBench('options')
beforeEach(() => bench.begin())
const open: RawPeer[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
  await bench.end()
})

/** A proxy in the way: sends the request on with its own Via on top, and the Request-URI that it chose. */
async function proxied({ method, headers, uri }: SipRequest, to = uri): Promise<RawPeer> {
  const proxy = await rawUdp(bench.port)
  open.push(proxy)
  const request = makeRequest({ method, uri: to, headers: headers.clone() })
  request.headers.prepend('Via', `SIP/2.0/UDP 127.0.0.1:${proxy.port};branch=z9hG4bKproxy`)
  proxy.send(printMessage(request))
  return proxy
}

describe('a request of ours that comes back', () => {
  it('with the same Request-URI is a loop: 482', async () => {
    await bench.app.ask(`sip|||${bench.peer.uri}`, text('OPTIONS', 'sip:+49@op.example', from))
    const proxy = await proxied((await bench.peer.next('OPTIONS')).request)
    await until(() => proxy.text.startsWith('SIP/2.0 482 Loop Detected'))
    expect(bench.app.frames).toEqual([])
  })

  it('with another one is a spiral, and goes up', async () => {
    await bench.app.ask(`sip|||${bench.peer.uri}`, text('OPTIONS', 'sip:+49@op.example', from))
    await proxied((await bench.peer.next('OPTIONS')).request, 'sip:+50@hub.example')
    expect((await bench.app.sip('OPTIONS')).message).toContain('OPTIONS sip:+50@hub.example SIP/2.0')
  })

  it('by two ways at once is merged: the second is 482 (RFC 3261, 8.2.2.2)', async () => {
    const request = (): SipRequest =>
      makeRequest({
        method: 'OPTIONS',
        uri: 'sip:+49@hub.example',
        headers: [
          ['From', '<sip:a@b>;tag=1'],
          ['To', '<sip:+49@hub.example>'],
          ['Call-ID', 'merged'],
          ['CSeq', '1 OPTIONS']
        ]
      })
    const to = { transport: 'udp', host: '127.0.0.1', port: bench.port } as const
    bench.peer.send(request(), to)
    await bench.app.sip('OPTIONS')
    expect((await bench.peer.send(request(), to).final()).status).toBe(482)
  })
})
