// The journal of EOS-01: one preallocated file, one writer that numbers and chains records, and one disk flush at a
// time for all that have come in meanwhile. Independent of every database.

import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { HubError, messageOf } from '../errors.ts'
import { takeLock } from '../store/lock.ts'
import type { Lock } from '../store/lock.ts'
import type { CdrBody, CdrRecord } from './cdr.ts'
import { chained } from './chain.ts'
import { journalLimits } from './journal-options.ts'
import type { JournalLimits, JournalOptions } from './journal-options.ts'
import { Noted, Notes } from './notes.ts'
import { elapsedLine, firstHeader, partsOf, readHeader, replay } from './replay.ts'
import { Queue } from './queue.ts'
import type { Held, HeldNote, JournalHeader, Replayed } from './replay.ts'
import { headerBody, writeRound } from './round.ts'
import type { Emptied, Pending, Round } from './round.ts'
import { allocate, bodyBytesMax, openDisk, SlotFile } from './slots.ts'

export interface Opened {
  readonly journal: Journal
  /** What it held when it was opened, in order. */
  readonly held: readonly Held[]
  /** Attempts that had said nothing when the hub died, or whose first record came with its death. */
  readonly notes: readonly HeldNote[]
}

/** A durable record, and the same as JSON. */
export interface Kept {
  readonly record: CdrRecord
  readonly json: string | Buffer
}

interface Waiting {
  readonly seq: number
  readonly index: number
  readonly kept: Kept | null
}

export class Journal {
  readonly nodeId: string
  /** When the hub that wrote this journal last was alive; of a new journal: now. */
  readonly lastAliveAt: number
  /** The steady clock of that hub then; null where it did not say. */
  readonly lastElapsedMs: number | null
  readonly #options: JournalOptions
  readonly #limits: JournalLimits
  readonly #file: SlotFile
  readonly #lock: Lock
  readonly #indexes = new Map<number, number>()
  readonly #freeSlots: Queue<number>
  #seq: number
  #hash: string
  #durable: { readonly seq: number; readonly hash: string }
  /** What the last durable header says: slots up to it may be emptied. */
  #headerSeq: number
  readonly #pending = new Queue<Pending>()
  #toEmpty: Emptied[] = []
  readonly #notes = new Notes()
  #noteTimer: NodeJS.Timeout | null = null
  readonly #waiting: Queue<Waiting>
  #cached = 0
  #last: Promise<unknown> = Promise.resolve()
  #beating: NodeJS.Timeout | null = null
  #beatDue = false
  #writing: Promise<void> | null = null
  #failing = false
  #closed = false
  readonly #giveUp = new AbortController()
  /** Called with the records of each write, before their promises resolve. */
  onDurable: (records: readonly CdrRecord[]) => void = () => undefined

  private constructor(options: JournalOptions, file: SlotFile, lock: Lock, header: JournalHeader, found: Replayed) {
    const { held, notes, seq, hash } = found
    this.#options = options
    this.#limits = { ...journalLimits, ...options.limits }
    this.#file = file
    this.#lock = lock
    this.nodeId = header.nodeId
    this.lastAliveAt = header.heartbeatAt
    this.lastElapsedMs = header.elapsedMs
    this.#seq = seq
    this.#hash = hash
    this.#durable = { seq, hash }
    this.#headerSeq = header.seq
    for (const { index, record } of held) this.#indexes.set(record.seq, index)
    this.#waiting = new Queue(held.map(({ index, record }) => ({ index, seq: record.seq, kept: null })))
    const used = new Set([...held, ...notes].map(({ index }) => index))
    const indexes = Array.from({ length: file.slots }, (_, index) => index)
    this.#freeSlots = new Queue(indexes.filter(index => !used.has(index)))
  }

  /**
   * Opens or makes the journal of `dir`. Throws HUB_JOURNAL: in use by another process, no room on the disk, damaged.
   * Until `beat` is called the time of the last life stays on record, however often the process dies again.
   */
  static async open(options: JournalOptions): Promise<Opened> {
    const { dir, slots, node, now, log } = options
    const path = join(dir, 'journal')
    try {
      mkdirSync(dir, { recursive: true })
    } catch (cause) {
      throw new HubError('HUB_JOURNAL', `cannot make the folder ${dir}: ${messageOf(cause)}`, { cause })
    }
    const lock = takeLock({ file: `${path}.lock`, what: `the journal ${path}`, code: 'HUB_JOURNAL' })
    let file: SlotFile | null = null
    try {
      const size = allocate(path, slots)
      file = new SlotFile(await (options.disk ?? openDisk)(path), size)
      const { found, header: slot } = await file.readAll()
      const nodeId = `${node}/${randomBytes(4).toString('hex')}`
      const header = readHeader(slot, found) ?? firstHeader(nodeId, now())
      const replayed = replay(found, header)
      if (replayed.leftovers.length > 0) {
        log.warn({ slots: replayed.leftovers }, 'the journal dropped what a crash had left half written')
        await file.empty(replayed.leftovers)
      }
      await file.writeHeader(headerBody(header))
      await file.sync()
      const journal = new Journal(options, file, lock, header, replayed)
      return { journal, held: replayed.held, notes: replayed.notes }
    } catch (error) {
      await file?.close()
      lock.release()
      if (error instanceof HubError) throw error
      throw new HubError('HUB_JOURNAL', `cannot open the journal ${path}: ${messageOf(error)}`, { cause: error })
    }
  }

