// Every phase of a message against every event; a new phase or event does not compile until it is decided here.

import { describe, it } from '@jest/globals'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { keyOf } from '../../src/session/records.ts'
import { openText, stepText } from '../../src/session/text-step.ts'
import type { TextEvent, TextPhase, TextStep } from '../../src/session/text-step.ts'
import type { SessionId } from '../../src/session/model.ts'
import { caller, charging, facts, grantOf, target } from '../support/sessions.ts'

type EventType = TextEvent['type']
type Expected = TextPhase | 'same' | 'changed'

const found: TextEvent = { type: 'route.found', at: 1, targets: [target('a'), target('b')] }
const admit: TextEvent = {
  type: 'policy.decided',
  at: 2,
  attempt: 1,
  decision: { admit: true, grant: grantOf('g1') }
}
const taken: TextEvent = { type: 'text.taken', at: 3, attempt: 1, facts }
const body = { type: 'text/plain', text: 'hello' } as const

const opening = { id: 't1' as SessionId, caller, called: 'tel:+491', body, charging, facts, requestedAt: 0 }

function play(...events: readonly TextEvent[]): TextStep {
  return events.reduce((before, event) => stepText(before.session, event), openText(opening))
}
const keys = (step: TextStep) => step.session.book.unwritten.map(({ cdr }) => keyOf(cdr))
const sent = play(found, admit, taken)
const written = keys(sent).map((key): TextEvent => ({ type: 'cdr.written', at: 4, key }))

const roads: Record<TextPhase, readonly TextEvent[]> = {
  routing: [],
  admitting: [found],
  sending: [found, admit],
  recording: [found, admit, taken],
  closed: [found, admit, taken, ...written]
}

const none: Record<EventType, Expected> = {
  'route.found': 'same',
  'route.failed': 'same',
  'policy.decided': 'same',
  'text.taken': 'same',
  'text.refused': 'same',
  'cdr.written': 'same',
  'cdr.failed': 'same',
  'timer.fired': 'same'
}
const table: Record<TextPhase, Record<EventType, Expected>> = {
  routing: { ...none, 'route.found': 'admitting', 'route.failed': 'recording', 'timer.fired': 'recording' },
  admitting: { ...none, 'policy.decided': 'sending', 'timer.fired': 'recording' },
  sending: { ...none, 'text.taken': 'recording', 'text.refused': 'recording' },
  recording: { ...none, 'cdr.written': 'changed', 'cdr.failed': 'changed' },
  closed: none
}

function sample(type: EventType, before: TextStep): TextEvent {
  const key = keys(before)[0] ?? 'none'
  const samples: Record<EventType, TextEvent> = {
    'route.found': found,
    'route.failed': { type: 'route.failed', at: 9, reason: { cause: 'not-found' } },
    'policy.decided': admit,
    'text.taken': taken,
    'text.refused': { type: 'text.refused', at: 9, attempt: 1, reason: { cause: 'not-found' }, facts },
    'cdr.written': { type: 'cdr.written', at: 9, key },
    'cdr.failed': { type: 'cdr.failed', at: 9, key },
    'timer.fired': { type: 'timer.fired', at: 9, timer: 'call-reply' }
  }
  return samples[type]
}

describe('a message against every event', () => {
  for (const [phase, row] of Object.entries(table)) {
    for (const [type, expected] of Object.entries(row)) {
      it(`${phase} + ${type} -> ${expected}`, () => {
        const before = play(...roads[phase as TextPhase])
        equal(before.session.phase, phase)
        const after = stepText(before.session, sample(type as EventType, before)).session
        if (expected === 'same') ok(after === before.session)
        else if (expected === 'changed') ok(after !== before.session && after.phase === phase)
        else equal(after.phase, expected)
      })
    }
  }
  it('turned away by its own access: its sender is told and one record says why', () => {
    const refusal = { cause: 'identity-failed', sip: 428 } as const
    const { session, commands } = openText({ ...opening, refusal })
    equal(session.phase, 'recording')
    const release = { ...refusal, from: 'hub' }
    deepEqual(
      commands.flatMap(c => (c.type === 'text.verdict' ? [c.verdict] : [])),
      [{ taken: false, release }]
    )
    deepEqual(
      commands.flatMap(c => (c.type === 'cdr.write' ? [[c.cdr.leg, c.cdr.kind, c.cdr.release]] : [])),
      [['ingress', 'final', release]]
    )
    ok(!commands.some(c => c.type === 'route.ask' || c.type === 'timer.set'))
  })
  it('a grant that comes when nobody waits for it goes back, in every phase', () => {
    for (const phase of ['routing', 'sending', 'recording', 'closed'] as const) {
      const { commands } = stepText(play(...roads[phase]).session, { ...admit, at: 9 })
      equal(commands[0]?.type, 'policy.free')
    }
  })
})
