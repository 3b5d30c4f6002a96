// Whole messages: bounds, framing, what is malformed and how it is answered, requests and responses made here.

import { describe, expect, it } from '@jest/globals'
import {
  createHeaders,
  makeRequest,
  makeResponse,
  parseMessage,
  printMessage,
  reasonPhrase,
  sipLimits
} from '../../src/sip/message.ts'
import type { Malformed, SipLimits, SipRequest } from '../../src/sip/message.ts'

const head = [
  'Via: SIP/2.0/UDP h;branch=z9hG4bK1',
  'From: <sip:a@h>;tag=1',
  'To: <sip:b@h>',
  'Call-ID: c',
  'CSeq: 1 INVITE'
]
const wire = (lines: readonly string[], body = '', start = 'INVITE sip:b@h SIP/2.0'): Buffer =>
  Buffer.from([start, ...lines, '', body].join('\r\n'))
const request = (bytes: Buffer): SipRequest => {
  const parsed = parseMessage(bytes)
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error(JSON.stringify(parsed))
  return parsed.message
}
const refusal = (bytes: Buffer, limits: SipLimits = sipLimits): Malformed => {
  const parsed = parseMessage(bytes, limits)
  if (parsed.ok) throw new Error('was accepted')
  return parsed
}

describe('parsing', () => {
  it('keeps the body, not the block of the socket that it was read from', () => {
    const block = Buffer.alloc(65_536)
    const bytes = wire([...head, 'Content-Length: 3'], 'v=0')
    bytes.copy(block, 1_000)
    const { body } = request(block.subarray(1_000, 1_000 + bytes.length))
    expect(body.toString()).toBe('v=0')
    expect(body.buffer.byteLength).toBe(3)
  })

  it('skips empty lines before the start line; without Content-Length the rest of a datagram is the body', () => {
    const parsed = request(Buffer.concat([Buffer.from('\r\n\r\n'), wire(head, 'körper')]))
    expect(parsed.body.toString()).toBe('körper')
  })

  it('counts Content-Length in bytes and drops what follows', () => {
    expect(request(wire([...head, 'Content-Length: 7'], 'körperlich')).body.toString()).toBe('körper')
  })

  it('reads UTF-8 in header fields beside a binary body', () => {
    const bytes = Buffer.concat([wire([...head, 'Subject: Grüße']), Buffer.from([0xff, 0xfe, 0x00])])
    expect(request(bytes).headers.get('Subject')).toBe('Grüße')
    expect([...request(bytes).body]).toEqual([0xff, 0xfe, 0x00])
  })

  it.each([
    ['a bare line feed', wire([...head, 'Subject: a\nContact: <sip:evil>'])],
    ['a bare carriage return', wire([...head, 'Subject: a\rContact: <sip:evil>'])],
    ['a bare line feed behind a fold', wire([...head, 'Subject: a', ' b\nContact: <sip:evil>'])],
    ['a line without colon', wire([...head, 'Subject'])],
    ['a name that is no token', wire([...head, 'Sub ject: a'])],
    ['an empty name', wire([...head, ': a'])],
    ['a fold before the first field', wire([' a', ...head])],
    ['no blank line', Buffer.from(wire(head).toString().slice(0, -2))],
    ['two From', wire([...head, 'f: <sip:c@h>;tag=2'])],
    ['an empty Call-ID', wire([...head.filter(line => !line.startsWith('Call')), 'i: '])],
    ['a Content-Length that is no number', wire([...head, 'l: 1x'], 'a')]
  ])('answers %s with 400 that copies what was sound', (_, bytes) => {
    const { status, request: partial } = refusal(bytes)
    expect(status).toBe(400)
    const answer = makeResponse(partial!, 400)
    expect(answer.headers.get('CSeq')).toBe('1 INVITE')
  })

  it('answers nothing to what is no SIP, to a bad response and to a bad ACK', () => {
    for (const text of ['', 'hello', 'GET / HTTP/1.1\r\n\r\n', 'SIP', '\r\n\r\n']) {
      expect(refusal(Buffer.from(text))).toMatchObject({ status: null, request: null })
    }
    expect(refusal(wire(['Via: x'], '', 'SIP/2.0 200 OK'))).toMatchObject({ status: null, request: null })
    expect(refusal(wire([], '', 'ACK sip:b@h SIP/2.0')).status).toBeNull()
    for (const start of ['SIP/2.0 99 Low', 'SIP/2.0 700 High', 'SIP/3.0 200 OK', 'SIP/2.0 2000 OK', 'SIP/2.0 20x OK']) {
      expect(refusal(wire(head, '', start)).status).toBeNull()
    }
  })

  it('answers 513 beyond the bounds of message and header, and 400 beyond that of fields', () => {
    expect(refusal(wire(head, 'x'.repeat(2_000)), { ...sipLimits, messageBytesMax: 2_000 }).status).toBe(513)
    for (const filler of ['x', 'ä']) {
      const long = refusal(wire([...head, `Subject: ${filler.repeat(2_000)}`]), { ...sipLimits, headerBytesMax: 1_000 })
      expect(long).toMatchObject({ status: 513, reason: 'Message Too Large' })
      expect(long.request?.headers.get('Call-ID')).toBe('c')
    }
    const many = Array.from({ length: sipLimits.headersMax }, (_, index) => `X-${index}: 1`)
    expect(refusal(wire([...head, ...many]))).toMatchObject({ status: 400, reason: 'Too Many Header Fields' })
    expect(request(wire([...head, ...many.slice(head.length)])).headers.lines()).toHaveLength(sipLimits.headersMax)
  })
})

