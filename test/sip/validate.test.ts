// What a user agent server refuses, and with which header fields.

import { describe, expect, it } from '@jest/globals'
import { makeRequest } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { validateRequest } from '../../src/sip/validate.ts'
import type { Supports } from '../../src/sip/validate.ts'

const agent: Supports = {
  methods: ['INVITE', 'ACK', 'CANCEL', 'BYE'],
  extensions: ['100rel'],
  schemes: ['sip', 'tel'],
  contentTypes: ['application/sdp', 'multipart/*'],
  forwards: false
}
const with_ = (
  headers: readonly (readonly [string, string])[],
  options: Partial<{ method: string; uri: string; body: string }> = {}
): SipRequest => {
  const { method = 'INVITE', uri = 'sip:b@h', body = '' } = options
  return makeRequest({
    method,
    uri,
    body,
    headers: [['CSeq', `1 ${method}`], ['Via', 'SIP/2.0/UDP h;branch=z9hG4bK1'], ...headers]
  })
}
const status = (request: SipRequest): number | null => validateRequest(request, agent)?.status ?? null

describe('validateRequest', () => {
  it('answers a registered method that is not supported with 405 and Allow, any other with 501', () => {
    expect(validateRequest(with_([], { method: 'PUBLISH' }), agent)).toEqual({
      status: 405,
      reason: 'Method Not Allowed',
      headers: [{ name: 'Allow', value: 'INVITE, ACK, CANCEL, BYE' }]
    })
    expect(status(with_([], { method: 'invite' }))).toBe(501)
  })

  it('never refuses an ACK', () => {
    expect(
      status(
        with_(
          [
            ['Require', 'x'],
            ['Contact', '???']
          ],
          { method: 'ACK' }
        )
      )
    ).toBeNull()
  })

  it('never refuses a CANCEL for an extension', () => {
    expect(status(with_([['Require', 'x']], { method: 'CANCEL' }))).toBeNull()
    expect(status(with_([['Require', 'x, 100REL']]))).toBe(420)
    expect(status(with_([['Require', '100REL']]))).toBeNull()
  })

  it('reads every address, and * only as the one Contact of a REGISTER', () => {
    for (const name of ['Route', 'Record-Route', 'Contact', 'P-Asserted-Identity']) {
      expect(status(with_([[name, '<sip:a@h>, <sip:b']]))).toBe(400)
    }
    expect(status(with_([['Contact', '*']]))).toBe(400)
    const registrar = { ...agent, methods: ['REGISTER'] }
    expect(validateRequest(with_([['Contact', '*']], { method: 'REGISTER' }), registrar)).toBeNull()
    expect(validateRequest(with_([['Contact', '*, <sip:a@h>']], { method: 'REGISTER' }), registrar)?.status).toBe(400)
  })

  it('takes Max-Forwards from 0 to 255, and 0 only where nothing is passed on', () => {
    expect(['0', '255', '256', '-1', 'x'].map(value => status(with_([['Max-Forwards', value]])))).toEqual([
      null,
      null,
      400,
      400,
      400
    ])
    expect(validateRequest(with_([['Max-Forwards', '0']]), { ...agent, forwards: true })?.status).toBe(483)
  })

  it('refuses unknown schemes with 416 and broken URIs of known ones with 400', () => {
    expect(status(with_([], { uri: 'tel:+4930' }))).toBeNull()
    expect(status(with_([], { uri: 'urn:service:sos' }))).toBe(416)
    expect(status(with_([], { uri: 'tel:alice' }))).toBe(400)
    expect(status(with_([], { uri: 'sip:a@h?Route=x' }))).toBe(400)
  })

  it('refuses bodies of unknown type or coding with 415, unless they are optional', () => {
    const body = 'x'
    expect(status(with_([['Content-Type', 'Application/SDP; charset=x']], { body }))).toBeNull()
    expect(status(with_([['Content-Type', 'multipart/mixed;boundary=1']], { body }))).toBeNull()
    expect(status(with_([['c', 'image/png']], { body }))).toBe(415)
    expect(status(with_([], { body }))).toBe(415)
    expect(status(with_([['Content-Type', 'image/png']]))).toBeNull()
    expect(
      status(
        with_(
          [
            ['Content-Type', 'image/png'],
            ['Content-Disposition', 'icon; Handling=optional']
          ],
          { body }
        )
      )
    ).toBeNull()
    expect(
      validateRequest(
        with_(
          [
            ['Content-Type', 'application/sdp'],
            ['e', 'gzip']
          ],
          { body }
        ),
        agent
      )
    ).toMatchObject({
      status: 415,
      headers: [{ name: 'Accept-Encoding', value: 'identity' }]
    })
  })

  it('refuses an INVITE whose Accept leaves out SDP with 406', () => {
    for (const accept of ['application/sdp', '*/*', 'application/*;q=0.2', 'text/plain, application/sdp']) {
      expect(status(with_([['Accept', accept]]))).toBeNull()
    }
    for (const accept of ['', 'text/plain', 'application/sdp;q=0', 'application/sdp;q=0.0, text/plain']) {
      expect(status(with_([['Accept', accept]]))).toBe(406)
    }
  })
})
