// UUIDs in order of time (RFC 9562, 5.7): index-friendly keys.

import { randomUUID } from 'node:crypto'

/** A UUIDv7 of a moment, in epoch milliseconds: its time, and the random part of a UUIDv4. */
export function uuidv7(now: number): string {
  const time = now.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8, 12)}-7${randomUUID().slice(15)}`
}
