// Events on their way out: order, repetitions, limits, and what is given up.

import { describe, expect, it } from '@jest/globals'
import { limits as defaults } from '../../../src/adapters/matrix/limits.ts'
import type { OutgoingEvent } from '../../../src/adapters/matrix/link.ts'
import { Sender } from '../../../src/adapters/matrix/sender.ts'
import { FakeHomeserver, no, phoneGhost, roomId } from '../../support/matrix-fakes.ts'
import { FakeClock, settle } from '../../support/world.ts'

function sender(more: Partial<Record<keyof typeof defaults, number>> = {}, device = false) {
  const homeserver = new FakeHomeserver()
  const clock = new FakeClock()
  const downs: string[] = []
  const waits: { readonly ms: number; readonly back: () => void }[] = []
  const sending = new Sender({
    homeserver,
    clock,
    limits: { ...defaults, ...more },
    back: ms => new Promise(back => void waits.push({ ms, back })),
    hasDevice: () => device,
    onDown: why => void downs.push(why)
  })
  homeserver.answer = ({ path }) => ({ event_id: `$of-${path.split('/').at(-1)}` })
  return { sending, homeserver, clock, downs, waits }
}
let made = 0
const event = (more: Partial<OutgoingEvent> = {}): OutgoingEvent => ({
  ghost: phoneGhost,
  roomId,
  type: 'm.room.message',
  content: { body: 'x' },
  txnId: `t${++made}`,
  expiresAt: null,
  ...more
})

describe('an event', () => {
  it('goes out as the ghost, from its device where it has one, under our transaction', async () => {
    for (const onDevice of [true, false]) {
      const { sending, homeserver } = sender({}, onDevice)
      expect(await sending.send(event({ roomId: '!a/b:x', txnId: 'T1' }))).toBe('$of-T1')
      expect(homeserver.asked).toMatchObject([
        {
          method: 'PUT',
          path: '/v3/rooms/!a%2Fb%3Ax/send/m.room.message/T1',
          as: phoneGhost,
          body: { body: 'x' },
          onDevice
        }
      ])
      expect(sending.waiting).toBe(0)
    }
  })

  it('waits for those before it in its room, and for nobody elsewhere', async () => {
    const { sending, homeserver } = sender()
    const { promise, resolve } = Promise.withResolvers<object>()
    homeserver.answer = ({ path }) => (path.endsWith('/first') ? promise : { event_id: '$e' })
    const all = [event({ txnId: 'first' }), event({ txnId: 'second' }), event({ txnId: 'other', roomId: '!b' })]
    const sent = all.map(one => sending.send(one))
    await settle()
    const asked = (): readonly string[] => homeserver.asked.map(({ path }) => path.split('/').at(-1) ?? '')
    expect(asked()).toEqual(['first', 'other'])
    resolve({ event_id: '$e' })
    await Promise.all(sent)
    expect(asked()).toEqual(['first', 'other', 'second'])
  })

  it('is sent again, under the same transaction, when the homeserver is back', async () => {
    const { sending, homeserver, waits, downs } = sender()
    const said = [no(0), no(502), { event_id: '$e' }]
    homeserver.answer = () => said.shift() ?? {}
    const sent = sending.send(event())
    await settle()
    expect([waits.length, downs.length]).toEqual([1, 1])
    waits[0]?.back()
    await settle()
    waits[1]?.back()
    expect(await sent).toBe('$e')
    expect(new Set(homeserver.said).size).toBe(1)
  })

  it('waits as long as a limit says, or a second, and no longer than it is worth', async () => {
    const { sending, homeserver, clock } = sender()
    const said = [no(429, 'M_LIMIT_EXCEEDED', 700), no(429), { event_id: '$e' }]
    homeserver.answer = () => said.shift() ?? {}
    const sent = sending.send(event())
    await settle()
    await clock.advance(699)
    expect(homeserver.asked).toHaveLength(1)
    await clock.advance(1)
    expect(homeserver.asked).toHaveLength(2)
    await clock.advance(defaults.limitedMs)
    expect(await sent).toBe('$e')
    homeserver.answer = () => no(429, '', 5_000)
    await expect(sending.send(event({ expiresAt: clock.now() + 4_000 }))).rejects.toMatchObject({ why: 'limited' })
  })

  it('that is refused is said why, and those behind it go on', async () => {
    const { sending, homeserver } = sender()
    const refusals = [
      no(403, 'M_FORBIDDEN'),
      no(413, 'M_TOO_LARGE'),
      no(400, 'M_TOO_LARGE'),
      no(401, 'M_UNKNOWN_TOKEN')
    ]
    homeserver.answer = () => refusals.shift() ?? { event_id: '$e' }
    const sent = Array.from({ length: 5 }, () => sending.send(event()))
    const whys = await Promise.all(sent.map(one => one.catch((error: { readonly why: string }) => error.why)))
    expect(whys).toEqual(['forbidden', 'too-large', 'too-large', 'refused', '$e'])
  })

  it('that is no longer worth it is not sent', async () => {
    const { sending, homeserver, clock, waits } = sender()
    homeserver.answer = () => no(0)
    const sent = sending.send(event({ expiresAt: 1_000 }))
    const late = sending.send(event({ expiresAt: 1_000 }))
    for (const one of [sent, late]) one.catch(() => undefined)
    await settle()
    expect(waits[0]?.ms).toBe(1_000)
    await clock.advance(1_000)
    waits[0]?.back()
    for (const one of [sent, late]) await expect(one).rejects.toMatchObject({ why: 'down' })
    expect(homeserver.asked).toHaveLength(1)
  })
})

