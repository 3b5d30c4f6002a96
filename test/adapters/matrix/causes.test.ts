// Why a call ended, both ways: the whole table.

import { describe, expect, it } from '@jest/globals'
import { causeOfReason, hangupReasons, matrixOf, reasonFrom } from '../../../src/adapters/matrix/causes.ts'
import { causeWords } from '../../../src/session/words.ts'
import type { ReleaseCause } from '../../../src/session/model.ts'

describe('a reason of a client', () => {
  it('means what it means by who says it and when', () => {
    const table = hangupReasons.map(word => {
      const { cause, q850 } = reasonFrom(word, 'answered')
      return [word, reasonFrom(word, 'from-caller').cause, reasonFrom(word, 'from-callee').cause, cause, q850]
    })
    expect(table).toEqual([
      ['ice_failed', 'cancelled', 'peer-failed', 'media-lost', 41],
      ['ice_timeout', 'cancelled', 'peer-failed', 'media-lost', 41],
      ['invite_timeout', 'cancelled', 'no-answer', 'no-answer', 19],
      ['user_hangup', 'cancelled', 'declined', 'normal', 16],
      ['user_media_failed', 'cancelled', 'unavailable', 'peer-failed', 41],
      ['user_busy', 'cancelled', 'busy', 'normal', 16],
      ['unknown_error', 'cancelled', 'peer-failed', 'peer-failed', 41],
      ['replaced', 'cancelled', 'busy', 'normal', 16],
      ['answered_elsewhere', 'answered-elsewhere', 'declined', 'normal', 16],
      ['signalling_timeout', 'cancelled', 'peer-failed', 'peer-failed', 41],
      ['transferred', 'cancelled', 'declined', 'normal', 16],
      ['new_session', 'cancelled', 'declined', 'normal', 16]
    ])
  })

  it('is an ordinary one where it is missing, unknown or no text', () => {
    for (const word of [undefined, null, '', 'toString', 'because', 7, {}, ['user_busy']]) {
      expect(reasonFrom(word, 'from-callee')).toEqual({ cause: 'declined' })
      expect(reasonFrom(word, 'answered')).toEqual({ cause: 'normal', q850: 16 })
    }
  })
})

describe('a cause of the hub', () => {
  const causes = Object.keys(causeWords) as readonly ReleaseCause[]

  it('has its word in every event, one that the SDK knows', () => {
    expect(Object.keys(matrixOf).toSorted()).toEqual(causes.toSorted())
    for (const { reject, hangup } of Object.values(matrixOf)) {
      expect(causeOfReason).toHaveProperty(reject)
      expect(causeOfReason).toHaveProperty(hangup)
    }
  })

  it('shows as busy, as failed or as hung up; who is not told by the word is told in words', () => {
    expect(matrixOf.busy).toEqual({ reject: 'user_busy', hangup: 'user_busy', told: false })
    expect(matrixOf['media-lost'].hangup).toBe('ice_failed')
    expect(matrixOf['no-answer'].hangup).toBe('invite_timeout')
    expect(matrixOf['answered-elsewhere'].hangup).toBe('answered_elsewhere')
    const silent = causes.filter(cause => !matrixOf[cause].told)
    expect(silent.toSorted()).toEqual(['answered-elsewhere', 'busy', 'cancelled', 'normal'])
  })
})
