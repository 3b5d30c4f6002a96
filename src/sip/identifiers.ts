// Names that must be unique over space and time and not be guessed (RFC 3261, 19.3 and 8.1.1.7).

import { randomFillSync } from 'node:crypto'

/** One call to the system for many names. */
const pool = Buffer.alloc(4_096)
let used = pool.length

function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString('hex', used - bytes, used)
}

/** A From or To tag: 64 random bits. */
export const newTag = (): string => randomHex(8)

const cookie = 'z9hG4bK'
const branch = Buffer.from(cookie.padEnd(cookie.length + 24))

/** A Via branch with the magic cookie of RFC 3261: 96 random bits. One piece of text, since it is a key in a table. */
export function newBranch(): string {
  branch.write(randomHex(12), cookie.length, 'latin1')
  return branch.toString('latin1')
}

/** A Call-ID that says nothing about the host: 128 random bits. */
export const newCallId = (): string => randomHex(16)
