import { describe, expect, it } from '@jest/globals'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { makeRequest, makeResponse, newCallId } from '../../../src/sip/message.ts'
import { createStack } from '../../../src/sip/stack.ts'
import type { ServerTransaction, SipStack, StackOptions } from '../../../src/sip/stack.ts'
import type { AdoptedFlow } from '../../../src/sip/transport/transport.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'
import { rawRequest } from '../../support/sip-wire.ts'

interface Adopted {
  readonly stack: SipStack
  readonly flow: AdoptedFlow
  readonly out: string[]
  readonly pending: ServerTransaction[]
  readonly faults: string[]
  closes: number
}

function adopt(over: Partial<StackOptions> = {}, send?: (bytes: Buffer) => void): Adopted {
  const out: string[] = []
  const pending: ServerTransaction[] = []
  const faults: string[] = []
  const stack = createStack({
    listen: [],
    log: pino({ level: 'error' }, { write: line => void faults.push(line) }),
    handler: { request: tx => void pending.push(tx), ack: () => undefined },
    ...over
  })
  const flow = stack.adopt({
    transport: 'ws',
    local: { host: 'hub.example.org', port: 80 },
    remote: { host: '198.51.100.7', port: 40_000 },
    peerId: 'island',
    send: send ?? (bytes => void out.push(bytes.toString())),
    close: () => {
      adopted.closes++
    }
  })
  const adopted: Adopted = { stack, flow, out, pending, faults, closes: 0 }
  return adopted
}

const ws = (over: Parameters<typeof rawRequest>[0] = {}): Buffer =>
  Buffer.from(rawRequest({ transport: 'WS', sentBy: 'df7jal23ls0d.invalid', ...over }))

const options = () =>
  makeRequest({
    method: 'OPTIONS',
    uri: 'sip:user@df7jal23ls0d.invalid;transport=ws',
    headers: [
      ['From', '<sip:hub@example.org>;tag=f'],
      ['To', '<sip:user@example.org>'],
      ['Call-ID', newCallId()],
      ['CSeq', '1 OPTIONS']
    ]
  })