  get slots(): number {
    return this.#file.slots
  }

  /** Slots for records to come. */
  get free(): number {
    return this.#freeSlots.length
  }

  /** False while the disk refuses to write; what was appended is tried again. */
  get healthy(): boolean {
    return !this.#failing && !this.#closed
  }

  /** Durable records that `shift` has not taken yet. */
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Numbers, chains and writes one record; resolves once it is durable. Rejects with HUB_JOURNAL where there is no free
   * slot (retryable), or the record is larger than a slot.
   */
  append(body: CdrBody, noted: Noted | null = null): Promise<CdrRecord> {
    if (this.#closed) return Promise.reject(new HubError('HUB_JOURNAL', 'the journal is closed'))
    const { hubId } = this.#options
    const seq = this.#seq + 1
    const place = { hubId, nodeId: this.nodeId, seq, previous: this.#hash }
    const { record, json, stored } = chained(body, place, elapsedLine(this.elapsedMs()))
    if (stored.length > bodyBytesMax) {
      const message = `a record of ${stored.length} bytes is larger than a slot (${bodyBytesMax})`
      return Promise.reject(new HubError('HUB_JOURNAL', message, { cdrId: body.cdr_id }))
    }
    const [index] = this.#freeSlots.take(1)
    if (index === undefined) {
      return Promise.reject(new HubError('HUB_JOURNAL', 'the journal is full', { retryable: true }))
    }
    this.#seq = seq
    this.#hash = record.hash
    if (noted !== null) this.#freed(this.#notes.overtake(noted))
    const durable = new Promise<CdrRecord>((resolve, reject) => {
      this.#pending.push({ index, record, json, noted, body: stored, resolve, reject })
    })
    this.#last = durable
    this.#write()
    return durable
  }

  /**
   * Keeps a leg that has said nothing yet, from about `noteMs` on, until its first record is durable: that is appended
   * with what this returns. Nobody waits for it. Null: no free slot. `onGone`: its slot is free again.
   */
  note(make: () => CdrBody, onGone: () => void): Noted | null {
    if (this.#closed) return null
    const [index] = this.#freeSlots.take(1)
    if (index === undefined) return null
    const noted = new Noted(index, this.elapsedMs(), make, onGone)
    this.#notes.add(noted)
    this.#noteSoon()
    return noted
  }

  /** Notes of an earlier life: their legs have records now. */
  clear(notes: readonly HeldNote[]): void {
    for (const { index } of notes) this.#notes.clear(index)
    if (this.#notes.due) this.#noteSoon()
  }

  #freed(index: number | null): void {
    if (index !== null) this.#freeSlots.push(index)
  }

  /** The steady clock. */
  elapsedMs(): number {
    return Math.round((this.#options.elapsed ?? steady)())
  }

  /** Gives slots back; resolves once that is durable. The records were relayed, and nothing refers to them any more. */
  empty(seqs: readonly number[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    let left = 0
    const done = (): void => {
      left -= 1
      if (left === 0) resolve()
    }
    for (const seq of seqs) {
      const index = this.#indexes.get(seq)
      if (index === undefined || this.#closed) continue
      this.#indexes.delete(seq)
      this.#toEmpty.push({ seq, index, done, ripe: false })
      left += 1
    }
    if (left === 0) return Promise.resolve()
    this.#write()
    return promise
  }

  /** The oldest durable records that are not relayed yet, in order. They stay until `shift`. */
  async peek(max: number): Promise<readonly Kept[]> {
    const found: Kept[] = []
    for (const { kept, index, seq } of this.#waiting.peek(max)) {
      found.push(kept ?? (await this.#readBack(index, seq)))
    }
    return found
  }

  /** The first `count` of `peek` were relayed. */
  shift(count: number): void {
    for (const { kept } of this.#waiting.take(count)) if (kept !== null) this.#cached -= 1
  }

  /** From now on the header says that the hub is alive, every `heartbeatMs` and with every write. */
  beat(): void {
    if (this.#beating !== null || this.#closed) return
    const tick = (): void => {
      this.#beatDue = true
      this.#write()
    }
    this.#beating = setInterval(tick, this.#options.heartbeatMs)
    this.#beating.unref()
    tick()
  }

  /** Resolves when everything that was appended so far is durable. */
  async flushed(): Promise<void> {
    await this.#last.catch(() => undefined)
  }

  /** Writes what is left, for at most `closeMs`; what still cannot be written then is rejected. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#noteTimer !== null) clearTimeout(this.#noteTimer)
    this.#beatDue ||= this.#notes.due
    const timer = setTimeout(() => this.#giveUp.abort(), this.#limits.closeMs)
    if (this.#beating !== null) {
      clearInterval(this.#beating)
      this.#beatDue = true
    }
    this.#write()
    await this.#writing
    clearTimeout(timer)
    await this.#file.close()
    this.#lock.release()
  }

  #write(): void {
    this.#writing ??= this.#run()
  }

  /** With the next write, or soon: no call waits for it. */
  #noteSoon(): void {
    this.#noteTimer ??= setTimeout(() => {
      this.#noteTimer = null
      this.#beatDue ||= this.#notes.due
      if (this.#beatDue) this.#write()
    }, this.#limits.noteMs).unref()
  }

  async #run(): Promise<void> {
    // What comes in during one turn of the event loop goes to the disk together.
    await new Promise(resolve => setImmediate(resolve))
    while (this.#pending.length > 0 || this.#toEmpty.length > 0 || this.#beatDue) {
      this.#beatDue = false
      const round = this.#nextRound()
      const stated = this.#durable.seq
      if (await this.#writePatiently(round)) {
        this.#headerSeq = stated
        this.#settle(round)
      } else this.#abandon(round)
      if (this.#limits.gatherMs > 0) await wait(this.#limits.gatherMs)
    }
    // In the same turn as the look at what is left: whoever adds more from now on starts the next run.
    this.#writing = null
  }

  /** A record goes after every note that went before it: a leg's note never outlives its final. */
  #nextRound(): Round {
    const records = this.#pending.take(this.#limits.recordsMax)
    const { notes, leaving } = this.#notes.take(this.#limits.recordsMax)
    const emptied: Emptied[] = []
    const later: Emptied[] = []
    for (const slot of this.#toEmpty) {
      const goes = slot.seq <= this.#headerSeq && (slot.ripe || leaving.length === 0)
      if (goes && emptied.length < this.#limits.emptiedMax) emptied.push(slot)
      else later.push(slot)
    }
    this.#toEmpty = later
    for (const slot of later) slot.ripe = true
    return { records, notes, emptied, leaving }
  }

  /** False: `close` has waited long enough. */
  async #writePatiently(round: Round): Promise<boolean> {
    const { log, now } = this.#options
    for (let retryMs: number = this.#limits.retryMs; ; retryMs = Math.min(retryMs * 2, this.#limits.retryMsMax)) {
      try {
        const { seq, hash } = this.#durable
        const [heartbeatAt, elapsedMs] =
          this.#beating === null ? [this.lastAliveAt, this.lastElapsedMs] : [now(), this.elapsedMs()]
        await writeRound(this.#file, round, { version: 1, nodeId: this.nodeId, seq, hash, heartbeatAt, elapsedMs })
        if (this.#failing) log.info('the journal can be written again')
        this.#failing = false
        return true
      } catch (error) {
        // Told once, logged each time.
        const alarm = this.#failing ? {} : { alarm: 'journal-stuck' }
        this.#failing = true
        log.error({ ...alarm, err: error, retryMs }, 'the journal cannot be written; no new calls until it can')
      }
      await wait(retryMs, undefined, { signal: this.#giveUp.signal }).catch(() => undefined)
      if (this.#giveUp.signal.aborted) return false
    }
  }

  #settle({ records, emptied, leaving }: Round): void {
    for (const { index, onGone } of leaving) {
      this.#freeSlots.push(index)
      onGone()
    }
    for (const { index, done } of [...emptied].sort((a, b) => a.index - b.index)) {
      this.#freeSlots.push(index)
      done()
    }
    for (const { index, record, json, noted } of records) {
      if (noted !== null) this.#freed(this.#notes.drop(noted))
      const cached = this.#cached < this.#limits.cacheMax
      if (cached) this.#cached += 1
      this.#indexes.set(record.seq, index)
      this.#waiting.push({ seq: record.seq, index, kept: cached ? { record, json } : null })
      this.#durable = { seq: record.seq, hash: record.hash }
    }
    if (this.#notes.due) this.#noteSoon()
    if (records.length > 0) this.onDurable(records.map(({ record }) => record))
    for (const { record, resolve } of records) resolve(record)
  }

  #abandon({ records, emptied }: Round): void {
    const error = new HubError('HUB_JOURNAL', 'the journal was closed before it could be written')
    for (const { reject } of [...records, ...this.#pending.take(this.#pending.length)]) reject(error)
    for (const { done } of [...emptied, ...this.#toEmpty]) done()
    this.#toEmpty = []
  }

  async #readBack(index: number, seq: number): Promise<Kept> {
    const found = await this.#file.readSlot(index)
    const slot = found.state === 'used' ? found.slot : null
    if (slot === null || slot.seq !== seq) {
      throw new HubError('HUB_JOURNAL', `record ${seq} cannot be read back from the journal`)
    }
    const { json } = partsOf(slot.body)
    return { record: JSON.parse(json) as CdrRecord, json }
  }
}

const steady = (): number => performance.now()
