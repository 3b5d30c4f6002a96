import { describe, expect, it } from '@jest/globals'
import { answerStun, isStun } from '../../../src/sip/transport/stun.ts'

const id = 'b7e7a701bc34d686fa87dfae'
/** A binding request; RFC 5769, 2.2 and 2.3 use this transaction. */
const request = (type = '0001', length = '0000', more = ''): Buffer =>
  Buffer.from(`${type}${length}2112a442${id}${more}`, 'hex')

describe('STUN keepalives (RFC 5626, 4.4.2)', () => {
  it('are told from SIP by their first bits and the cookie', () => {
    expect(isStun(request())).toBe(true)
    expect(isStun(Buffer.from('OPTIONS sip:a@b SIP/2.0\r\n'))).toBe(false)
    expect(isStun(request().subarray(0, 19))).toBe(false)
    expect(isStun(Buffer.from(`00010000deadbeef${id}`, 'hex'))).toBe(false)
  })

  it('are answered with the address they came from, as RFC 5769 writes it for IPv4 (2.2) and IPv6 (2.3)', () => {
    expect(answerStun(request(), { host: '192.0.2.1', port: 32_853 })?.toString('hex')).toBe(
      `0101000c2112a442${id}002000080001a147e112a643`
    )
    expect(answerStun(request(), { host: '2001:db8:1234:5678:11:2233:4455:6677', port: 32_853 })?.toString('hex')).toBe(
      `010100182112a442${id}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9`
    )
  })

  it('fill in what IPv6 leaves out, and drop its zone', () => {
    const [short, long, zoned] = ['fe80::1', 'fe80:0:0:0:0:0:0:1', 'fe80::1%eth0'].map(host =>
      answerStun(request(), { host, port: 1 })?.toString('hex')
    )
    expect(short).toBe(long)
    expect(zoned).toBe(long)
    expect(answerStun(request(), { host: '::', port: 1 })).toHaveLength(44)
  })

  it('that are no whole binding request, or come from nowhere, are not answered', () => {
    const from = { host: '192.0.2.1', port: 1 }
    for (const wrong of [request('0011'), request('0101'), request('0001', '0004'), request('0001', '0000', '00')]) {
      expect(answerStun(wrong, from)).toBeNull()
    }
    expect(answerStun(request(), { host: 'nonsense', port: 1 })).toBeNull()
  })
})
