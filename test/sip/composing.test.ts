import { describe, expect, it } from '@jest/globals'
import { composingLimits, parseComposing, printComposing, Writers } from '../../src/sip/composing.ts'

const { refreshMs, refreshMsMin, refreshMsMax, writersMax } = composingLimits
const body = (inner: string): string =>
  `<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">${inner}</isComposing>`

describe('who is writing', () => {
  it.each(['active', 'idle'] as const)('%s is read back as it was written', state => {
    expect(parseComposing(printComposing(state))).toEqual({ state, refreshMs })
  })

  it.each([
    ['<state>active</state><refresh>90</refresh>', { state: 'active', refreshMs: 90_000 }],
    ['<state>active</state><refresh>1</refresh>', { state: 'active', refreshMs: refreshMsMin }],
    ['<state>active</state><refresh>999999</refresh>', { state: 'active', refreshMs: refreshMsMax }],
    ['<state>active</state><refresh>soon</refresh>', { state: 'active', refreshMs }],
    ['<state> thinking </state>', { state: 'idle', refreshMs }],
    ['<x:state>active</x:state>', { state: 'active', refreshMs }],
    ['', null]
  ])('%s', (inner, meant) => {
    expect(parseComposing(body(inner))).toEqual(meant)
  })
})

describe('writers', () => {
  function play() {
    const timers: { run: () => void; over: boolean }[] = []
    const writers = new Writers((_, run) => {
      const timer = { run, over: false }
      timers.push(timer)
      return () => {
        timer.over = true
      }
    })
    const idle: string[] = []
    const says = (key: string, state: 'active' | 'idle'): void =>
      writers.heard(key, { state, refreshMs }, () => idle.push(key))
    const fire = (): void => {
      for (const timer of timers.filter(({ over }) => !over)) {
        timer.over = true
        timer.run()
      }
    }
    return { writers, idle, says, fire }
  }

  it('who says no more turns idle once; who stops or sends the message does not', () => {
    const { writers, idle, says, fire } = play()
    for (const key of ['a', 'b', 'c', 'a']) says(key, 'active')
    says('b', 'idle')
    writers.forget('c')
    fire()
    expect(idle).toEqual(['a'])
    expect(writers.size).toBe(0)
  })

  it('are bounded: nobody waits for the next', () => {
    const { writers, says } = play()
    for (let at = 0; at <= writersMax; at++) says(`${at}`, 'active')
    expect(writers.size).toBe(writersMax)
  })
})
