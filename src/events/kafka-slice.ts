// What a ledger that stands at some place is to take next of a batch that came from Kafka. Pure.

import type { Slice } from './kafka-reader.ts'

/** What is looked at of a batch of kafkajs. */
export interface Received {
  readonly partition: number
  readonly messages: readonly { readonly offset: string; readonly value: Buffer | null }[]
}

/** Null: nothing more. `gap`: what comes next is not there. Records before the place are known and left out. */
export function sliceOf({ partition, messages }: Received, after: bigint, max: number): Slice | 'gap' | null {
  const [first] = messages
  if (first === undefined) return null
  // Offsets of a topic without transactions follow each other: the place in the batch is nearly always this one.
  let from = Math.max(Number(after - BigInt(first.offset)), 0)
  while (from > 0 && BigInt(messages[Math.min(from, messages.length) - 1]?.offset ?? 0) >= after) from -= 1
  while (from < messages.length && BigInt(messages[from]?.offset ?? 0) < after) from += 1
  const taken = messages.slice(from, from + max)
  let position = after
  const records: unknown[] = []
  for (const { offset, value } of taken) {
    // What was there before the gap is taken; the next look begins with the gap.
    if (BigInt(offset) !== position) return records.length === 0 ? 'gap' : { partition, after, position, records }
    records.push(parsed(value))
    position += 1n
  }
  return records.length === 0 ? null : { partition, after, position, records }
}

/** Text that is no JSON is no record either: it is rejected as what it is. */
function parsed(value: Buffer | null): unknown {
  if (value === null) return null
  const text = value.toString('utf8')
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}
