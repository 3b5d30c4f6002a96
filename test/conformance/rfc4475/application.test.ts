// RFC 4475, 3.3 and 3.4: well-formed messages that an application must understand, refuse or drop.

import { describe, expect, it } from '@jest/globals'
import { createDigestServer } from '../../../src/sip/digest-server.ts'
import { makeResponse, parseNameAddr, parseVia } from '../../../src/sip/message.ts'
import { parseUri, schemeOf } from '../../../src/sip/uri.ts'
import { validateRequest } from '../../../src/sip/validate.ts'
import { bytesOf, hub, malformed, requestOf, responseOf, validate } from './messages.ts'

describe('RFC 4475, 3.3 application-layer semantics', () => {
  it('3.3.1 missing Call-ID, From and To: 400, answered with what there is', () => {
    const refusal = malformed(bytesOf('insuf'))
    expect(refusal).toMatchObject({ status: 400, reason: 'Bad or Missing From' })
    const answer = makeResponse(refusal.request!, 400)
    expect(answer.headers.get('Via')).toBe('SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf')
    expect(answer.headers.get('CSeq')).toBe('193942 INVITE')
    expect(answer.headers.has('From')).toBe(false)
  })

  it('3.3.2 Request-URI of an unknown scheme: 416', () => {
    expect(schemeOf(requestOf('unkscm').uri)).toBe('nobodyknowsthisscheme')
    expect(validate('unkscm')?.status).toBe(416)
  })

  it('3.3.3 Request-URI of a known but unusual scheme: 416', () => {
    expect(schemeOf(requestOf('novelsc').uri)).toBe('soap.beep')
    expect(validate('novelsc')?.status).toBe(416)
  })

  it('3.3.4 unknown schemes in To, From and Contact: left to the registrar, nothing to refuse before', () => {
    const { headers } = requestOf('unksm2')
    const uris = ['To', 'From', 'Contact'].map(name => parseNameAddr(headers.get(name)!)?.uri)
    expect(uris).toEqual(['isbn:2983792873', 'http://www.example.com', 'name:John_Smith'])
    expect(uris.map(uri => parseUri(uri!))).toEqual([null, null, null])
    expect(validate('unksm2')).toBeNull()
  })

  it('3.3.5 Require with unknown extensions: 420 that names them, and not those of Proxy-Require', () => {
    expect(validate('bext01')).toEqual({
      status: 420,
      reason: 'Bad Extension',
      headers: [{ name: 'Unsupported', value: 'nothingSupportsThis, nothingSupportsThisEither' }]
    })
  })

  it('3.3.6 a body of an unknown type: 415 that says what is understood', () => {
    expect(validate('invut')).toEqual({
      status: 415,
      reason: 'Unsupported Media Type',
      headers: [{ name: 'Accept', value: 'application/sdp, text/plain, multipart/mixed' }]
    })
  })

  it('3.3.7 an unknown authorization scheme: challenged as if there were no credentials', () => {
    expect(validate('regaut01')).toBeNull()
    const verdict = createDigestServer({ realm: 'example.com' }).verify(requestOf('regaut01'), () => 'secret')
    expect(verdict).toMatchObject({ ok: false, why: 'missing', challenge: { status: 401 } })
  })

  it('3.3.8 several values where one is allowed: 400', () => {
    expect(malformed(bytesOf('multi01'))).toMatchObject({ status: 400, reason: 'Duplicate CSeq' })
  })

  it('3.3.9 several Content-Length: 400', () => {
    expect(malformed(bytesOf('mcl01'))).toMatchObject({ status: 400, reason: 'Duplicate Content-Length' })
  })

  it('3.3.10 a 200 with a broadcast address in its second Via: two Vias are seen, so a user agent drops it', () => {
    const { status, headers } = responseOf('bcast')
    expect(status).toBe(200)
    expect(headers.all('Via').map(value => parseVia(value)?.host)).toEqual(['192.0.2.198', '255.255.255.255'])
  })

  it('3.3.11 Max-Forwards 0: 483 from a hub, nothing to refuse for an endpoint', () => {
    expect(validate('zeromf')).toMatchObject({ status: 483, reason: 'Too Many Hops' })
    expect(validateRequest(requestOf('zeromf'), { ...hub, forwards: false })).toBeNull()
  })

  it('3.3.12 a parameter behind a Contact without <> belongs to the header field', () => {
    const contact = parseNameAddr(requestOf('cparam01').headers.get('Contact')!)
    expect(contact?.uri).toBe('sip:+19725552222@gw1.example.net')
    expect([...(contact?.params ?? [])]).toEqual([['unknownparam', null]])
    expect(validate('cparam01')).toBeNull()
  })

  it('3.3.13 a parameter inside of <> belongs to the URI', () => {
    const contact = parseNameAddr(requestOf('cparam02').headers.get('Contact')!)
    expect(contact?.uri).toBe('sip:+19725552222@gw1.example.net;unknownparam')
    expect(contact?.params.size).toBe(0)
    expect(validate('cparam02')).toBeNull()
  })

  it('3.3.14 a Contact that carries an escaped Route keeps it', () => {
    const contact = parseNameAddr(requestOf('regescrt').headers.get('Contact')!)
    const uri = parseUri(contact!.uri)
    expect(uri).toMatchObject({ scheme: 'sip', user: 'user', host: 'example.com' })
    expect(uri?.scheme === 'sip' && [...uri.headers]).toEqual([['route', '<sip:sip.example.com>']])
    expect(validate('regescrt')).toBeNull()
  })

  it('3.3.15 an INVITE that accepts no SDP: 406 rather than 400', () => {
    expect(validate('sdp01')?.status).toBe(406)
  })
})

describe('RFC 4475, 3.4 backward compatibility', () => {
  it('3.4.1 an INVITE of RFC 2543 without branch, tag, Max-Forwards and Contact is accepted', () => {
    const invite = requestOf('inv2543')
    expect(parseVia(invite.headers.get('Via')!)?.params.size).toBe(0)
    expect(parseNameAddr(invite.headers.get('From')!)?.params.has('tag')).toBe(false)
    expect(parseNameAddr(invite.headers.get('To')!)).toMatchObject({ uri: 'sip:+16505552222@ss1.example.net' })
    expect(invite.body.length).toBeGreaterThan(100)
    expect(validate('inv2543')).toBeNull()
  })
})
