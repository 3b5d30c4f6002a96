import { afterEach, describe, expect, it } from '@jest/globals'
import { makeRequest, makeResponse, newCallId, printMessage } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { createStack } from '../../src/sip/stack.ts'
import type { ServerTransaction, SipStack, StackOptions } from '../../src/sip/stack.ts'
import { nameOf, rawRequest, rawUdp } from '../support/sip-wire.ts'
import type { RawPeer } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'

const open: (SipStack | RawPeer)[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

interface Served {
  readonly stack: SipStack
  readonly pending: ServerTransaction[]
  readonly acks: SipRequest[]
  readonly strays: number[]
  readonly tapped: string[]
  readonly port: number
}

async function serve(over: Partial<StackOptions> = {}): Promise<Served> {
  const pending: ServerTransaction[] = []
  const acks: SipRequest[] = []
  const strays: number[] = []
  const tapped: string[] = []
  const stack = createStack({
    listen: [{ transport: 'udp', host: '127.0.0.1', port: 0 }],
    tap: (direction, message) => void tapped.push(`${direction} ${nameOf(message)}`),
    userAgent: 'isthmus',
    handler: {
      request: tx => void pending.push(tx),
      ack: ack => void acks.push(ack),
      strayResponse: ({ status }) => void strays.push(status)
    },
    ...over
  })
  await stack.start()
  open.push(stack)
  return { stack, pending, acks, strays, tapped, port: stack.listening[0]?.port ?? 0 }
}

async function dial(port: number): Promise<RawPeer> {
  const peer = await rawUdp(port)
  open.push(peer)
  return peer
}

const respond = (tx: ServerTransaction, status: number): void =>
  tx.respond(makeResponse(tx.request, status, { toTag: tx.localTag }))

const request = (method: string, body = ''): SipRequest =>
  makeRequest({
    method,
    uri: 'sip:b@example.org',
    headers: [
      ['From', '<sip:a@example.org>;tag=f'],
      ['To', '<sip:b@example.org>'],
      ['Call-ID', newCallId()],
      ['CSeq', `1 ${method}`]
    ],
    body
  })

const statuses = (peer: RawPeer): readonly string[] => peer.received.map(text => text.slice(8, 11))

describe('where answers go (RFC 3261 18.2.2, RFC 3581)', () => {
  it('to the source port where rport asks for it, else to the port of sent-by; always to the source address', async () => {
    const { port, pending } = await serve()
    const peer = await dial(port)
    const other = await dial(port)
    peer.send(rawRequest({ viaParams: ';rport', sentBy: '192.0.2.7:5099' }))
    await until(() => pending.length === 1)
    respond(pending[0]!, 200)
    peer.send(rawRequest({ branch: 'z9hG4bK2', callId: 'two', sentBy: `192.0.2.7:${other.port}` }))
    await until(() => pending.length === 2)
    respond(pending[1]!, 200)
    await until(() => peer.received.length === 1 && other.received.length === 1)
    expect(peer.text).toContain(`192.0.2.7:5099;branch=z9hG4bK1;rport=${peer.port};received=127.0.0.1\r\n`)
    expect(other.text).toContain('branch=z9hG4bK2;received=127.0.0.1\r\n')
    expect(pending[1]!.flow.remote).toEqual({ host: '127.0.0.1', port: peer.port })
  })

  it('not to where maddr says', async () => {
    const { port, pending } = await serve()
    const peer = await dial(port)
    peer.send(rawRequest({ viaParams: ';rport;maddr=192.0.2.66' }))
    await until(() => pending.length === 1)
    respond(pending[0]!, 200)
    await until(() => peer.received.length === 1)
  })
})

describe('what the stack answers by itself', () => {
  it('a CANCEL without its INVITE: 481; with it: 200 under the same To tag, and its user hears of it', async () => {
    const { port, pending } = await serve()
    const peer = await dial(port)
    peer.send(rawRequest({ method: 'CANCEL', viaParams: ';rport' }))
    await until(() => peer.received.length === 1)
    peer.send(rawRequest({ method: 'INVITE', viaParams: ';rport' }))
    await until(() => pending.length === 1)
    const tx = pending[0]!
    const cancels: string[] = []
    tx.onCancel = cancel => {
      cancels.push(cancel.method)
      respond(tx, 487)
    }
    peer.send(rawRequest({ method: 'CANCEL', viaParams: ';rport' }))
    await until(() => peer.received.length === 3)
    expect(statuses(peer)).toEqual(['481', '200', '487'])
    expect(peer.received[1]).toContain(`;tag=${tx.localTag}`)
    expect(peer.received[1]).toContain('Server: isthmus')
    peer.send(rawRequest({ method: 'CANCEL', viaParams: ';rport' }))
    await until(() => peer.received.length === 4)
    expect([statuses(peer)[3], cancels]).toEqual(['200', ['CANCEL']])
  })

  it('a request that came by two ways: 482', async () => {
    const { port, pending } = await serve()
    const peer = await dial(port)
    peer.send(rawRequest({ method: 'INVITE', viaParams: ';rport' }))
    peer.send(rawRequest({ method: 'INVITE', viaParams: ';rport', branch: 'z9hG4bKother' }))
    await until(() => peer.received.some(text => text.startsWith('SIP/2.0 482')))
    expect(pending.length).toBe(1)
  })

  it('more transactions than its bound: 503; its own requests then fail; what is inside a dialog has a reserve', async () => {
    const { port, pending, stack } = await serve({ limits: { transactionsMax: 1 } })
    const peer = await dial(port)
    peer.send(rawRequest({ method: 'INVITE', viaParams: ';rport' }))
    await until(() => pending.length === 1)
    peer.send(rawRequest({ viaParams: ';rport', branch: 'z9hG4bK2', callId: 'two' }))
    await until(() => peer.received.some(text => text.startsWith('SIP/2.0 503')))
    expect(peer.text).not.toContain('Retry-After')
    peer.send(rawRequest({ method: 'BYE', viaParams: ';rport', branch: 'z9hG4bK3', callId: 'three', toTag: 't' }))
    await until(() => pending.length === 2)
    const errors: unknown[] = []
    const to = { transport: 'udp', host: '127.0.0.1', port: peer.port } as const
    stack.send(request('OPTIONS'), to, { response: () => undefined, failed: (_why, error) => void errors.push(error) })
    await until(() => errors.length === 1)
    expect(errors[0]).toMatchObject({ code: 'HUB_LIMIT' })
    expect([pending.length, stack.counts.serverTransactions, stack.counts.clientTransactions]).toEqual([2, 2, 0])
  })

  it('more bytes of open requests than its bound: 503, until others are over', async () => {
    const { port, pending } = await serve({ limits: { requestBytesMax: 3_000 } })
    const peer = await dial(port)
    const long = { viaParams: ';rport', headers: [`Subject: ${'x'.repeat(2_000)}`] }
    peer.send(rawRequest({ ...long, branch: 'z9hG4bKone', callId: 'one' }))
    await until(() => pending.length === 1)
    peer.send(rawRequest({ ...long, branch: 'z9hG4bKtwo', callId: 'two' }))
    await until(() => peer.received.some(text => text.startsWith('SIP/2.0 503')))
    pending[0]!.respond(makeResponse(pending[0]!.request, 200))
    peer.send(rawRequest({ ...long, branch: 'z9hG4bKthree', callId: 'three' }))
    await until(() => pending.length === 2)
  })

  it('a request whose handler fails: 500', async () => {
    const { port, stack } = await serve({
      handler: {
        request: () => {
          throw new Error('a fault of ours')
        },
        ack: () => {
          throw new Error('another one')
        }
      }
    })
    const peer = await dial(port)
    peer.send(rawRequest({ method: 'ACK' }))
    peer.send(rawRequest({ viaParams: ';rport' }))
    await until(() => statuses(peer).join() === '500')
    expect(stack.counts.serverTransactions).toBe(1)
  })

  it('an INVITE nobody answers: 100', async () => {
    const { port } = await serve({ timers: { trying: 1 } })
    const peer = await dial(port)
    peer.send(rawRequest({ method: 'INVITE', viaParams: ';rport' }))
    await until(() => statuses(peer).join() === '100')
  })
})

describe('what the stack never answers', () => {
  it('an ACK, malformed or stray; a response, malformed or stray; noise and keepalives', async () => {
    const { port, pending, acks, stack } = await serve()
    const peer = await dial(port)
    peer.send(rawRequest({ method: 'ACK', headers: ['Call-ID: twice'] }))
    peer.send('SIP/2.0 999 No\r\n\r\n')
    peer.send(
      printMessage(
        makeResponse({ ...request('OPTIONS'), headers: viaHeaders('z9hG4bKnobody', 'OPTIONS') }, 200)
      ).toString()
    )
    peer.send('\r\n\r\n')
    peer.send('\0')
    peer.send(Buffer.alloc(2_000, 255))
    peer.send(rawRequest({ method: 'ACK', toTag: 'gone' }))
    peer.send(rawRequest({ viaParams: ';rport', callId: 'last', branch: 'z9hG4bKlast' }))
    await until(() => pending.length === 1)
    expect([peer.received, acks.length, stack.counts.dropped]).toEqual([[], 1, 4])
  })

  it('unknown sources on UDP, neither `drop` nor `refuse`', async () => {
    for (const verdict of ['drop', 'refuse'] as const) {
      const known = new Set<number>()
      const { port, pending, stack } = await serve({
        screen: ({ remote }) => (known.has(remote.port) ? { peerId: 'operator' } : verdict)
      })
      const stranger = await dial(port)
      const operator = await dial(port)
      known.add(operator.port)
      stranger.send(rawRequest({ viaParams: ';rport' }))
      stranger.send('rubbish that is no SIP')
      operator.send(rawRequest({ viaParams: ';rport', callId: 'mine', branch: 'z9hG4bKmine' }))
      await until(() => pending.length === 1 && stack.counts.dropped === 2)
      expect([stranger.received, pending[0]!.flow.peerId, stack.counts.serverTransactions]).toEqual([[], 'operator', 1])
    }
  })

  it('what exceeds the rate of its source', async () => {
    const { port, pending, stack } = await serve({ limits: { messagesPerSecondMax: 5 } })
    const peer = await dial(port)
    for (let n = 0; n < 50; n++) peer.send(rawRequest({ callId: `call-${n}`, branch: `z9hG4bK${n}` }))
    await until(() => pending.length + stack.counts.dropped === 50)
    expect(pending.length).toBeLessThan(20)
  })

  it('anybody, where screening itself fails', async () => {
    const { port, stack } = await serve({
      screen: () => {
        throw new Error('no table')
      }
    })
    const peer = await dial(port)
    peer.send(rawRequest({ viaParams: ';rport' }))
    await until(() => stack.counts.dropped === 1)
    expect(peer.received).toEqual([])
  })
})

const viaHeaders = (branch: string, method: string): SipRequest['headers'] => {
  const { headers } = request(method)
  headers.prepend('Via', `SIP/2.0/UDP 127.0.0.1:5060;branch=${branch}`)
  return headers
}

describe('answers to requests of the stack', () => {
  it('drops those with another hop’s Via below, and hands up a stray 2xx to INVITE', async () => {
    const { port, strays, stack } = await serve()
    const peer = await dial(port)
    const stray = { ...request('INVITE'), headers: viaHeaders('z9hG4bKgone', 'INVITE') }
    peer.send(printMessage(makeResponse(stray, 200)))
    peer.send(printMessage(makeResponse(stray, 486)))
    stray.headers.add('Via', 'SIP/2.0/UDP 192.0.2.5;branch=z9hG4bKbelow')
    peer.send(printMessage(makeResponse(stray, 200)))
    await until(() => stack.counts.dropped === 2 && strays.length === 1)
    expect(strays).toEqual([200])
  })

  it('reach their user, with every message tapped', async () => {
    const server = await serve()
    const client = await serve()
    const heard: number[] = []
    const to = { transport: 'udp', host: '127.0.0.1', port: server.port } as const
    const tx = client.stack.send(request('INVITE'), to, {
      response: ({ status }) => void heard.push(status),
      failed: why => expect(why).toBeUndefined()
    })
    await until(() => server.pending.length === 1)
    respond(server.pending[0]!, 180)
    respond(server.pending[0]!, 603)
    await until(() => server.tapped.includes('in ACK'))
    expect(heard).toEqual([180, 603])
    expect(client.tapped).toEqual(['out INVITE', 'in 180 INVITE', 'in 603 INVITE', 'out ACK'])
    expect(server.tapped).toEqual(['in INVITE', 'out 180 INVITE', 'out 603 INVITE', 'in ACK'])
    expect(server.acks).toEqual([])
    expect(tx.request.headers.get('User-Agent')).toBe('isthmus')
    expect(tx.flow?.remote).toEqual({ host: '127.0.0.1', port: server.port })
  })

  it('an ACK to a 2xx goes out under a branch of its own', async () => {
    const server = await serve()
    const client = await serve()
    const ack = request('ACK')
    client.stack.sendAck(ack, { transport: 'udp', host: '127.0.0.1', port: server.port })
    client.stack.sendAck(ack, { transport: 'udp', host: '127.0.0.1', port: server.port })
    await until(() => server.acks.length === 2)
    const branches = server.acks.map(({ headers }) => headers.get('Via')?.split('branch=')[1])
    expect(branches[0]).not.toBe(branches[1])
    expect(server.acks[0]!.headers.get('Max-Forwards')).toBe('70')
  })

  it('host names are looked up; one that does not exist fails the request', async () => {
    const server = await serve()
    const client = await serve()
    const failures: string[] = []
    const on = { response: () => undefined, failed: (why: string) => void failures.push(why) }
    client.stack.send(request('OPTIONS'), { transport: 'udp', host: 'localhost', port: server.port }, on)
    await until(() => server.pending.length === 1)
    client.stack.send(request('OPTIONS'), { transport: 'udp', host: 'nobody.invalid', port: 5060 }, on)
    await until(() => failures.length === 1)
    expect(failures).toEqual(['transport'])
  })

  it('what cannot be reached at all fails: no listener, no port, no WebSocket', async () => {
    const { stack } = await serve()
    const none = await serve({ listen: [] })
    const failures: string[] = []
    const on = { response: () => undefined, failed: (why: string) => void failures.push(why) }
    none.stack.send(request('OPTIONS'), { transport: 'udp', host: '127.0.0.1', port: 5060 }, on)
    stack.send(request('OPTIONS'), { transport: 'udp', host: '127.0.0.1', port: 0 }, on)
    stack.send(request('OPTIONS'), { transport: 'tcp', host: '127.0.0.1', port: 70_000 }, on)
    stack.send(request('OPTIONS'), { transport: 'ws', host: '127.0.0.1', port: 80 }, on)
    stack.sendAck(request('ACK'), { transport: 'ws', host: '127.0.0.1', port: 80 })
    await until(() => failures.length === 4)
    expect(stack.counts.clientTransactions).toBe(0)
  })
})

describe('large requests (RFC 3261, 18.1.1)', () => {
  const on = { response: () => undefined, failed: () => undefined }
  const local = (transport: 'udp' | 'tcp', port = 0) => ({ transport, host: '127.0.0.1', port }) as const

  it('go by TCP where TCP listens here, and by UDP where nobody takes TCP: the next ones at once', async () => {
    const both = await serve({ listen: [local('udp')] })
    const client = await serve({ listen: [local('udp'), local('tcp')] })
    const to = { transport: 'udp', host: '127.0.0.1', port: both.port } as const
    client.stack.send(request('MESSAGE', 'x'.repeat(1_300)), to, on)
    await until(() => both.pending.length === 1)
    expect(both.pending[0]!.request.headers.get('Via')).toMatch(/^SIP\/2\.0\/UDP /)
    expect(both.pending[0]!.request.headers.all('Via')).toHaveLength(1)
    await both.stack.close()
    const tcp = await serve({ listen: [local('tcp', both.port), local('udp', both.port)] })
    client.stack.send(request('MESSAGE', 'x'.repeat(1_300)), to, on)
    await until(() => tcp.pending.length === 1)
    expect(tcp.pending[0]!.flow.transport).toBe('udp')
    const fresh = await serve({ listen: [local('udp'), local('tcp')] })
    fresh.stack.send(request('MESSAGE', 'x'.repeat(1_300)), to, on)
    await until(() => tcp.pending.length === 2)
    expect(tcp.pending[1]!.request.headers.all('Via')).toHaveLength(1)
    expect(tcp.pending[1]!.request.headers.get('Via')).toMatch(/^SIP\/2\.0\/TCP /)
    expect(tcp.pending[1]!.flow.transport).toBe('tcp')
    // A small one stays where it was sent to.
    fresh.stack.send(request('MESSAGE', 'x'.repeat(100)), to, on)
    await until(() => tcp.pending.length === 3)
    expect(tcp.pending[2]!.flow.transport).toBe('udp')
  })

  it('stay on UDP where TCP does not listen here, since no answer could come over it', async () => {
    const server = await serve()
    const client = await serve({ listen: [local('udp')] })
    const to = { transport: 'udp', host: '127.0.0.1', port: server.port } as const
    client.stack.send(request('MESSAGE', 'x'.repeat(20_000)), to, on)
    await until(() => server.pending.length === 1)
    expect(server.pending[0]!.request.body.length).toBe(20_000)
  })
})

describe('starting and closing', () => {
  it('does not start where a port is taken, and leaves nothing bound', async () => {
    const taken = await serve()
    const free = await dial(1)
    await free.close()
    open.pop()
    const stack = createStack({
      listen: [
        { transport: 'tcp', host: '127.0.0.1', port: free.port },
        { transport: 'udp', host: '127.0.0.1', port: taken.port }
      ],
      handler: { request: () => undefined, ack: () => undefined }
    })
    await expect(stack.start()).rejects.toMatchObject({
      code: 'HUB_LISTEN',
      message: expect.stringContaining(`udp/127.0.0.1:${taken.port}`)
    })
    await serve({ listen: [{ transport: 'tcp', host: '127.0.0.1', port: free.port }] })
  })

  it('says what Via names: the advertised host, the listener, or nothing', async () => {
    const { stack, port } = await serve({
      listen: [
        { transport: 'udp', host: '0.0.0.0', port: 0, advertise: 'sip.example.org' },
        { transport: 'tcp', host: '127.0.0.1', port: 0 }
      ]
    })
    expect(stack.localAddress('udp', '192.0.2.1')).toEqual({ host: 'sip.example.org', port })
    expect(stack.localAddress('tcp')).toEqual({ host: '127.0.0.1', port: stack.listening[1]!.port })
    expect([stack.localAddress('tls'), stack.localAddress('ws')]).toEqual([null, null])
  })

  it('tells users of open transactions when it closes', async () => {
    const server = await serve()
    const client = await serve()
    const ends: string[] = []
    const to = { transport: 'udp', host: '127.0.0.1', port: server.port } as const
    client.stack.send(request('INVITE'), to, { response: () => undefined, failed: why => void ends.push(why) })
    await until(() => server.pending.length === 1)
    server.pending[0]!.onEnd = why => void ends.push(why)
    await client.stack.close()
    await server.stack.close()
    expect(ends).toEqual(['transport', 'transport'])
  })
})
