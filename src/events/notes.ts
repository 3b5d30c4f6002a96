// Attempts that have said nothing yet: one slot of the journal each, outside the chain and never relayed. It goes with
// the first record of its leg; a crash before that leaves it for recovery. Pure book-keeping.

import { z } from 'zod'
import { cdrBody } from './cdr.ts'
import type { CdrBody } from './cdr.ts'
import { legOf } from './retention.ts'

/** A leg that has reached the wire, and the steady clock then. */
export interface Note {
  readonly body: CdrBody
  readonly elapsedMs: number
}
const onDisk = z.strictObject({ elapsedMs: z.int().min(0), body: cdrBody })

export const encodeNote = (note: Note): Buffer => Buffer.from(JSON.stringify(note))

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
type Placed = Note & { readonly index: number }

export class Notes {
  /** Not written yet: most attempts say something before that. */
  readonly #fresh = new Map<string, Leaving & { readonly note: Note }>()
  readonly #kept = new Map<string, Leaving>()
  #leaving: Leaving[] = []

  /** In the file when it was opened. */
  found(leg: string, index: number): void {
    this.#kept.set(leg, { index, onGone: () => undefined })
  }

  /** There is something to write, or slots to empty. */
  get due(): boolean {
    return this.#fresh.size > 0 || this.#leaving.length > 0
  }

  has(leg: string): boolean {
    return this.#fresh.has(leg) || this.#kept.has(leg)
  }

  add(note: Note, index: number, onGone: () => void): void {
    this.#fresh.set(legOf(note.body), { note, index, onGone })
  }

  /** The leg's first record is on its way. Returns the slot where nothing was ever written: it is free at once. */
  overtake(leg: string): number | null {
    const fresh = this.#fresh.get(leg)
    if (fresh === undefined) return null
    this.#fresh.delete(leg)
    fresh.onGone()
    return fresh.index
  }

  /** The leg has a durable record, or never will. As `overtake`. */
  drop(leg: string): number | null {
    const free = this.overtake(leg)
    if (free !== null) return free
    const kept = this.#kept.get(leg)
    this.#kept.delete(leg)
    if (kept !== undefined) this.#leaving.push(kept)
    return null
  }

  /** For the next write: at most `max` new ones, and every slot that goes. */
  take(max: number): { readonly notes: readonly Placed[]; readonly leaving: readonly Leaving[] } {
    const notes: Placed[] = []
    for (const [leg, { note, index, onGone }] of this.#fresh) {
      if (notes.length === max) break
      notes.push({ ...note, index })
      this.#fresh.delete(leg)
      this.#kept.set(leg, { index, onGone })
    }
    const leaving = this.#leaving
    this.#leaving = []
    return { notes, leaving }
  }
}
