// URIs: sip, sips, tel and urn, read to their meaning and printed so that they mean the same.

import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { parseUri, printUri, schemeOf, stripSeparators } from '../../src/sip/uri.ts'
import type { SipUri, Uri } from '../../src/sip/uri.ts'
import { seedFromEnvironment } from '../support/random.ts'

const sip = (text: string): SipUri => {
  const uri = parseUri(text)
  if (uri === null || !('host' in uri)) throw new Error(`${text} is no SIP URI`)
  return uri
}

describe('sip and sips URIs', () => {
  it('reads every part', () => {
    const uri = sip('SIPS:al%69ce:pa%20ss@Example.COM:5071;transport=tcp;lr?subject=a%20b&to=x')
    expect(uri).toMatchObject({ scheme: 'sips', user: 'alice', password: 'pa ss', host: 'example.com', port: 5071 })
    expect([...uri.params]).toEqual([
      ['transport', 'tcp'],
      ['lr', null]
    ])
    expect([...uri.headers]).toEqual([
      ['subject', 'a b'],
      ['to', 'x']
    ])
  })

  it('reads IPv6 references without their brackets and prints them with', () => {
    const uri = sip('sip:a@[2001:db8::9:1]:5060;lr')
    expect(uri).toMatchObject({ host: '2001:db8::9:1', port: 5060 })
    expect(printUri(uri)).toBe('sip:a@[2001:db8::9:1]:5060;lr')
    expect(sip('sip:[::ffff:192.0.2.1]').host).toBe('::ffff:192.0.2.1')
  })

  it('keeps a phone number in the user part', () => {
    expect(sip('sip:+1-212-555-1212:1234@gateway.com;user=phone').user).toBe('+1-212-555-1212')
    expect(sip('sip:+4930;phone-context=%2B49@h').user).toBe('+4930;phone-context=+49')
  })

  it.each([
    'sip:',
    'sip:@h',
    'sip:a@',
    'sip:a@h:',
    'sip:a@h:99999',
    'sip:a@h:5060x',
    'sip:a b@h',
    'sip:a@h;',
    'sip:a@h;=x',
    'sip:a@h;p=',
    'sip:a@h;p;P',
    'sip:a@h?x',
    'sip:a@h?=x',
    'sip:%4@h',
    'sip:%zz@h',
    'sip:ä@h',
    'sip:a@h@i',
    'sip:[1.2.3.4]',
    'sip:[::1',
    'sip:[::1%25eth0]',
    'sip:<a@h>',
    'sip:a@h\r\n',
    'http://example.com',
    'mailto:a@b',
    '',
    ':',
    'sip'
  ])('takes %j for no SIP URI', text => {
    expect(parseUri(text)).toBeNull()
  })

  it('tells the scheme of anything that has one', () => {
    expect(schemeOf('Soap.Beep://h')).toBe('soap.beep')
    expect(schemeOf('no scheme')).toBeNull()
  })
})

describe('tel and urn URIs', () => {
  it('drops visual separators of global and local numbers', () => {
    expect(parseUri('tel:+1-(201).555-0123')).toEqual({ scheme: 'tel', number: '+12015550123', params: new Map() })
    const local = parseUri('tel:7042-*11;phone-context=example.com')
    expect(local).toMatchObject({ scheme: 'tel', number: '7042*11' })
    expect(printUri(local as Uri)).toBe('tel:7042*11;phone-context=example.com')
    expect(stripSeparators('+49 30')).toBeNull()
  })

  it.each(['tel:', 'tel:+', 'tel:---', 'tel:+49x', 'tel:alice', 'tel:+49;'])('takes %j for no number', text => {
    expect(parseUri(text)).toBeNull()
  })

  it('reads emergency services', () => {
    expect(parseUri('URN:Service:sos.police')).toEqual({ scheme: 'urn', nid: 'service', nss: 'sos.police' })
    expect(printUri({ scheme: 'urn', nid: 'service', nss: 'sos' })).toBe('urn:service:sos')
    for (const text of ['urn:', 'urn:service', 'urn:service:', 'urn:a b:c', 'urn:service:s s'])
      expect(parseUri(text)).toBeNull()
  })
})

describe('printing', () => {
  it('escapes what may not stand as it is, and reads back to the same', () => {
    const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
    const uris: fc.Arbitrary<SipUri> = fc.record({
      scheme: fc.constantFrom('sip', 'sips'),
      user: word,
      password: fc.option(word),
      host: fc.constantFrom('example.com', '192.0.2.1', '2001:db8::1'),
      port: fc.option(fc.integer({ min: 0, max: 65_535 })),
      params: fc.array(fc.tuple(name, fc.option(word)), { maxLength: 3 }).map(pairs => new Map(pairs)),
      headers: fc.array(fc.tuple(name, word), { maxLength: 3 }).map(pairs => new Map(pairs))
    })
    fc.assert(
      fc.property(uris, uri => {
        const text = printUri(uri)
        expect(text).toMatch(/^[!-~]+$/)
        expect(parseUri(text)).toEqual(uri)
      }),
      { seed: seedFromEnvironment }
    )
  })
})
