// Attempts that have said nothing yet: one slot of the journal each, outside the chain and never relayed. It goes with
// the first record of its leg; a crash before that leaves it for recovery. Pure book-keeping.

import { z } from 'zod'
import { cdrBody } from './cdr.ts'
import type { CdrBody } from './cdr.ts'

/** A leg that has reached the wire, and the steady clock then. */
export interface Note {
  readonly body: CdrBody
  readonly elapsedMs: number
}
const onDisk = z.strictObject({ elapsedMs: z.int().min(0), body: cdrBody })

export const encodeNote = ({ elapsedMs, body }: Note): Buffer => Buffer.from(JSON.stringify({ body, elapsedMs }))

/** Null for what is none: what an older hub noted is nothing that was ever acknowledged. */
export function decodeNote(text: string): Note | null {
  try {
    return onDisk.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}

/** A slot that goes, and whom to tell once it is empty. */
export interface Leaving {
  readonly index: number
  readonly onGone: () => void
}

/** A note in its slot. Most are overtaken before they are written, so that their text is made when it is asked for. */
export class Noted implements Note, Leaving {
  readonly index: number
  readonly elapsedMs: number
  readonly onGone: () => void
  readonly #make: () => CdrBody
  #body: CdrBody | null = null

  constructor(index: number, elapsedMs: number, make: () => CdrBody, onGone: () => void) {
    this.index = index
    this.elapsedMs = elapsedMs
    this.#make = make
    this.onGone = onGone
  }

  get body(): CdrBody {
    return (this.#body ??= this.#make())
  }
}

export class Notes {
  /** Not written yet: most attempts say something before that. */
  readonly #fresh = new Set<Noted>()
  readonly #kept = new Set<Noted>()
  #leaving: Leaving[] = []

  /** There is something to write, or slots to empty. */
  get due(): boolean {
    return this.#fresh.size > 0 || this.#leaving.length > 0
  }

  add(noted: Noted): void {
    this.#fresh.add(noted)
  }

  /** The leg's first record is on its way. Returns the slot where nothing was ever written: it is free at once. */
  overtake(noted: Noted): number | null {
    if (!this.#fresh.delete(noted)) return null
    noted.onGone()
    return noted.index
  }

  /** The leg has a durable record, or never will. As `overtake`. */
  drop(noted: Noted): number | null {
    const free = this.overtake(noted)
    if (free === null && this.#kept.delete(noted)) this.#leaving.push(noted)
    return free
  }

  /** Something of an earlier life, in the file when it was opened. */
  clear(index: number): void {
    this.#leaving.push({ index, onGone: () => undefined })
  }

  /** For the next write: at most `max` new ones, and every slot that goes. */
  take(max: number): { readonly notes: readonly Noted[]; readonly leaving: readonly Leaving[] } {
    const notes: Noted[] = []
    for (const noted of this.#fresh) {
      if (notes.length === max) break
      notes.push(noted)
      this.#fresh.delete(noted)
      this.#kept.add(noted)
    }
    const leaving = this.#leaving
    this.#leaving = []
    return { notes, leaving }
  }
}
