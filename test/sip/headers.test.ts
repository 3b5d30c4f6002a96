// Header fields: names and compact forms, comma lists, order, and that no value can bring in a line.

import { describe, expect, it } from '@jest/globals'
import {
  createHeaders,
  fieldKey,
  fieldSet,
  isListField,
  parseMessage,
  printMessage,
  splitList
} from '../../src/sip/message.ts'
import type { Headers } from '../../src/sip/message.ts'

const shown = (headers: Headers): string[] => headers.lines().map(({ name, value }) => `${name}: ${value}`)

describe('field names', () => {
  it('takes compact forms and any case for the same field', () => {
    const compact = 'a b c d e f i j k l m n o r s t u v x y'.split(' ').map(fieldKey)
    expect(compact).toEqual(
      `accept-contact referred-by content-type request-disposition content-encoding from call-id reject-contact
      supported
      content-length contact identity-info event refer-to subject to allow-events via session-expires identity`.split(
        /\s+/
      )
    )
    const headers = createHeaders([
      ['vIa', 'one'],
      ['V', 'two']
    ])
    expect(headers.all('VIA')).toEqual(['one', 'two'])
  })

  it('finds any of a set of fields, whatever their spelling and whether they are well known', () => {
    const wanted = fieldSet(['Subject', 'X-Rare'])
    const withField = (name: string): boolean =>
      createHeaders([
        ['Via', 'v'],
        [name, '1'],
        ['X-Other', '2']
      ]).hasAny(wanted)
    expect(['Subject', 's', 'SUBJECT', 'x-rare', 'Date', 'X-Rarest'].map(withField)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false
    ])
  })

  it('knows which fields are lists', () => {
    for (const name of ['Via', 'v', 'Contact', 'Record-Route', 'P-Asserted-Identity', 'allow'])
      expect(isListField(name)).toBe(true)
    for (const name of ['From', 'To', 'Call-ID', 'Date', 'WWW-Authenticate', 'Authorization', 'Subject', 'X-Any']) {
      expect(isListField(name)).toBe(false)
    }
  })
})

describe('comma lists', () => {
  it('splits at commas outside of quotes and angle brackets only', () => {
    expect(splitList('"a, \\", b" <sip:x,y@h>;p="1,2" , <sip:z>')).toEqual([
      '"a, \\", b" <sip:x,y@h>;p="1,2"',
      '<sip:z>'
    ])
    expect(splitList('')).toEqual([])
    expect(splitList(' , a,, b ,')).toEqual(['a', 'b'])
    expect(splitList('"never closed, <a>, b')).toEqual(['"never closed, <a>, b'])
  })

  it('never splits fields that hold one value', () => {
    const headers = createHeaders([
      ['Date', 'Sat, 13 Nov 2010 23:29:00 GMT'],
      ['WWW-Authenticate', 'Digest realm="a", nonce="b"']
    ])
    expect(headers.get('Date')).toBe('Sat, 13 Nov 2010 23:29:00 GMT')
    expect(headers.all('WWW-Authenticate')).toEqual(['Digest realm="a", nonce="b"'])
    expect(headers.count('WWW-Authenticate')).toBe(1)
  })

  it('gives the first value, all values and their count over several lines', () => {
    const headers = createHeaders([
      ['Route', '<sip:a>, <sip:b>'],
      ['To', 'x'],
      ['Route', '<sip:c>']
    ])
    expect(headers.get('route')).toBe('<sip:a>')
    expect(headers.all('Route')).toEqual(['<sip:a>', '<sip:b>', '<sip:c>'])
    expect(headers.count('Route')).toBe(3)
    expect(headers.get('Nothing')).toBeUndefined()
    expect(headers.has('Nothing')).toBe(false)
  })
})

