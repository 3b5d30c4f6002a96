import { describe, expect, it } from '@jest/globals'
import { isLonger, sdpOf } from '../../src/nni/body.ts'
import { toneBody, tonesOf, toneType } from '../../src/nni/tones.ts'
import { makeRequest } from '../../src/sip/message.ts'
import { sdpWith } from '../support/nni.ts'

const withBody = (type: string, body: string | Buffer, more: readonly (readonly [string, string])[] = []) =>
  makeRequest({ method: 'INVITE', uri: 'sip:x', headers: [['Content-Type', type], ...more], body })
const part = (type: string, text: string, more = '') => `--b\r\nContent-Type: ${type}\r\n${more}\r\n${text}\r\n`
const sdp = sdpWith(4000)

describe('the length of a text', () => {
  it('is that of its bytes', () => {
    expect(['12345678', '123456789', 'äöüß', 'äöüß5', '€€€', '€€'].map(text => isLonger(text, 8))).toEqual([
      false,
      true,
      false,
      true,
      true,
      false
    ])
  })
})

describe('the description in a body', () => {
  it('none is none', () => {
    expect(sdpOf(makeRequest({ method: 'INVITE', uri: 'sip:x' }))).toEqual({ ok: true, sdp: null })
  })

  it('is found alone and in parts, also nested', () => {
    expect(sdpOf(withBody('Application/SDP ; x=y', sdp))).toEqual({ ok: true, sdp })
    expect(sdpOf(withBody('multipart/mixed;boundary=b', `${part('application/sdp', sdp)}--b--`))).toEqual({
      ok: true,
      sdp
    })
    const inner = `--c\r\nContent-Type: application/sdp\r\n\r\n${sdp}\r\n--c--`
    const nested = `${part('multipart/alternative; boundary="c"', inner)}--b--`
    expect(sdpOf(withBody('multipart/related; boundary="b"', nested))).toEqual({ ok: true, sdp })
  })

  it('a part that may be ignored is, one that must be understood is not', () => {
    const optional = part('application/x', 'x', 'Content-Disposition: session; handling=optional\r\n')
    expect(sdpOf(withBody('multipart/mixed;boundary=b', `${optional}${part('application/sdp', sdp)}--b--`))).toEqual({
      ok: true,
      sdp
    })
    expect(
      sdpOf(withBody('multipart/mixed;boundary=b', `${part('application/x', 'x')}${part('application/sdp', sdp)}--b--`))
        .ok
    ).toBe(false)
    expect(sdpOf(withBody('application/x', 'x')).ok).toBe(false)
    expect(sdpOf(withBody('application/x', 'x', [['Content-Disposition', 'render;handling=optional']]))).toEqual({
      ok: true,
      sdp: null
    })
  })

  it.each(['multipart/mixed', 'multipart/mixed;boundary=', 'multipart/mixed;boundary=b'])(
    '%s that is none is refused',
    type => {
      expect(sdpOf(withBody(type, '--b\r\nno end of head')).ok).toBe(false)
    }
  )

  it('bytes that were no UTF-8 are no description', () => {
    expect(sdpOf(withBody('application/sdp', `v=0\uFFFD${sdp}`)).ok).toBe(false)
  })
})

describe('tones in INFO', () => {
  it('are read in both forms and written in one', () => {
    expect(tonesOf(toneType, 'Signal= 5\r\nDuration= 250\r\n')).toEqual({ digit: '5', durationMs: 250 })
    expect(tonesOf('application/dtmf', '#')).toEqual({ digit: '#', durationMs: 160 })
    expect(tonesOf(toneType, toneBody({ digit: 'A', durationMs: 100 }))).toEqual({ digit: 'A', durationMs: 100 })
  })

  it('a length that is none, or too long, is put right', () => {
    expect(tonesOf(toneType, 'Signal=1\nDuration=x')).toEqual({ digit: '1', durationMs: 160 })
    expect(tonesOf(toneType, 'Signal=1\nDuration=9999999')).toEqual({ digit: '1', durationMs: 10_000 })
  })

  it('garbage is no tone, another type is unknown', () => {
    expect(tonesOf(toneType, 'Signal=55')).toBeNull()
    expect(tonesOf(toneType, '')).toBeNull()
    expect(tonesOf('text/plain', '5')).toBe('unknown-type')
  })
})
