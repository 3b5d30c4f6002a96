// First in, first out, without moving everything at each step.

export class Queue<T> {
  #items: T[]
  #first = 0

  constructor(items: Iterable<T> = []) {
    this.#items = [...items]
  }

  get length(): number {
    return this.#items.length - this.#first
  }

  push(item: T): void {
    this.#items.push(item)
  }

  peek(max: number): readonly T[] {
    return this.#items.slice(this.#first, this.#first + max)
  }

  take(max: number): readonly T[] {
    const taken = this.peek(max)
    this.#first += taken.length
    if (this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return taken
  }
}
