import { describe, expect, it } from '@jest/globals'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { Requester, newId } from '../../../src/adapters/xmpp/iq.ts'
import { FakeClock } from '../../support/world.ts'

const limits = { iqReplyMs: 1_000, iqWaitingMax: 2 }
const ask = (to = 'alice@ott.test/phone'): Element => xml('iq', { type: 'get', to }, xml('q'))
const reply = (iq: Element, from: string): Element => xml('iq', { type: 'result', from, id: iq.attrs['id'] })

function requester(send: (iq: Element) => boolean = () => true) {
  const clock = new FakeClock()
  return { clock, requester: new Requester({ limits, clock, send }) }
}

describe('questions to others', () => {
  it('have ids of 128 random bits', () => {
    const ids = new Set(Array.from({ length: 1_000 }, newId))
    expect(ids.size).toBe(1_000)
    for (const id of ids) expect(Buffer.from(id, 'base64url')).toHaveLength(16)
  })
  it('are answered by the one asked alone, whatever the case of the address', async () => {
    const { requester: asking } = requester()
    const iq = ask('Alice@OTT.test/Phone')
    const waiting = asking.request(iq)
    for (const from of ['eve@ott.test/phone', 'alice@ott.test/phone', 'alice@ott.test']) {
      expect(asking.settle(reply(iq, from))).toBe(false)
    }
    expect(asking.settle(reply(iq, 'alice@ott.test/Phone'))).toBe(true)
    expect((await waiting).attrs['type']).toBe('result')
    expect(asking.settle(reply(iq, 'alice@ott.test/Phone'))).toBe(false)
  })
  it('end in time, and leave nothing behind', async () => {
    const { requester: asking, clock } = requester()
    const waiting = asking.request(ask(), 50)
    const ended = expect(waiting).rejects.toMatchObject({ name: 'IqTimeout' })
    await clock.advance(50)
    await ended
    expect([asking.count, clock.timers]).toEqual([0, 0])
  })
  it('are refused when nobody is connected, and above the bound', async () => {
    const down = requester(() => false)
    await expect(down.requester.request(ask())).rejects.toMatchObject({ name: 'LinkDown' })
    const { requester: asking } = requester()
    const ends = [asking.request(ask()), asking.request(ask())].map(one => one.catch(() => 'down'))
    await expect(asking.request(ask())).rejects.toMatchObject({ name: 'LinkDown' })
    asking.down('gone')
    expect(await Promise.all(ends)).toEqual(['down', 'down'])
    expect(asking.count).toBe(0)
  })
})
