import { describe, expect, it } from '@jest/globals'
import { cdrBody } from '../../src/events/cdr.ts'
import { chained, genesis } from '../../src/events/chain.ts'
import { incompleteFinal, openLegs, unheardFinal } from '../../src/events/recovery.ts'
import { uuidv7 } from '../../src/uuid.ts'
import type { Cdr } from '../../src/session/model.ts'
import { answeredAt, bodyOf, startOf } from '../support/cdrs.ts'

let seq = 0
const recordOf = (cdr: Cdr, elapsedMs: number | null = null) => {
  const place = { hubId: 'hub', nodeId: 'node', seq: ++seq, previous: genesis }
  return { record: chained(bodyOf(cdr), place).record, elapsedMs }
}

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
    const final = incompleteFinal(start, { at: answeredAt + 12_345, elapsedMs: null, reason }, cdrId)
    expect(cdrBody.parse(final)).toEqual(final)
    expect(final).toMatchObject({
      cdr_id: cdrId,
      call_id: start.record.call_id,
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
    expect(incompleteFinal(start, { at: answeredAt - 1, elapsedMs: null, reason }, cdrId)).toMatchObject({
      t_end: answeredAt,
      duration_ms: 0
    })
    const interim = recordOf(startOf({ kind: 'interim', endedAt: answeredAt + 900_000, durationMs: 900_000 }))
    const final = incompleteFinal(interim, { at: answeredAt + 5_000, elapsedMs: null, reason }, cdrId)
    expect(final).toMatchObject({ t_end: answeredAt + 900_000, duration_ms: 900_000 })
  })

  it('last as long as the steady clock went on, whoever set the wall clock', () => {
    const start = recordOf(startOf(), 7_000)
    for (const stepMs of [-3_600_000, 0, 3_600_000]) {
      const ending = { at: answeredAt + 10_000 + stepMs, elapsedMs: 17_000, reason }
      expect(incompleteFinal(start, ending, cdrId)).toMatchObject({ t_end: answeredAt + 10_000, duration_ms: 10_000 })
    }
  })

  it('that had said nothing get their only record: not answered, nothing to bill', () => {
    const ringing = { answeredAt: null, alertedAt: null, endedAt: answeredAt - 4_000 }
    const note = { body: bodyOf(startOf(ringing)), elapsedMs: 1_000 }
    const final = unheardFinal(note, { at: answeredAt, elapsedMs: 3_000, reason }, cdrId)
    expect(cdrBody.parse(final)).toEqual(final)
    expect(final).toMatchObject({
      kind: 'final',
      partial_seq: 0,
      partial: false,
      t_answer: null,
      t_end: answeredAt - 2_000,
      duration_ms: 0,
      units: 0,
      cause: 'internal',
      cause_closing: 'unsuccessful',
      release_side: 'hub',
      incomplete: true
    })
  })
})
