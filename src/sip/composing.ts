// Whether somebody is writing, as SIP says it (RFC 3994): its body, and how long one word of it holds.

export const composingType = 'application/im-iscomposing+xml'

export interface Composing {
  readonly state: 'active' | 'idle'
  /** For how long `active` holds unless it is said again. */
  readonly refreshMs: number
}

/** RFC 3994, 3.3: what holds where the sender names no time; the shortest it may name; the longest that is believed. */
export const composingLimits = { refreshMs: 120_000, refreshMsMin: 60_000, refreshMsMax: 600_000, writersMax: 10_000 }

/** Null for what is no such body. An unknown state is idle (RFC 3994, 3.2). */
export function parseComposing(xml: string): Composing | null {
  const state = /<(?:[\w.-]+:)?state>\s*([\w-]+)\s*</.exec(xml)?.[1]
  if (state === undefined) return null
  const seconds = Number(/<(?:[\w.-]+:)?refresh>\s*([0-9]{1,9})\s*</.exec(xml)?.[1] ?? 'none')
  const { refreshMs, refreshMsMin, refreshMsMax } = composingLimits
  return {
    state: state === 'active' ? 'active' : 'idle',
    refreshMs: Number.isNaN(seconds) ? refreshMs : Math.min(refreshMsMax, Math.max(refreshMsMin, seconds * 1_000))
  }
}

export const printComposing = (state: Composing['state']): string =>
  '<?xml version="1.0" encoding="UTF-8"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">' +
  `<state>${state}</state><contenttype>text/plain</contenttype></isComposing>`

/** Who writes to whom: turns idle by itself when nobody says `active` again in time (RFC 3994, 3.3). */
export class Writers {
  readonly #after: (ms: number, run: () => void) => () => void
  readonly #cancels = new Map<string, () => void>()

  constructor(after: (ms: number, run: () => void) => () => void) {
    this.#after = after
  }

  get size(): number {
    return this.#cancels.size
  }

  /** `idle` is called once, unless `key` is heard of again before. */
  heard(key: string, { state, refreshMs }: Composing, idle: () => void): void {
    this.forget(key)
    if (state === 'idle' || this.#cancels.size >= composingLimits.writersMax) return
    this.#cancels.set(
      key,
      this.#after(refreshMs, () => {
        this.#cancels.delete(key)
        idle()
      })
    )
  }

  /** Their message has come: that they were writing it is over. */
  forget(key: string): void {
    this.#cancels.get(key)?.()
    this.#cancels.delete(key)
  }

  close(): void {
    for (const cancel of this.#cancels.values()) cancel()
    this.#cancels.clear()
  }
}
