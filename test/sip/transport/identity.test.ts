import { describe, expect, it } from '@jest/globals'
import { proves, sipIdentities } from '../../../src/sip/transport/identity.ts'

describe('the SIP domains of a certificate (RFC 5922, 7.1)', () => {
  it('are the hosts of its sip URIs, without a user; then its DNS names do not count', () => {
    const subjectaltname =
      'URI:sip:Op.Example, URI:sip:second.example, DNS:host7.op.example, URI:sip:user@third.example'
    expect(sipIdentities({ subjectaltname })).toEqual(['op.example', 'second.example'])
    expect(sipIdentities({ subjectaltname: 'URI:sips:op.example, URI:https://op.example, DNS:dns.example.' })).toEqual([
      'dns.example'
    ])
  })

  it('are its DNS names where it has no such URI, and its common name where it has no other name at all', () => {
    const subject = { CN: 'Common.Example' }
    expect(sipIdentities({ subject, subjectaltname: 'DNS:a.example, DNS:b.example' })).toEqual([
      'a.example',
      'b.example'
    ])
    expect(sipIdentities({ subject, subjectaltname: 'IP Address:192.0.2.1' })).toEqual([])
    expect(sipIdentities({ subject })).toEqual(['common.example'])
    expect(sipIdentities({ subject: { CN: ['one', 'two'] } })).toEqual(['one', 'two'])
    expect(sipIdentities({ subject: {} })).toEqual([])
    expect(sipIdentities({})).toEqual([])
  })

  it('survive what a certificate may hide in a name', () => {
    expect(sipIdentities({ subjectaltname: 'DNS:"a.example, DNS:evil.example", DNS:c.example' })).toEqual([
      'a.example, dns:evil.example',
      'c.example'
    ])
    expect(sipIdentities({ subjectaltname: 'nonsense, :, URI:"sip:a\\"b"' })).toEqual([])
  })
})

describe('what a certificate proves', () => {
  it('is a domain it names, whole: no wildcard stands for others (7.2)', () => {
    const certificate = { subjectaltname: 'DNS:*.op.example, DNS:op.example, IP Address:192.0.2.1' }
    expect(proves(certificate, ['OP.example.'])).toBe(true)
    expect(proves(certificate, ['a.op.example'])).toBe(false)
    expect(proves(certificate, ['other.example', 'op.example'])).toBe(true)
    expect(proves(certificate, [])).toBe(false)
  })

  it('is an address it names, in any spelling, where a peer has no other name', () => {
    const certificate = { subjectaltname: 'IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1' }
    expect(proves(certificate, ['192.0.2.1'])).toBe(true)
    expect(proves(certificate, ['2001:db8::1'])).toBe(true)
    expect(proves(certificate, ['192.0.2.2'])).toBe(false)
    expect(proves({ subjectaltname: 'DNS:192.0.2.1' }, ['192.0.2.1'])).toBe(false)
  })
})
