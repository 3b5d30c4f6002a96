import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { decisionOf, disputeStates, isOver, stateTerms } from '../../../src/clearing/disputes/states.ts'
import type { DisputeState } from '../../../src/clearing/disputes/states.ts'

describe('the states of a dispute', () => {
  it('SET-09 every state is reached from a draft, and an end is reached from every state', () => {
    const reached = new Set<DisputeState>(['draft'])
    for (const state of reached) for (const next of stateTerms[state].next) reached.add(next)
    deepEqual([...reached].sort(), [...disputeStates].sort())
    const ends = new Set<DisputeState>(disputeStates.filter(isOver))
    for (let grown = true; grown;) {
      const more = disputeStates.filter(state => !ends.has(state) && stateTerms[state].next.some(s => ends.has(s)))
      grown = more.length > 0
      for (const state of more) ends.add(state)
    }
    equal(ends.size, disputeStates.length)
  })

  it('SET-09 whoever has to move is named, and nothing is held where it is over', () => {
    for (const state of disputeStates) {
      equal(stateTerms[state].owner === null, isOver(state), state)
      equal(stateTerms[state].holds, !isOver(state) && state !== 'draft', state)
      ok(isOver(state) || state === 'draft' || stateTerms[state].days !== null, state)
    }
  })

  it('what is conceded makes the decision', () => {
    deepEqual([decisionOf(0n, 10n), decisionOf(4n, 10n), decisionOf(10n, 10n)], ['rejected', 'partly', 'accepted'])
  })
})
