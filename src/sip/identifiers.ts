// Names that must be unique over space and time and not be guessed (RFC 3261, 19.3 and 8.1.1.7).

import { randomBytes } from 'node:crypto'
import { ownText } from './characters.ts'

/** Random hexadecimal digits: one call to the system for many names. */
let pool = ''
let used = 0

function randomHex(bytes: number): string {
  if (used + bytes * 2 > pool.length) {
    pool = randomBytes(4_096).toString('hex')
    used = 0
  }
  used += bytes * 2
  return pool.slice(used - bytes * 2, used)
}

/** A From or To tag: 64 random bits. */
export const newTag = (): string => ownText(randomHex(8))

/** A Via branch with the magic cookie of RFC 3261: 96 random bits. One piece of text, since it is a key in a table. */
export const newBranch = (): string => ownText(`z9hG4bK${randomHex(12)}`)

/** A Call-ID that says nothing about the host: 128 random bits. */
export const newCallId = (): string => ownText(randomHex(16))
