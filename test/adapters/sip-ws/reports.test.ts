import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { noFacts } from '../../../src/session/model.ts'
import type { SessionId, Target } from '../../../src/session/model.ts'
import type { TextOutcome } from '../../../src/session/ports.ts'
import type { TextBody } from '../../../src/session/text.ts'
import { printComposing } from '../../../src/sip/composing.ts'
import { cpimNotification, cpimText, parseCpim, parseImdn, wishesOf } from '../../../src/sip/cpim.ts'
import { until } from '../../support/until.ts'
import { openIsland } from '../../support/ws-island.ts'
import type { Island } from '../../support/ws-island.ts'
import type { WsUser } from '../../support/ws-user.ts'

const number = 'sip:+4930900100@island.example'
const ends = { from: 'sip:alice@island.example', to: number, at: '2026-01-02T03:04:05.000Z' }
const cpimHeaders = [['Content-Type', 'message/cpim']] as const
const composingHeaders = [['Content-Type', 'application/im-iscomposing+xml']] as const
const target: Target = {
  access: 'sip-ws',
  peerId: 'island',
  uri: 'sip:alice@island.example',
  trust: 'user',
  media: 'webrtc',
  needsOffer: false
}
const from = { asserted: ['tel:+4930900100'], presented: 'tel:+4930900100', display: null, privacy: [] }

let island: Island
let alice: WsUser
beforeEach(async () => {
  island = await openIsland()
  alice = await island.user('alice')
})
afterEach(() => island.close())

const says = (body: string, headers: readonly (readonly [string, string])[]) =>
  alice.request('MESSAGE', number, { headers, body })
const send = (body: TextBody): Promise<TextOutcome> =>
  island.adapter.sendText({
    id: 'session' as SessionId,
    attempt: 1,
    charging: { icid: 'icid', generatedAt: 'hub' },
    origin: noFacts,
    from,
    target,
    body
  })
const heard = async (user: WsUser, nth: number) => {
  await until(() => user.requests.length >= nth)
  const { headers, body } = user.requests[nth - 1]!
  return { type: headers.get('Content-Type'), from: headers.get('From'), text: body.toString() }
}

describe('a message that asks to be told of', () => {
  it('is taken as plain text, and its sender hears what became of it: each word once, in the names it gave', async () => {
    expect((await says(cpimText(ends, 'm1', 'Grüße'), cpimHeaders)).status).toBe(200)
    const [text] = island.inbox.texts
    expect(text?.body).toEqual({ type: 'text/plain', text: 'Grüße' })
    for (const receipt of ['delivered', 'read', 'read'] as const) await island.adapter.sendReceipt(text!.ref, receipt)
    const told = [await heard(alice, 1), await heard(alice, 2)]
    expect(told.map(({ text: body }) => parseImdn(parseCpim(body)?.body ?? ''))).toEqual([
      { id: 'm1', said: 'delivered' },
      { id: 'm1', said: 'displayed' }
    ])
    expect(told[0]?.type).toBe('message/cpim')
    expect(told[0]?.from).toMatch(/^<sip:\+4930900100@hub.example;user=phone>/)
  })

  it('hears no more than it asked for', async () => {
    const asks = cpimText(ends, 'm1', 'x').replace(/(Notification:).*/, '$1 negative-delivery')
    await says(asks, cpimHeaders)
    const { ref } = island.inbox.texts[0]!
    for (const receipt of ['delivered', 'read', 'failed'] as const) await island.adapter.sendReceipt(ref, receipt)
    expect(parseImdn(parseCpim((await heard(alice, 1)).text)?.body ?? '')).toEqual({ id: 'm1', said: 'failed' })
    expect(alice.requests).toHaveLength(1)
  })
})

describe('a message to a device', () => {
  it('is plain until the device has shown that it knows notifications; then it asks, and hears when it is read', async () => {
    await send({ type: 'text/plain', text: 'one' })
    expect(await heard(alice, 1)).toMatchObject({ type: 'text/plain;charset=UTF-8', text: 'one' })
    await says(cpimText(ends, 'm1', 'x'), cpimHeaders)
    const outcome = await send({ type: 'text/plain', text: 'two' })
    const { type, text } = await heard(alice, 2)
    const cpim = parseCpim(text)!
    expect([type, cpim.body]).toEqual(['message/cpim', 'two'])
    expect(cpim.headers.get('from')).toBe('<sip:+4930900100@hub.example;user=phone>')
    const { id } = wishesOf(cpim)!
    for (const said of ['delivered', 'displayed'] as const) {
      expect((await says(cpimNotification(ends, 'n1', { about: id, said }), cpimHeaders)).status).toBe(200)
    }
    // Delivered was said by the answer already.
    const ref = outcome.taken ? outcome.ref : null
    expect(island.inbox.all('received')).toEqual([{ type: 'received', ref, receipt: 'read' }])
    expect(island.inbox.texts).toHaveLength(1)
  })

  it('of another user cannot be said to be read', async () => {
    await says(cpimText(ends, 'm1', 'x'), cpimHeaders)
    await send({ type: 'text/plain', text: 'two' })
    const { id } = wishesOf(parseCpim((await heard(alice, 1)).text)!)!
    const bob = await island.user('bob')
    const body = cpimNotification(ends, 'n1', { about: id, said: 'displayed' })
    expect((await bob.request('MESSAGE', number, { headers: cpimHeaders, body })).status).toBe(200)
    expect(island.inbox.all('received')).toEqual([])
  })

  it('in CPIM comes as the words in it', async () => {
    await send({ type: 'message/cpim', text: cpimText(ends, 'm9', 'inside') })
    expect(await heard(alice, 1)).toMatchObject({ type: 'text/plain;charset=UTF-8', text: 'inside' })
  })
})

describe('who is writing', () => {
  it('reaches the core, and is no message', async () => {
    for (const state of ['active', 'idle'] as const) {
      expect((await says(printComposing(state), composingHeaders)).status).toBe(200)
    }
    expect(island.inbox.typing.map(({ called, state }) => [called, state])).toEqual([
      ['tel:+4930900100', 'composing'],
      ['tel:+4930900100', 'idle']
    ])
    expect(island.inbox.texts).toEqual([])
    expect((await says('<nothing/>', composingHeaders)).status).toBe(400)
  })

  it('is shown to devices that have said it themselves, and to no other', async () => {
    const other = await island.user('alice')
    await says(printComposing('active'), composingHeaders)
    await island.adapter.sendTyping?.({ from, target, state: 'composing' })
    expect(await heard(alice, 1)).toMatchObject({
      type: 'application/im-iscomposing+xml',
      text: printComposing('active')
    })
    await send({ type: 'text/plain', text: 'the words' })
    // It would have come before them.
    expect((await heard(other, 1)).text).toBe('the words')
  })
})
