// The journal of EOS-01: one preallocated file, one writer that numbers and chains records, and one disk flush at a
// time for all that have come in meanwhile. Independent of every database.

import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { takeLock } from '../store/lock.ts'
import type { Lock } from '../store/lock.ts'
import type { CdrBody, CdrRecord } from './cdr.ts'
import { chained } from './chain.ts'
import { firstHeader, readHeader, replay } from './replay.ts'
import { Queue } from './queue.ts'
import type { JournalHeader, Replayed } from './replay.ts'
import { allocate, bodyBytesMax, openDisk, SlotFile } from './slots.ts'
import type { Disk } from './slots.ts'

export const journalLimits = {
  /** Of one write. */
  recordsMax: 512,
  emptiedMax: 1_024,
  /** From one write to the next: under load a few records go to the disk together, the first never waits. */
  gatherMs: 5,
  /** Durable records kept in memory until they are relayed; more are read from the file again. */
  cacheMax: 4_096,
  /** After a failed write, doubled each time up to the maximum: the same bytes again. */
  retryMs: 100,
  retryMsMax: 5_000,
  /** How long `close` waits for a disk that fails. */
  closeMs: 10_000
} as const
export type JournalLimits = { readonly [Name in keyof typeof journalLimits]: number }

export interface JournalOptions {
  readonly dir: string
  /** At least so many; a file that has more keeps them. */
  readonly slots: number
  readonly hubId: string
  /** The node's name; a new journal adds an incarnation to it, and the journal remembers both. */
  readonly node: string
  readonly heartbeatMs: number
  readonly now: () => number
  readonly log: Logger
  readonly limits?: Partial<JournalLimits>
  readonly disk?: (path: string) => Promise<Disk>
}

export interface Opened {
  readonly journal: Journal
  /** What it held when it was opened, in order. */
  readonly held: readonly CdrRecord[]
}

interface Pending {
  readonly index: number
  readonly record: CdrRecord
  readonly body: Buffer
  readonly resolve: (record: CdrRecord) => void
  readonly reject: (error: unknown) => void
}

interface Emptied {
  readonly index: number
  readonly seq: number
  readonly done: () => void
}

interface Waiting {
  readonly seq: number
  readonly index: number
  readonly record: CdrRecord | null
}

