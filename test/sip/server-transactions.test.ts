import { beforeEach, describe, expect, it } from '@jest/globals'
import { serverKey } from '../../src/sip/hop.ts'
import { makeResponse, parseMessage, parseVia } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { stackLimits } from '../../src/sip/ports.ts'
import type { ServerTransaction } from '../../src/sip/ports.ts'
import { ServerTransactions } from '../../src/sip/server-transactions.ts'
import { timersFrom } from '../../src/sip/timers.ts'
import { Wire } from '../../src/sip/wire.ts'
import { FakeClock, FakeFlow, rawRequest } from '../support/sip-wire.ts'
import type { RawRequest } from '../support/sip-wire.ts'

let clock: FakeClock
let servers: ServerTransactions
let acks: string[]
let ends: string[]

beforeEach(() => {
  clock = new FakeClock()
  acks = []
  ends = []
  const wire = new Wire(
    { listen: [], handler: { request: () => undefined, ack: () => undefined } },
    {
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
  )
  const guard = (run: () => void): boolean => {
    run()
    return true
  }
  servers = new ServerTransactions(
    { wire, clock, below: null, timers: timersFrom(), userAgent: null, guard, stray: () => undefined },
    ack => void acks.push(ack.headers.get('CSeq') ?? '')
  )
})

function requestOf(of: RawRequest): SipRequest {
  const parsed = parseMessage(Buffer.from(rawRequest(of)))
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error('not a request')
  return parsed.message
}

const viaOf = (request: SipRequest) => parseVia(request.headers.get('Via')!)!

/** The request as the stack takes it in: a transaction, or null where it belongs to one. */
function arrive(of: RawRequest, flow: FakeFlow): ServerTransaction | null {
  const request = requestOf(of)
  const via = viaOf(request)
  if (request.method === 'ACK') {
    servers.acknowledge(request, via, flow)
    return null
  }
  const key = serverKey(request, via, request.method)
  if (servers.again(key)) return null
  const tx = servers.create(request, key, flow, { flow, port: 5060 }, rawRequest(of).length)
  if (tx !== null) tx.onEnd = why => void ends.push(`${clock.now} ${why}`)
  return tx
}

const respond = (tx: ServerTransaction, status: number): void =>
  tx.respond(makeResponse(tx.request, status, { toTag: tx.localTag }))

describe('server INVITE transactions', () => {
  it('send 100 after 200 ms of silence, and again for each copy of the INVITE', () => {
    const flow = new FakeFlow('udp', clock)
    arrive({ method: 'INVITE' }, flow)
    arrive({ method: 'INVITE' }, flow)
    clock.advance(200)
    arrive({ method: 'INVITE' }, flow)
    expect(flow.log).toEqual(['200 100 INVITE', '200 100 INVITE'])
    expect(flow.sent[0]!.message.headers.get('To')).toBe('<sip:b@example.org>')
  })

  it('send no 100 where their user was faster, and answer copies with its last provisional answer', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = arrive({ method: 'INVITE' }, flow)!
    respond(tx, 180)
    respond(tx, 183)
    clock.advance(1_000)
    arrive({ method: 'INVITE' }, flow)
    expect(flow.log).toEqual(['0 180 INVITE', '0 183 INVITE', '1000 183 INVITE'])
  })

  it('on UDP send a refusal with doubling gaps up to T2 until the ACK, or for 64*T1', () => {
    const flow = new FakeFlow('udp', clock)
    respond(arrive({ method: 'INVITE' }, flow)!, 486)
    clock.advance(100_000)
    expect(flow.sent.map(({ at }) => at)).toEqual([0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500])
    expect(ends).toEqual(['32000 timeout'])
    expect([servers.size, clock.pending]).toEqual([0, 0])
  })

  it('on a reliable transport send a refusal once', () => {
    const flow = new FakeFlow('tcp', clock)
    respond(arrive({ method: 'INVITE' }, flow)!, 486)
    clock.advance(100_000)
    expect(flow.log).toEqual(['0 486 INVITE'])
    expect(ends).toEqual(['32000 timeout'])
  })

  it('take the ACK to a refusal, absorb copies of it for T4, and hand none of them up', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = arrive({ method: 'INVITE' }, flow)!
    respond(tx, 486)
    clock.advance(700)
    arrive({ method: 'ACK' }, flow)
    expect(tx.state).toBe('confirmed')
    clock.advance(4_999)
    arrive({ method: 'ACK' }, flow)
    arrive({ method: 'INVITE' }, flow)
    clock.advance(1)
    expect(servers.size).toBe(0)
    expect(flow.log).toEqual(['0 486 INVITE', '500 486 INVITE'])
    expect([acks, ends]).toEqual([[], ['700 done']])
  })

  it('once accepted absorb the INVITE for 64*T1, send 2xx as often as their user says, hand the ACK up', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = arrive({ method: 'INVITE' }, flow)!
    respond(tx, 200)
    arrive({ method: 'INVITE' }, flow)
    clock.advance(500)
    respond(tx, 200)
    respond(tx, 486)
    respond(tx, 180)
    arrive({ method: 'ACK' }, flow)
    clock.advance(31_499)
    expect(servers.size).toBe(1)
    clock.advance(1)
    expect(servers.size).toBe(0)
    respond(tx, 200)
    expect(flow.log).toEqual(['0 200 INVITE', '500 200 INVITE'])
    expect([acks, ends]).toEqual([['1 ACK'], ['0 done']])
  })

  it('tell their user when an answer cannot be sent', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = arrive({ method: 'INVITE' }, flow)!
    flow.error = new Error('network unreachable')
    respond(tx, 180)
    expect([ends, tx.state, servers.size]).toEqual([['0 transport'], 'terminated', 0])
  })

  it('put their tag into answers that have none, and keep the tag of those that have one', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = arrive({ method: 'INVITE' }, flow)!
    const bare = makeResponse(tx.request, 180)
    bare.headers.set('To', '<sip:b@example.org>')
    tx.respond(bare)
    expect(flow.sent[0]!.message.headers.get('To')).toBe(`<sip:b@example.org>;tag=${tx.localTag}`)
    tx.respond(makeResponse(tx.request, 183, { toTag: 'mine' }))
    const cancel = requestOf({ method: 'CANCEL' })
    expect(servers.cancel(cancel, viaOf(cancel))?.tag).toBe('mine')
  })
})

