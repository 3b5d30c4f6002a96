import { createHmac } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { isAuthentic, isStunRequest } from '../../src/media/stun-guard.ts'

/** RFC 5769, 2.1: the sample request, username `evtj:h6vY`. */
const sample = Buffer.from(
  '000100582112a442b7e7a701bc34d686fa87dfae' +
    '802200105354554e207465737420636c69656e74' +
    '002400046e0001ff' +
    '80290008932ff9b151263b36' +
    '000600096576746a3a68367659202020' +
    '000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2' +
    '80280004e57a3bcf',
  'hex'
)
const passwords = new Map([['evtj', 'VOkJxbRl1RmTxUk/WvJxBt']])

describe('the STUN guard', () => {
  it('knows a request and lets the authentic one of RFC 5769 through', () => {
    expect(isStunRequest(sample)).toBe(true)
    expect(isAuthentic(sample, fragment => passwords.get(fragment))).toBe(true)
  })

  it('stops a request with another password, for another fragment, changed, or without integrity', () => {
    expect(isAuthentic(sample, () => 'wrong')).toBe(false)
    expect(isAuthentic(sample, () => undefined)).toBe(false)
    const changed = Buffer.from(sample)
    changed[30] = changed[30]! ^ 1
    expect(isAuthentic(changed, fragment => passwords.get(fragment))).toBe(false)
    expect(isAuthentic(sample.subarray(0, 72), fragment => passwords.get(fragment))).toBe(false)
  })

  it('stops half a message and a digest of the wrong length without a throw', () => {
    for (let length = 20; length < sample.length - 8; length++) {
      expect(isAuthentic(sample.subarray(0, length), fragment => passwords.get(fragment))).toBe(false)
    }
    const head = Buffer.from(sample.subarray(0, 76))
    const short = Buffer.concat([
      head,
      Buffer.from([0, 8, 0, 4]),
      createHmac('sha1', 'x').update(head).digest().subarray(0, 4)
    ])
    expect(isAuthentic(short, fragment => passwords.get(fragment))).toBe(false)
  })

  it('knows no request in responses, media and handshakes', () => {
    const response = Buffer.from(sample)
    response.writeUInt16BE(0x0101, 0)
    for (const bytes of [response, Buffer.from([0x80, 8]), Buffer.alloc(0), Buffer.alloc(100, 22)]) {
      expect(isStunRequest(bytes)).toBe(false)
    }
  })
})