export class Journal {
  readonly nodeId: string
  /** When the hub that wrote this journal last was alive; of a new journal: now. */
  readonly lastAliveAt: number
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
    const { held, seq, hash } = found
    this.#options = options
    this.#limits = { ...journalLimits, ...options.limits }
    this.#file = file
    this.#lock = lock
    this.nodeId = header.nodeId
    this.lastAliveAt = header.heartbeatAt
    this.#seq = seq
    this.#hash = hash
    this.#durable = { seq, hash }
    this.#headerSeq = header.seq
    for (const { index, record } of held) this.#indexes.set(record.seq, index)
    this.#waiting = new Queue(held.map(({ index, record }) => ({ index, seq: record.seq, record: null })))
    const used = new Set(held.map(({ index }) => index))
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
      await file.writeHeader(bodyOf(header))
      await file.sync()
      const journal = new Journal(options, file, lock, header, replayed)
      return { journal, held: replayed.held.map(({ record }) => record) }
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
  append(body: CdrBody): Promise<CdrRecord> {
    if (this.#closed) return Promise.reject(new HubError('HUB_JOURNAL', 'the journal is closed'))
    const { hubId } = this.#options
    const seq = this.#seq + 1
    const { record, json } = chained(body, { hubId, nodeId: this.nodeId, seq, previous: this.#hash })
    const bytes = Buffer.from(json)
    if (bytes.length > bodyBytesMax) {
      const message = `a record of ${bytes.length} bytes is larger than a slot (${bodyBytesMax})`
      return Promise.reject(new HubError('HUB_JOURNAL', message, { cdrId: body.cdr_id }))
    }
    const [index] = this.#freeSlots.take(1)
    if (index === undefined) {
      return Promise.reject(new HubError('HUB_JOURNAL', 'the journal is full', { retryable: true }))
    }
    this.#seq = seq
    this.#hash = record.hash
    const durable = new Promise<CdrRecord>((resolve, reject) => {
      this.#pending.push({ index, record, body: bytes, resolve, reject })
    })
    this.#last = durable
    this.#write()
    return durable
  }

  /** Gives slots back; resolves once that is durable. The records were relayed, and nothing refers to them any more. */
  empty(seqs: readonly number[]): Promise<void> {
    const known = seqs.flatMap(seq => {
      const index = this.#indexes.get(seq)
      this.#indexes.delete(seq)
      return index === undefined ? [] : [{ seq, index }]
    })
    if (known.length === 0 || this.#closed) return Promise.resolve()
    const emptied = Promise.all(known.map(slot => new Promise<void>(done => this.#toEmpty.push({ ...slot, done }))))
    this.#write()
    return emptied.then(() => undefined)
  }

  /** The oldest durable records that are not relayed yet, in order. They stay until `shift`. */
  async peek(max: number): Promise<readonly CdrRecord[]> {
    const records: CdrRecord[] = []
    for (const { record, index, seq } of this.#waiting.peek(max)) {
      records.push(record ?? (await this.#readBack(index, seq)))
    }
    return records
  }

  /** The first `count` of `peek` were relayed. */
  shift(count: number): void {
    for (const { record } of this.#waiting.take(count)) if (record !== null) this.#cached -= 1
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

  async #run(): Promise<void> {
    // What comes in during one turn of the event loop goes to the disk together.
    await new Promise(resolve => setImmediate(resolve))
    while (this.#pending.length > 0 || this.#toEmpty.length > 0 || this.#beatDue) {
      this.#beatDue = false
      const records = this.#pending.take(this.#limits.recordsMax)
      const mayGo = this.#toEmpty.filter(({ seq }) => seq <= this.#headerSeq).slice(0, this.#limits.emptiedMax)
      const going = new Set(mayGo)
      this.#toEmpty = this.#toEmpty.filter(slot => !going.has(slot))
      const stated = this.#durable.seq
      if (await this.#writePatiently(records, mayGo)) {
        this.#headerSeq = stated
        this.#settle(records, mayGo)
      } else this.#abandon(records, mayGo)
      if (this.#limits.gatherMs > 0) await wait(this.#limits.gatherMs)
    }
    // In the same turn as the look at what is left: whoever adds more from now on starts the next run.
    this.#writing = null
  }

  /** False: `close` has waited long enough. */
  async #writePatiently(records: readonly Pending[], emptied: readonly Emptied[]): Promise<boolean> {
    const { log, now } = this.#options
    for (let retryMs: number = this.#limits.retryMs; ; retryMs = Math.min(retryMs * 2, this.#limits.retryMsMax)) {
      try {
        const { seq, hash } = this.#durable
        const heartbeatAt = this.#beating === null ? this.lastAliveAt : now()
        await this.#writeOnce(records, emptied, { version: 1, nodeId: this.nodeId, seq, hash, heartbeatAt })
        if (this.#failing) log.info('the journal can be written again')
        this.#failing = false
        return true
      } catch (error) {
        this.#failing = true
        log.error({ err: error, retryMs }, 'the journal cannot be written; no new calls until it can')
      }
      await wait(retryMs, undefined, { signal: this.#giveUp.signal }).catch(() => undefined)
      if (this.#giveUp.signal.aborted) return false
    }
  }

  async #writeOnce(records: readonly Pending[], emptied: readonly Emptied[], header: JournalHeader): Promise<void> {
    const since = records[0]?.record.seq ?? 0
    const byIndex = (a: { readonly index: number }, b: { readonly index: number }): number => a.index - b.index
    const slots = records.map(({ index, record, body }) => ({ index, content: { seq: record.seq, since, body } }))
    await this.#file.write(slots.sort(byIndex))
    await this.#file.empty(emptied.map(({ index }) => index).sort((a, b) => a - b))
    await this.#file.writeHeader(bodyOf(header))
    await this.#file.sync()
  }

  #settle(records: readonly Pending[], emptied: readonly Emptied[]): void {
    for (const { index, done } of [...emptied].sort((a, b) => a.index - b.index)) {
      this.#freeSlots.push(index)
      done()
    }
    for (const { index, record } of records) {
      const cached = this.#cached < this.#limits.cacheMax
      if (cached) this.#cached += 1
      this.#indexes.set(record.seq, index)
      this.#waiting.push({ seq: record.seq, index, record: cached ? record : null })
      this.#durable = { seq: record.seq, hash: record.hash }
    }
    if (records.length > 0) this.onDurable(records.map(({ record }) => record))
    for (const { record, resolve } of records) resolve(record)
  }

  #abandon(records: readonly Pending[], emptied: readonly Emptied[]): void {
    const error = new HubError('HUB_JOURNAL', 'the journal was closed before it could be written')
    for (const { reject } of [...records, ...this.#pending.take(this.#pending.length)]) reject(error)
    for (const { done } of [...emptied, ...this.#toEmpty]) done()
    this.#toEmpty = []
  }

  async #readBack(index: number, seq: number): Promise<CdrRecord> {
    const found = await this.#file.readSlot(index)
    const slot = found.state === 'used' ? found.slot : null
    if (slot === null || slot.seq !== seq) {
      throw new HubError('HUB_JOURNAL', `record ${seq} cannot be read back from the journal`)
    }
    return JSON.parse(slot.body.toString('utf8')) as CdrRecord
  }
}

const bodyOf = (header: JournalHeader): Buffer => Buffer.from(JSON.stringify(header))
