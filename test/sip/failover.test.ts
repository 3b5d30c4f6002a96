import { afterEach, describe, expect, it } from '@jest/globals'
import { Avoided, failoverLimits } from '../../src/sip/failover.ts'
import { createHeaders, makeRequest } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import type { RemoteDestination } from '../../src/sip/transport/transport.ts'
import { Exchange, startPeer } from '../support/sip-peer.ts'
import type { SipPeer } from '../support/sip-peer.ts'
import { rawUdp } from '../support/sip-wire.ts'
import type { RawPeer } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'

const open: (SipPeer | RawPeer)[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})
async function peer(transport: 'udp' | 'tcp' = 'udp'): Promise<SipPeer> {
  const made = await startPeer(transport)
  open.push(made)
  return made
}

const at = (port: number, transport: 'udp' | 'tcp' = 'udp'): RemoteDestination => ({
  transport,
  host: '127.0.0.1',
  port
})

const invite = (): SipRequest =>
  makeRequest({
    method: 'INVITE',
    uri: 'sip:b@op.example',
    headers: createHeaders([
      ['From', '<sip:a@hub.example>;tag=1'],
      ['To', '<sip:b@op.example>'],
      ['Call-ID', `call-${Math.random()}`],
      ['CSeq', '1 INVITE']
    ])
  })

/** Sends to these places in turn. */
function send(caller: SipPeer, targets: readonly [RemoteDestination, ...RemoteDestination[]]): Exchange {
  const exchange = new Exchange()
  exchange.tx = caller.stack.send(invite(), targets, {
    response: response => void exchange.responses.push(response),
    failed: why => {
      exchange.failure = why
    }
  })
  return exchange
}

describe('a request to several places (RFC 3263, 4.3)', () => {
  it('goes on after 503, under a branch of its own, and its user hears of the last answer alone', async () => {
    const [caller, first, second] = [await peer(), await peer(), await peer()]
    const exchange = send(caller, [at(first.port), at(second.port)])
    const refused = await first.next('INVITE')
    first.answer(refused, 503)
    const taken = await second.next('INVITE')
    expect(taken.request.headers.get('Call-ID')).toBe(refused.request.headers.get('Call-ID'))
    expect(taken.request.headers.all('Via')).toHaveLength(1)
    expect(taken.request.headers.get('Via')).not.toBe(refused.request.headers.get('Via'))
    second.answer(taken, 200)
    await exchange.final()
    expect(exchange.responses.map(({ status }) => status).filter(status => status > 100)).toEqual([200])
    expect(taken.request.headers.get('Via')).toContain(`branch=${exchange.tx?.id}`)
  })

  it('goes on where nobody listens and where nobody answers', async () => {
    const [caller, silent, last] = [await peer('tcp'), await rawUdp(9), await peer('tcp')]
    open.push(silent)
    const closed = await peer('tcp')
    const { port } = closed
    await closed.close()
    open.pop()
    const exchange = send(caller, [at(port, 'tcp'), at(last.port, 'tcp')])
    last.answer(await last.next('INVITE'), 200)
    expect((await exchange.final()).status).toBe(200)
    const [udpCaller, udpLast] = [await peer(), await peer()]
    const other = send(udpCaller, [at(silent.port), at(udpLast.port)])
    udpLast.answer(await udpLast.next('INVITE'), 200)
    expect((await other.final()).status).toBe(200)
    expect(silent.received.length).toBeGreaterThan(1)
  })

  it('ends with the last place: its 503, its silence', async () => {
    const [caller, first, second] = [await peer(), await peer(), await peer()]
    const exchange = send(caller, [at(first.port), at(second.port)])
    first.answer(await first.next('INVITE'), 503)
    second.answer(await second.next('INVITE'), 503)
    expect((await exchange.final()).status).toBe(503)
    const silent = await rawUdp(9)
    open.push(silent)
    const other = send(caller, [at(first.port), at(silent.port)])
    first.answer(await first.next('INVITE'), 503)
    await until(() => other.failure !== null)
    expect(other.failure).toBe('timeout')
  })

  it('stays where it rings, where it is refused otherwise, and where its user has cancelled', async () => {
    const [caller, first, second] = [await peer(), await peer(), await peer()]
    const rings = send(caller, [at(first.port), at(second.port)])
    const ringing = await first.next('INVITE')
    first.answer(ringing, 180)
    first.answer(ringing, 503)
    expect((await rings.final()).status).toBe(503)
    const busy = send(caller, [at(first.port), at(second.port)])
    first.answer(await first.next('INVITE'), 486)
    expect((await busy.final()).status).toBe(486)
    const cancelled = send(caller, [at(first.port), at(second.port)])
    const going = await first.next('INVITE')
    cancelled.tx?.cancel()
    first.answer(going, 503)
    expect((await cancelled.final()).status).toBe(503)
    expect(second.waiting).toEqual([])
  })

  it('comes last to a place that asked for time, or was silent, until that time is over', async () => {
    const [caller, first, second] = [await peer(), await peer(), await peer()]
    const once = send(caller, [at(first.port), at(second.port)])
    first.answer(await first.next('INVITE'), 503, [['Retry-After', '3600 (maintenance)']])
    second.answer(await second.next('INVITE'), 486)
    await once.final()
    const again = send(caller, [at(first.port), at(second.port)])
    second.answer(await second.next('INVITE'), 486)
    expect((await again.final()).status).toBe(486)
    expect(first.waiting).toEqual([])
  })

  it('without Retry-After moves on for this request only', async () => {
    const [caller, first, second] = [await peer(), await peer(), await peer()]
    for (const _ of [1, 2]) {
      const exchange = send(caller, [at(first.port), at(second.port)])
      first.answer(await first.next('INVITE'), 503)
      second.answer(await second.next('INVITE'), 486)
      await exchange.final()
    }
  })
})

describe('places to be avoided', () => {
  const places = [at(1), at(2), at(3)] as const

  it('are tried last, and again in their turn when their time is over', () => {
    let now = 0
    const avoided = new Avoided(failoverLimits, () => now)
    expect(avoided.order(places)).toBe(places)
    avoided.failed(at(1))
    avoided.add(at(2), 5_000)
    expect(avoided.order(places).map(({ port }) => port)).toEqual([3, 1, 2])
    now = 5_001
    expect(avoided.order(places).map(({ port }) => port)).toEqual([2, 3, 1])
    now = failoverLimits.failedMs + 1
    expect(avoided.order(places)).toBe(places)
    expect(avoided.size).toBe(0)
  })

  it('are bounded in number, and in time', () => {
    let now = 0
    const avoided = new Avoided({ ...failoverLimits, avoidedMax: 2, retryAfterMsMax: 10 }, () => now)
    for (const place of places) avoided.add(place, 1_000_000)
    expect(avoided.size).toBe(2)
    expect(avoided.order(places).map(({ port }) => port)).toEqual([1, 2, 3])
    now = 11
    expect(avoided.order(places)).toBe(places)
  })
})
