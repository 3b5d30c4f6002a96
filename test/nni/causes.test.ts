import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { causesPage } from '../../src/nni/causes-page.ts'
import { ownHop, q850Of, reasonOfStatus, reasonOfTold, statusOf, wordings } from '../../src/nni/causes.ts'
import type { Told } from '../../src/nni/causes.ts'
import { releaseCauses } from '../../src/session/model.ts'

const q850 = (cause: number, text: string | null = null): Told => ({ protocol: 'Q.850', cause, text })
const sip = (cause: number): Told => ({ protocol: 'SIP', cause, text: null })

describe('the cause tables', () => {
  it('docs/causes.md says what the tables say', () => {
    expect(readFileSync(new URL('../../docs/causes.md', import.meta.url), 'utf8')).toBe(causesPage())
  })

  it('every cause has a refusal and a Q.850 value that fit a message', () => {
    for (const cause of releaseCauses) {
      const { status, q850: value } = wordings[cause]
      expect(status >= 400 && status <= 699 && !(ownHop.has(status) && status !== 503)).toBe(true)
      expect(value >= 1 && value <= 127).toBe(true)
    }
  })

  it('every status and every Q.850 value means something, and no refusal means a normal end', () => {
    for (let status = 300; status < 700; status++) {
      const { cause } = reasonOfStatus(status)
      expect(releaseCauses).toContain(cause)
      expect(cause).not.toBe('normal')
      for (let value = 1; value <= 127; value++) expect(reasonOfStatus(status, [q850(value)]).cause).not.toBe('normal')
    }
  })

  // Beside them, several causes share one pair of words, or say to the other side only that the hub or a peer failed.
  const merged = [
    'normal',
    'no-agreement',
    'no-rate',
    'limit-reached',
    'media-lost',
    'internal',
    'answered-elsewhere',
    'peer-failed',
    'expired'
  ]
  it.each(releaseCauses.filter(cause => !merged.includes(cause)))(
    '%s survives a peer that hears and repeats it',
    cause => {
      const { status, q850: value } = wordings[cause]
      expect(reasonOfStatus(status, [q850(value)]).cause).toBe(cause)
    }
  )
})

describe('what a peer said', () => {
  it('crosses unchanged to a peer of the same kind', () => {
    for (const status of [
      404, 408, 410, 433, 480, 484, 486, 487, 488, 500, 502, 504, 580, 600, 603, 604, 606, 607, 608
    ]) {
      const reason = reasonOfStatus(status, [q850(79, 'some words')])
      expect(statusOf({ ...reason, from: 'callee' })).toBe(status)
      expect(q850Of(reason)).toBe(79)
      expect(reason.text).toBe('some words')
    }
  })

  it('stays where it is about one hop: challenges, redirections, overload, extensions', () => {
    for (const status of [301, 302, 401, 405, 407, 415, 420, 422, 481, 491, 503]) {
      const crossed = statusOf({ ...reasonOfStatus(status), from: 'callee' })
      expect(crossed).not.toBe(status)
      expect(crossed).toBeGreaterThanOrEqual(400)
    }
  })

  it('a lone 503 becomes 500, the hub itself may say 503 (RTE-04)', () => {
    expect(statusOf({ ...reasonOfStatus(503), from: 'callee' })).toBe(500)
    expect(statusOf({ cause: 'congestion', from: 'hub' })).toBe(503)
  })

  it('a Q.850 value knows more than a vague status, and less than a clear one', () => {
    expect(reasonOfStatus(480, [q850(19)]).cause).toBe('no-answer')
    expect(reasonOfStatus(500, [q850(34)]).cause).toBe('congestion')
    expect(reasonOfStatus(480, [q850(31)]).cause).toBe('unavailable')
    expect(reasonOfStatus(486, [q850(34)]).cause).toBe('busy')
  })

  it('BYE and CANCEL without a word are what they are', () => {
    expect(reasonOfTold([], 'normal')).toEqual({ cause: 'normal' })
    expect(reasonOfTold([q850(16)], 'normal')).toEqual({ cause: 'normal', q850: 16 })
    expect(reasonOfTold([q850(31)], 'cancelled')).toEqual({ cause: 'cancelled', q850: 31 })
  })

  it('a CANCEL for a call that was answered elsewhere says so (RFC 3326)', () => {
    expect(reasonOfTold([sip(200)], 'cancelled').cause).toBe('answered-elsewhere')
  })

  it('a BYE of a broken network says so', () => {
    expect(reasonOfTold([sip(503), q850(38)], 'normal')).toEqual({ cause: 'peer-failed', sip: 503, q850: 38 })
    expect(reasonOfTold([sip(488)], 'normal').cause).toBe('incompatible-media')
  })
})
