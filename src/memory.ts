// A memory with bounds: so many entries, each for so long, the oldest forgotten first.

export interface MemoryParts {
  readonly entriesMax: number
  readonly keepMs: number
  readonly now: () => number
}

export class Memory<V> {
  readonly #parts: MemoryParts
  readonly #entries = new Map<string, { readonly value: V; readonly until: number }>()

  constructor(parts: MemoryParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#entries.size
  }

  set(key: string, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, until: this.#parts.now() + this.#parts.keepMs })
    if (this.#entries.size <= this.#parts.entriesMax) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }

  get(key: string): V | null {
    const entry = this.#entries.get(key)
    if (entry === undefined) return null
    if (entry.until > this.#parts.now()) return entry.value
    this.#entries.delete(key)
    return null
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
