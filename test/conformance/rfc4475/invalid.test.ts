// RFC 4475, 3.1.2 and 3.2: invalid messages. Where a clause allows several answers the test's name says which is ours.

import { describe, expect, it } from '@jest/globals'
import { parseDeltaSeconds, parseMessage, parseNameAddr } from '../../../src/sip/message.ts'
import { validateRequest } from '../../../src/sip/validate.ts'
import { bytesOf, hub, malformed, requestOf, validate } from './messages.ts'

/** The message with one text replaced, to look at one of several faults alone. */
const edited = (name: string, from: string | RegExp, to: string): Buffer =>
  Buffer.from(bytesOf(name).toString('latin1').replace(from, to), 'latin1')

const parsedRequest = (bytes: Buffer) => {
  const parsed = parseMessage(bytes)
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error('was refused')
  return parsed.message
}

describe('RFC 4475, 3.1.2 invalid messages', () => {
  it('3.1.2.1 extraneous separators in Via and Contact: 400', () => {
    expect(malformed(bytesOf('badinv01'))).toMatchObject({ status: 400, reason: 'Bad or Missing Via' })
    const onlyContact = parsedRequest(edited('badinv01', ';;,;,,', ';branch=z9hG4bK1'))
    expect(validateRequest(onlyContact, hub)).toMatchObject({ status: 400, reason: 'Bad Contact' })
  })

  it('3.1.2.2 Content-Length larger than the datagram: 400', () => {
    expect(malformed(bytesOf('clerr'))).toMatchObject({ status: 400, reason: 'Content-Length Does Not Fit' })
  })

  it('3.1.2.3 negative Content-Length: 400', () => {
    expect(malformed(bytesOf('ncl'))).toMatchObject({ status: 400, reason: 'Content-Length Does Not Fit' })
  })

  it('3.1.2.4 overlarge numbers in a request: 400 for CSeq and for Max-Forwards, Expires counts as the largest', () => {
    expect(malformed(bytesOf('scalar02'))).toMatchObject({ status: 400, reason: 'Bad or Missing CSeq' })
    const otherwise = parsedRequest(edited('scalar02', '36893488147419103232', '1'))
    expect(validateRequest(otherwise, hub)).toMatchObject({ status: 400, reason: 'Bad Max-Forwards' })
    expect(parseDeltaSeconds(otherwise.headers.get('Expires')!)).toBe(2 ** 32 - 1)
    const contact = parseNameAddr(otherwise.headers.get('Contact')!)
    expect(parseDeltaSeconds(contact?.params.get('expires') ?? '')).toBe(2 ** 32 - 1)
  })

  it('3.1.2.5 overlarge CSeq in a response: dropped', () => {
    expect(malformed(bytesOf('scalarlg'))).toMatchObject({ status: null, request: null })
  })

  it('3.1.2.6 unterminated quote in a display name: 400', () => {
    expect(malformed(bytesOf('quotbal'))).toMatchObject({ status: 400, reason: 'Bad or Missing To' })
  })

  it('3.1.2.7 <> around the Request-URI: 400 rather than repaired', () => {
    expect(malformed(bytesOf('ltgtruri'))).toMatchObject({ status: 400, reason: 'Bad Request-Line' })
  })

  it('3.1.2.8 spaces within the Request-URI: 400 rather than repaired', () => {
    expect(malformed(bytesOf('lwsruri'))).toMatchObject({ status: 400, reason: 'Bad Request-Line' })
  })

  it('3.1.2.9 several spaces between the parts of the request line: 400 rather than repaired', () => {
    expect(malformed(bytesOf('lwsstart'))).toMatchObject({ status: 400, reason: 'Bad Request-Line' })
  })

  it('3.1.2.10 spaces at the end of the request line: 400 rather than ignored', () => {
    expect(malformed(bytesOf('trws'))).toMatchObject({ status: 400, reason: 'Bad Request-Line' })
  })

  it('3.1.2.11 escaped header fields in a SIP Request-URI: 400 rather than ignored', () => {
    expect(validate('escruri')).toMatchObject({ status: 400, reason: 'Bad Request-URI' })
  })

  it('3.1.2.12 a Date in another zone than GMT: left aside, since nothing here depends on it', () => {
    expect(requestOf('baddate').headers.get('Date')).toBe('Fri, 01 Jan 2010 16:00:00 EST')
    expect(validate('baddate')).toBeNull()
  })

  it('3.1.2.13 a Contact with header fields outside of <>: 400 rather than guessed at', () => {
    expect(validate('regbadct')).toMatchObject({ status: 400, reason: 'Bad Contact' })
  })

  it('3.1.2.14 spaces within the addr-spec of To: 400 rather than repaired', () => {
    expect(malformed(bytesOf('badaspec'))).toMatchObject({ status: 400, reason: 'Bad or Missing To' })
  })

  it('3.1.2.15 characters of no token in an unquoted display name: 400 rather than quoted for the sender', () => {
    expect(malformed(bytesOf('baddn')).status).toBe(400)
    // The file also lacks the blank line; with it the display name alone is the reason.
    const whole = Buffer.concat([bytesOf('baddn'), Buffer.from('\r\n')])
    expect(malformed(whole)).toMatchObject({ status: 400, reason: 'Bad or Missing From' })
  })

  it('3.1.2.16 an unknown protocol version: 505', () => {
    expect(malformed(bytesOf('badvers'))).toMatchObject({ status: 505, reason: 'Version Not Supported' })
  })

  it('3.1.2.17 methods of start line and CSeq differ: 400', () => {
    expect(validate('mismatch01')).toMatchObject({ status: 400, reason: 'CSeq Method Does Not Match' })
  })

  it('3.1.2.18 unknown method with another one in CSeq: 501, as the method is unknown here', () => {
    expect(validate('mismatch02')?.status).toBe(501)
  })

  it('3.1.2.19 overlarge response code: dropped', () => {
    expect(malformed(bytesOf('bigcode'))).toMatchObject({ status: null, request: null })
  })
})

describe('RFC 4475, 3.2 transaction layer', () => {
  it('3.2.1 a branch that is the magic cookie and nothing else: 400, without a transaction', () => {
    expect(malformed(bytesOf('badbranch'))).toMatchObject({ status: 400, reason: 'Empty Branch' })
  })
})
