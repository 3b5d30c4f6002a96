// Overload by the delay of the event loop: new work is refused while what is there waits too long.

export const overloadLimits = {
  /** How late a timer may fire before new requests are refused. */
  lagMsMax: 1_000,
  /** How often that is looked at. */
  lagCheckMs: 20
} as const

/** Knows how late the event loop is. Without it a busy hub answers everybody too late instead of some in time. */
export class Overload {
  readonly #lagMsMax: number
  readonly #checkMs: number
  #timer: NodeJS.Timeout | null = null
  #due = 0
  #late = false

  constructor({ lagMsMax, lagCheckMs }: { readonly lagMsMax: number; readonly lagCheckMs: number }) {
    this.#lagMsMax = lagMsMax
    this.#checkMs = lagCheckMs
  }

  /** Whether new work should be refused at this moment (`performance.now()`). */
  is(now: number): boolean {
    return this.#late || (this.#due > 0 && now - this.#due > this.#lagMsMax)
  }

  start(): void {
    this.tick(performance.now())
    this.#timer = setInterval(() => this.tick(performance.now()), this.#checkMs)
    this.#timer.unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#due = 0
    this.#late = false
  }

  /** What the interval does: a tick that came too late tells of the turn before it. */
  tick(now: number): void {
    this.#late = this.#due > 0 && now - this.#due > this.#lagMsMax
    this.#due = now + this.#checkMs
  }
}
