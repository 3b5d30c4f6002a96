import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { withinBlindness, withoutBlindCredit } from '../../src/qos-policy/blind.ts'
import type { PolicyDecision } from '../../src/session/model.ts'
import type { Admission, Credit, Policy } from '../../src/session/ports.ts'

const granted = { admit: false, reason: { cause: 'busy', text: 'the policy itself was asked' } } as const
const freed: string[] = []
const inner: Policy = {
  decide: () => Promise.resolve(granted),
  decideText: () => Promise.resolve(granted),
  free: grantId => Promise.resolve(void freed.push(grantId))
}
const minuteMs = 60_000
const call = (called = '+4930123456') => ({ called }) as Admission
const ask = async (
  { since, sum, now }: { since: number | null; sum: bigint; now: number },
  admission = call()
): Promise<readonly PolicyDecision[]> => {
  const policy = withinBlindness(inner, {
    blindness: { since: () => since, amountMicros: () => sum },
    limits: { blindMinutes: 60, blindAmountMicros: 1_000n },
    now: () => now
  })
  return [await policy.decide(admission), await policy.decideText(admission)]
}
const refused = (text: string) => ({ admit: false, reason: { cause: 'congestion', text } })

describe('while nothing is cleared', () => {
  it.each([
    ['records are cleared', { since: null, sum: 10n ** 9n, now: 10 ** 9 }],
    ['it lasts less than the minutes allowed', { since: 0, sum: 999n, now: 60 * minuteMs - 1 }],
    ['it has just begun', { since: 5, sum: 0n, now: 5 }]
  ])('calls and messages are decided as ever where %s', async (_what, facts) => {
    deepEqual(await ask(facts), [granted, granted])
  })

  it.each([
    ['minutes', { since: 0, sum: 0n, now: 60 * minuteMs }, 'records were not cleared for 60 minutes'],
    ['sum', { since: 0, sum: 1_000n, now: 1 }, 'records were not cleared for calls of a larger sum than may be open']
  ])('they are refused at the bound of the %s, and told why', async (_what, facts, why) => {
    deepEqual(await ask(facts), [refused(why), refused(why)])
  })

  it('an emergency call is never refused for it', async () => {
    const facts = { since: 0, sum: 10n ** 9n, now: 10 ** 9 }
    deepEqual(await ask(facts, call('urn:service:sos.police')), [granted, granted])
  })

  it('what was granted before is freed', async () => {
    const policy = withinBlindness(inner, {
      blindness: { since: () => 0, amountMicros: () => 0n },
      limits: { blindMinutes: 0, blindAmountMicros: 0n },
      now: () => 1
    })
    await policy.free('grant')
    deepEqual(freed, ['grant'])
  })

  it('who pays in advance is refused at once, who pays later is not; what was reserved before is refreshed and settled', async () => {
    const reservation = { reservationId: 'r', reservedMs: 1, onSilence: 'end' } as const
    const settled: string[] = []
    const credit: Credit = {
      reserve: () => Promise.resolve(reservation),
      refresh: () => Promise.resolve(reservation),
      settle: id => Promise.resolve(void settled.push(id))
    }
    let since: number | null = null
    const blind = withoutBlindCredit(credit, { since: () => since })
    const ask = (prepaid: boolean) => blind.reserve('s' as never, 1, { prepaid } as never, {} as never)
    deepEqual([await ask(true), await ask(false)], [reservation, reservation])
    since = 1
    deepEqual([await ask(true), await ask(false)], ['no-credit', null])
    equal(await blind.refresh('r', 1), reservation)
    await blind.settle('r', 1)
    deepEqual(settled, ['r'])
  })
})
