// Waiting for a condition, with a bound: the opposite of a sleep.

/** Polls until the condition holds; throws with what the condition is once `ms` have passed. */
export async function until(holds: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${holds.toString()}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
