// The journal's file: two header slots and a fixed number of record slots, written with zeros before the first call.

import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { HubError, messageOf } from '../errors.ts'

export const slotBytes = 4_096
/** magic 4, length 4, seq 8, since 8, crc of the body 4, crc of what comes before 4. */
export const headBytes = 32
export const bodyBytesMax = slotBytes - headBytes
const headerSlots = 2
/** What a disk writes whole: a slot that was half emptied shows an empty sector, and JSON holds no zero bytes. */
const sectorBytes = 512
const runSlotsMax = 256
const emptyRun = Buffer.alloc(slotBytes * runSlotsMax)

const magics = { header: 0x49534a48, record: 0x49534a52, note: 0x49534a4e } as const
export type Kind = keyof typeof magics

/** One slot's content. `since`: the first of the records that were made durable together with this one. */
export interface Slot {
  readonly seq: number
  readonly since: number
  readonly body: Buffer
}

export type Found =
  | { readonly state: 'free' }
  | { readonly state: 'used'; readonly slot: Slot }
  /** Something outside the chain, that nobody was promised. */
  | { readonly state: 'note'; readonly body: Buffer }
  /** Half written, half emptied, or damaged. `seq` null: not even the head can be read. */
  | { readonly state: 'broken'; readonly seq: number | null; readonly halfEmptied: boolean }

export function encodeSlot(into: Buffer, at: number, kind: Kind, { seq, since, body }: Slot): void {
  into.writeUInt32BE(magics[kind], at)
  into.writeUInt32BE(body.length, at + 4)
  writeUInt64(into, seq, at + 8)
  writeUInt64(into, since, at + 16)
  into.writeUInt32BE(crc32(body), at + 24)
  into.writeUInt32BE(crc32(into.subarray(at, at + 28)), at + 28)
  body.copy(into, at + headBytes)
  into.fill(0, at + headBytes + body.length, at + slotBytes)
}

/** Of a whole number that a double holds exactly. */
function writeUInt64(into: Buffer, value: number, at: number): void {
  into.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  into.writeUInt32BE(value % 2 ** 32, at + 4)
}

export function decodeSlot(from: Buffer, at: number, kind: Kind): Found {
  const head = from.subarray(at, at + headBytes)
  if (head.readUInt32BE(0) === 0) return { state: 'free' }
  const length = head.readUInt32BE(4)
  const isNote = kind === 'record' && head.readUInt32BE(0) === magics.note
  const isKnown = isNote || head.readUInt32BE(0) === magics[kind]
  const headIntact = isKnown && crc32(head.subarray(0, 28)) === head.readUInt32BE(28)
  if (!headIntact || length > bodyBytesMax) return { state: 'broken', seq: null, halfEmptied: false }
  const seq = Number(head.readBigUInt64BE(8))
  const body = from.subarray(at + headBytes, at + headBytes + length)
  const bodyIntact = crc32(body) === head.readUInt32BE(24)
  if (isNote) return bodyIntact ? { state: 'note', body } : { state: 'broken', seq: null, halfEmptied: false }
  if (bodyIntact) {
    return { state: 'used', slot: { seq, since: Number(head.readBigUInt64BE(16)), body } }
  }
  return { state: 'broken', seq, halfEmptied: hasEmptySector(from, at, length) }
}

function hasEmptySector(from: Buffer, at: number, length: number): boolean {
  for (let offset = sectorBytes; offset < headBytes + length; offset += sectorBytes) {
    const end = Math.min(offset + sectorBytes, headBytes + length)
    if (from.subarray(at + offset, at + end).every(byte => byte === 0)) return true
  }
  return false
}

/**
 * Makes the file with room for `slots` records, or makes it larger; it never shrinks. Returns how many slots it has.
 * Throws HUB_JOURNAL where the disk has no room: now and not later.
 */
export function allocate(path: string, slots: number): number {
  const bytes = (slots + headerSlots) * slotBytes
  const isNew = !existsSync(path)
  const target = isNew ? `${path}.draft` : path
  try {
    const file = openSync(target, isNew ? 'w' : 'r+', 0o600)
    try {
      extend(file, fstatSync(file).size, bytes)
    } finally {
      closeSync(file)
    }
    // A new journal is whole or absent.
    if (isNew) renameSync(target, path)
    const folder = openSync(dirname(path), 'r')
    fsyncSync(folder)
    closeSync(folder)
    return Math.floor(statSync(path).size / slotBytes) - headerSlots
  } catch (cause) {
    if (isNew) rmSync(target, { force: true })
    const needed = `${Math.ceil(bytes / 1_048_576)} MiB`
    const message = `the journal ${path} needs ${needed} on disk and cannot have them: ${messageOf(cause)}`
    throw new HubError('HUB_JOURNAL', message, { cause })
  }
}

