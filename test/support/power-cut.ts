// A disk that loses power: what was written since the last flush may be there or not, sector by sector. And one that
// fails on demand.

import { readFileSync } from 'node:fs'
import type { Disk } from '../../src/events/slots.ts'

const sectorBytes = 512

/** Lets a cut fall between two operations. */
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

export interface WeakDisk extends Disk {
  /** The file as a power cut would leave it now: sectors written since the last flush are new or old, by chance. */
  cut(chance: (n: number) => number): Buffer
  /** The next so many flushes fail. */
  failing: number
}

export function weakDisk(path: string): WeakDisk {
  const current = readFileSync(path)
  const durable = Buffer.from(current)
  const dirty = new Set<number>()
  return {
    failing: 0,
    async read(into, offset, length, position) {
      return { bytesRead: current.copy(into, offset, position, position + length) }
    },
    async write(from, offset, length, position) {
      await turn()
      from.copy(current, position, offset, offset + length)
      for (let at = position; at < position + length; at += sectorBytes) dirty.add(Math.floor(at / sectorBytes))
      return { bytesWritten: length }
    },
    async datasync() {
      await turn()
      if (this.failing > 0) {
        this.failing -= 1
        throw Object.assign(new Error('EIO: the disk says no'), { code: 'EIO' })
      }
      for (const sector of dirty) {
        const at = sector * sectorBytes
        current.copy(durable, at, at, at + sectorBytes)
      }
      dirty.clear()
    },
    async close() {
      return undefined
    },
    cut(chance) {
      const image = Buffer.from(durable)
      // A killed process leaves everything to the system, a dead disk nothing, a power cut some of it.
      const share = chance(3)
      for (const sector of dirty) {
        const at = sector * sectorBytes
        if (share === 2 ? chance(2) === 1 : share === 1) current.copy(image, at, at, at + sectorBytes)
      }
      return image
    }
  }
}