describe('changing header fields', () => {
  const start = () =>
    createHeaders([
      ['Via', 'v1, v2'],
      ['To', 't'],
      ['Via', 'v3'],
      ['X-Any', '1']
    ])

  it('sets in place of the first line, or at the end', () => {
    const headers = start()
    headers.set('v', 'new')
    headers.set('Subject', ['a', 'b'])
    headers.set('X-Any', ['2', '3'])
    expect(shown(headers)).toEqual(['v: new', 'To: t', 'X-Any: 2', 'X-Any: 3', 'Subject: a', 'Subject: b'])
    headers.set('Subject', [])
    expect(headers.has('Subject')).toBe(false)
  })

  it('puts a line before the first of its name, else on top', () => {
    const headers = start()
    headers.prepend('To', 'before')
    headers.prepend('Record-Route', '<sip:me>')
    expect(shown(headers)).toEqual([
      'Record-Route: <sip:me>',
      'Via: v1, v2',
      'To: before',
      'To: t',
      'Via: v3',
      'X-Any: 1'
    ])
  })

  it('removes one value, not one line', () => {
    const headers = start()
    headers.removeFirst('Via')
    expect(headers.all('Via')).toEqual(['v2', 'v3'])
    headers.removeFirst('Via')
    headers.removeFirst('Via')
    headers.removeFirst('Via')
    expect(headers.has('Via')).toBe(false)
  })

  it('leaves the original alone when its clone changes, and the other way round', () => {
    const headers = start()
    const clone = headers.clone()
    clone.remove('Via')
    headers.add('Via', 'v4')
    expect(clone.has('Via')).toBe(false)
    expect(headers.all('Via')).toEqual(['v1', 'v2', 'v3', 'v4'])
  })

  it('reads the topmost Via, CSeq and the tags, and again once their field is another', () => {
    const headers = createHeaders([
      ['Via', 'SIP/2.0/UDP one;branch=z9hG4bK1, SIP / 2.0 / tcp two:5062;branch=z9hG4bK2'],
      ['f', '"tag=0" <sip:a@b;tag=no>;TAG=1'],
      ['To', '<sip:c@d>'],
      ['CSeq', '7 INVITE']
    ])
    const read = (): unknown => {
      const via = headers.via()
      const cseq = headers.cseq()
      return [via?.transport, via?.host, via?.port, cseq?.number, cseq?.method, headers.tag('From'), headers.tag('To')]
    }
    expect(read()).toEqual(['UDP', 'one', null, 7, 'INVITE', '1', ''])
    headers.removeFirst('Via')
    headers.set('CSeq', '8 x-Own')
    headers.set('From', 'sip:a@b;tag=2')
    headers.set('t', '<sip:c@d>;tag=3')
    expect(read()).toEqual(['TCP', 'two', 5_062, 8, 'x-Own', '2', '3'])
    headers.prepend('Via', 'SIP/2.0/WSS [::1]:443')
    headers.set('CSeq', 'eight')
    headers.remove('To')
    headers.set('From', '"broken')
    expect(read()).toEqual(['WSS', '::1', 443, undefined, undefined, '', ''])
  })

  it('turns line breaks and NUL in values into spaces, so that no field can be smuggled in', () => {
    const headers = createHeaders([['Subject', 'a\r\nContact: <sip:evil>\n\0']])
    headers.set('X-Any', 'b\rc')
    expect(shown(headers)).toEqual(['Subject: a Contact: <sip:evil>  ', 'X-Any: b c'])
  })

  it('refuses a name that is no token', () => {
    const headers = createHeaders()
    for (const name of ['', 'A b', 'A:', 'A\r\nB'])
      expect(() => headers.add(name, 'x')).toThrow('not a header field name')
  })

  it('prints a parsed message after changes exactly as its lines read', () => {
    const wire = [
      'OPTIONS sip:a@b SIP/2.0',
      'v: SIP/2.0/UDP h;branch=z9hG4bK1',
      'From :<sip:a@b>;tag=1',
      'To: <sip:a@b>',
      'i: 1',
      'CSeq: 1 OPTIONS',
      'Subject: a',
      '  folded',
      'l: 5',
      'X-Last: 1',
      '',
      'hello'
    ].join('\r\n')
    const parsed = parseMessage(Buffer.from(wire))
    if (!parsed.ok) throw new Error(parsed.reason)
    const { headers } = parsed.message
    headers.prepend('Via', 'SIP/2.0/UDP me;branch=z9hG4bK2')
    headers.removeFirst('To')
    headers.add('To', '<sip:c@d>')
    const body = Buffer.from('more than before')
    expect(printMessage({ ...parsed.message, body }).toString()).toBe(
      [
        'OPTIONS sip:a@b SIP/2.0',
        ...shown(headers).map(line => line.replace('l: 5', 'l: 16')),
        '',
        'more than before'
      ].join('\r\n')
    )
  })
})