describe('other server transactions', () => {
  it('absorb copies in silence until there is an answer, then answer them for 64*T1 on UDP', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = arrive({}, flow)!
    arrive({}, flow)
    expect(flow.log).toEqual([])
    respond(tx, 200)
    arrive({}, flow)
    clock.advance(31_999)
    arrive({}, flow)
    clock.advance(1)
    expect(flow.log).toEqual(['0 200 OPTIONS', '0 200 OPTIONS', '31999 200 OPTIONS'])
    expect([servers.size, ends]).toEqual([0, ['0 done']])
  })

  it('on a reliable transport are forgotten with their answer', () => {
    const flow = new FakeFlow('tcp', clock)
    respond(arrive({}, flow)!, 200)
    expect([servers.size, clock.pending]).toEqual([0, 0])
  })

  it('whose user never answers are given up after 64*T1', () => {
    const tx = arrive({}, new FakeFlow('udp', clock))!
    clock.advance(32_000)
    respond(tx, 200)
    expect([ends, servers.size, tx.state]).toEqual([['32000 timeout'], 0, 'terminated'])
  })

  it('ignore a second final answer', () => {
    const flow = new FakeFlow('udp', clock)
    const tx = arrive({}, flow)!
    respond(tx, 200)
    respond(tx, 500)
    expect(flow.log).toEqual(['0 200 OPTIONS'])
  })
})

