import { afterEach, describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { makeRequest, makeResponse, newCallId } from '../../../src/sip/message.ts'
import { createStack } from '../../../src/sip/stack.ts'
import type { ServerTransaction, SipStack, StackOptions } from '../../../src/sip/stack.ts'
import type { Source } from '../../../src/sip/transport/transport.ts'
import { rawRequest, rawStream } from '../../support/sip-wire.ts'
import type { RawPeer } from '../../support/sip-wire.ts'
import { until } from '../../support/until.ts'

const tlsFile = (name: string): string => readFileSync(join(import.meta.dirname, '../../support/tls', name), 'utf8')
const cert = tlsFile('cert.pem')
const key = tlsFile('key.pem')

const open: (SipStack | RawPeer)[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

interface Served {
  readonly stack: SipStack
  readonly requests: ServerTransaction[]
  readonly sources: Source[]
  readonly strays: number[]
  readonly port: number
}

type Transport = 'tcp' | 'tls'

/** A stack that answers every request 200. */
async function serve(transport: Transport, over: Partial<StackOptions> = {}): Promise<Served> {
  const requests: ServerTransaction[] = []
  const sources: Source[] = []
  const strays: number[] = []
  const stack = createStack({
    listen: [
      { transport, host: '127.0.0.1', port: 0, ...(transport === 'tls' ? { tls: { cert, key, ca: cert } } : {}) }
    ],
    tlsCa: cert,
    screen: source => {
      sources.push(source)
      return { peerId: 'peer' }
    },
    handler: {
      request: tx => {
        requests.push(tx)
        tx.respond(makeResponse(tx.request, 200, { toTag: tx.localTag }))
      },
      ack: () => undefined,
      strayResponse: ({ status }) => void strays.push(status)
    },
    ...over
  })
  await stack.start()
  open.push(stack)
  return { stack, requests, sources, strays, port: stack.listening[0]!.port }
}

async function dial(transport: Transport, port: number, own: { cert?: string; key?: string } = {}): Promise<RawPeer> {
  const peer = await rawStream(
    port,
    transport === 'tls' ? () => connectTls({ host: '127.0.0.1', port, ca: cert, ...own }) : undefined
  )
  open.push(peer)
  return peer
}

const count = (peer: RawPeer, text: string): number => peer.text.split(text).length - 1
const tcp = (over: Parameters<typeof rawRequest>[0] = {}): string => rawRequest({ transport: 'TCP', ...over })

describe.each(['tcp', 'tls'] as const)('SIP over %s', transport => {
  it('answers split and pipelined requests on their connection', async () => {
    const { port, requests } = await serve(transport)
    const peer = await dial(transport, port)
    const first = tcp({ callId: 'one', branch: 'z9hG4bKone', body: 'hello' })
    const second = tcp({ callId: 'two', branch: 'z9hG4bKtwo' })
    peer.send(first.slice(0, 100))
    peer.send(first.slice(100) + second)
    await until(() => count(peer, 'SIP/2.0 200 OK') === 2)
    expect(requests.map(({ request }) => [request.headers.get('Call-ID'), request.body.toString()])).toEqual([
      ['one', 'hello'],
      ['two', '']
    ])
    expect(requests[0]!.flow).toMatchObject({
      transport,
      peerId: 'peer',
      remote: { host: '127.0.0.1', port: peer.port }
    })
  })

  it('answers a ping with a pong, between messages too', async () => {
    const { port } = await serve(transport)
    const peer = await dial(transport, port)
    peer.send('\r\n\r\n')
    await until(() => peer.text === '\r\n')
    peer.send(`${tcp()}\r\n\r\n`)
    await until(() => peer.text.includes('SIP/2.0 200') && peer.text.endsWith('\r\n\r\n\r\n'))
  })

  it('answers what is malformed with what is wrong, and goes on', async () => {
    const { port, requests, stack } = await serve(transport)
    const peer = await dial(transport, port)
    peer.send(tcp({ headers: ['Call-ID: again'] }))
    await until(() => peer.text.includes('SIP/2.0 400'))
    peer.send('SIP/2.0 banana\r\nContent-Length: 0\r\n\r\n')
    peer.send('what is this\r\nContent-Length: 4\r\n\r\nbody')
    peer.send(tcp())
    await until(() => peer.text.includes('SIP/2.0 200'))
    expect(count(peer, 'SIP/2.0 ')).toBe(2 + count(peer, 'Via: SIP/2.0 '))
    expect([requests.length, stack.counts.dropped]).toEqual([1, 3])
  })

  it('takes a message of 1 MiB and refuses a larger one with 413, closing the connection', async () => {
    const { port, requests } = await serve(transport)
    const peer = await dial(transport, port)
    const head = tcp({ contentLength: 1_000_000 }).length
    const fits = tcp({ body: 'x'.repeat(1_048_576 - head) })
    expect(fits.length).toBe(1_048_576)
    peer.send(fits)
    await until(() => peer.text.includes('SIP/2.0 200'))
    expect(requests[0]!.request.body.length).toBe(1_048_576 - head)
    peer.send(tcp({ branch: 'z9hG4bK2', body: 'x'.repeat(1_048_577 - head) }))
    await until(() => peer.text.includes('SIP/2.0 413') && peer.ended)
    expect(requests.length).toBe(1)
  })

  it('closes after a request without Content-Length, answering 400', async () => {
    const { port, requests } = await serve(transport)
    const peer = await dial(transport, port)
    peer.send(tcp({ contentLength: null }))
    await until(() => peer.text.includes('SIP/2.0 400') && peer.ended)
    expect(requests.length).toBe(0)
  })

  it('closes on a header block beyond its bound', async () => {
    const { port } = await serve(transport)
    const peer = await dial(transport, port)
    peer.send(`OPTIONS sip:a@b SIP/2.0\r\nSubject: ${'x'.repeat(70_000)}`)
    await until(() => peer.ended)
  })

  it('closes when half a message is followed by silence, though not when a whole one is', async () => {
    const { port, stack } = await serve(transport, { limits: { incompleteMs: 50 } })
    const half = await dial(transport, port)
    const whole = await dial(transport, port)
    whole.send(tcp())
    half.send(tcp({ body: 'abc' }).slice(0, -1))
    await until(() => half.ended)
    expect([half.text, whole.ended]).toEqual(['', false])
    await until(() => stack.counts.connections === 1)
  })

  it('closes a connection without any traffic', async () => {
    const { port } = await serve(transport, { limits: { idleMs: 50 } })
    const peer = await dial(transport, port)
    await until(() => peer.ended)
  })

  it('closes connections beyond the bounds, for one source and in all', async () => {
    for (const limits of [{ connectionsPerSourceMax: 2 }, { connectionsMax: 2 }]) {
      const { port, stack } = await serve(transport, { limits })
      const kept = [await dial(transport, port), await dial(transport, port)]
      const extra = await dial(transport, port)
      await until(() => extra.ended)
      expect([kept.map(({ ended }) => ended), stack.counts.connections]).toEqual([[false, false], 2])
      await kept[0]!.close()
      await until(() => stack.counts.connections === 1)
      const again = await dial(transport, port)
      again.send(tcp())
      await until(() => again.text.includes('SIP/2.0 200'))
    }
  })

  it('lets a peer over its rate wait rather than lose messages', async () => {
    const { port, requests } = await serve(transport, { limits: { messagesPerSecondMax: 100 } })
    const peer = await dial(transport, port)
    const many = Array.from({ length: 130 }, (_, n) => tcp({ callId: `call-${n}`, branch: `z9hG4bK${n}` }))
    peer.send(many.join(''))
    await until(() => count(peer, 'SIP/2.0 200 OK') === 130)
    expect(requests.length).toBe(130)
  })

  it('cuts off a peer that does not read', async () => {
    const { port, stack } = await serve(transport, {
      limits: { sendBufferBytesMax: 100_000 },
      handler: {
        request: tx => {
          for (let n = 0; n < 400; n++) tx.respond(makeResponse(tx.request, 180, { body: 'x'.repeat(100_000) }))
        },
        ack: () => undefined
      }
    })
    const peer = await rawStream(
      port,
      transport === 'tls' ? () => connectTls({ host: '127.0.0.1', port, ca: cert }) : undefined
    )
    open.push(peer)
    peer.send(tcp({ method: 'INVITE' }))
    await until(() => stack.counts.connections === 0)
  })

  it('refuses an unknown peer with 403 and closes, opening no transaction', async () => {
    const { port, requests, stack } = await serve(transport, { screen: () => 'refuse' })
    const peer = await dial(transport, port)
    peer.send(tcp({ method: 'INVITE' }))
    await until(() => peer.text.startsWith('SIP/2.0 403 Forbidden') && peer.ended)
    expect([requests.length, stack.counts.serverTransactions]).toEqual([0, 0])
  })

  it('gives an unknown peer neither a megabyte nor time', async () => {
    const { port } = await serve(transport, { screen: () => 'refuse', limits: { incompleteMs: 50 } })
    const big = await dial(transport, port)
    big.send(tcp({ body: 'x'.repeat(200_000) }))
    const silent = await dial(transport, port)
    const response = await dial(transport, port)
    response.send('SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n')
    await until(() => big.ended && silent.ended && response.ended)
    expect([silent.text, response.text]).toEqual(['', ''])
  })

  it('keeps nothing alive for an unknown peer, and answers it no ping', async () => {
    const { port } = await serve(transport, { screen: () => 'refuse' })
    const peer = await dial(transport, port)
    peer.send('\r\n\r\n')
    await until(() => peer.ended)
    expect(peer.text).toBe('')
  })

  it('ends the oldest unknown peer rather than let them take every connection', async () => {
    let known = false
    let screened = 0
    const { port } = await serve(transport, {
      screen: () => {
        screened++
        return known ? { peerId: 'peer' } : 'refuse'
      },
      limits: { strangersMax: 2 }
    })
    const strangers = [await dial(transport, port), await dial(transport, port)]
    await until(() => screened === 2)
    known = true
    const peers: RawPeer[] = []
    for (let n = 0; n < 3; n++) {
      const peer = await dial(transport, port)
      peer.send(tcp({ branch: `z9hG4bKknown${n}`, callId: `known-${n}` }))
      await until(() => peer.text.includes('SIP/2.0 200'))
      peers.push(peer)
    }
    known = false
    strangers.push(await dial(transport, port), await dial(transport, port))
    await until(() => strangers.slice(0, 2).every(({ ended }) => ended))
    expect([...strangers.slice(2), ...peers].map(({ ended }) => ended)).toEqual([false, false, false, false, false])
  })

  it('answers many pings at once with one pong', async () => {
    const { port } = await serve(transport)
    const peer = await dial(transport, port)
    peer.send('\r\n\r\n'.repeat(500))
    peer.send(tcp())
    await until(() => peer.text.includes('SIP/2.0 200'))
    expect(peer.text.split('SIP/2.0 200')[0]!.length).toBeLessThan(20)
  })

  it('takes answers over a connection made from here, but no requests of a peer it does not know', async () => {
    for (const verdict of ['drop', 'refuse'] as const) {
      const server = await serve(transport)
      const client = await serve(transport, { screen: () => verdict })
      const statuses: number[] = []
      const to = { transport, host: '127.0.0.1', port: server.port } as const
      const on = { response: ({ status }: { status: number }) => void statuses.push(status), failed: () => undefined }
      client.stack.send(optionsTo(server.port), to, on)
      await until(() => statuses.length === 1)
      server.stack.send(optionsTo(1), { flow: server.requests[0]!.flow }, on)
      await until(() => statuses.length === 2)
      expect([statuses, client.requests.length]).toEqual([[200, 403], 0])
    }
  })

  it('drops a connection that screening wants dropped, without a word', async () => {
    const { port, stack } = await serve(transport, { screen: () => 'drop' })
    const peer = await dial(transport, port)
    await until(() => peer.ended)
    expect([peer.text, stack.counts.dropped]).toEqual(['', 1])
  })

  it('sends requests over one connection, taking it again for the next', async () => {
    const server = await serve(transport)
    const client = await serve(transport)
    const statuses: number[] = []
    const ask = (): unknown =>
      client.stack.send(
        optionsTo(server.port),
        { transport, host: '127.0.0.1', port: server.port },
        {
          response: ({ status }) => void statuses.push(status),
          failed: why => expect(why).toBeUndefined()
        }
      )
    ask()
    ask()
    await until(() => statuses.length === 2)
    ask()
    await until(() => statuses.length === 3)
    expect([server.stack.counts.connections, client.stack.counts.connections]).toEqual([1, 1])
    // Via names the listener, so that the peer can open a connection of its own.
    expect(server.requests[0]!.request.headers.get('Via')).toContain(` 127.0.0.1:${client.port};`)
  })

  it('opens a new connection for an answer whose connection is gone', async () => {
    const pending: ServerTransaction[] = []
    const server = await serve(transport, { handler: { request: tx => void pending.push(tx), ack: () => undefined } })
    const client = await serve(transport)
    const peer = await dial(transport, server.port)
    peer.send(tcp({ method: 'INVITE', sentBy: `127.0.0.1:${client.port}` }))
    await until(() => pending.length === 1)
    await peer.close()
    await until(() => pending[0]!.flow.closed)
    pending[0]!.respond(makeResponse(pending[0]!.request, 200, { toTag: 'x' }))
    // The client has no such transaction, but a 2xx to INVITE is handed up all the same.
    await until(() => client.strays.length === 1)
    expect(client.strays).toEqual([200])
  })

  it('fails a request at once where nobody listens, and where the connection breaks before an answer', async () => {
    const gone = await serve(transport)
    await gone.stack.close()
    const client = await serve(transport)
    const failures: string[] = []
    const on = { response: () => undefined, failed: (why: string) => void failures.push(why) }
    client.stack.send(optionsTo(gone.port), { transport, host: '127.0.0.1', port: gone.port }, on)
    await until(() => failures.length === 1)
    const closing = await serve(transport, { handler: { request: tx => tx.flow.close(), ack: () => undefined } })
    client.stack.send(optionsTo(closing.port), { transport, host: '127.0.0.1', port: closing.port }, on)
    await until(() => failures.length === 2)
    expect(failures).toEqual(['transport', 'transport'])
  })
})

const optionsTo = (port: number) =>
  makeRequest({
    method: 'OPTIONS',
    uri: `sip:127.0.0.1:${port}`,
    headers: [
      ['From', '<sip:a@example.org>;tag=f'],
      ['To', '<sip:b@example.org>'],
      ['Call-ID', newCallId()],
      ['CSeq', '1 OPTIONS']
    ]
  })

describe('SIP over TLS', () => {
  it('hands the names of a verified client certificate to screening, and none of any other', async () => {
    const { port, sources } = await serve('tls')
    await dial('tls', port)
    await dial('tls', port, { cert, key })
    await until(() => sources.length === 2)
    expect(sources.map(({ certificateNames }) => certificateNames)).toEqual([[], ['localhost']])
  })

  it('fails a request to a server whose certificate nobody vouches for', async () => {
    const server = await serve('tls')
    const client = createStack({ listen: [], handler: { request: () => undefined, ack: () => undefined } })
    open.push(client)
    const failures: unknown[] = []
    client.send(
      optionsTo(server.port),
      { transport: 'tls', host: '127.0.0.1', port: server.port },
      {
        response: () => undefined,
        failed: (_why, error) => void failures.push(error)
      }
    )
    await until(() => failures.length === 1)
    expect(String(failures[0])).toMatch(/self.signed|certificate/i)
  })

  it('gives up on a handshake that does not come', async () => {
    const { port, stack } = await serve('tls', { limits: { connectMs: 50 } })
    const peer = await dial('tcp', port)
    await until(() => peer.ended)
    await until(() => stack.counts.connections === 0)
  })

  it('survives what is no handshake', async () => {
    const { port } = await serve('tls')
    const peer = await dial('tcp', port)
    peer.send(tcp())
    await until(() => peer.ended)
    const good = await dial('tls', port)
    good.send(tcp())
    await until(() => good.text.includes('SIP/2.0 200'))
  })

  it('does not start without a certificate', async () => {
    const stack = createStack({
      listen: [{ transport: 'tls', host: '127.0.0.1', port: 0 }],
      handler: { request: () => undefined, ack: () => undefined }
    })
    await expect(stack.start()).rejects.toMatchObject({ code: 'HUB_LISTEN' })
  })
})
