// An event log in memory that can be away.

import type { CdrRecord } from '../../src/events/cdr.ts'
import type { EventLog } from '../../src/events/event-log.ts'

export interface MemoryLog extends EventLog {
  readonly records: readonly CdrRecord[]
  /** Appends that were tried. */
  readonly tries: number
  /** While true appends fail. */
  away: boolean
  /** The next append is kept, but its answer is lost. */
  answerLost: boolean
  /** The next append never answers. */
  silent: boolean
}

export function memoryLog(): MemoryLog {
  const records: CdrRecord[] = []
  return {
    records,
    tries: 0,
    away: false,
    answerLost: false,
    silent: false,
    async append(batch) {
      ;(this as { tries: number }).tries += 1
      if (this.silent) {
        this.silent = false
        return new Promise(() => undefined)
      }
      if (this.away) throw new Error('the event log is away')
      for (const record of batch) if (!records.some(({ cdr_id }) => cdr_id === record.cdr_id)) records.push(record)
      if (!this.answerLost) return
      this.answerLost = false
      throw new Error('the answer was lost')
    },
    async read(_topic, after, max) {
      const found = records.slice(Number(after), Number(after) + max)
      return { records: found, position: after + BigInt(found.length) }
    },
    async newest() {
      return BigInt(records.length)
    }
  }
}
