import { describe, expect, it } from '@jest/globals'
import {
  isRtcp,
  isRtp,
  packetLimits,
  payloadType,
  plainCompound,
  rtcpSsrc,
  setPayloadType
} from '../../src/media/rtp-packet.ts'
import { rtpPacket } from '../support/rtp.ts'

const receiverReport = Buffer.from([0x80, 201, 0, 1, 0, 0, 0, 7])
const nack = Buffer.from([0x81, 205, 0, 3, 0, 0, 0, 7, 0, 0, 0, 8, 0, 1, 0, 0])
const bye = Buffer.from([0x81, 203, 0, 1, 0, 0, 0, 7])

describe('packets', () => {
  it('are told apart by version and type', () => {
    const rtp = rtpPacket({
      payloadType: 96,
      sequence: 1,
      timestamp: 1,
      ssrc: 1,
      payload: Buffer.alloc(1),
      marker: true
    })
    expect([isRtp(rtp), isRtcp(rtp)]).toEqual([true, false])
    expect([isRtp(receiverReport), isRtcp(receiverReport)]).toEqual([false, true])
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.alloc(4),
      Buffer.from([22, 254, 253]),
      Buffer.alloc(packetLimits.bytesMax + 1, 0x80)
    ]) {
      expect([isRtp(bytes), isRtcp(bytes)]).toEqual([false, false])
    }
  })

  it('keep the marker when their payload type is rewritten', () => {
    const rtp = rtpPacket({
      payloadType: 101,
      sequence: 1,
      timestamp: 1,
      ssrc: 1,
      payload: Buffer.alloc(1),
      marker: true
    })
    setPayloadType(rtp, 96)
    expect([payloadType(rtp), rtp[1]]).toEqual([96, 0x80 | 96])
  })

  it('of RTCP lose their feedback towards a plain side, and vanish where nothing else is in them', () => {
    expect(plainCompound(Buffer.concat([receiverReport, nack, bye]))).toEqual(Buffer.concat([receiverReport, bye]))
    expect(plainCompound(nack)).toBeNull()
    expect(plainCompound(Buffer.concat([bye, nack]))).toBeNull()
    expect(plainCompound(Buffer.concat([receiverReport, Buffer.from([0x80, 203, 0, 9])]))).toEqual(receiverReport)
    expect(rtcpSsrc(receiverReport)).toBe(7)
  })
})
