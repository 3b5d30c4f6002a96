import { describe, expect, it } from '@jest/globals'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { cdrBody } from '../../src/events/cdr.ts'
import { chained, genesis } from '../../src/events/chain.ts'
import { incompleteFinal, openLegs } from '../../src/events/recovery.ts'
import { uuidv7 } from '../../src/events/uuid.ts'
import type { Cdr } from '../../src/session/model.ts'
import { answeredAt, bodyOf, startOf } from '../support/cdrs.ts'

let seq = 0
const recordOf = (cdr: Cdr): CdrRecord =>
  chained(bodyOf(cdr), { hubId: 'hub', nodeId: 'node', seq: ++seq, previous: genesis }).record

const cdrId = uuidv7(answeredAt)
const reason = 'hub stopped during the call'

describe('legs that a crash left open', () => {
  it('are those with a start or interim record and no final, each by its last one', () => {
    const start = startOf()
    const done = startOf()
    const open = recordOf(start)
    const later = recordOf({ ...start, kind: 'interim', partialSeq: 1 })
    const egress = recordOf({ ...start, leg: 'egress' })
    const records = [open, recordOf(done), later, egress, recordOf({ ...done, kind: 'final', partialSeq: 1 })]
    expect(openLegs(records)).toEqual([later, egress])
    expect(openLegs([])).toEqual([])
  })

  it('are closed as incomplete at the last sign of life', () => {
    const start = recordOf(startOf())
    const final = incompleteFinal(start, { at: answeredAt + 12_345, reason }, cdrId)
    expect(cdrBody.parse(final)).toEqual(final)
    expect(final).toMatchObject({
      cdr_id: cdrId,
      call_id: start.call_id,
      kind: 'final',
      partial_seq: 1,
      t_end: answeredAt + 12_345,
      duration_ms: 12_345,
      units: 13,
      cause: 'internal',
      release_side: 'hub',
      reason,
      incomplete: true
    })
  })

  it('never end before their answer or their last interim record', () => {
    const start = recordOf(startOf())
    expect(incompleteFinal(start, { at: answeredAt - 1, reason }, cdrId)).toMatchObject({
      t_end: answeredAt,
      duration_ms: 0
    })
    const interim = recordOf(startOf({ kind: 'interim', endedAt: answeredAt + 900_000, durationMs: 900_000 }))
    const final = incompleteFinal(interim, { at: answeredAt + 5_000, reason }, cdrId)
    expect(final).toMatchObject({ t_end: answeredAt + 900_000, duration_ms: 900_000 })
  })
})
