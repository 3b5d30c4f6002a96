import { afterEach, describe, expect, it } from '@jest/globals'
import { noFacts } from '../../src/session/model.ts'
import type { SessionId } from '../../src/session/model.ts'
import type { OutgoingText } from '../../src/session/ports.ts'
import type { TextRef } from '../../src/session/text.ts'
import { printComposing } from '../../src/sip/composing.ts'
import { cpimNotification, cpimText, parseCpim, parseImdn, wishesOf } from '../../src/sip/cpim.ts'
import { caller, charging, startBorder, targetAlpha } from '../support/nni-border.ts'
import type { Border } from '../support/nni-border.ts'

const number = 'sip:+4930901820@hub.example;user=phone'
const ends = { from: 'sip:+441632960083@far.example', to: number, at: '2026-01-02T03:04:05.000Z' }
const composingType = 'application/im-iscomposing+xml'
const everything = ['text/plain', 'message/cpim', 'message/imdn+xml', composingType]

const borders: Border[] = []
const open = async (mimeTypes: readonly string[] = everything): Promise<Border> => {
  const border = await startBorder({ peer: { mimeTypes }, onePort: true })
  borders.push(border)
  return border
}
afterEach(async () => {
  for (const border of borders.splice(0)) await border.close()
})

const says = ({ alpha }: Border, type: string, body: string) =>
  alpha.request('MESSAGE', number, { headers: [['Content-Type', type]], body }).final()
const text: OutgoingText = {
  id: 'text-1' as SessionId,
  attempt: 1,
  charging,
  from: caller,
  target: targetAlpha,
  origin: noFacts,
  body: { type: 'text/plain', text: 'Grüße' }
}
const told = (body: Buffer) => parseImdn(parseCpim(body.toString())?.body ?? '')

describe('a message of a peer that asks to be told of it', () => {
  it('reaches the core as it came, and its sender hears what became of it, as far as it has asked', async () => {
    const border = await open()
    const body = cpimText(ends, 'm1', 'Grüße').replace('positive-delivery, negative-delivery, display', 'display')
    expect((await says(border, 'message/cpim', body)).status).toBe(200)
    const [came] = border.inbox.texts
    expect(came?.body).toEqual({ type: 'message/cpim', text: body })
    await border.nni.sendReceipt(came!.ref, 'delivered')
    await border.nni.sendReceipt(came!.ref, 'read')
    const { request } = await border.alpha.take('MESSAGE')
    expect(told(request.body)).toEqual({ id: 'm1', said: 'displayed' })
    expect(request.uri).toContain('+441632960083@')
    expect(request.headers.get('From')).toContain('+4930901820@hub.example')
    expect(request.headers.get('Content-Type')).toBe('message/cpim')
  })

  it('hears nothing where that was not agreed on', async () => {
    const border = await open(['text/plain', 'message/cpim'])
    await says(border, 'message/cpim', cpimText(ends, 'm1', 'Grüße'))
    await border.nni.sendReceipt(border.inbox.texts[0]!.ref, 'delivered')
    // It would have come before this one.
    const sent = border.nni.sendText(text)
    const taken = await border.alpha.take('MESSAGE')
    expect(taken.request.body.toString()).toBe('Grüße')
    border.alpha.answer(taken, 200)
    expect(await sent).toMatchObject({ taken: true, delivered: true })
  })
})

describe('a message to a peer that tells what becomes of it', () => {
  it('asks to be told; delivered and read are what it says, not its answer', async () => {
    const border = await open()
    const sent = border.nni.sendText(text)
    const message = await border.alpha.take('MESSAGE')
    const cpim = parseCpim(message.request.body.toString())!
    expect([cpim.type, cpim.body]).toEqual(['text/plain', 'Grüße'])
    expect(cpim.headers.get('from')).toMatch(/^<sip:\+441632960083@hub.example/)
    const { id } = wishesOf(cpim)!
    border.alpha.answer(message, 200)
    const outcome = await sent
    expect(outcome).toMatchObject({ taken: true, delivered: false })
    for (const said of ['delivered', 'displayed'] as const) {
      const answer = await says(border, 'message/cpim', cpimNotification(ends, 'n', { about: id, said }))
      expect(answer.status).toBe(200)
    }
    expect(border.inbox.all('received').map(({ receipt }) => receipt)).toEqual(['delivered', 'read'])
    expect(border.inbox.all('received')[0]?.ref).toBe(outcome.taken ? outcome.ref : null)
    expect(border.inbox.texts).toEqual([])
  })

  it('what it says may come before its answer to the message', async () => {
    const border = await open()
    const sent = border.nni.sendText(text)
    const message = await border.alpha.take('MESSAGE')
    const { id: about } = wishesOf(parseCpim(message.request.body.toString())!)!
    expect((await says(border, 'message/cpim', cpimNotification(ends, 'n', { about, said: 'delivered' }))).status).toBe(
      200
    )
    border.alpha.answer(message, 200)
    const outcome = await sent
    expect(border.inbox.all('received')).toMatchObject([{ ref: outcome.taken ? outcome.ref : null }])
  })

  it('a word about a message that nobody sent is taken and counts for nothing', async () => {
    const border = await open()
    const answer = await says(border, 'message/cpim', cpimNotification(ends, 'n', { about: 'x', said: 'displayed' }))
    expect(answer.status).toBe(200)
    await border.nni.sendReceipt('x' as TextRef, 'read')
    expect(border.inbox.heard).toEqual([])
    expect(border.inbox.texts).toEqual([])
  })

  it('a message in CPIM keeps the name that its sender gave it', async () => {
    const border = await open()
    const body = { type: 'message/cpim', text: cpimText(ends, 'far-1', 'x') } as const
    const sent = border.nni.sendText({ ...text, body })
    const message = await border.alpha.take('MESSAGE')
    expect(message.request.body.toString()).toBe(body.text)
    border.alpha.answer(message, 200)
    await sent
    await says(border, 'message/cpim', cpimNotification(ends, 'n', { about: 'far-1', said: 'delivered' }))
    expect(border.inbox.all('received')).toHaveLength(1)
  })
})

describe('who is writing', () => {
  it('crosses both ways where it was agreed on', async () => {
    const border = await open()
    expect((await says(border, composingType, printComposing('active'))).status).toBe(200)
    expect((await says(border, composingType, printComposing('idle'))).status).toBe(200)
    expect((await says(border, composingType, 'x')).status).toBe(400)
    expect(border.inbox.typing.map(({ called, state }) => [called, state])).toEqual([
      ['tel:+4930901820', 'composing'],
      ['tel:+4930901820', 'idle']
    ])
    await border.nni.sendTyping?.({ from: caller, target: targetAlpha, state: 'composing' })
    const { request } = await border.alpha.take('MESSAGE')
    expect(request.headers.get('Content-Type')).toBe(composingType)
    expect(request.body.toString()).toBe(printComposing('active'))
    expect(request.headers.get('From')).toContain('+441632960083@hub.example')
  })

  it('is 415 from others, and nothing to them', async () => {
    const border = await open(['text/plain', 'message/cpim'])
    expect((await says(border, composingType, printComposing('active'))).status).toBe(415)
    await border.nni.sendTyping?.({ from: caller, target: targetAlpha, state: 'composing' })
    void border.nni.sendText(text)
    expect((await border.alpha.take('MESSAGE')).request.body.toString()).toBe('Grüße')
    expect(border.inbox.typing).toEqual([])
  })
})
