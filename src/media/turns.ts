// Operations on one call, one after the other.

export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs once everything before it has settled, whatever became of that. */
  take<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#last.then(run)
    this.#last = done.catch(() => {})
    return done
  }
}
