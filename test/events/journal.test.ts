import { afterEach, describe, expect, it } from '@jest/globals'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { chainFault, genesis } from '../../src/events/chain.ts'
import { Journal } from '../../src/events/journal.ts'
import type { Opened } from '../../src/events/journal.ts'
import type { JournalOptions } from '../../src/events/journal-options.ts'
import { bodyBytesMax, headBytes, openDisk, slotBytes } from '../../src/events/slots.ts'
import { createLog } from '../../src/log.ts'
import { answeredAt, bodyOf } from '../support/cdrs.ts'
import { eventually } from '../support/child.ts'
import { weakDisk } from '../support/power-cut.ts'
import type { WeakDisk } from '../support/power-cut.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'

const folders: string[] = []
const opened: Journal[] = []
afterEach(async () => {
  for (const journal of opened.splice(0)) await journal.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'isthmus-journal-'))
  folders.push(made)
  return made
}

let clock = answeredAt
const recordsOf = ({ held }: Opened) => held.map(({ record }) => record)

async function open(dir: string, more: Partial<JournalOptions> = {}) {
  const base = {
    dir,
    slots: 64,
    hubId: 'hub',
    node: 'node-1',
    heartbeatMs: 60_000,
    now: () => clock,
    log: createLog('silent')
  }
  const result = await Journal.open({ ...base, ...more })
  opened.push(result.journal)
  return { journal: result.journal, held: recordsOf(result), notes: result.notes, heldWith: result.held }
}

const seqs = (records: readonly CdrRecord[]): readonly number[] => records.map(({ seq }) => seq)
const fileOf = (dir: string): string => join(dir, 'journal')
const slotAt = (index: number): number => (index + 2) * slotBytes

/** Changes the closed file. */
function patch(dir: string, work: (bytes: Buffer) => void): void {
  const bytes = readFileSync(fileOf(dir))
  work(bytes)
  writeFileSync(fileOf(dir), bytes)
}

/** Three records, each in a write of its own; the last header knows of two. */
async function threeRecords(dir: string): Promise<void> {
  const { journal } = await open(dir)
  for (let i = 0; i < 3; i++) await journal.append(bodyOf())
  await journal.close()
}

