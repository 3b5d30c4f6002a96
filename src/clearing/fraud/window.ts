// Sums over the last minutes, in a bounded number of buckets, and bounded maps of them. Pure.

/** A sum over a sliding window, exact to a bucket. Time only goes on: what is older than the window is not counted. */
export class SlidingSum {
  readonly #bucketMs: number
  readonly #buckets: bigint[]
  #newest = -Infinity
  #sum = 0n

  constructor(windowMs: number, buckets = 12) {
    this.#bucketMs = Math.max(1, Math.ceil(windowMs / buckets))
    this.#buckets = Array.from({ length: buckets }, () => 0n)
  }

  add(at: number, value: bigint): void {
    this.#goTo(at)
    const bucket = Math.floor(at / this.#bucketMs)
    if (bucket <= this.#newest - this.#buckets.length) return
    const n = bucket % this.#buckets.length
    this.#buckets[n] = (this.#buckets[n] ?? 0n) + value
    this.#sum += value
  }

  sum(at: number): bigint {
    this.#goTo(at)
    return this.#sum
  }

  #goTo(at: number): void {
    const bucket = Math.floor(at / this.#bucketMs)
    if (bucket <= this.#newest) return
    const count = this.#buckets.length
    const first = Math.max(this.#newest + 1, bucket - count + 1)
    for (let n = Number.isFinite(first) ? first : bucket - count + 1; n <= bucket; n++) {
      const place = ((n % count) + count) % count
      this.#sum -= this.#buckets[place] ?? 0n
      this.#buckets[place] = 0n
    }
    this.#newest = bucket
  }
}

/** A map that forgets what was longest not asked for. */
export class BoundedMap<Value> {
  readonly #max: number
  readonly #values = new Map<string, Value>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#values.size
  }

  of(key: string, make: () => Value): Value {
    const value = this.#values.get(key) ?? make()
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > this.#max) {
      const [oldest] = this.#values.keys()
      if (oldest !== undefined) this.#values.delete(oldest)
    }
    return value
  }
}

/** How many different ones there were in a window; counts no further than `max`. */
export class DistinctCount {
  readonly #windowMs: number
  readonly #max: number
  readonly #seen = new Map<string, number>()

  constructor(windowMs: number, max: number) {
    this.#windowMs = windowMs
    this.#max = max
  }

  add(at: number, name: string): void {
    // In the order of time, so that the oldest are first.
    this.#seen.delete(name)
    this.#seen.set(name, at)
    if (this.#seen.size > this.#max) this.#dropFirst()
  }

  count(at: number): number {
    for (const [name, seenAt] of this.#seen) {
      if (seenAt > at - this.#windowMs) break
      this.#seen.delete(name)
    }
    return this.#seen.size
  }

  #dropFirst(): void {
    const [first] = this.#seen.keys()
    if (first !== undefined) this.#seen.delete(first)
  }
}
