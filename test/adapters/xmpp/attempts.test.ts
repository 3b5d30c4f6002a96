import { describe, expect, it } from '@jest/globals'
import { Attempts } from '../../../src/adapters/xmpp/attempts.ts'
import type { Attempt } from '../../../src/adapters/xmpp/attempts.ts'
import { limits as all } from '../../../src/adapters/xmpp/limits.ts'
import { createLog } from '../../../src/log.ts'
import { FakeClock } from '../../support/world.ts'

const limits = { ...all, backOffMs: 500, backOffMsMax: 60_000, steadyMs: 30_000, stanzasBurst: 2, stanzasPerSecond: 10 }
const words = { name: 'a link', refused: 'refused', down: 'down', conflict: 'conflict' }

function play() {
  const clock = new FakeClock()
  const told: unknown[] = []
  const made: Attempt[] = []
  const remember = ({ why, waitMs }: { why: string; waitMs?: number }, text: string) =>
    void told.push([text, why, waitMs])
  const log = Object.assign(createLog('silent'), { warn: remember, error: remember })
  const events = {
    onStanza: () => {},
    onUp: () => void told.push('up'),
    onDown: (why: string) => void told.push(`down: ${why}`)
  }
  const attempts = new Attempts({ limits, clock, log, events, random: () => 0 }, words, () => {
    const attempt: Attempt = { upAt: null, why: null, timers: new Map() }
    made.push(attempt)
    return attempt
  })
  const last = (): Attempt => made.at(-1)!
  const ends = (why: string | null): void => {
    last().why ??= why
    attempts.gone(last())
  }
  return { clock, told, made, attempts, last, ends }
}

describe('attempts to connect', () => {
  it('one at a time; the next after a wait that grows until one was steady', async () => {
    const { attempts, clock, made, told, last, ends } = play()
    attempts.start()
    attempts.start()
    expect([made.length, attempts.up]).toEqual([1, null])
    ends('no route')
    await clock.advance(500)
    ends(null)
    await clock.advance(1_000)
    attempts.accepted(last())
    expect(attempts.up).toBe(last())
    await clock.advance(limits.steadyMs)
    ends('broken')
    expect(told).toEqual([
      ['down', 'no route', 500],
      ['down', 'the server closed the connection', 1_000],
      'up',
      'down: broken',
      ['down', 'broken', 500]
    ])
  })

  it('none after what only a person can mend, the longest wait after a conflict, none once closed', async () => {
    const refused = play()
    refused.attempts.start()
    refused.ends('not-authorized')
    await refused.clock.advance(1_000_000)
    expect([refused.made.length, refused.told]).toEqual([1, [['refused', 'not-authorized', undefined]]])
    const conflict = play()
    conflict.attempts.start()
    conflict.ends('conflict')
    expect(conflict.told).toEqual([['conflict', 'conflict', limits.backOffMsMax]])
    expect(conflict.attempts.close()).toBeNull()
    await conflict.clock.advance(1_000_000)
    conflict.attempts.start()
    expect(conflict.made).toHaveLength(1)
  })

  it('the end of one that is over already changes nothing, and its timers end with it', async () => {
    const { attempts, clock, made, told } = play()
    attempts.start()
    let ran = 0
    attempts.after(made[0]!, 'connect', 100, () => (ran += 1))
    attempts.gone(made[0]!)
    await clock.advance(500)
    attempts.gone(made[0]!)
    await clock.advance(10_000)
    expect([ran, made.length, told.length]).toEqual([0, 2, 1])
  })

  it('who sends too much is not read for as long as that takes', async () => {
    const { attempts, clock, made } = play()
    attempts.start()
    const heard: string[] = []
    const slow = (stanzas: number): void =>
      attempts.slow(
        made[0]!,
        stanzas,
        () => heard.push('pause'),
        () => heard.push('resume')
      )
    slow(2)
    expect(heard).toEqual([])
    slow(10)
    await clock.advance(999)
    expect(heard).toEqual(['pause'])
    await clock.advance(1)
    expect(heard).toEqual(['pause', 'resume'])
  })
})