describe('the journal', () => {
  it('numbers records without gaps, chains them, and goes on after it was closed', async () => {
    const dir = folder()
    const { journal, held } = await open(dir)
    expect(held).toEqual([])
    const first = await Promise.all([1, 2, 3].map(() => journal.append(bodyOf())))
    expect(seqs(first)).toEqual([1, 2, 3])
    expect(first[0]?.prev_hash).toBe(genesis)
    expect(first[0]).toMatchObject({ hub_id: 'hub', node_id: journal.nodeId, schema_version: 2 })
    expect(journal.nodeId).toMatch(/^node-1\/[0-9a-f]{8}$/)
    await journal.close()
    const again = await open(dir, { node: 'renamed' })
    expect(again.held).toEqual(first)
    expect(again.journal.nodeId).toBe(journal.nodeId)
    const fourth = await again.journal.append(bodyOf())
    expect(fourth.seq).toBe(4)
    expect(chainFault([...first, fourth])).toBeNull()
  })

  it('keeps its place in the chain when every record is gone from it', async () => {
    const dir = folder()
    const { journal } = await open(dir)
    const last = (await Promise.all([1, 2, 3].map(() => journal.append(bodyOf())))).at(-1)
    await journal.empty([1, 2, 3])
    await journal.close()
    const again = await open(dir)
    expect(again.held).toEqual([])
    const next = await again.journal.append(bodyOf())
    expect(next.seq).toBe(4)
    expect(next.prev_hash).toBe(last?.hash)
  })

  it('gathers what comes in shortly after a write into the next one', async () => {
    let flushes = 0
    const disk: JournalOptions['disk'] = async path => {
      const file = await openDisk(path)
      return {
        read: (...where) => file.read(...where),
        write: (...what) => file.write(...what),
        close: () => file.close(),
        datasync: () => {
          flushes++
          return file.datasync()
        }
      }
    }
    const { journal } = await open(folder(), { disk, limits: { gatherMs: 500 } })
    await journal.append(bodyOf())
    const before = flushes
    const later = []
    for (let i = 0; i < 3; i++) {
      later.push(journal.append(bodyOf()))
      await new Promise(setImmediate)
    }
    await Promise.all(later)
    expect(flushes).toBe(before + 1)
  })

  it('gives a slot away again only after it was emptied', async () => {
    const { journal } = await open(folder(), { slots: 2 })
    await journal.append(bodyOf())
    await journal.append(bodyOf())
    expect(journal.free).toBe(0)
    await expect(journal.append(bodyOf())).rejects.toMatchObject({ code: 'HUB_JOURNAL', retryable: true })
    const emptied = journal.empty([1])
    expect(journal.free).toBe(0)
    await emptied
    expect(journal.free).toBe(1)
    expect((await journal.append(bodyOf())).seq).toBe(3)
  })

  it('refuses a record larger than a slot, and no number is lost by that', async () => {
    const { journal } = await open(folder())
    await journal.append(bodyOf())
    const large = { ...bodyOf(), reason: 'x'.repeat(bodyBytesMax) }
    await expect(journal.append(large)).rejects.toThrow(`larger than a slot (${bodyBytesMax})`)
    expect((await journal.append(bodyOf())).seq).toBe(2)
    expect(journal.free).toBe(62)
  })

  it('leaves nothing of an earlier record behind a shorter one', async () => {
    const dir = folder()
    const { journal } = await open(dir)
    await journal.append({ ...bodyOf(), reason: 'long '.repeat(400) })
    await journal.append({ ...bodyOf(), reason: null })
    const bytes = readFileSync(fileOf(dir)).subarray(slotAt(1), slotAt(2))
    const length = bytes.readUInt32BE(4)
    expect(bytes.subarray(headBytes, headBytes + length).toString()).toContain('"seq":2')
    expect(bytes.subarray(headBytes + length).every(byte => byte === 0)).toBe(true)
  })

  it('hands out durable records in order until they are shifted, from memory or from the file', async () => {
    const { journal } = await open(folder(), { limits: { cacheMax: 2 } })
    const written = await Promise.all(Array.from({ length: 5 }, () => journal.append(bodyOf())))
    const first = await journal.peek(3)
    expect(first.map(({ record }) => record)).toEqual(written.slice(0, 3))
    journal.shift(3)
    const rest = await journal.peek(10)
    expect(rest.map(({ record }) => record)).toEqual(written.slice(3))
    // Their text too, those that were read from the file again as well.
    expect([...first, ...rest].map(({ json }) => JSON.parse(json.toString()) as unknown)).toEqual(written)
    expect(journal.waiting).toBe(2)
  })

  it('has one owner', async () => {
    const dir = folder()
    await open(dir)
    await expect(open(dir)).rejects.toThrow(
      `the journal ${fileOf(dir)} is in use by another process (pid ${process.pid})`
    )
  })

  it('grows where more slots are asked for, and never shrinks', async () => {
    const dir = folder()
    const { journal } = await open(dir, { slots: 64 })
    await journal.append(bodyOf())
    await journal.close()
    const larger = await open(dir, { slots: 100 })
    expect([larger.journal.slots, larger.journal.free, larger.held.length]).toEqual([100, 99, 1])
    await larger.journal.close()
    const smaller = await open(dir, { slots: 64 })
    expect(smaller.journal.slots).toBe(100)
    expect(statSync(fileOf(dir)).size).toBe(102 * slotBytes)
  })

  it('remembers when its hub was alive, and a new life does not change that before it says so', async () => {
    const dir = folder()
    clock = answeredAt
    const first = await open(dir, { heartbeatMs: 5 })
    first.journal.beat()
    clock = answeredAt + 70_000
    await first.journal.append(bodyOf())
    await first.journal.close()
    clock = answeredAt + 3_600_000
    const second = await open(dir)
    expect(second.journal.lastAliveAt).toBe(answeredAt + 70_000)
    await second.journal.append(bodyOf())
    await second.journal.close()
    const third = await open(dir)
    expect(third.journal.lastAliveAt).toBe(answeredAt + 70_000)
    third.journal.beat()
    await third.journal.append(bodyOf())
    await third.journal.close()
    expect((await open(dir)).journal.lastAliveAt).toBe(answeredAt + 3_600_000)
  })

  it('beats when nothing is written', async () => {
    const dir = folder()
    clock = answeredAt
    const { journal } = await open(dir, { heartbeatMs: 5 })
    journal.beat()
    clock = answeredAt + 10_000
    const written = (): boolean =>
      readFileSync(fileOf(dir))
        .subarray(0, 2 * slotBytes)
        .includes(`${clock}`)
    await eventually(written)
  })

  it('is closed for good', async () => {
    const { journal } = await open(folder())
    await journal.close()
    await journal.close()
    await expect(journal.append(bodyOf())).rejects.toThrow('closed')
    expect(journal.healthy).toBe(false)
  })
})

