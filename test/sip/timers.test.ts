import { describe, expect, it } from '@jest/globals'
import { systemClock } from '../../src/sip/timers.ts'
import { until } from '../support/until.ts'

describe('the timers of the stack', () => {
  it('fire once each, those of one length in the order they were set, never before their time', async () => {
    const begun = performance.now()
    const fired: [string, boolean][] = []
    const set = (ms: number, name: string): unknown =>
      systemClock.set(ms, subject => void fired.push([subject, performance.now() - begun >= ms]), name)
    set(40, 'late')
    for (const name of ['a', 'b', 'c']) set(15, name)
    await until(() => fired.length === 4)
    expect(fired).toEqual([
      ['a', true],
      ['b', true],
      ['c', true],
      ['late', true]
    ])
  })

  it('do not fire once cleared, also from inside another one, and clearing twice is nothing', async () => {
    const fired: string[] = []
    const set = (name: string, run = (): void => void fired.push(name)): unknown => systemClock.set(20, run, null)
    const first = set('first')
    set('second', () => {
      fired.push('second')
      systemClock.clear(third)
    })
    const third = set('third')
    set('fourth')
    systemClock.clear(first)
    systemClock.clear(first)
    await until(() => fired.includes('fourth'))
    expect(fired).toEqual(['second', 'fourth'])
  })

  it('may set the next one of their length', async () => {
    const fired: string[] = []
    systemClock.set(10, () => void systemClock.set(10, () => void fired.push('next'), null), null)
    await until(() => fired.length === 1)
    expect(fired).toEqual(['next'])
  })
})
