// The fixed header of RTP and RTCP packets (RFC 3550, 5.1 and 6.4), read and rewritten in place.

/** `bytesMax`: what fits an Ethernet frame many times over; larger datagrams are no media. */
export const packetLimits = { headerBytes: 12, rtcpHeaderBytes: 8, bytesMax: 8_192 } as const

/** RFC 5761, 4: packet types 192 to 223 are RTCP, so the second byte tells them apart on one port. */
export const isRtcp = (packet: Buffer): boolean =>
  packet.length >= packetLimits.rtcpHeaderBytes &&
  packet.length <= packetLimits.bytesMax &&
  byte(packet, 0) >> 6 === 2 &&
  byte(packet, 1) >= 192 &&
  byte(packet, 1) <= 223

export const isRtp = (packet: Buffer): boolean =>
  packet.length >= packetLimits.headerBytes &&
  packet.length <= packetLimits.bytesMax &&
  byte(packet, 0) >> 6 === 2 &&
  (byte(packet, 1) < 192 || byte(packet, 1) > 223)

export const payloadType = (packet: Buffer): number => byte(packet, 1) & 0x7f
/** The marker bit stays. */
export const setPayloadType = (packet: Buffer, type: number): void => {
  packet[1] = (byte(packet, 1) & 0x80) | type
}
export const rtpSequence = (packet: Buffer): number => packet.readUInt16BE(2)
export const rtpTimestamp = (packet: Buffer): number => packet.readUInt32BE(4)
export const rtpSsrc = (packet: Buffer): number => packet.readUInt32BE(8)

/** Who sent an RTCP packet: the SSRC of its first part. */
export const rtcpSsrc = (packet: Buffer): number => packet.readUInt32BE(4)

/** SR, RR, SDES and BYE: what a side without AVPF understands (RFC 3550; feedback is RFC 4585). */
const plainRtcp = (type: number): boolean => type >= 200 && type <= 203

/**
 * The parts of a compound packet that such a side may see, or null where none is left. A compound packet begins
 * with a report (RFC 3550, 6.1), so feedback alone, as with reduced size (RFC 5506), leaves nothing.
 */
export function plainCompound(packet: Buffer): Buffer | null {
  const kept: Buffer[] = []
  for (let at = 0; at + 4 <= packet.length;) {
    const length = (packet.readUInt16BE(at + 2) + 1) * 4
    if (at + length > packet.length) break
    if (plainRtcp(byte(packet, at + 1))) kept.push(packet.subarray(at, at + length))
    at += length
  }
  const first = kept[0]
  if (first === undefined || (byte(first, 1) !== 200 && byte(first, 1) !== 201)) return null
  return Buffer.concat(kept)
}

const byte = (packet: Buffer, at: number): number => packet[at] ?? 0