describe('a journal after a crash', () => {
  it('drops a record that was half written: nobody was told that it is safe', async () => {
    const dir = folder()
    await threeRecords(dir)
    patch(dir, bytes => bytes.fill('x', slotAt(2) + 600, slotAt(2) + 700))
    const { journal, held } = await open(dir)
    expect(seqs(held)).toEqual([1, 2])
    const next = await journal.append(bodyOf())
    expect(next.seq).toBe(3)
    expect(chainFault([...held, next])).toBeNull()
  })

  it('drops a record whose head is half written', async () => {
    const dir = folder()
    await threeRecords(dir)
    patch(dir, bytes => bytes.writeUInt32BE(7, slotAt(2) + 8))
    expect(seqs((await open(dir)).held)).toEqual([1, 2])
  })

  it('drops what shared its write with a record that is missing', async () => {
    const dir = folder()
    const { journal } = await open(dir)
    await Promise.all([1, 2, 3].map(() => journal.append(bodyOf())))
    await journal.close()
    patch(dir, bytes => bytes.fill(0, slotAt(1), slotAt(2)))
    expect(seqs((await open(dir)).held)).toEqual([1])
    expect((await opened.at(-1)?.append(bodyOf()))?.seq).toBe(2)
  })

  it('takes a slot that was half emptied as empty: its record had been relayed', async () => {
    const dir = folder()
    await threeRecords(dir)
    patch(dir, bytes => bytes.fill(0, slotAt(0) + 512, slotAt(0) + 1_024))
    expect(seqs((await open(dir)).held)).toEqual([2, 3])
  })

  it('falls back to the older header when the newer one is torn', async () => {
    const dir = folder()
    await threeRecords(dir)
    // Headers 1 (made at the start), 2, 3 and 4: the fourth is in the first slot.
    patch(dir, bytes => bytes.fill('x', 40, 60))
    const { journal, held } = await open(dir)
    expect(seqs(held)).toEqual([1, 2, 3])
    expect((await journal.append(bodyOf())).seq).toBe(4)
  })

  it.each([
    ['an acknowledged record is unreadable', (bytes: Buffer) => bytes.fill('x', slotAt(0) + 600, slotAt(0) + 700)],
    ['no header is left', (bytes: Buffer) => bytes.fill(0, 0, 2 * slotBytes)],
    [
      'a record is missing and a later write is there',
      (bytes: Buffer) => {
        bytes.fill('x', 40, 60)
        bytes.fill(0, slotAt(1), slotAt(2))
      }
    ]
  ])('says that it is damaged when %s', async (_, damage) => {
    const dir = folder()
    await threeRecords(dir)
    patch(dir, damage)
    await expect(open(dir)).rejects.toThrow('the journal is damaged')
  })

  it('says that it is damaged when a record was changed, checksum and all', async () => {
    const dir = folder()
    const { journal } = await open(dir)
    const record = await journal.append(bodyOf({ durationMs: 60_000 }))
    await journal.append(bodyOf())
    await journal.close()
    const { encodeSlot } = await import('../../src/events/slots.ts')
    const body = Buffer.from(JSON.stringify({ ...record, duration_ms: 1 }))
    patch(dir, bytes => encodeSlot(bytes, slotAt(0), 'record', { seq: 1, since: 1, body }))
    await expect(open(dir)).rejects.toThrow('record 1 was changed')
  })

  it(`that was a power cut has every acknowledged record, wherever the cut fell (seed ${seedFromEnvironment})`, async () => {
    const chance = mulberry32(seedFromEnvironment)
    const reached = { torn: 0, unacknowledged: 0, reused: 0, emptying: 0 }
    for (let round = 0; round < 120; round++) await oneCut(chance, reached)
    // The walk has been where it should go.
    expect(Math.min(...Object.values(reached))).toBeGreaterThan(3)
  }, 120_000)
})