describe('adopted WebSockets (RFC 7118)', () => {
  it('bring one message a frame and take the answers back', () => {
    const { flow, pending, out } = adopt()
    flow.receive(ws())
    const tx = pending[0]!
    tx.respond(makeResponse(tx.request, 200, { toTag: tx.localTag }))
    expect(tx.flow).toMatchObject({ transport: 'ws', peerId: 'island', closed: false })
    expect(out).toHaveLength(1)
    expect(out[0]).toContain('Via: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK1;received=198.51.100.7\r\n')
  })

  it('carry requests of the hub, under the name it has there', () => {
    const { stack, flow, out } = adopt()
    const statuses: number[] = []
    stack.send(options(), { flow }, { response: ({ status }) => void statuses.push(status), failed: () => undefined })
    const via = /Via: (.*)\r\n/.exec(out[0]!)![1]!
    expect(via).toMatch(/^SIP\/2\.0\/WS hub\.example\.org:80;rport;branch=z9hG4bK/)
    const callId = /Call-ID: (.*)\r\n/.exec(out[0]!)![1]!
    flow.receive(
      Buffer.from(
        `SIP/2.0 200 OK\r\nVia: ${via}\r\nFrom: <sip:hub@example.org>;tag=f\r\nTo: <sip:user@example.org>;tag=x\r\n` +
          `Call-ID: ${callId}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n`
      )
    )
    expect(statuses).toEqual([200])
  })

  it('answer a ping frame with a pong, and say nothing to a pong', () => {
    const { flow, out } = adopt()
    flow.receive(Buffer.from('\r\n'))
    flow.receive(Buffer.from('\r\n\r\n'))
    flow.receive(Buffer.alloc(0))
    expect(out).toEqual(['\r\n'])
  })

  it('take 1 MiB in a frame, and answer more with 413 and the end of the connection', () => {
    const adopted = adopt()
    const head = ws({ contentLength: 1_000_000 }).length
    adopted.flow.receive(ws({ body: 'x'.repeat(1_048_576 - head) }))
    expect([adopted.pending.length, adopted.flow.closed]).toEqual([1, false])
    adopted.flow.receive(ws({ branch: 'z9hG4bK2', body: 'x'.repeat(1_048_577 - head) }))
    expect([adopted.pending.length, adopted.flow.closed, adopted.closes]).toEqual([1, true, 1])
    expect(adopted.out[0]).toMatch(/^SIP\/2\.0 413 /)
  })

  it('answer a malformed frame and stay open', () => {
    const { flow, out, pending } = adopt()
    flow.receive(ws({ headers: ['CSeq: 2 OPTIONS'] }))
    flow.receive(Buffer.from('hello'))
    flow.receive(ws({ contentLength: 99 }))
    expect(out.map(text => text.slice(0, 11))).toEqual(['SIP/2.0 400', 'SIP/2.0 400'])
    expect([pending.length, flow.closed]).toEqual([0, false])
  })

  it('drop what exceeds the rate', () => {
    const { stack, flow, pending } = adopt({ limits: { messagesPerSecondMax: 3 } })
    for (let n = 0; n < 20; n++) flow.receive(ws({ callId: `c${n}`, branch: `z9hG4bK${n}` }))
    expect(pending.length).toBeLessThan(10)
    expect(pending.length + stack.counts.dropped).toBe(20)
  })

  it('that are lost fail what waits on them, and what is sent after', async () => {
    const { stack, flow, pending, out } = adopt()
    const failures: string[] = []
    const on = { response: () => undefined, failed: (why: string) => void failures.push(why) }
    stack.send(options(), { flow }, on)
    flow.receive(ws({ method: 'INVITE' }))
    const ends: string[] = []
    pending[0]!.onEnd = why => void ends.push(why)
    expect(stack.counts.connections).toBe(1)
    flow.lost()
    flow.lost()
    flow.receive(ws({ callId: 'late', branch: 'z9hG4bKlate' }))
    stack.send(options(), { flow }, on)
    pending[0]!.respond(makeResponse(pending[0]!.request, 200))
    await Promise.resolve()
    expect([failures, ends]).toEqual([['transport', 'transport'], ['transport']])
    expect([out.length, pending.length, stack.counts.connections, stack.counts.clientTransactions]).toEqual([
      1, 1, 0, 0
    ])
  })

  it('whose owner throws fail the request', async () => {
    const { stack, flow } = adopt({}, () => {
      throw new Error('socket gone')
    })
    const failures: unknown[] = []
    stack.send(options(), { flow }, { response: () => undefined, failed: (_why, error) => void failures.push(error) })
    await Promise.resolve()
    expect(failures).toEqual([new Error('socket gone')])
  })

  it('close with their stack', async () => {
    const adopted = adopt()
    await adopted.stack.close()
    expect([adopted.flow.closed, adopted.closes]).toEqual([true, 1])
  })
})

describe('bytes off the wire', () => {
  const folder = join(import.meta.dirname, '../../conformance/rfc4475')
  const torture = readdirSync(folder).filter(name => name.endsWith('.dat'))

  it('never raise a fault, whole or mangled (RFC 4475 and 20,000 mutations of it)', () => {
    const { flow, faults } = adopt({ limits: { messagesPerSecondMax: 1_000_000 } })
    expect(torture.length).toBe(49)
    const random = mulberry32(seedFromEnvironment)
    const messages = torture.map(name => readFileSync(join(folder, name)))
    for (const message of messages) flow.receive(message)
    for (let n = 0; n < 20_000; n++) {
      const bytes = Buffer.from(messages[random(messages.length)]!)
      for (let change = random(6); change >= 0; change--) bytes[random(bytes.length)] = random(256)
      flow.receive(bytes.subarray(0, random(4) === 0 ? random(bytes.length) : bytes.length))
    }
    expect({ seed: seedFromEnvironment, faults }).toEqual({ seed: seedFromEnvironment, faults: [] })
  })
})
