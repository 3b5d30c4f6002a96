// RFC 4475, 3.1.1: valid messages, each parsed to the meaning that the clause describes.

import { describe, expect, it } from '@jest/globals'
import { parseCSeq, parseMessage, parseNameAddr, parseVia, printMessage, unquote } from '../../../src/sip/message.ts'
import type { NameAddr, SipRequest, Via } from '../../../src/sip/message.ts'
import { parseUri } from '../../../src/sip/uri.ts'
import type { SipUri } from '../../../src/sip/uri.ts'
import { bytesOf, requestOf, responseOf, validate } from './messages.ts'

const address = ({ headers }: SipRequest, name: string): NameAddr => parseNameAddr(headers.get(name) ?? '')!
const vias = ({ headers }: SipRequest): readonly Via[] => headers.all('Via').map(value => parseVia(value)!)
const sip = (text: string): SipUri => parseUri(text) as SipUri

describe('RFC 4475, 3.1.1 valid messages', () => {
  it('3.1.1.1 a short tortuous INVITE: folding, odd spacing, compact forms and escapes are read through', () => {
    const invite = requestOf('wsinv')
    const { headers } = invite
    expect(sip(invite.uri)).toMatchObject({ user: 'vivekg', host: 'chair-dnrc.example.com' })
    expect(sip(invite.uri).params.get('unknownparam')).toBeNull()
    expect(address(invite, 'To')).toMatchObject({ uri: 'sip:vivekg@chair-dnrc.example.com', display: null })
    expect(address(invite, 'To').params.get('tag')).toBe('1918181833n')
    expect(address(invite, 'From').display).toBe('J Rosenberg \\"')
    expect(address(invite, 'From').params.get('tag')).toBe('98asjd8')
    expect(Number(headers.get('Max-Forwards'))).toBe(68)
    expect(parseCSeq(headers.get('CSeq')!)).toEqual({ number: 9, method: 'INVITE' })
    expect(vias(invite).map(({ transport, host }) => [transport, host])).toEqual([
      ['UDP', '192.0.2.2'],
      ['TCP', 'spindle.example.com'],
      ['UDP', '192.168.255.111']
    ])
    expect(vias(invite).map(({ params }) => params.get('branch'))).toEqual([
      '390skdjuw',
      'z9hG4bK9ikj8',
      'z9hG4bK30239'
    ])
    expect(headers.get('Subject')).toBe('')
    expect(headers.get('NewFangledHeader')).toBe('newfangled value continued newfangled value')
    expect(headers.get('UnknownHeaderWithUnusualValue')).toBe(';;,,;;,;')
    expect(headers.get('Route')).toBe('<sip:services.example.com;lr;unknownwith=value;unknown-no-value>')
    const contact = address(invite, 'Contact')
    expect(contact).toMatchObject({ display: 'Quoted string ""', uri: 'sip:jdrosen@example.com' })
    expect([...contact.params]).toEqual([
      ['newparam', 'newvalue'],
      ['secondparam', null],
      ['q', '0.33']
    ])
    expect(invite.body).toHaveLength(150)
    expect(validate('wsinv')).toBeNull()
  })

  it('3.1.1.2 a wide range of valid characters: every one survives, the unknown method is answered 501', () => {
    const request = requestOf('intmeth')
    expect(request.method).toBe("!interesting-Method0123456789_*+`.%indeed'~")
    const uri = sip(request.uri)
    expect(uri.user).toBe("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    expect(uri.password).toBe("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    expect(vias(request)[0]?.params.get('branch')).toBe("z9hG4bK-.!%66*_+`'~")
    expect(address(request, 'To').display).toBe('BEL:\u0007 NUL:\u0000 DEL:\u007f')
    const from = address(request, 'From')
    expect(from.display).toBe("token1~` token2'+_ token3*%!.-")
    expect(unquote(from.params.get("fromparam''~+*_!.-%") ?? '')).toBe('работающий')
    expect(from.params.get('tag')).toBe("_token~1'+`*%!-.")
    expect(request.headers.get('Call-ID')).toBe('intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{')
    expect(request.headers.get("EXTENSIONHEADER-!.%*+_`'~")).toBe('\ufeff大停電')
    expect(validate('intmeth')?.status).toBe(501)
  })

  it('3.1.1.3 escapes: the user is "sips:user@example.com", and escaped parameters are unescaped', () => {
    const invite = requestOf('esc01')
    expect(sip(invite.uri)).toMatchObject({ scheme: 'sip', user: 'sips:user@example.com', host: 'example.net' })
    expect(sip(address(invite, 'To').uri).user).toBe('user')
    expect(sip(address(invite, 'From').uri).user).toBe('I have spaces')
    const contact = sip(address(invite, 'Contact').uri)
    expect(contact.user).toBe('caller')
    expect([...contact.params]).toEqual([
      ['lr', null],
      ['name', 'value%41']
    ])
    expect(validate('esc01')).toBeNull()
  })

  it('3.1.1.4 escaped nulls stay inside the user and do not end it', () => {
    const register = requestOf('escnull')
    expect(sip(address(register, 'To').uri).user).toBe('null-\0-null')
    const users = register.headers.all('Contact').map(value => sip(parseNameAddr(value)!.uri).user)
    expect(users).toEqual(['\0', '\0\0'])
    expect(validate('escnull')).toBeNull()
  })

  it('3.1.1.5 percent signs that are no escapes in method, header name, branch and display name', () => {
    const request = requestOf('esc02')
    expect(request.method).toBe('RE%47IST%45R')
    expect(address(request, 'To').display).toBe('%Z%45')
    expect(vias(request)[0]?.params.get('branch')).toBe('z9hG4bK209%fzsnel234')
    expect(request.headers.count('Contact')).toBe(2)
    expect(request.headers.get('C%6Fntact')).toBe('<sip:alias2@host2.example.com>')
    expect(validate('esc02')?.status).toBe(501)
  })

  it('3.1.1.6 no space between display name and "<"', () => {
    expect(address(requestOf('lwsdisp'), 'From')).toMatchObject({ display: 'caller', uri: 'sip:caller@example.com' })
    expect(validate('lwsdisp')).toBeNull()
  })

  it('3.1.1.7 long values: 34 Vias under all spellings, none cut', () => {
    const invite = requestOf('longreq')
    expect(invite.headers.count('Via')).toBe(34)
    expect(vias(invite)[0]?.host).toBe('sip33.example.com')
    expect(vias(invite)[33]?.params.get('received')).toBe('192.0.2.5')
    expect(address(invite, 'To').display).toMatch(/^I have a user name of (extreme){10} proportion$/)
    expect(address(invite, 'From').params.get('tag')).toMatch(/^12(982){50}424$/)
    expect(invite.headers.get('Unknown-' + 'Long'.repeat(20) + '-Name')).toMatch(/^unknown-/)
    expect(invite.body).toHaveLength(150)
    expect(validate('longreq')).toBeNull()
  })

  it('3.1.1.8 a second request behind the first in one datagram is dropped', () => {
    const register = requestOf('dblreq')
    expect(register.method).toBe('REGISTER')
    expect(register.body).toHaveLength(0)
    expect(printMessage(register).includes('INVITE')).toBe(false)
    expect(validate('dblreq')).toBeNull()
  })

  it('3.1.1.9 a semicolon in the user is part of it', () => {
    const request = requestOf('semiuri')
    expect(sip(request.uri)).toMatchObject({ user: 'user;par=u@example.net', host: 'example.com' })
    expect(sip(request.uri).params.size).toBe(0)
    expect(request.headers.all('Accept')).toHaveLength(6)
    expect(validate('semiuri')).toBeNull()
  })

  it('3.1.1.10 transports that nobody implements are read like any other', () => {
    expect(vias(requestOf('transports')).map(({ transport }) => transport)).toEqual([
      'UDP',
      'SCTP',
      'TLS',
      'UNKNOWN',
      'TCP'
    ])
    expect(validate('transports')).toBeNull()
  })

  it('3.1.1.11 a multipart MESSAGE: its binary body passes through byte for byte', () => {
    const message = requestOf('mpart01')
    expect(message.headers.get('Content-Type')).toBe('multipart/mixed;boundary=7a9cbec02ceef655')
    expect(message.body).toHaveLength(553)
    expect(bytesOf('mpart01').includes(message.body)).toBe(true)
    const again = parseMessage(printMessage(message))
    expect(again.ok && again.message.body.equals(message.body)).toBe(true)
    expect(validate('mpart01')).toBeNull()
  })

  it('3.1.1.12 a reason phrase in Russian', () => {
    expect(responseOf('unreason').reason).toBe('= 2**3 * 5**2 но сто девяносто девять - простое')
  })

  it('3.1.1.13 an empty reason phrase', () => {
    expect(responseOf('noreason')).toMatchObject({ status: 100, reason: '' })
  })
})
