import { beforeEach, describe, expect, it } from '@jest/globals'
import { ClientTransactions } from '../../src/sip/client-transactions.ts'
import { makeRequest, makeResponse, newCallId, parseVia } from '../../src/sip/message.ts'
import type { SipRequest, SipResponse } from '../../src/sip/message.ts'
import { stackLimits } from '../../src/sip/ports.ts'
import { timersFrom } from '../../src/sip/timers.ts'
import type { TransportPort } from '../../src/sip/transport/transport.ts'
import { Wire } from '../../src/sip/wire.ts'
import { FakeClock, FakeFlow } from '../support/sip-wire.ts'

const noPort: TransportPort = {
  limits: stackLimits,
  screen: () => ({ peerId: null }),
  admit: () => 0,
  message: () => undefined,
  unreadable: () => undefined,
  refused: () => undefined,
  closed: () => undefined,
  dropped: () => undefined,
  warn: () => undefined
}
const handler = { request: () => undefined, ack: () => undefined }

let clock: FakeClock
let clients: ClientTransactions
let strays: number[]
let heard: string[]
let thrown: unknown[]

beforeEach(() => {
  clock = new FakeClock()
  strays = []
  heard = []
  thrown = []
  clients = new ClientTransactions({
    wire: new Wire({ listen: [], handler }, noPort),
    clock,
    timers: timersFrom(),
    below: null,
    userAgent: 'test',
    guard: run => {
      try {
        run()
        return true
      } catch (error) {
        thrown.push(error)
        return false
      }
    },
    stray: response => strays.push(response.status)
  })
})

const on = {
  response: (response: SipResponse) => void heard.push(`${clock.now} ${response.status}`),
  failed: (why: string) => void heard.push(`${clock.now} ${why}`)
}

const request = (method: string): SipRequest =>
  makeRequest({
    method,
    uri: 'sip:b@example.org',
    headers: [
      ['Route', '<sip:192.0.2.9;lr>'],
      ['From', '<sip:a@example.org>;tag=f'],
      ['To', '<sip:b@example.org>'],
      ['Call-ID', newCallId()],
      ['CSeq', `7 ${method}`]
    ]
  })

function answer(flow: FakeFlow, status: number, toTag = 't'): boolean {
  const { message } = flow.sent[0]!
  if (message.kind !== 'request') throw new Error('no request was sent')
  return receive(makeResponse(message, status, { toTag }), flow)
}

function receive(response: SipResponse, flow: FakeFlow): boolean {
  const branch = parseVia(response.headers.get('Via')!)!.params.get('branch')!
  return clients.receive(response, branch, response.headers.get('CSeq')!.split(' ')[1]!, flow)
}

