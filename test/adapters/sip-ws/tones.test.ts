import { describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import { parseTone, printTone } from '../../../src/adapters/sip-ws/tones.ts'
import { makeRequest } from '../../../src/sip/message.ts'

const info = (type: string, body: string) =>
  makeRequest({ method: 'INFO', uri: 'sip:x@y.example', headers: [['Content-Type', type]], body })
const toneOf = (type: string, body: string) => parseTone(info(type, body), limits)

describe('tones in INFO', () => {
  it('what is printed is read again', () => {
    for (const digit of '0123456789ABCD*#') {
      expect(toneOf('application/dtmf-relay', printTone({ digit, durationMs: 160 }))).toEqual({
        digit,
        durationMs: 160
      })
    }
  })
  it('order, spaces, line ends and parameters of the type do not matter', () => {
    expect(toneOf('Application/DTMF-Relay; charset=x', 'duration = 100\nSIGNAL= b\n')).toEqual({
      digit: 'B',
      durationMs: 100
    })
  })
  it('the short type has the digit alone', () => {
    expect(toneOf('application/dtmf', ' 5\r\n')).toEqual({ digit: '5', durationMs: 250 })
  })
  it('the duration is kept within its bounds', () => {
    expect(toneOf('application/dtmf-relay', 'Signal=1\r\nDuration=1')?.durationMs).toBe(limits.toneMsMin)
    expect(toneOf('application/dtmf-relay', 'Signal=1\r\nDuration=99999')?.durationMs).toBe(limits.toneMsMax)
    expect(toneOf('application/dtmf-relay', 'Signal=1\r\nDuration=long')?.durationMs).toBe(250)
  })
  it.each([
    ['application/dtmf-relay', 'Signal=E'],
    ['application/dtmf-relay', 'Signal=12'],
    ['application/dtmf-relay', 'Duration=100'],
    ['application/dtmf', ''],
    ['application/dtmf', '1 2'],
    ['text/plain', 'Signal=1'],
    ['', 'Signal=1']
  ])('%s %j is no tone', (type, body) => expect(toneOf(type, body)).toBeNull())
})
