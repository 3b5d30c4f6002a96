// What verification of the book says: each check with how much it looked at and what it found.

export const limits = {
  /** Faults of one check that are told; all are counted. */
  faultsMax: 50,
  /** Rows of one read. */
  pageMax: 5_000
} as const

export interface Check {
  readonly name: string
  /** What it has compared: balances, sums, charges, records, statements. */
  readonly looked: number
  /** How many are wrong; the first of them in words. */
  readonly wrong: number
  readonly faults: readonly string[]
  /** Why it could not look, or not at all; null: it did. */
  readonly skipped: string | null
}

/** Collects what a check finds. */
export class Findings {
  readonly #name: string
  readonly #faults: string[] = []
  #looked = 0
  #wrong = 0

  constructor(name: string) {
    this.#name = name
  }

  get looked(): number {
    return this.#looked
  }

  look(rows: number): void {
    this.#looked += rows
  }

  fault(text: string): void {
    this.#wrong += 1
    if (this.#faults.length < limits.faultsMax) this.#faults.push(text)
  }

  done(skipped: string | null = null): Check {
    return { name: this.#name, looked: this.#looked, wrong: this.#wrong, faults: this.#faults, skipped }
  }
}
