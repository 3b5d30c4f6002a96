import { describe, expect, it } from '@jest/globals'
import {
  bestOf,
  causeOf,
  fromBye,
  fromRefusal,
  isGlobal,
  parseReasons,
  printReason,
  reasonLines,
  sipOf,
  statusOf
} from '../../../src/adapters/sip-ws/causes.ts'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import { releaseCauses } from '../../../src/session/model.ts'
import { createHeaders, parseParams } from '../../../src/sip/message.ts'

const reason = (...values: string[]) => createHeaders(values.map(value => ['Reason', value] as const))

describe('causes towards an island', () => {
  it.each(releaseCauses)('%s is a final refusal with plain words', cause => {
    const { status, text } = sipOf[cause]
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(700)
    expect(text.length).toBeGreaterThan(10)
    expect(statusOf({ cause })).toBe(status)
    expect(printReason({ cause })).toBe(`SIP;cause=${cause === 'answered-elsewhere' ? 200 : status};text="${text}"`)
  })

  it('the status of a SIP peer is kept where it means the same', () => {
    expect(statusOf({ cause: 'busy', sip: 600 })).toBe(600)
    expect(statusOf({ cause: 'not-found', sip: 604 })).toBe(604)
    expect(statusOf({ cause: 'incompatible-media', sip: 606 })).toBe(606)
  })

  it('the status of a SIP peer is replaced where it concerns another hop or means something else', () => {
    expect(statusOf({ cause: 'forbidden', sip: 407 })).toBe(403)
    expect(statusOf({ cause: 'incompatible-media', sip: 415 })).toBe(488)
    expect(statusOf({ cause: 'peer-failed', sip: 481 })).toBe(502)
    expect(statusOf({ cause: 'busy', sip: 404 })).toBe(486)
    expect(statusOf({ cause: 'normal', sip: 200 })).toBe(480)
    expect(statusOf({ cause: 'busy', sip: 999 })).toBe(486)
  })

  it('does not pass on a number in the words of the other side', () => {
    const told = { cause: 'cancelled', text: 'it was +33 145678900', from: 'caller' } as const
    expect(printReason(told)).toBe('SIP;cause=487;text="the caller has given up"')
  })

  it('words of the other side are quoted, on one line and within their bound', () => {
    const printed = printReason({ cause: 'busy', text: `say "no"\\\r\nVia: evil ${'x'.repeat(300)}` })
    expect(printed).not.toMatch(/[\r\n]/)
    const params = parseParams(printed, printed.indexOf(';'))
    expect(params?.get('cause')).toBe('486')
    expect(params?.get('text')).toMatch(/^"say \\"no\\"\\\\/)
    expect(parseReasons(reason(printed)).text).toHaveLength(limits.reasonCharactersMax)
  })

  it('a Q.850 cause travels beside the SIP one, and only a real one', () => {
    expect(reasonLines({ cause: 'busy', q850: 17 }).map(({ value }) => value)).toEqual([
      'SIP;cause=486;text="the called party is busy"',
      'Q.850;cause=17'
    ])
    expect(reasonLines({ cause: 'busy', q850: 0 })).toHaveLength(1)
    expect(reasonLines({ cause: 'busy', q850: 128 })).toHaveLength(1)
  })
})

describe('causes from an island', () => {
  it('every status from 300 to 699 means something', () => {
    for (let status = 300; status < 700; status++) expect(releaseCauses).toContain(causeOf(status))
  })

  it.each([
    [302, 'unavailable'],
    [404, 'not-found'],
    [408, 'no-answer'],
    [480, 'unavailable'],
    [486, 'busy'],
    [488, 'incompatible-media'],
    [499, 'peer-failed'],
    [500, 'peer-failed'],
    [503, 'congestion'],
    [600, 'busy'],
    [603, 'declined'],
    [699, 'declined']
  ] as const)('%i is %s', (status, cause) => expect(causeOf(status)).toBe(cause))

  it('a refusal brings its status and the words of its Reason', () => {
    expect(fromRefusal(486, reason('SIP;cause=486;text="in a meeting"'))).toEqual({
      cause: 'busy',
      sip: 486,
      text: 'in a meeting'
    })
    expect(fromRefusal(603, createHeaders())).toEqual({ cause: 'declined', sip: 603 })
  })

  it('an ordinary BYE is normal; a client in trouble says why', () => {
    expect(fromBye(createHeaders())).toEqual({ cause: 'normal' })
    expect(fromBye(reason('SIP;cause=200;text="bye"'))).toEqual({ cause: 'normal', text: 'bye' })
    expect(fromBye(reason('Q.850 ;cause=16'))).toEqual({ cause: 'normal', q850: 16 })
    expect(fromBye(reason('SIP ;cause=408; text="RTP Timeout"'))).toEqual({
      cause: 'media-lost',
      sip: 408,
      text: 'RTP Timeout'
    })
    expect(fromBye(reason('SIP;cause=488'))).toEqual({ cause: 'incompatible-media', sip: 488 })
  })

  it('several protocols share one field or several lines', () => {
    const both = { sip: 486, q850: 17, text: 'busy, really' }
    expect(parseReasons(reason('SIP;cause=486;text="busy, really", Q.850;cause=17'))).toEqual(both)
    expect(parseReasons(reason('Q.850;cause=17', 'SIP;cause=486;text="busy, really"'))).toEqual(both)
  })

  it.each([
    '',
    'SIP',
    'SIP;',
    'SIP;cause',
    'SIP;cause=x',
    'SIP;cause=-1',
    'SIP;cause=1e9',
    'Q.850;cause=0',
    ';;;',
    '"'
  ])('the malformed Reason %j says nothing', text => expect(parseReasons(reason(text))).toEqual({}))
})

describe('when every device refuses', () => {
  it('the decision of a person counts more than a device that could not be reached', () => {
    const unavailable = { cause: 'unavailable', sip: 480 } as const
    const busy = { cause: 'busy', sip: 486 } as const
    const declined = { cause: 'declined', sip: 603 } as const
    expect(bestOf([unavailable, busy])).toBe(busy)
    expect(bestOf([busy, declined, unavailable])).toBe(declined)
    expect(bestOf([])).toBeNull()
  })

  it('of two alike the first stands', () => {
    const first = { cause: 'busy', sip: 486 } as const
    expect(bestOf([first, { cause: 'busy', sip: 600 }])).toBe(first)
  })

  it('only 6xx speaks for all devices', () => {
    expect([486, 599, 600, 603, 699].map(isGlobal)).toEqual([false, false, true, true, true])
  })
})