describe('matching requests to server transactions', () => {
  it('takes branch, sent-by and method together', () => {
    const flow = new FakeFlow('udp', clock)
    const distinct: readonly RawRequest[] = [
      {},
      { branch: 'z9hG4bK2', callId: 'other' },
      { sentBy: '127.0.0.1:5098', callId: 'third' },
      { sentBy: 'EXAMPLE.org:5099', callId: 'fourth' },
      { method: 'INFO', callId: 'fifth' }
    ]
    expect(distinct.map(of => arrive(of, flow) !== null)).toEqual([true, true, true, true, true])
    expect(distinct.map(of => arrive(of, flow) !== null)).toEqual([false, false, false, false, false])
    expect(arrive({ sentBy: 'example.ORG:5099', callId: 'fourth' }, flow)).toBeNull()
  })

  it('without the magic cookie takes URI, From tag, Call-ID, CSeq and Via (RFC 2543)', () => {
    const flow = new FakeFlow('udp', clock)
    const old: RawRequest = { method: 'INVITE', branch: '1' }
    const tx = arrive(old, flow)!
    expect(arrive(old, flow)).toBeNull()
    expect(arrive({ ...old, callId: 'other' }, flow)).not.toBeNull()
    expect(arrive({ ...old, fromTag: 'other' }, flow)).not.toBeNull()
    respond(tx, 486)
    arrive({ ...old, method: 'ACK', toTag: 'somebody-else' }, flow)
    expect([acks, tx.state]).toEqual([['1 ACK'], 'completed'])
    arrive({ ...old, method: 'ACK', toTag: tx.localTag }, flow)
    expect([acks, tx.state]).toEqual([['1 ACK'], 'confirmed'])
  })

  it('also finds the CANCEL of an INVITE without the magic cookie, and without any branch', () => {
    const flow = new FakeFlow('udp', clock)
    for (const branch of ['old', '']) {
      const tx = arrive({ method: 'INVITE', branch, callId: `call-${branch}` }, flow)!
      const cancel = requestOf({ method: 'CANCEL', branch, callId: `call-${branch}` })
      expect(servers.cancel(cancel, viaOf(cancel))?.tag).toBe(tx.localTag)
    }
  })

  it('tells the user of a CANCEL once, and not after its final answer', () => {
    const flow = new FakeFlow('udp', clock)
    const cancelled: string[] = []
    const cancel = requestOf({ method: 'CANCEL' })
    const tx = arrive({ method: 'INVITE' }, flow)!
    tx.onCancel = () => void cancelled.push('first')
    servers.cancel(cancel, viaOf(cancel))!.tell()
    servers.cancel(cancel, viaOf(cancel))!.tell()
    expect(cancelled).toEqual(['first'])
    const late = requestOf({ method: 'CANCEL', branch: 'z9hG4bK9', callId: 'late' })
    const answered = arrive({ method: 'INVITE', branch: 'z9hG4bK9', callId: 'late' }, flow)!
    answered.onCancel = () => void cancelled.push('late')
    respond(answered, 200)
    servers.cancel(late, viaOf(late))!.tell()
    expect(cancelled).toEqual(['first'])
  })

  it('finds a copy that came another way, but not a fork to another user nor a request inside a dialog', () => {
    const flow = new FakeFlow('udp', clock)
    const invite: RawRequest = { method: 'INVITE', branch: 'z9hG4bKa' }
    const tx = arrive(invite, flow)!
    expect(arrive({ ...invite, branch: 'z9hG4bKb' }, flow)).toBeNull()
    expect(arrive({ ...invite, branch: 'z9hG4bKc', uri: 'sip:other@127.0.0.1' }, flow)).not.toBeNull()
    expect(arrive({ ...invite, branch: 'z9hG4bKd', toTag: 'x' }, flow)).not.toBeNull()
    respond(tx, 486)
    arrive({ ...invite, method: 'ACK' }, flow)
    clock.advance(5_000)
    expect(arrive({ ...invite, branch: 'z9hG4bKe' }, flow)).not.toBeNull()
  })

  it('counts the bytes of requests until their users have heard the end', () => {
    const flow = new FakeFlow('udp', clock)
    const refused = arrive({ method: 'INVITE', branch: 'z9hG4bKrefused', callId: 'refused' }, flow)!
    const other = arrive({ branch: 'z9hG4bKother', callId: 'other' }, flow)!
    const held = servers.heldBytes
    expect(held).toBeGreaterThan(300)
    other.respond(makeResponse(other.request, 200))
    clock.advance(40_000)
    refused.respond(makeResponse(refused.request, 486))
    expect(servers.heldBytes).toBeGreaterThan(0)
    expect(servers.heldBytes).toBeLessThan(held)
    clock.advance(40_000)
    expect(servers.heldBytes).toBe(0)
  })

  it('closing tells every user', () => {
    const flow = new FakeFlow('udp', clock)
    arrive({ method: 'INVITE' }, flow)
    arrive({ callId: 'other' }, flow)
    servers.close()
    expect([ends, servers.size, clock.pending]).toEqual([['0 transport', '0 transport'], 0, 0])
  })
})
