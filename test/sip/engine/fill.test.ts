import { describe, expect, it } from '@jest/globals'
import { completeBody, contactOf, linesOf, withLocalAddress } from '../../../src/sip/engine/fill.ts'
import { parseAppMessage } from '../../../src/sip/engine/text.ts'
import type { AppField } from '../../../src/sip/engine/text.ts'

const local = { host: '192.0.2.7', port: 5062 }
const rest = (headers: string, body = '') =>
  parseAppMessage(Buffer.from(`INVITE sip:x SIP/2.0\r\n${headers}\r\n\r\n${body}`))!.rest

describe('localhost', () => {
  it.each([
    ['sip:a@localhost', 'sip:a@192.0.2.7:5062'],
    ['<sip:localhost>', '<sip:192.0.2.7:5062>'],
    ['"A" <sips:a@LOCALHOST;user=phone>;tag=1', '"A" <sips:a@192.0.2.7:5062;user=phone>;tag=1'],
    ['<sip:a@localhost>, "B" <sip:b@localhost>', '<sip:a@192.0.2.7:5062>, "B" <sip:b@192.0.2.7:5062>'],
    ['<sip:a@localhost:5070>', '<sip:a@192.0.2.7:5070>'],
    ['"me@localhost" <sip:a@localhost>', '"me@localhost" <sip:a@192.0.2.7:5062>'],
    ['<sip:localhost@example.org>', '<sip:localhost@example.org>'],
    ['<sip:a@localhost.example.org>', '<sip:a@localhost.example.org>'],
    ['<tel:+49>', '<tel:+49>']
  ])('%s becomes %s', (value, expected) => expect(withLocalAddress(value, local)).toBe(expected))

  it('an IPv6 address stands in brackets', () => {
    expect(withLocalAddress('<sip:a@localhost>', { host: '::1', port: 5060 })).toBe('<sip:a@[::1]:5060>')
    expect(withLocalAddress('<sip:a@localhost:1>', { host: '::1', port: 5060 })).toBe('<sip:a@[::1]:1>')
  })

  it('is replaced where an address of this side stands, and nowhere else', () => {
    const headers = 'from: sip:a@localhost\r\nP-Asserted-Identity: <sip:a@localhost>\r\nX-Where: sip:a@localhost'
    expect(linesOf(rest(headers), local, 'outside').map(line => line.value)).toEqual([
      'sip:a@192.0.2.7:5062',
      '<sip:a@192.0.2.7:5062>',
      'sip:a@localhost'
    ])
  })
})

describe('what else is filled in', () => {
  it('inside a dialog and in an answer the dialog names the parties', () => {
    const headers = 'From: sip:a\r\nTo: sip:b\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nSubject: hello'
    expect(linesOf(rest(headers), local, 'answer').map(({ name }) => name)).toEqual(['Subject'])
    expect(linesOf(rest(headers), local, 'inside').map(({ name }) => name)).toEqual(['Subject'])
    expect(linesOf(rest(headers), local, 'outside')).toHaveLength(5)
  })

  it('SDP is known by its first line, other bodies have to be named', () => {
    const lines: AppField[] = []
    expect(completeBody(rest('Subject: x', 'v=0\r\n'), lines)).toBe(true)
    expect(lines).toMatchObject([{ name: 'Content-Type', value: 'application/sdp' }])
    expect(completeBody(rest('Subject: x', 'hello'), [])).toBe(false)
    expect(completeBody(rest('c: text/plain', 'hello'), [])).toBe(true)
    expect(completeBody(rest('Subject: x'), [])).toBe(true)
  })

  it('a Contact is written in brackets; what has them, and what is no SIP URI, stays', () => {
    const written = (contact: string) => linesOf(rest(`Contact: ${contact}`), local, 'outside')[0]?.value
    expect(written('sip:a@localhost')).toBe('<sip:a@192.0.2.7:5062>')
    expect(written('sip:a@192.0.2.9;expires=60')).toBe('<sip:a@192.0.2.9>;expires=60')
    for (const stays of ['"A" <sip:a@192.0.2.9;lr>;q=1', '*', '<tel:+49>']) expect(written(stays)).toBe(stays)
  })

  it('a Contact names its transport unless it is UDP', () => {
    expect(contactOf(local, 'udp')).toBe('<sip:192.0.2.7:5062>')
    expect(contactOf(local, 'tcp')).toBe('<sip:192.0.2.7:5062;transport=tcp>')
  })
})