function extend(file: number, from: number, to: number): void {
  try {
    for (let at = from; at < to;) at += writeSync(file, emptyRun, 0, Math.min(emptyRun.length, to - at), at)
    fsyncSync(file)
  } catch (error) {
    ftruncateSync(file, from)
    throw error
  }
}

/** The part of a file handle that the journal uses. */
export interface Disk {
  read(into: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
  write(from: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>
  datasync(): Promise<void>
  close(): Promise<void>
}

export const openDisk = (path: string): Promise<Disk> => open(path, 'r+')

/** The open file. Slots are numbered from 0; nothing is durable before `sync`. */
export class SlotFile {
  readonly slots: number
  readonly #disk: Disk
  #headers = 0
  #headerWritten = false
  /** What is written next: one write at a time. */
  readonly #run = Buffer.alloc(slotBytes * runSlotsMax)

  constructor(disk: Disk, slots: number) {
    this.#disk = disk
    this.slots = slots
  }

  /** Every slot, and the newer one of the two headers (null: none was ever written whole). */
  async readAll(): Promise<{ readonly found: readonly Found[]; readonly header: Slot | null }> {
    const found: Found[] = []
    const headers: Slot[] = []
    const total = this.slots + headerSlots
    for (let first = 0; first < total; first += runSlotsMax) {
      const count = Math.min(runSlotsMax, total - first)
      const run = await this.#read(first, count)
      for (let i = 0; i < count; i++) {
        const isHeader = first + i < headerSlots
        const content = decodeSlot(run, i * slotBytes, isHeader ? 'header' : 'record')
        if (!isHeader) found.push(content)
        else if (content.state === 'used') headers.push(content.slot)
      }
    }
    const header = headers.sort((a, b) => b.seq - a.seq)[0] ?? null
    this.#headers = header?.seq ?? 0
    return { found, header }
  }

  async readSlot(index: number): Promise<Found> {
    return decodeSlot(await this.#read(headerSlots + index, 1), 0, 'record')
  }

  /** Slots in rising order of index; neighbours are written together. */
  async write(
    slots: readonly { readonly index: number; readonly kind: 'record' | 'note'; readonly content: Slot }[]
  ): Promise<void> {
    for (const run of runsOf(slots.map(({ index }) => index))) {
      for (let i = 0; i < run.count; i++) {
        const slot = slots[run.at + i]
        if (slot !== undefined) encodeSlot(this.#run, i * slotBytes, slot.kind, slot.content)
      }
      await this.#write(this.#run.subarray(0, run.count * slotBytes), headerSlots + run.first)
    }
  }

  /** Indexes in rising order. */
  async empty(indexes: readonly number[]): Promise<void> {
    for (const { first, count } of runsOf(indexes)) {
      await this.#write(emptyRun.subarray(0, count * slotBytes), headerSlots + first)
    }
  }

  /** Into the older of the two header slots, so that a torn write leaves the newer one. */
  async writeHeader(body: Buffer): Promise<void> {
    const seq = this.#headers + 1
    encodeSlot(this.#run, 0, 'header', { seq, since: 0, body })
    await this.#write(this.#run.subarray(0, slotBytes), seq % headerSlots)
    this.#headerWritten = true
  }

  async sync(): Promise<void> {
    await this.#disk.datasync()
    // Only now: a write that is tried again goes to the same slot.
    if (this.#headerWritten) this.#headers += 1
    this.#headerWritten = false
  }

  async close(): Promise<void> {
    await this.#disk.close()
  }

  async #read(first: number, count: number): Promise<Buffer> {
    const buffer = Buffer.alloc(count * slotBytes)
    for (let done = 0; done < buffer.length;) {
      const { bytesRead } = await this.#disk.read(buffer, done, buffer.length - done, first * slotBytes + done)
      if (bytesRead === 0) throw new HubError('HUB_JOURNAL', 'the journal ends before its last slot')
      done += bytesRead
    }
    return buffer
  }

  async #write(buffer: Buffer, first: number): Promise<void> {
    for (let done = 0; done < buffer.length;) {
      const { bytesWritten } = await this.#disk.write(buffer, done, buffer.length - done, first * slotBytes + done)
      done += bytesWritten
    }
  }
}

interface Run {
  /** Where in the list it begins. */
  readonly at: number
  readonly first: number
  count: number
}

function runsOf(indexes: readonly number[]): readonly Run[] {
  const runs: Run[] = []
  indexes.forEach((index, at) => {
    const last = runs.at(-1)
    if (last !== undefined && index === last.first + last.count && last.count < runSlotsMax) last.count += 1
    else runs.push({ at, first: index, count: 1 })
  })
  return runs
}
