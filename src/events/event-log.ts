// The event log: where records go from the journal, and where clearing reads them. A table or Kafka behind one port.

import type { CdrRecord } from './cdr.ts'

/** All records of all kinds, in the order of their journals, keyed by call. */
export const cdrTopic = 'isthmus.cdr.v1'

/** What the outbox needs of it. */
export interface EventSink {
  /**
   * Keeps the records for good, in this order, in `cdrTopic`; resolves once they are durable. A record whose `cdr_id`
   * is there already is left out. Rejects, usually with a retryable HubError, when that is uncertain: append again.
   * `texts`: the same records as JSON, of UTF-8 where it is bytes, from a caller that has them.
   */
  append(records: readonly CdrRecord[], texts?: readonly (string | Buffer)[]): Promise<void>
}

export interface EventLog extends EventSink {
  /**
   * At most `max` records after a position, oldest first, and the position to go on from: `after` itself at the end.
   * Position 0 is the beginning. Nothing is ever inserted before a position that was read. Unchecked, as they came.
   */
  read(
    topic: string,
    after: bigint,
    max: number
  ): Promise<{ readonly records: readonly unknown[]; readonly position: bigint }>
  /** The position of the last record of a topic, 0 where there is none. */
  newest(topic: string): Promise<bigint>
}