describe('printing', () => {
  it('recomputes Content-Length in bytes, once, and adds it where it is missing', () => {
    const made = makeRequest({
      method: 'MESSAGE',
      uri: 'sip:b@h',
      headers: [
        ['l', '1'],
        ['Content-Length', '2'],
        ['Subject', 'ü']
      ],
      body: 'äö'
    })
    expect(printMessage(made).toString()).toBe('MESSAGE sip:b@h SIP/2.0\r\nl: 4\r\nSubject: ü\r\n\r\näö')
    const plain = makeRequest({ method: 'OPTIONS', uri: 'sip:b@h' })
    expect(printMessage(plain).toString()).toBe('OPTIONS sip:b@h SIP/2.0\r\nContent-Length: 0\r\n\r\n')
  })

  it('refuses to make a request whose first line would be broken', () => {
    expect(() => makeRequest({ method: 'IN VITE', uri: 'sip:b@h' })).toThrow('not a request line')
    expect(() => makeRequest({ method: 'INVITE', uri: 'sip:b@h SIP/2.0\r\nX: y' })).toThrow('not a request line')
  })
})

describe('responses', () => {
  const invite = () =>
    request(
      wire([
        ...head,
        'Via: SIP/2.0/TCP i;branch=z9hG4bK2',
        'Record-Route: <sip:p;lr>, <sip:q;lr>',
        'Timestamp: 54',
        'Subject: s'
      ])
    )

  it('copies Via, From, To with a tag, Call-ID, CSeq, and Record-Route where a dialog is formed', () => {
    const { status, reason, headers } = makeResponse(invite(), 180, { toTag: 't' })
    expect([status, reason]).toEqual([180, 'Ringing'])
    expect(headers.lines().map(({ name, value }) => `${name}: ${value}`)).toEqual([
      'Via: SIP/2.0/UDP h;branch=z9hG4bK1',
      'Via: SIP/2.0/TCP i;branch=z9hG4bK2',
      'Record-Route: <sip:p;lr>',
      'Record-Route: <sip:q;lr>',
      'From: <sip:a@h>;tag=1',
      'To: <sip:b@h>;tag=t',
      'Call-ID: c',
      'CSeq: 1 INVITE'
    ])
    expect(makeResponse(invite(), 486).headers.has('Record-Route')).toBe(false)
  })

  it('gives a 100 no tag but the Timestamp, and every other response a tag of its own', () => {
    expect(makeResponse(invite(), 100).headers.get('To')).toBe('<sip:b@h>')
    expect(makeResponse(invite(), 100).headers.get('Timestamp')).toBe('54')
    expect(makeResponse(invite(), 404).headers.get('To')).toMatch(/^<sip:b@h>;tag=[0-9a-f]{16}$/)
  })

  it('keeps the tag of a request inside a dialog', () => {
    const inside = request(wire(head.map(line => (line.startsWith('To') ? 'To: sip:b@h;tag=x' : line))))
    expect(makeResponse(inside, 200, { toTag: 'y' }).headers.get('To')).toBe('sip:b@h;tag=x')
  })

  it('takes further fields, a body and a reason that stays on its line', () => {
    const answer = makeResponse(invite(), 200, {
      reason: 'Fine\r\nX: y',
      headers: createHeaders([['Contact', '<sip:b@i>']]),
      body: 'v=0'
    })
    expect(answer.reason).toBe('Fine X: y')
    expect(answer.headers.get('Contact')).toBe('<sip:b@i>')
    expect(answer.body.toString()).toBe('v=0')
  })

  it('names a status that is not registered after its class', () => {
    expect([reasonPhrase(486), reasonPhrase(499), reasonPhrase(699)]).toEqual(['Busy Here', 'Bad Request', 'Decline'])
  })
})
