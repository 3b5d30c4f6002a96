// STUN on a SIP socket (RFC 5626, 4.4.2; RFC 8489): a binding request, the keepalive of clients on UDP, is answered.

import { isIPv6 } from 'node:net'
import type { Address } from './transport.ts'

const headerBytes = 20
const cookie = 0x2112a442
const bindingRequest = 0x0001
const bindingSuccess = 0x0101
const xorMappedAddress = 0x0020

/** SIP begins with a letter or a line break, STUN with two zero bits. */
export const isStun = (bytes: Buffer): boolean =>
  bytes.length >= headerBytes && (bytes[0] ?? 255) < 4 && bytes.readUInt32BE(4) === cookie

/** The answer, which tells the client how it looks from here; null for anything but a whole binding request. */
export function answerStun(bytes: Buffer, { host, port }: Address): Buffer | null {
  if (!isStun(bytes) || bytes.readUInt16BE(0) !== bindingRequest) return null
  if (bytes.readUInt16BE(2) !== bytes.length - headerBytes) return null
  const address = addressBytes(host)
  if (address === null) return null
  const value = Buffer.alloc(4 + address.length)
  value.writeUInt8(address.length === 4 ? 1 : 2, 1)
  value.writeUInt16BE(port ^ (cookie >>> 16), 2)
  // XOR with the cookie, and for IPv6 with the transaction id behind it.
  for (const [index, byte] of address.entries()) value[4 + index] = byte ^ (bytes[4 + index] ?? 0)
  const answer = Buffer.alloc(headerBytes + 4)
  answer.writeUInt16BE(bindingSuccess, 0)
  answer.writeUInt16BE(4 + value.length, 2)
  bytes.copy(answer, 4, 4, headerBytes)
  answer.writeUInt16BE(xorMappedAddress, headerBytes)
  answer.writeUInt16BE(value.length, headerBytes + 2)
  return Buffer.concat([answer, value])
}

function addressBytes(host: string): Buffer | null {
  if (!isIPv6(host)) {
    const parts = host.split('.').map(Number)
    return parts.length === 4 && parts.every(part => part >= 0 && part < 256) ? Buffer.from(parts) : null
  }
  // The URL parser writes IPv6 in its canonical form, without dots; what `::` stands for has to be filled in.
  const [left = '', right] = new URL(`http://[${host.split('%')[0]}]`).hostname.slice(1, -1).split('::')
  const words = (text: string): readonly string[] => (text === '' ? [] : text.split(':'))
  const [head, tail] = [words(left), words(right ?? '')]
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0')
  const all = [...head, ...(right === undefined ? [] : zeros), ...tail]
  return Buffer.from(all.map(word => word.padStart(4, '0')).join(''), 'hex')
}
