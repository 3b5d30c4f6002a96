// A real filesystem so small that a test can fill it: a tmpfs of its own, or, where nobody may mount one, the /dev/shm
// of the container, which is as small.

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeSync
} from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../../src/errors.ts'
import { openTempDir } from './database.ts'

const mib = 1_048_576
const shared = '/dev/shm'
/** Above it nobody would want to fill it. */
const sharedBytesMax = 1_024 * mib

export interface SmallDisk {
  readonly path: string
  /** Writes until the system says ENOSPC, and leaves not a single block; or so many bytes. */
  fill(leaving?: number): void
  /** Takes what `fill` wrote away again. */
  free(): void
  /** Unmounts it, or empties it. */
  close(): void
}

/** Throws where it can have none: a test of a full disk is never left out. */
export function openSmallDisk(megabytes = 64): SmallDisk {
  const mounted = openTempDir('isthmus-disk-')
  const size = `size=${megabytes}m,mode=755`
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', size, 'isthmus-test', mounted], {
    encoding: 'utf8'
  })
  if (status === 0) {
    return diskOf(mounted, () => {
      // Lazily: what still has a file open there keeps nothing else from ending.
      spawnSync('umount', ['-l', mounted])
      rmSync(mounted, { recursive: true, force: true })
    })
  }
  rmSync(mounted, { recursive: true })
  const { bsize, blocks } = statfsSync(shared)
  if (bsize * blocks > sharedBytesMax) throw new Error(`no small disk: ${stderr.trim()}, and ${shared} is large`)
  const folder = mkdtempSync(join(shared, 'isthmus-disk-'))
  return diskOf(folder, () => rmSync(folder, { recursive: true, force: true }))
}

function diskOf(path: string, close: () => void): SmallDisk {
  const filler = join(path, 'filler')
  return {
    path,
    fill(leaving = 0) {
      const file = openSync(filler, 'a')
      for (const bytes of [mib, 4_096]) {
        const chunk = Buffer.alloc(bytes, 1)
        while (writes(file, chunk));
      }
      ftruncateSync(file, fstatSync(file).size - leaving)
      closeSync(file)
    },
    free: () => truncateSync(filler, 0),
    close
  }
}

function writes(file: number, chunk: Buffer): boolean {
  try {
    return writeSync(file, chunk) > 0
  } catch (error) {
    if (errnoOf(error) === 'ENOSPC') return false
    throw error
  }
}
