import { describe, it } from '@jest/globals'
import { deepEqual as equal } from 'node:assert/strict'
import { createLadder } from '../../src/cli/ladder.ts'
import { zeroSums } from '../../src/cli/statement-print.ts'
import { createHeaders, makeRequest, makeResponse } from '../../src/sip/message.ts'

const invite = (body: string, type = 'application/sdp') =>
  makeRequest({
    method: 'INVITE',
    uri: 'sip:+491@example.org',
    headers: createHeaders([
      ['CSeq', '1 INVITE'],
      ['Content-Type', type]
    ]),
    body: Buffer.from(body)
  })

describe('call ladder', () => {
  it('is one line a message: time, from, to, what, and which kind of SDP it carries', () => {
    const lines: string[] = []
    const ladder = createLadder(
      line => lines.push(line),
      () => new Date('2026-11-22T10:00:00.123Z')
    )
    ladder.tap('alice')('out', invite('v=0\r\na=fingerprint:x\r\n'))
    ladder.tap('operator')('in', invite('v=0\r\n'))
    ladder.tap('operator')('out', makeResponse(invite(''), 180))
    ladder.tap('alice')('in', invite('{}', 'application/json'))
    ladder.mute()
    ladder.tap('alice')('in', invite(''))
    equal(lines, [
      '10:00:00.123  alice → hub            INVITE sip:+491@example.org  [SDP: WebRTC]',
      '10:00:00.123  hub → operator         INVITE sip:+491@example.org  [SDP: plain RTP]',
      '10:00:00.123  operator → hub         180 Ringing (INVITE)',
      '10:00:00.123  hub → alice            INVITE sip:+491@example.org  [application/json]'
    ])
    equal(ladder.lines, 4)
  })
})

describe('ledger entries on paper', () => {
  it('sum to zero in each currency', () => {
    const entry = { entryId: 'e', cdrId: 'c', debit: 'a', credit: 'b' }
    const sums = zeroSums([
      { ...entry, amount: '0.072450', currency: 'EUR' },
      { ...entry, debit: 'b', credit: 'd', amount: '0.063', currency: 'EUR' },
      { ...entry, amount: '1', currency: 'USD' }
    ])
    equal(
      [...sums],
      [
        ['EUR', '0.000000'],
        ['USD', '0.000000']
      ]
    )
  })
})
