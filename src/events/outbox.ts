// The hub's CdrSink: room for a session's records before it starts, each record once in the journal, and on to the
// event log; and after a crash, one final for every leg that was left open.

import { HubError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { limits as sessionLimits } from '../session/limits.ts'
import type { Cdr, SessionId } from '../session/model.ts'
import type { CdrSink } from '../session/ports.ts'
import type { CdrBody, CdrRecord } from './cdr.ts'
import type { EventSink } from './event-log.ts'
import { Journal } from './journal.ts'
import type { Opened } from './journal.ts'
import type { JournalLimits, JournalOptions } from './journal-options.ts'
import type { Noted } from './notes.ts'
import { incompleteFinal, openLegs, unheardFinal } from './recovery.ts'
import type { Last } from './recovery.ts'
import { Relay } from './relay.ts'
import type { RelayLimits } from './relay.ts'
import { legOf, Retention } from './retention.ts'
import { toRecord } from './to-record.ts'
import { uuidv7 } from '../uuid.ts'

/** Notes of one session at a time: of the ingress leg and of the attempt under way. */
export const notesPerSession = 2

/**
 * What one session may need in the journal, all at once: a final for the ingress leg and for each attempt, the start
 * records of the two legs that talked, and what is noted of legs that have said nothing yet. Interim records are
 * written while there is room to spare: a crash bills to the last heartbeat with or without them.
 */
export const slotsPerSession = 1 + sessionLimits.attemptsMax + 2 + notesPerSession

export interface OutboxOptions extends Omit<JournalOptions, 'now' | 'elapsed' | 'limits'> {
  readonly eventLog: EventSink
  /** The commercial party of a peer. */
  readonly providerOf: (peerId: string) => string
  /** Records that are durable from now on. */
  readonly onDurable?: (records: readonly CdrRecord[]) => void
  readonly now?: () => number
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsed?: () => number
  readonly relayLimits?: Partial<RelayLimits>
  readonly journalLimits?: Partial<JournalLimits>
}

export interface OutboxStatus {
  readonly nodeId: string
  readonly slots: number
  readonly free: number
  /** Free slots that live sessions may still need. */
  readonly reserved: number
  /** Durable records that the event log does not have yet. */
  readonly waiting: number
  /** Epoch milliseconds: since then the event log takes nothing. Null: it does. */
  readonly blindSince: number | null
  readonly healthy: boolean
}

interface Held {
  /** Slots still set aside, for records and for notes. */
  left: number
  notesLeft: number
  /** Two, and one more for each attempt that failed. */
  readonly legs: LegHeld[]
}

/** What a leg has said. */
interface LegHeld {
  readonly leg: Cdr['leg']
  readonly attempt: number
  /** Set until a record of it is durable. */
  noted: Noted | null
  /** It has said something, durable or not. */
  heard: boolean
  /** Its last start or interim record; null once it has its final. */
  open: Last | null
  final: Promise<unknown> | null
  /** By number: the same record again gets the same promise. */
  readonly written: { readonly partialSeq: number; readonly promise: Promise<unknown> }[]
}

/** Opens the journal of `dir`, closes what a crash left open, and starts to relay. Throws HUB_JOURNAL. */
export async function openOutbox(options: OutboxOptions): Promise<Outbox> {
  const now = options.now ?? Date.now
  const { dir, slots, hubId, node, heartbeatMs, log, disk, elapsed, journalLimits: limits = {} } = options
  const opened = await Journal.open({
    dir,
    slots,
    hubId,
    node,
    heartbeatMs,
    log,
    now,
    limits,
    ...(elapsed === undefined ? {} : { elapsed }),
    ...(disk === undefined ? {} : { disk })
  })
  const outbox = new Outbox(options, opened)
  await outbox.recover(opened)
  return outbox
}

export class Outbox implements CdrSink {
  readonly #log: Logger
  readonly #providerOf: (peerId: string) => string
  readonly #now: () => number
  readonly #journal: Journal
  readonly #relay: Relay
  readonly #retention = new Retention()
  readonly #sessions = new Map<SessionId, Held>()
  #reserved = 0

  constructor(options: OutboxOptions, { journal, held }: Opened) {
    const { log, eventLog, providerOf, relayLimits = {}, now = Date.now } = options
    this.#log = log
    this.#providerOf = providerOf
    this.#now = now
    this.#journal = journal
    for (const { record } of held) this.#retention.durable(record)
    journal.onDurable = records => {
      for (const record of records) this.#retention.durable(record)
      options.onDurable?.(records)
      this.#relay.notify()
    }
    const onRelayed = (records: readonly CdrRecord[]): void =>
      this.#empty(this.#retention.relayed(records.map(({ seq }) => seq)))
    this.#relay = new Relay({ journal, eventLog, log, now, onRelayed, limits: relayLimits })
  }

  /** Once, before anything else. Doing it again after dying half-way changes nothing that was done. */
  async recover({ held, notes }: Opened): Promise<void> {
    const { lastAliveAt: at, lastElapsedMs: elapsedMs } = this.#journal
    const ending = { at, elapsedMs, reason: 'hub stopped during the call' }
    const told = new Set(held.map(({ record }) => legOf(record)))
    const finals = [
      ...openLegs(held).map(last => incompleteFinal(last, ending, uuidv7(this.#now()))),
      ...notes.filter(({ body }) => !told.has(legOf(body))).map(note => unheardFinal(note, ending, uuidv7(this.#now())))
    ]
    await Promise.all(finals.map(final => this.#journal.append(final)))
    this.#journal.clear(notes)
    if (finals.length > 0) {
      const billedTo = new Date(ending.at).toISOString()
      this.#log.warn({ legs: finals.length, billedTo }, 'calls that a crash cut off were closed in the records')
    }
    const { nodeId, slots, waiting } = this.#journal
    const callsMax = Math.floor(slots / slotsPerSession)
    this.#log.info({ nodeId, slots, callsMax, waiting }, 'the journal is open; it has room for so many calls at once')
    this.#journal.beat()
    this.#relay.start()
  }

  get status(): OutboxStatus {
    const { nodeId, slots, free, waiting, healthy } = this.#journal
    return { nodeId, slots, free, reserved: this.#reserved, waiting, healthy, blindSince: this.#relay.failingSince }
  }

  admit(id: SessionId): boolean {
    if (this.#sessions.has(id)) return true
    if (!this.#journal.healthy || this.#spare < slotsPerSession) return false
    this.#sessions.set(id, newHeld(slotsPerSession - notesPerSession, notesPerSession))
    this.#reserved += slotsPerSession
    return true
  }

  note(cdr: Cdr): void {
    const session = this.#sessions.get(cdr.callId)
    if (session === undefined) return
    const leg = legIn(session, cdr)
    if (leg.noted !== null || leg.heard) return
    // Attempts that follow each other fast: what the former ones still hold is taken from what is spare.
    const isMine = session.notesLeft > 0
    if (!isMine && this.#spare <= 0) return
    const onGone = (): void => {
      if (!isMine || this.#sessions.get(cdr.callId) !== session) return
      session.notesLeft += 1
      this.#reserved += 1
    }
    leg.noted = this.#journal.note(() => this.#bodyOf(cdr), onGone)
    if (leg.noted === null) return
    if (!isMine) return
    session.notesLeft -= 1
    this.#reserved -= 1
  }

  write(cdr: Cdr): Promise<unknown> {
    const session = this.#sessions.get(cdr.callId) ?? newHeld(0, 0)
    this.#sessions.set(cdr.callId, session)
    const leg = legIn(session, cdr)
    const { kind, partialSeq } = cdr
    // A leg has one final, and nothing to say after it.
    const known = leg.written.find(one => one.partialSeq === partialSeq)?.promise ?? leg.final
    if (known !== null) return known
    const body = this.#bodyOf(cdr)
    if (!this.#takeRoom(session, kind)) {
      return Promise.reject(new HubError('HUB_JOURNAL', 'the journal has no room for this record', { retryable: true }))
    }
    const promise = this.#journal.append(body, leg.noted)
    const entry = { partialSeq, promise }
    leg.written.push(entry)
    leg.heard = true
    if (kind === 'final') {
      leg.final = promise
      leg.open = null
    } else leg.open = { record: body, elapsedMs: this.#journal.elapsedMs() }
    promise.then(
      () => void (leg.noted = null),
      () => {
        // It may be tried again.
        leg.written.splice(leg.written.indexOf(entry), 1)
        if (leg.final === promise) leg.final = null
      }
    )
    return promise
  }

  release(id: SessionId): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    this.#sessions.delete(id)
    // The session was given up without its finals: its legs end now.
    const ending = { at: this.#now(), elapsedMs: this.#journal.elapsedMs(), reason: 'the hub gave the call up' }
    for (const { open, noted, heard } of session.legs) {
      if (open !== null && this.#takeRoom(session, 'final')) {
        void this.#closeLeg(incompleteFinal(open, ending, uuidv7(this.#now())), noted)
      }
      if (noted !== null && !heard && this.#takeRoom(session, 'final')) {
        void this.#closeLeg(unheardFinal(noted, ending, uuidv7(this.#now())), noted)
      }
    }
    this.#reserved -= session.left + session.notesLeft
  }

  /** Everything written is durable; true: and relayed, within `relayMs`. */
  async drain(relayMs: number): Promise<boolean> {
    await this.#journal.flushed()
    return this.#relay.caughtUp(relayMs)
  }

  /** Stops relaying and closes the journal. What was not relayed is, after the next start. */
  async close(): Promise<void> {
    await this.#relay.stop()
    await this.#journal.close()
  }

  get #spare(): number {
    return this.#journal.free - this.#reserved
  }

  /** From what is set aside for the session; interim records, and sessions without that, from what is spare. */
  #takeRoom(session: Held, kind: CdrBody['kind']): boolean {
    if (kind === 'interim' || session.left === 0) return this.#spare > 0
    session.left -= 1
    this.#reserved -= 1
    return true
  }

  #bodyOf(cdr: Cdr): CdrBody {
    return toRecord(cdr, { cdrId: uuidv7(this.#now()), providerOf: this.#providerOf })
  }

  async #closeLeg(body: CdrBody, noted: Noted | null): Promise<void> {
    try {
      await this.#journal.append(body, noted)
    } catch (error) {
      this.#log.error({ err: error, callId: body.call_id }, 'a call that was given up stays open in the records')
    }
  }

  #empty(seqs: readonly number[]): void {
    if (seqs.length === 0) return
    void this.#journal.empty(seqs).then(() => this.#empty(this.#retention.emptied(seqs)))
  }
}

const newHeld = (left: number, notesLeft: number): Held => ({ left, notesLeft, legs: [] })

function legIn({ legs }: Held, { leg, attempt }: Pick<Cdr, 'leg' | 'attempt'>): LegHeld {
  const known = legs.find(one => one.leg === leg && one.attempt === attempt)
  if (known !== undefined) return known
  const made: LegHeld = { leg, attempt, noted: null, heard: false, open: null, final: null, written: [] }
  legs.push(made)
  return made
}
