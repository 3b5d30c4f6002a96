import { describe, expect, it } from '@jest/globals'
import {
  actAfter,
  grant,
  parseSessionExpires,
  sessionDefaults,
  termsOf,
  tooShort
} from '../../../src/sip/engine/session-timer.ts'
import { createHeaders } from '../../../src/sip/message.ts'

const headers = (sessionExpires: string | null, supported = 'timer, 100rel') =>
  createHeaders([
    ['Supported', supported],
    ...(sessionExpires === null ? [] : [['Session-Expires', sessionExpires] as const])
  ])

describe('Session-Expires (RFC 4028, 4)', () => {
  it.each([
    ['1800', { seconds: 1800, refresher: null }],
    ['90 ; refresher=UAS', { seconds: 90, refresher: 'uas' }],
    ['90;x=1;refresher=uac', { seconds: 90, refresher: 'uac' }],
    ['90;refresher=me', { seconds: 90, refresher: null }],
    ['soon', null],
    ['', null]
  ])('%s', (text, expected) => expect(parseSessionExpires(text)).toEqual(expected))

  it('less than the minimum is too short, nothing at all is not', () => {
    expect(tooShort(headers('89'), sessionDefaults)).toBe(true)
    expect(tooShort(headers('90'), sessionDefaults)).toBe(false)
    expect(tooShort(headers(null), sessionDefaults)).toBe(false)
  })
})

describe('what a 2xx grants (RFC 4028, 9)', () => {
  const none = sessionDefaults
  const half = { ...sessionDefaults, seconds: 1800 }

  it('nothing where nobody asks', () => expect(grant(headers(null), null, none)).toBeNull())

  it('what the caller asked for, the refresher it named', () => {
    expect(grant(headers('600;refresher=uas'), null, none)).toEqual({ seconds: 600, refresher: 'uas' })
    expect(grant(headers('600'), null, none)).toEqual({ seconds: 600, refresher: 'uac' })
  })

  it('what the application said, except for the refresher the caller named', () => {
    const said = { seconds: 300, refresher: 'uac' } as const
    expect(grant(headers('600;refresher=uas'), said, none)).toEqual({ seconds: 300, refresher: 'uas' })
    expect(grant(headers(null), said, none)).toEqual({ seconds: 300, refresher: 'uac' })
  })

  it('a caller without timer is not asked to refresh', () => {
    expect(grant(headers(null, '100rel'), null, half)).toEqual({ seconds: 1800, refresher: 'uas' })
    expect(grant(headers(null, '100rel'), { seconds: 90, refresher: 'uac' }, none)?.refresher).toBe('uas')
  })
})

describe('what then holds', () => {
  it('the refresher is counted from who sent the request', () => {
    expect(termsOf({ seconds: 90, refresher: 'uac' }, true, null)).toEqual({ seconds: 90, ours: true })
    expect(termsOf({ seconds: 90, refresher: 'uas' }, true, null)).toEqual({ seconds: 90, ours: false })
    expect(termsOf({ seconds: 90, refresher: 'uas' }, false, null)).toEqual({ seconds: 90, ours: true })
  })

  it('a 2xx without it leaves the caller alone with its wish', () => {
    expect(termsOf(null, true, { seconds: 90, refresher: null })).toEqual({ seconds: 90, ours: true })
    expect(termsOf(null, false, { seconds: 90, refresher: null })).toBeNull()
    expect(termsOf(null, true, null)).toBeNull()
  })

  it('the refresher acts at half time, the other when the session is nearly over', () => {
    expect(actAfter({ seconds: 1800, ours: true })).toBe(900)
    expect(actAfter({ seconds: 1800, ours: false })).toBe(1768)
    expect(actAfter({ seconds: 90, ours: false })).toBe(60)
  })
})
