import { describe, expect, it } from '@jest/globals'
import { bodyEncoding, decodeBody, isText, printFor, unwrapBody } from '../../../src/sip/engine/body.ts'
import { makeRequest, parseMessage } from '../../../src/sip/message.ts'
import type { SipMessage } from '../../../src/sip/message.ts'

const binary = Buffer.from([0xff, 0x00, 0x0d, 0x0a, 0x0d, 0x0a, 0xc3])
const message = (body: Buffer, headers: readonly (readonly [string, string])[] = []): SipMessage =>
  makeRequest({
    method: 'MESSAGE',
    uri: 'sip:a@b',
    headers: [
      ['Via', 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1'],
      ['From', '<sip:c@d>;tag=1'],
      ['To', '<sip:a@b>'],
      ['Call-ID', '1'],
      ['CSeq', '1 MESSAGE'],
      ['Content-Type', 'application/octet-stream'],
      ...headers
    ],
    body
  })
function read(bytes: Buffer): SipMessage {
  const parsed = parseMessage(bytes)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.message
}

describe('bodies on the control protocol', () => {
  it('that are text go as they are', () => {
    for (const asks of [true, false]) {
      expect(read(printFor({ binary: asks }, message(Buffer.from('grüße')))).body.toString()).toBe('grüße')
    }
    expect([isText(Buffer.alloc(0)), isText(Buffer.from('grüße')), isText(binary)]).toEqual([true, true, false])
  })

  it('that are not go in base64 to who asked for it, and come out as they were', () => {
    const told = read(printFor({ binary: true }, message(binary)))
    expect(told.headers.get(bodyEncoding)).toBe('base64')
    expect(told.body.toString()).toBe(binary.toString('base64'))
    const whole = unwrapBody(told)
    expect(whole.body).toEqual(binary)
    expect(whole.headers.has(bodyEncoding)).toBe(false)
    expect(whole.headers.get('Content-Type')).toBe('application/octet-stream')
  })

  it('stay behind for others, and a Warning says so', () => {
    const told = read(printFor({ binary: false }, message(binary)))
    expect(told.body).toHaveLength(0)
    expect(told.headers.get('Content-Type')).toBeUndefined()
    expect(told.headers.get('Warning')).toContain('not UTF-8')
  })

  it('are never what a peer pretends: its own field of that name is taken out', () => {
    const forged = message(Buffer.from('aGk='), [[bodyEncoding, 'base64']])
    expect(read(printFor({ binary: true }, forged)).headers.has(bodyEncoding)).toBe(false)
  })

  it('that say base64 and are none are left as they are', () => {
    const wrong = message(Buffer.from('no base64!'), [[bodyEncoding, 'base64']])
    expect(unwrapBody(wrong)).toBe(wrong)
    expect(
      ['aGk=', ' aGk=\r\n', '', 'aGk', '=aGk', 'a*k='].map(text => decodeBody(Buffer.from(text)) !== null)
    ).toEqual([true, true, true, false, false, false])
  })
})
