// Two sandbox operators over UDP and TCP with real RTP between them: what each number does.

import { afterEach, describe, expect, it } from '@jest/globals'
import { behaviourOf, numberRules } from '../../src/sandbox/numbers.ts'
import { createOperator, ringBackHz } from '../../src/sandbox/operator.ts'
import type { CallOptions, Operator, OperatorOptions } from '../../src/sandbox/operator.ts'
import type { PhoneCall } from '../../src/sandbox/phone-call.ts'
import { until } from '../support/until.ts'

const running: Operator[] = []
const limits = { ringMs: 5, lateMs: 60, earlyMs: 1_200, hangUpMs: 60 }

async function start(options: OperatorOptions = {}): Promise<Operator> {
  const operator = createOperator({ limits, ...options })
  await operator.start()
  running.push(operator)
  return operator
}
afterEach(async () => {
  await Promise.all(running.splice(0).map(operator => operator.close()))
})

async function pair(options: OperatorOptions = {}) {
  const [caller, callee] = await Promise.all([start(options), start(options)])
  const to = (transport: 'udp' | 'tcp' = 'udp') => ({
    host: '127.0.0.1',
    transport,
    port: callee.listening.find(one => one.transport === transport)!.port
  })
  const call = (number: string, more: Partial<CallOptions> = {}): Promise<PhoneCall> =>
    caller.call(number, { to: to(), ...more })
  return { caller, callee, call, to }
}

describe('sandbox operator', () => {
  it.each(['udp', 'tcp'] as const)('answers any number with an echo of the audio over %s', async transport => {
    const { callee, call, to } = await pair()
    const phone = await call('+4930123456', { to: to(transport) })
    expect(await phone.answered).toBe(true)
    await until(() => phone.media.hears(1_000))
    expect(callee.calls.map(({ number, state, direction }) => [number, state, direction])).toEqual([
      ['+4930123456', 'talking', 'in']
    ])
    phone.hangUp()
    expect(await phone.ended).toMatchObject({ by: 'local', how: 'bye' })
    await until(() => callee.history.length === 1)
    expect(await callee.history[0]!.ended).toMatchObject({ by: 'remote', how: 'bye' })
    expect(callee.history[0]!.media.heard.packetsReceived).toBeGreaterThan(20)
  })

  it.each(
    numberRules.flatMap(({ ending, behaviour }) =>
      behaviour.does === 'refuse' ? [[ending, behaviour.status] as const] : []
    )
  )('refuses numbers ending with %s', async (ending, status) => {
    const { call } = await pair()
    const phone = await call(`+4930${ending}`)
    expect(await phone.answered).toBe(false)
    expect(await phone.ended).toMatchObject({ by: 'remote', how: 'refused', message: { status } })
  })

  it('rings for ever where nobody answers, until the caller gives up', async () => {
    const { callee, call } = await pair()
    const phone = await call('+4930180')
    await until(() => callee.calls.length === 1)
    phone.hangUp()
    expect(await phone.ended).toMatchObject({ how: 'cancelled', message: { status: 487 } })
    expect(await callee.history[0]!.ended).toMatchObject({ by: 'remote', how: 'cancelled' })
  })

  it('plays early media before it answers', async () => {
    const { call } = await pair()
    const phone = await call('+4930183')
    await until(() => phone.media.hears(ringBackHz))
    expect([phone.early, phone.state]).toEqual([true, 'ringing'])
    expect(await phone.answered).toBe(true)
    await until(() => phone.media.hears(1_000))
  })

  it('answers late, and hangs up by itself', async () => {
    const { call } = await pair()
    expect(await (await call('+4930200')).answered).toBe(true)
    const short = await call('+4930299')
    expect(await short.answered).toBe(true)
    expect(await short.ended).toMatchObject({ by: 'remote', how: 'bye' })
  })

  it('takes hold and resume', async () => {
    const { callee, call } = await pair()
    const phone = await call('+4930123456')
    await phone.answered
    await until(() => phone.media.heard.packetsReceived > 5)
    expect(await phone.reoffer('inactive')).toBe(true)
    const held = callee.calls[0]!.media.heard.packetsSent
    expect(await phone.reoffer('sendrecv')).toBe(true)
    await until(() => callee.calls[0]!.media.heard.packetsSent > held + 5)
  })

  it('refuses an offer without a codec of its own with 488', async () => {
    const callee = await start({ codecs: ['PCMU'] })
    const caller = await start({ codecs: ['PCMA'] })
    const phone = await caller.call('+4930123456', {
      to: { host: '127.0.0.1', port: callee.listening[0]!.port, transport: 'udp' }
    })
    expect(await phone.ended).toMatchObject({ how: 'refused', message: { status: 488 } })
  })

  it('shows every message to its tap and takes texts', async () => {
    const seen: string[] = []
    const { caller, callee, to } = await pair({
      tap: (direction, message) =>
        seen.push(`${direction} ${message.kind === 'request' ? message.method : message.status}`)
    })
    expect(await caller.sendText('+4930123456', 'grüß dich', { to: to(), from: '+49891' })).toBe(200)
    expect(callee.messages).toEqual([
      {
        from: 'sip:+49891@operator.invalid;user=phone',
        to: '+4930123456',
        type: 'text/plain;charset=UTF-8',
        text: 'grüß dich'
      }
    ])
    expect(seen).toEqual(['out MESSAGE', 'in MESSAGE', 'out 200', 'in 200'])
  })

  it('answers 503 beyond the bound of live calls and forgets the oldest of its history', async () => {
    const callee = await start({ limits: { ...limits, callsMax: 1, historyMax: 1 } })
    const caller = await start()
    const to = { host: '127.0.0.1', port: callee.listening[0]!.port, transport: 'udp' } as const
    const first = await caller.call('+491', { to })
    await first.answered
    expect(await (await caller.call('+492', { to })).ended).toMatchObject({ message: { status: 503 } })
    first.hangUp()
    await until(() => callee.calls.length === 0)
    const third = await caller.call('+493', { to })
    await third.answered
    third.hangUp()
    await until(() => callee.history[0]?.number === '+493')
    expect(callee.history).toHaveLength(1)
  })

  it('ends live calls when it closes', async () => {
    const { caller, call } = await pair()
    const phone = await call('+4930123456')
    await phone.answered
    await caller.close()
    expect(await phone.ended).toMatchObject({ by: 'local', how: 'bye' })
  })
})

describe('behaviourOf', () => {
  it('goes by the last digits', () => {
    expect(behaviourOf('+4930486')).toEqual({ does: 'refuse', status: 486 })
    expect(behaviourOf('+49304860')).toEqual({ does: 'echo' })
  })
})