describe('client INVITE transactions', () => {
  it('on UDP go out at 0, T1, 3*T1 and so on, doubling without cap, and fail after 64*T1', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('INVITE'), { flow }, on)
    clock.advance(100_000)
    expect(flow.log).toEqual([0, 500, 1500, 3500, 7500, 15500, 31500].map(at => `${at} INVITE`))
    expect(heard).toEqual(['32000 timeout'])
    expect([clients.size, clock.pending]).toEqual([0, 0])
  })

  it('on a reliable transport go out once, and fail after 64*T1', () => {
    const flow = new FakeFlow('tcp', clock)
    clients.send(request('INVITE'), { flow }, on)
    clock.advance(100_000)
    expect(flow.log).toEqual(['0 INVITE'])
    expect(heard).toEqual(['32000 timeout'])
    expect(clients.size).toBe(0)
  })

  it('stop being sent at a provisional answer, and then wait without end', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('INVITE'), { flow }, on)
    clock.advance(600)
    answer(flow, 180)
    clock.advance(1_000_000)
    expect(flow.log).toEqual(['0 INVITE', '500 INVITE'])
    expect(heard).toEqual(['600 180'])
  })

  it('acknowledge a refusal, and each copy of it for 32 s, telling their user once', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('INVITE'), { flow }, on)
    answer(flow, 486)
    clock.advance(500)
    answer(flow, 486)
    clock.advance(31_499)
    expect(clients.size).toBe(1)
    expect(answer(flow, 486)).toBe(true)
    clock.advance(1)
    expect(clients.size).toBe(0)
    expect(answer(flow, 486)).toBe(false)
    expect(flow.log).toEqual(['0 INVITE', '0 ACK', '500 ACK', '31999 ACK'])
    expect(heard).toEqual(['0 486'])
  })

  it('build that ACK from the INVITE and the answer: branch, Route, CSeq number, To tag', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('INVITE'), { flow }, on)
    answer(flow, 404, 'callee')
    const [invite, ack] = flow.sent.map(({ message }) => message)
    expect(ack).toMatchObject({ kind: 'request', method: 'ACK', uri: 'sip:b@example.org' })
    expect(ack!.headers.all('Via')).toEqual(invite!.headers.all('Via'))
    expect(ack!.headers.all('Route')).toEqual(['<sip:192.0.2.9;lr>'])
    expect(ack!.headers.get('CSeq')).toBe('7 ACK')
    expect(ack!.headers.get('To')).toBe('<sip:b@example.org>;tag=callee')
    expect(ack!.headers.get('Call-ID')).toBe(invite!.headers.get('Call-ID'))
  })

  it('on a reliable transport are forgotten at once after a refusal', () => {
    const flow = new FakeFlow('tcp', clock)
    clients.send(request('INVITE'), { flow }, on)
    answer(flow, 486)
    expect(flow.log).toEqual(['0 INVITE', '0 ACK'])
    expect([clients.size, clock.pending]).toEqual([0, 0])
  })

  it('once accepted, hand up every further 2xx as a stray for 64*T1, and ignore all else', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('INVITE'), { flow }, on)
    answer(flow, 200, 'one')
    answer(flow, 200, 'two')
    answer(flow, 180)
    answer(flow, 486)
    clock.advance(31_999)
    answer(flow, 200, 'one')
    clock.advance(1)
    expect(answer(flow, 200, 'one')).toBe(false)
    expect(heard).toEqual(['0 200'])
    expect(strays).toEqual([200, 200])
    expect(flow.log).toEqual(['0 INVITE'])
  })

  it('fail at once where the path fails, but not before send has returned', async () => {
    const flow = new FakeFlow('udp', clock)
    flow.error = new Error('network unreachable')
    clients.send(request('INVITE'), { flow }, on)
    expect(heard).toEqual([])
    await Promise.resolve()
    expect(heard).toEqual(['0 transport'])
    expect([clients.size, clock.pending]).toEqual([0, 0])
  })

  it('fail with their connection while nothing has come; once ringing, only on a WebSocket', () => {
    const outcomes = (['tcp', 'ws'] as const).flatMap(transport =>
      [false, true].map(ringing => {
        heard = []
        const flow = new FakeFlow(transport, clock)
        clients.send(request('INVITE'), { flow }, on)
        if (ringing) answer(flow, 180)
        clients.flowClosed(flow)
        return `${transport} ${ringing ? 'ringing' : 'calling'}: ${heard.join(', ')}`
      })
    )
    expect(outcomes).toEqual([
      'tcp calling: 0 transport',
      'tcp ringing: 0 180',
      'ws calling: 0 transport',
      'ws ringing: 0 180, 0 transport'
    ])
  })

  it('survive a user that throws', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('INVITE'), { flow }, { ...on, response: () => expect(1).toBe(2) })
    answer(flow, 180)
    answer(flow, 486)
    expect(thrown.length).toBe(2)
    expect(flow.log).toEqual(['0 INVITE', '0 ACK'])
  })
})

describe('CANCEL', () => {
  it('waits for a provisional answer, then goes out in the branch of its INVITE with the given header fields', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = clients.send(request('INVITE'), { flow }, on)
    tx.cancel([{ name: 'Reason', value: 'SIP;cause=200' }])
    expect(flow.log).toEqual(['0 INVITE'])
    answer(flow, 180)
    tx.cancel()
    expect(flow.log).toEqual(['0 INVITE', '0 CANCEL'])
    const [invite, cancel] = flow.sent.map(({ message }) => message)
    expect(cancel!.headers.all('Via')).toEqual(invite!.headers.all('Via'))
    expect(cancel!.headers.get('CSeq')).toBe('7 CANCEL')
    expect(cancel!.headers.get('To')).toBe('<sip:b@example.org>')
    expect(cancel!.headers.all('Route')).toEqual(['<sip:192.0.2.9;lr>'])
    expect(cancel!.headers.get('Reason')).toBe('SIP;cause=200')
  })

  it('is not sent where the final answer came first', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = clients.send(request('INVITE'), { flow }, on)
    tx.cancel()
    answer(flow, 200)
    tx.cancel()
    expect(flow.log).toEqual(['0 INVITE'])
    expect(heard).toEqual(['0 200'])
  })

  it('is sent again until answered, and the INVITE still has its own answer', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = clients.send(request('INVITE'), { flow }, on)
    answer(flow, 180)
    tx.cancel()
    clock.advance(600)
    const cancel = flow.sent[1]!.message
    if (cancel.kind === 'request') receive(makeResponse(cancel, 200), flow)
    answer(flow, 487)
    clock.advance(4_000)
    expect(flow.log).toEqual(['0 INVITE', '0 CANCEL', '500 CANCEL', '600 ACK'])
    expect(heard).toEqual(['0 180', '600 487'])
  })

  it('without any effect for 64*T1 ends the INVITE as a timeout', () => {
    const flow = new FakeFlow('tcp', clock)
    const tx = clients.send(request('INVITE'), { flow }, on)
    answer(flow, 180)
    tx.cancel()
    clock.advance(32_000)
    expect(heard).toEqual(['0 180', '32000 timeout'])
    expect(clients.size).toBe(0)
  })
})