describe('bounds', () => {
  it('refuse what is too large before it is sent', async () => {
    const { sending, homeserver } = sender()
    const body = 'x'.repeat(defaults.contentBytesMax)
    await expect(sending.send(event({ content: { body } }))).rejects.toMatchObject({ why: 'too-large' })
    expect(homeserver.asked).toHaveLength(0)
  })

  it('refuse more than may wait, and take more once there is room', async () => {
    const { sending, homeserver } = sender({ outgoingEventsMax: 2 })
    const { promise, resolve } = Promise.withResolvers<object>()
    homeserver.answer = () => promise
    const sent = [sending.send(event()), sending.send(event({ roomId: '!b' }))]
    await expect(sending.send(event())).rejects.toMatchObject({ why: 'queue-full' })
    resolve({ event_id: '$e' })
    await Promise.all(sent)
    expect(await sending.send(event())).toBe('$e')
  })

  it('end the tries of one event', async () => {
    const { sending, homeserver, waits } = sender({ triesMax: 3 })
    homeserver.answer = () => no(503)
    const sent = sending.send(event()).catch((error: { readonly why: string }) => error.why)
    for (let n = 0; n < 2; n++) {
      await settle()
      waits[n]?.back()
    }
    expect(await sent).toBe('down')
    expect(homeserver.asked).toHaveLength(3)
  })

  it('keep requests under way to their number', async () => {
    const { sending, homeserver } = sender({ requestsAtOnceMax: 2 })
    const { promise, resolve } = Promise.withResolvers<object>()
    homeserver.answer = () => promise
    const sent = Array.from({ length: 5 }, (_, n) => sending.send(event({ roomId: `!${n}` })))
    await settle()
    expect(homeserver.asked).toHaveLength(2)
    resolve({ event_id: '$e' })
    await Promise.all(sent)
    expect(homeserver.asked).toHaveLength(5)
  })

  it('give up what waits once it is closed', async () => {
    const { sending, homeserver, waits } = sender()
    homeserver.answer = () => no(0)
    const sent = sending.send(event()).catch((error: { readonly why: string }) => error.why)
    await settle()
    sending.close()
    waits[0]?.back()
    expect(await sent).toBe('down')
    await expect(sending.send(event())).rejects.toMatchObject({ why: 'down' })
  })
})
