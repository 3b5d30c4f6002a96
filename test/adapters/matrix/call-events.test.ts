// m.call.* events as they may come: version 1, version 0, broken.

import { describe, expect, it } from '@jest/globals'
import { isCallEvent, isOtherCall, isOtherCallEvent, readCallEvent } from '../../../src/adapters/matrix/call-events.ts'

const base = { call_id: 'c1', party_id: 'DEVICE', version: '1' }
const common = { callId: 'c1', partyId: 'DEVICE', isOld: false }
const offer = { type: 'offer', sdp: 'v=0\r\n' }

describe('an event of version 1', () => {
  it('is read, each of its kind', () => {
    const invite = { ...base, lifetime: 60_000, offer, invitee: '@ghost:x', capabilities: {} }
    expect(readCallEvent('m.call.invite', invite)).toEqual({
      ...common,
      type: 'invite',
      sdp: 'v=0\r\n',
      lifetimeMs: 60_000,
      invitee: '@ghost:x'
    })
    expect(readCallEvent('m.call.answer', { ...base, answer: { type: 'answer', sdp: 'x' } })).toEqual({
      ...common,
      type: 'answer',
      sdp: 'x'
    })
    expect(readCallEvent('m.call.select_answer', { ...base, selected_party_id: 'P' })).toEqual({
      ...common,
      type: 'select',
      selected: 'P'
    })
    expect(readCallEvent('m.call.reject', { ...base, reason: 'user_busy' })).toEqual({
      ...common,
      type: 'reject',
      reason: 'user_busy'
    })
    expect(readCallEvent('m.call.hangup', base)).toEqual({ ...common, type: 'hangup', reason: undefined })
    const description = { type: 'answer', sdp: 'y' }
    expect(readCallEvent('m.call.negotiate', { ...base, lifetime: 5, description })).toEqual({
      ...common,
      type: 'negotiate',
      kind: 'answer',
      sdp: 'y',
      lifetimeMs: 5
    })
  })

  it('brings candidates, without the end marker, other transports and noise', () => {
    const of = (candidate: unknown, more: object = {}): object => ({ candidate, ...more })
    const line = 'candidate:1 1 udp 1 192.0.2.1 9 typ host'
    const candidates = [
      of(line, { sdpMid: '0', sdpMLineIndex: 0 }),
      of(line),
      of(line, { sdpMid: 7, sdpMLineIndex: -1 }),
      of(''),
      of('x'.repeat(600)),
      of(7),
      of('candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=evil:1'),
      'noise',
      null
    ]
    expect(readCallEvent('m.call.candidates', { ...base, candidates })).toEqual({
      ...common,
      type: 'candidates',
      candidates: [
        { candidate: line, mid: '0', index: 0 },
        { candidate: line, mid: null, index: null },
        { candidate: line, mid: null, index: null }
      ]
    })
  })
})

describe('an event of version 0', () => {
  it('has no party, and a number or a text as its version', () => {
    for (const version of [0, '0']) {
      const read = readCallEvent('m.call.invite', { call_id: 'c0', version, lifetime: 60_000, offer })
      expect(read).toMatchObject({ callId: 'c0', partyId: null, isOld: true, invitee: null })
    }
  })
})

describe('what is missing or odd', () => {
  it('is taken for what it most likely means', () => {
    const odd = { ...base, version: '2', party_id: 7, lifetime: 'long', invitee: 7, offer }
    expect(readCallEvent('m.call.invite', odd)).toEqual({
      callId: 'c1',
      partyId: null,
      isOld: false,
      type: 'invite',
      sdp: 'v=0\r\n',
      lifetimeMs: 60_000,
      invitee: null
    })
    expect(readCallEvent('m.call.invite', { ...base, lifetime: -5, offer })).toMatchObject({ lifetimeMs: 60_000 })
  })

  it('is nothing where the heart of it is broken', () => {
    const broken: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
      ['m.call.invite', {}],
      ['m.call.invite', { ...base, offer: { type: 'answer', sdp: 'x' } }],
      ['m.call.invite', { ...base, offer: { type: 'offer' } }],
      ['m.call.invite', { ...base, offer: { type: 'offer', sdp: 'x'.repeat(65_537) } }],
      ['m.call.invite', { ...base, call_id: '', offer }],
      ['m.call.invite', { ...base, call_id: 'x'.repeat(256), offer }],
      ['m.call.answer', { ...base, answer: offer }],
      ['m.call.answer', base],
      ['m.call.candidates', { ...base, candidates: 'none' }],
      ['m.call.candidates', { ...base, candidates: Array.from({ length: 257 }, () => ({})) }],
      ['m.call.negotiate', { ...base, description: { type: 'pranswer', sdp: 'x' } }],
      ['m.call.hangup', { party_id: 'x' }],
      ['m.call.select_answer', {}],
      ['m.call.sdp_stream_metadata_changed', base],
      ['m.call.unheard_of', base]
    ]
    for (const [type, content] of broken)
      expect([type, content, readCallEvent(type, content)]).toEqual([type, content, null])
  })
})

describe('types', () => {
  it('tell calls from everything else, and calls of another kind from both', () => {
    expect(isCallEvent('m.call.sdp_stream_metadata_changed')).toBe(true)
    expect(isCallEvent('org.matrix.call.asserted_identity')).toBe(true)
    expect(isCallEvent('m.room.message')).toBe(false)
    expect(isOtherCallEvent('m.rtc.member')).toBe(true)
    expect(isOtherCallEvent('m.call.invite')).toBe(false)
    expect(isOtherCall('org.matrix.msc3401.call.member', { device_id: 'x' })).toBe(true)
    // Its end: the membership is emptied.
    expect(isOtherCall('org.matrix.msc3401.call.member', {})).toBe(false)
  })
})