/** Appends and empties at random, cuts the power at random, opens what is left, and compares. */
async function oneCut(
  chance: (n: number) => number,
  reached: { torn: number; unacknowledged: number; reused: number; emptying: number }
): Promise<void> {
  const dir = folder()
  let disk: WeakDisk | null = null
  const limits = { gatherMs: 0 }
  const { journal } = await open(dir, { slots: 12, limits, disk: async path => (disk = weakDisk(path)) })
  const acknowledged = new Map<number, CdrRecord>()
  const given = new Set<number>()
  const gone = new Set<number>()
  const note = (record: CdrRecord): void => void acknowledged.set(record.seq, record)
  for (let i = 0, steps = 5 + chance(40); i < steps; i++) {
    const settled = [...acknowledged.keys()].filter(seq => !given.has(seq))
    if (journal.free > 0 && chance(3) > 0) void journal.append(bodyOf()).then(note)
    else if (settled.length > 0) {
      const some = settled.slice(0, 1 + chance(3))
      for (const seq of some) given.add(seq)
      void journal.empty(some).then(() => some.forEach(seq => gone.add(seq)))
    }
    if (chance(2) === 0) for (let turns = chance(12); turns > 0; turns--) await new Promise(setImmediate)
    else for (let turns = chance(6); turns > 0; turns--) await Promise.resolve()
  }
  // The cut falls into a write.
  while (journal.free > 0 && chance(3) > 0) void journal.append(bodyOf()).then(note)
  for (let turns = chance(6); turns > 0; turns--) await new Promise(setImmediate)
  const known = new Map(acknowledged)
  const mustBeGone = new Set(gone)
  const mayBeGone = new Set(given)
  const image = (disk as WeakDisk | null)?.cut(chance) ?? Buffer.alloc(0)
  const after = folder()
  writeFileSync(fileOf(after), image)
  const log = Object.assign(createLog('silent'), { warn: () => (reached.torn += 1) })
  const again = await open(after, { slots: 12, log })
  const held = new Map(again.held.map(record => [record.seq, record]))
  for (const [seq, record] of known) {
    if (mustBeGone.has(seq)) expect(held.has(seq)).toBe(false)
    else if (!mayBeGone.has(seq)) expect(held.get(seq)).toEqual(record)
  }
  const top = Math.max(0, ...known.keys())
  if (again.journal.free === 0) await again.journal.empty([...held.keys()].slice(0, 1))
  const next = await again.journal.append(bodyOf())
  expect(next.seq).toBeGreaterThan(top)
  const lastKnown = known.get(next.seq - 1) ?? held.get(next.seq - 1)
  if (lastKnown !== undefined) expect(next.prev_hash).toBe(lastKnown.hash)
  if ([...held.keys()].some(seq => seq > top)) reached.unacknowledged += 1
  if (top > 12) reached.reused += 1
  if (mayBeGone.size > mustBeGone.size) reached.emptying += 1
  await again.journal.close()
  await journal.close()
}

describe('a disk that fails', () => {
  it('stops new calls, is tried again with the same bytes, and loses nothing', async () => {
    const dir = folder()
    let disk: WeakDisk | null = null
    const limits = { retryMs: 1, retryMsMax: 2 }
    const { journal } = await open(dir, { limits, disk: async path => (disk = weakDisk(path)) })
    const weak = disk as WeakDisk | null
    if (weak === null) throw new Error('no disk')
    weak.failing = Number.POSITIVE_INFINITY
    const written = journal.append(bodyOf())
    await eventually(() => !journal.healthy)
    weak.failing = 0
    expect((await written).seq).toBe(1)
    await eventually(() => journal.healthy)
    expect((await journal.append(bodyOf())).seq).toBe(2)
    const after = folder()
    writeFileSync(
      fileOf(after),
      weak.cut(() => 0)
    )
    expect(seqs((await open(after)).held)).toEqual([1, 2])
  })

  it('does not keep the process for ever: closing gives up and says so', async () => {
    let disk: WeakDisk | null = null
    const limits = { retryMs: 1, retryMsMax: 2, closeMs: 20 }
    const { journal } = await open(folder(), { limits, disk: async path => (disk = weakDisk(path)) })
    const weak = disk as WeakDisk | null
    if (weak === null) throw new Error('no disk')
    weak.failing = Number.POSITIVE_INFINITY
    const written = journal.append(bodyOf()).then(
      () => null,
      (error: unknown) => error
    )
    await journal.close()
    expect(await written).toMatchObject({ code: 'HUB_JOURNAL' })
  })
})
