// What a ZIP file says of its contents, before anybody unpacks it: an XLSX that would fill the memory is refused.

import { HubError } from '../../errors.ts'

export const limits = {
  entriesMax: 1_000,
  /** Unpacked, all entries together. */
  bytesMax: 1_073_741_824,
  /** Unpacked for packed: sheets of a million equal rows come to about 100. */
  ratioMax: 500
} as const

const endSignature = 0x06054b50
const entrySignature = 0x02014b50
const endBytes = 22
const entryBytes = 46
const commentMax = 65_535
const zip64 = 0xffffffff

/** Throws HUB_CONFIG for what is no ZIP, is broken, or unpacks to too much. */
export function checkZip(name: string, bytes: Buffer): void {
  const wrong = (why: string): HubError => new HubError('HUB_CONFIG', `${name}: ${why}`)
  const end = endOf(bytes)
  if (end < 0) throw wrong('it is no XLSX file')
  const entries = bytes.readUInt16LE(end + 10)
  const [size, start] = [bytes.readUInt32LE(end + 12), bytes.readUInt32LE(end + 16)]
  if (entries > limits.entriesMax) throw wrong(`it has more than ${limits.entriesMax} parts`)
  if (start === zip64 || start + size > end) throw wrong('it is no XLSX file that can be read')
  let unpacked = 0
  for (let n = 0, at = start; n < entries; n++) {
    if (at + entryBytes > end || bytes.readUInt32LE(at) !== entrySignature) throw wrong('it is a broken XLSX file')
    const [packed, whole] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 24)]
    unpacked += whole
    if (whole === zip64 || unpacked > limits.bytesMax || whole > (packed + 1) * limits.ratioMax) {
      throw wrong('it would unpack to far more than a rate deck; send CSV')
    }
    at += entryBytes + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
  }
}

/** Where the end record begins: it is the last thing but for a comment. */
function endOf(bytes: Buffer): number {
  const first = Math.max(0, bytes.length - endBytes - commentMax)
  for (let at = bytes.length - endBytes; at >= first; at--) if (bytes.readUInt32LE(at) === endSignature) return at
  return -1
}
