// Waiting for a condition, with a bound: the opposite of a sleep.

/** `waitMs`: unless a test names another bound; generous, for a machine that does much else. */
export const waitLimits = { waitMs: 60_000, pollMs: 25, pollOwnMs: 2 } as const

/** Waits until `look` has something; throws with `what` after the bound. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  withinMs: number = waitLimits.waitMs,
  pollMs: number = waitLimits.pollMs
): Promise<T> {
  const end = Date.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== null && found !== undefined && found !== false) return found
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise(next => setTimeout(next, pollMs))
  }
}

/** The same for something in this process, which costs nothing to look at and says itself what it is. */
export async function until(holds: () => boolean, withinMs?: number): Promise<void> {
  await eventually(holds.toString(), holds, withinMs, waitLimits.pollOwnMs)
}