describe('other client transactions', () => {
  it('on UDP go out with doubling gaps up to T2, and fail after 64*T1', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('OPTIONS'), { flow }, on)
    clock.advance(100_000)
    expect(flow.sent.map(({ at }) => at)).toEqual([0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500])
    expect(heard).toEqual(['32000 timeout'])
    expect([clients.size, clock.pending]).toEqual([0, 0])
  })

  it('after a provisional answer go out every T2', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('OPTIONS'), { flow }, on)
    answer(flow, 100)
    clock.advance(9_000)
    expect(flow.sent.map(({ at }) => at)).toEqual([0, 500, 4500, 8500])
  })

  it('absorb copies of the final answer for T4 on UDP, and for no time elsewhere', () => {
    const udp = new FakeFlow('udp', clock)
    clients.send(request('BYE'), { flow: udp }, on)
    answer(udp, 200)
    clock.advance(4_999)
    expect(answer(udp, 200)).toBe(true)
    clock.advance(1)
    expect(answer(udp, 200)).toBe(false)
    const tcp = new FakeFlow('tcp', clock)
    clients.send(request('BYE'), { flow: tcp }, on)
    answer(tcp, 200)
    expect(answer(tcp, 200)).toBe(false)
    expect(heard).toEqual(['0 200', '5000 200'])
    expect([clients.size, clock.pending]).toEqual([0, 0])
  })

  it('are matched by branch and method: an answer to another method is nobody’s', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('OPTIONS'), { flow }, on)
    const branch = parseVia(flow.sent[0]!.message.headers.get('Via')!)!.params.get('branch')!
    const { message } = flow.sent[0]!
    if (message.kind !== 'request') throw new Error('no request')
    expect(clients.receive(makeResponse(message, 200), branch, 'INVITE', flow)).toBe(false)
    expect(clients.receive(makeResponse(message, 200), `${branch}x`, 'OPTIONS', flow)).toBe(false)
    expect(clients.receive(makeResponse(message, 200), `${branch}|CANCEL`, 'OPTIONS', flow)).toBe(false)
    expect(clients.receive(makeResponse(message, 200), branch, 'CANCEL', flow)).toBe(false)
    expect(heard).toEqual([])
  })

  it('carry Via with rport, Max-Forwards and User-Agent, unless the user has its own', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('OPTIONS'), { flow }, on)
    const own = request('OPTIONS')
    own.headers.add('Max-Forwards', '12')
    own.headers.add('User-Agent', 'mine')
    clients.send(own, { flow }, on)
    const [first, second] = flow.sent.map(({ message }) => message.headers)
    expect(first!.get('Via')).toMatch(/^SIP\/2\.0\/UDP 192\.0\.2\.1:5060;rport;branch=z9hG4bK[0-9a-f]{24}$/)
    expect([first!.get('Max-Forwards'), first!.get('User-Agent')]).toEqual(['70', 'test'])
    expect([second!.get('Max-Forwards'), second!.get('User-Agent')]).toEqual(['12', 'mine'])
    expect(first!.get('Via')).not.toBe(second!.get('Via'))
  })

  it('all fail when the stack closes', () => {
    const flow = new FakeFlow('udp', clock)
    clients.send(request('OPTIONS'), { flow }, on)
    clients.send(request('INVITE'), { flow }, on)
    clients.close()
    expect(heard).toEqual(['0 transport', '0 transport'])
    expect([clients.size, clock.pending]).toEqual([0, 0])
  })
})
