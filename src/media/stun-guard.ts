// Lets only authentic STUN requests through to the ICE agent, which does not check them itself (RFC 8445, 7.3).
// Without it, anybody who knows the port could have media sent elsewhere.

import { createHmac, timingSafeEqual } from 'node:crypto'

const magicCookie = 0x2112_a442
const bindingRequest = 0x0001
const username = 0x0006
const messageIntegrity = 0x0008
const integrityBytes = 20

export const isStunRequest = (packet: Buffer): boolean =>
  packet.length >= 20 && packet.readUInt32BE(4) === magicCookie && packet.readUInt16BE(0) === bindingRequest

/** `passwordOf`: the password of one of our username fragments, or undefined. */
export function isAuthentic(packet: Buffer, passwordOf: (fragment: string) => string | undefined): boolean {
  let password: string | undefined
  for (let at = 20; at + 4 <= packet.length;) {
    const type = packet.readUInt16BE(at)
    const length = packet.readUInt16BE(at + 2)
    const value = packet.subarray(at + 4, at + 4 + length)
    if (value.length !== length) return false
    if (type === username) password = passwordOf(value.toString('utf8').split(':', 1)[0] ?? '')
    if (type === messageIntegrity) {
      return password !== undefined && length === integrityBytes && timingSafeEqual(value, digest(packet, at, password))
    }
    at += 4 + length + ((4 - (length % 4)) % 4)
  }
  return false
}

/** RFC 8489, 14.5: over everything before the attribute, with the length as if the message ended with it. */
function digest(packet: Buffer, at: number, password: string): Buffer {
  const covered = Buffer.from(packet.subarray(0, at))
  covered.writeUInt16BE(at - 20 + 4 + integrityBytes, 2)
  return createHmac('sha1', password).update(covered).digest()
}
