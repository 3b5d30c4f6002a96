// How fast one IP address may send: a bucket for each, the oldest forgotten beyond a bound.

interface Bucket {
  left: number
  filledAtMs: number
}

/** Token buckets: `perSecondMax` a second, as many at once. */
export class Rates {
  readonly #buckets = new Map<string, Bucket>()
  readonly #perSecondMax: number
  readonly #sourcesMax: number

  constructor(perSecondMax: number, sourcesMax: number) {
    this.#perSecondMax = perSecondMax
    this.#sourcesMax = sourcesMax
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Takes one; 0, or the milliseconds until the next is due (and none is taken). */
  take(source: string, nowMs: number): number {
    let bucket = this.#buckets.get(source)
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#sourcesMax) this.#forgetOldest()
      bucket = { left: this.#perSecondMax, filledAtMs: nowMs }
      this.#buckets.set(source, bucket)
    }
    const gained = ((nowMs - bucket.filledAtMs) / 1_000) * this.#perSecondMax
    bucket.left = Math.min(this.#perSecondMax, bucket.left + gained)
    bucket.filledAtMs = nowMs
    if (bucket.left >= 1) {
      bucket.left--
      return 0
    }
    return Math.ceil(((1 - bucket.left) / this.#perSecondMax) * 1_000)
  }

  #forgetOldest(): void {
    for (const source of this.#buckets.keys()) {
      this.#buckets.delete(source)
      return
    }
  }
}
