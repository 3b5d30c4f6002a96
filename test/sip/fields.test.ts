// Typed header fields: Via, name-addr, CSeq, parameters.

import { describe, expect, it } from '@jest/globals'
import { isNameAddr, isVia, paramIn, uriIn } from '../../src/sip/message.ts'
import { newBranch, newCallId, newTag, parseCSeq, parseDeltaSeconds, parseNameAddr } from '../../src/sip/message.ts'
import { parseParams, parseVia, printNameAddr, printParams, printVia, quote, unquote } from '../../src/sip/message.ts'

describe('Via', () => {
  it('reads host, port and parameters and prints them back', () => {
    const text = 'SIP/2.0/WSS [2001:db8::1]:443;branch=z9hG4bK1;rport;received=2001:db8::2'
    const via = parseVia(text)!
    expect(via).toMatchObject({ protocol: 'SIP/2.0', transport: 'WSS', host: '2001:db8::1', port: 443 })
    expect(via.params.get('rport')).toBeNull()
    expect(via.params.get('received')).toBe('2001:db8::2')
    expect(printVia(via)).toBe(text)
    expect(parseVia('sip/2.0/udp h : 5060 ;branch = x')).toMatchObject({
      protocol: 'SIP/2.0',
      transport: 'UDP',
      port: 5060
    })
  })

  it.each([
    '',
    'SIP/2.0',
    'SIP/2.0/UDP',
    'SIP/2.0/UDP ',
    'SIP/2.0/UDP h:',
    'SIP/2.0/UDP h:70000',
    'SIP/2.0/UDP h;',
    'SIP/2.0/UDP h;a;a',
    'SIP/2.0/UDP h i',
    'SIP/2.0/UDP h, SIP/2.0/UDP i'
  ])('refuses %j', text => {
    expect(parseVia(text)).toBeNull()
  })
})

describe('name-addr', () => {
  it('tells parameters of the field from those of the URI', () => {
    expect(parseNameAddr('"A" <sip:a@h;x=1>;tag=2')).toEqual({
      display: 'A',
      uri: 'sip:a@h;x=1',
      params: new Map([['tag', '2']])
    })
    expect(parseNameAddr('sip:a@h;tag=2')).toEqual({ display: null, uri: 'sip:a@h', params: new Map([['tag', '2']]) })
    expect(parseNameAddr('<tel:+1-201>')).toMatchObject({ uri: 'tel:+1-201' })
  })

  it('keeps quoted parameter values as written, since feature tags need their quotes', () => {
    const text = '<sip:a@h>;+sip.instance="<urn:uuid:1>";reg-id=1'
    const address = parseNameAddr(text)!
    expect(unquote(address.params.get('+sip.instance') ?? '')).toBe('<urn:uuid:1>')
    expect(printNameAddr(address)).toBe(text)
  })

  it('escapes display names both ways and takes unquoted letters beyond ASCII', () => {
    const display = 'A "B" \\ Ö\r\nVia: x'
    const printed = printNameAddr({ display, uri: 'sip:a@h', params: new Map() })
    expect(printed).not.toContain('\r')
    expect(parseNameAddr(printed)?.display).toBe('A "B" \\ Ö Via: x')
    expect(parseNameAddr('Jürgen <sip:a@h>')?.display).toBe('Jürgen')
  })

  it.each([
    '',
    '*',
    'a@h',
    '<sip:a@h',
    'sip:a@h?x=y',
    'sip:a,b@h',
    '"a <sip:a@h>',
    '"a" sip:a@h',
    '< sip:a@h>',
    'a, b <sip:a@h>',
    '<sip:a@h> x',
    '<sip:a@h>;tag=1;tag=2',
    '<sip:a@h>, <sip:b@h>',
    '<>',
    '<:x>'
  ])('refuses %j', text => {
    expect(parseNameAddr(text)).toBeNull()
  })

  it('refuses to print what is no URI', () => {
    expect(() => printNameAddr({ display: null, uri: 'sip:a@h>\r\n', params: new Map() })).toThrow('not a URI')
  })
})

describe('parts of a field that are asked for alone', () => {
  const addresses = [
    '<sip:a@h>;tag=1;x="a;b"',
    'sip:a@h;tag=1',
    '"A, \\"B\\"" <sip:a@h;tag=uri> ; TAG = q ; lr',
    '<sip:a@h>;tag',
    '<sip:a@h>;tagged=1;ag=2',
    'sip:a@h',
    '<sip:a@h>;x;x',
    '"open <sip:a@h>;tag=1',
    '<sip:a@h;tag=1',
    ''
  ]

  it('are what a whole reading gives', () => {
    for (const text of addresses) {
      const whole = parseNameAddr(text)
      expect(isNameAddr(text)).toBe(whole !== null)
      expect(uriIn(text)).toBe(whole === null ? null : whole.uri)
      for (const name of ['tag', 'x', 'lr', 'missing']) {
        const value = whole?.params.get(name)
        expect(paramIn(text, name)).toBe(value === undefined ? null : (value ?? ''))
      }
    }
    for (const text of ['SIP/2.0/UDP h:5060;branch=x', 'SIP/2.0/UDP h;a;a', 'SIP/2.0/UDP h, SIP/2.0/UDP i', '']) {
      expect(isVia(text)).toBe(parseVia(text) !== null)
    }
  })
})

describe('parameters and numbers', () => {
  it('quotes printed values that could not stand alone', () => {
    const params = parseParams(' ; a = 1 ;b; C="x;y"')!
    expect([...params]).toEqual([
      ['a', '1'],
      ['b', null],
      ['c', '"x;y"']
    ])
    expect(printParams(params)).toBe(';a=1;b;c="x;y"')
    expect(
      printParams(
        new Map([
          ['text', 'call "completed" elsewhere'],
          ['empty', '']
        ])
      )
    ).toBe(';text="call \\"completed\\" elsewhere";empty=""')
    expect(unquote(quote('a"\\'))).toBe('a"\\')
  })

  it('reads CSeq within its range', () => {
    expect(parseCSeq('2147483647 INVITE')).toEqual({ number: 2_147_483_647, method: 'INVITE' })
    for (const text of ['2147483648 INVITE', 'INVITE', '1', '1INVITE', '-1 INVITE', '1 IN VITE', ''])
      expect(parseCSeq(text)).toBeNull()
  })

  it('reads seconds, the largest for all that is larger', () => {
    expect([
      parseDeltaSeconds('060'),
      parseDeltaSeconds('9'.repeat(40)),
      parseDeltaSeconds('1.5'),
      parseDeltaSeconds('')
    ]).toEqual([60, 2 ** 32 - 1, null, null])
  })

  it('makes names that differ', () => {
    for (const make of [newTag, newBranch, newCallId])
      expect(new Set(Array.from({ length: 1_000 }, make)).size).toBe(1_000)
    expect(newBranch()).toMatch(/^z9hG4bK[0-9a-f]{24}$/)
  })
})
