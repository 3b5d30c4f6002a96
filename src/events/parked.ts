// Records that their topic will never take, kept in a file beside the journal until somebody has looked at them.

import { appendFile, open, stat } from 'node:fs/promises'
import { HubError, errnoOf } from '../errors.ts'
import type { Entry } from './kafka-writer.ts'

export const parkedLimits = {
  /** A larger file means that something else is wrong: then nothing is parked, and the records wait in the journal. */
  fileBytesMax: 64 * 1_048_576
} as const

/** Returns a function that appends one line of JSON and waits until it is on the disk. It throws HUB_JOURNAL. */
export function createParking(
  file: string,
  { fileBytesMax }: { readonly fileBytesMax: number } = parkedLimits
): (entry: Entry, why: string) => Promise<void> {
  return async ({ key, value }, why) => {
    const size = await stat(file).then(
      found => found.size,
      (error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return 0
        throw error
      }
    )
    if (size >= fileBytesMax) {
      throw new HubError('HUB_JOURNAL', `${file} holds all the parked records it may: look at them and move it away`)
    }
    const line = JSON.stringify({ at: new Date().toISOString(), why, key, value })
    await appendFile(file, `${line}\n`, { mode: 0o600 })
    const handle = await open(file, 'r+')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}
