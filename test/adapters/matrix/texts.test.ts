// Messages of an island: what the core is offered, what a room is told, and when nothing is lost silently.

import { beforeEach, describe, expect, it } from '@jest/globals'
import { createTexts } from '../../../src/adapters/matrix/texts.ts'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { SendFailed } from '../../../src/adapters/matrix/link.ts'
import type { RoomEvent } from '../../../src/adapters/matrix/link.ts'
import { notices } from '../../../src/adapters/matrix/notices.ts'
import type { Texts } from '../../../src/adapters/matrix/parts.ts'
import type { ChargingId, SessionId, Shown, Target } from '../../../src/session/model.ts'
import type { TextVerdict } from '../../../src/session/ports.ts'
import type { TextBody, TextRef } from '../../../src/session/text.ts'
import { alice, fakeParts, phoneGhost, roomEvent, roomId, serverName } from '../../support/matrix-fakes.ts'
import type { FakePart } from '../../support/matrix-fakes.ts'
import { settle } from '../../support/world.ts'

let parts: FakePart
let texts: Texts
beforeEach(() => {
  parts = fakeParts()
  texts = createTexts(parts)
})

const says = (body: string, more: Partial<RoomEvent> = {}, content: object = {}): RoomEvent =>
  roomEvent('m.room.message', { msgtype: 'm.text', body, ...content }, more)
const target: Target = {
  access: 'matrix',
  peerId: 'rooms',
  uri: `sip:alice@${serverName}`,
  trust: 'user',
  media: 'webrtc',
  needsOffer: true
}
const phone: Shown = { asserted: [], presented: 'tel:+4989123456', display: null, privacy: [] }
const outgoing = (body: TextBody, more: Partial<Target> = {}) => ({
  id: 's1' as SessionId,
  attempt: 1,
  charging: {} as ChargingId,
  from: phone,
  target: { ...target, ...more },
  origin: {} as never,
  body
})
const plain = (text: string): TextBody => ({ type: 'text/plain', text })
const refuse = (text?: string): TextVerdict => ({
  taken: false,
  release: { cause: 'no-rate', from: 'hub', ...(text === undefined ? {} : { text }) }
})

describe('a message of a user', () => {
  it('is offered with who she is, to the number that the ghost stands for', async () => {
    const event = says('hello')
    await texts.onEvent(event)
    expect(parts.inbox.texts).toMatchObject([
      {
        caller: { access: 'matrix', peerId: 'rooms', party: { presented: 'tel:+4930111001', display: 'Alice' } },
        called: 'tel:+4989123456',
        body: { type: 'text/plain', text: 'hello' },
        charging: null,
        facts: { dialogId: event.eventId, neighbour: parts.neighbour }
      }
    ])
    expect(parts.link.sent).toEqual([])
  })

  it('that is not taken is told in her room why', async () => {
    const told = ['there is no price for this destination', 'no such number']
    for (const [index, text] of [undefined, 'no such number'].entries()) {
      parts.inbox.verdict = async () => refuse(text)
      await texts.onEvent(says('hello'))
      expect(parts.link.said.at(-1)).toBe(notices.undelivered(told[index] ?? ''))
    }
    expect(parts.link.sent[0]?.content['msgtype']).toBe('m.notice')
  })

  it('for help, or to nobody, goes nowhere and is told', async () => {
    for (const what of ['112', 'anonymous']) {
      await texts.onEvent(says('help', { ghost: `@_isthmus_${what}:${serverName}` }))
    }
    expect(parts.inbox.texts).toEqual([])
    expect(parts.link.said).toEqual([
      expect.stringMatching(/112 cannot be reached from here\. Use a phone/),
      expect.stringMatching(/anonymous caller cannot be called back/)
    ])
  })

  it('is one after the other in its room, whatever the core takes for each', async () => {
    const waits: ((verdict: TextVerdict) => void)[] = []
    parts.inbox.verdict = () => new Promise(done => void waits.push(done))
    const done = [texts.onEvent(says('one')), texts.onEvent(says('two')), texts.onEvent(says('x', { roomId: '!b' }))]
    await settle()
    const heard = (): readonly string[] => parts.inbox.texts.map(({ body }) => body.text)
    expect(heard()).toEqual(['one', 'x'])
    waits[0]?.({ taken: true })
    await settle()
    expect(heard()).toEqual(['one', 'x', 'two'])
    for (const wait of waits) wait({ taken: true })
    await Promise.all(done)
  })

  it('that a process before has begun is not sent again: she is told that nobody knows', async () => {
    const event = says('hello')
    parts.link.begun.add(event.eventId)
    await texts.onEvent(event)
    expect(parts.inbox.texts).toEqual([])
    expect(parts.link.said).toEqual([notices.uncertain])
  })

  it('that cannot be marked as begun is not sent, and told', async () => {
    parts.link.begin = () => Promise.reject(new Error('the database is away'))
    await texts.onEvent(says('hello'))
    expect(parts.inbox.texts).toEqual([])
    expect(parts.link.said).toEqual([notices.undelivered('the hub has failed')])
  })

  it('of a stranger, of a ghost, in a room of two ghosts, or without words is nobody’s', async () => {
    await texts.onEvent(says('x', { sender: '@mallory:elsewhere.example' }))
    await texts.onEvent(says('x', { sender: phoneGhost }))
    await texts.onEvent(says('x', { ghost: null }))
    await texts.onEvent(says(' '))
    await texts.onEvent(roomEvent('m.reaction', {}))
    expect([parts.inbox.texts, parts.link.sent]).toEqual([[], []])
  })

  it('that is too long, or one too many, is told', async () => {
    await texts.onEvent(says('ж'.repeat(limits.textBytesMax / 2 + 1)))
    expect(parts.link.said.at(-1)).toMatch(/at most 32768 bytes/)
    parts.inbox.verdict = () => new Promise(() => undefined)
    for (let n = 0; n < limits.textsWaitingMax; n++) void texts.onEvent(says('x', { roomId: `!${n}` }))
    await settle()
    expect(parts.inbox.texts).toHaveLength(limits.textsWaitingMax)
    await texts.onEvent(says('x', { roomId: '!more' }))
    expect(parts.link.said.at(-1)).toBe(notices.undelivered('too much traffic, try again later'))
  })

  it('survives a core that fails, and a notice that cannot be shown', async () => {
    parts.inbox.verdict = () => Promise.reject(new Error('a bug'))
    await texts.onEvent(says('one'))
    parts.inbox.verdict = async () => refuse()
    parts.link.fails = new SendFailed('down', 'away')
    await texts.onEvent(says('two'))
    parts.inbox.verdict = async () => ({ taken: true })
    await texts.onEvent(says('three'))
    expect(parts.inbox.texts).toHaveLength(3)
  })
})

describe('corrections, files and encryption', () => {
  it('go out as words: a star for an edit, a link for a file', async () => {
    const relates = {
      'm.relates_to': { rel_type: 'm.replace', event_id: '$0' },
      'm.new_content': { msgtype: 'm.text', body: 'five' }
    }
    await texts.onEvent(says('* five', {}, relates))
    await texts.onEvent(says('cat.png', {}, { msgtype: 'm.image', url: 'mxc://x/1' }))
    await texts.onEvent(says('look', {}, { msgtype: 'm.file', filename: 'a.pdf', url: 'mxc://x/2' }))
    await texts.onEvent(says('odd', {}, { msgtype: 'm.file', url: 'https://x/2' }))
    expect(parts.inbox.texts.map(({ body }) => body.text)).toEqual([
      '* five',
      'cat.png: https://hub.example/files/x/1',
      'look\na.pdf: https://hub.example/files/x/2'
    ])
    expect(parts.link.said).toEqual([notices.undelivered('this file cannot be sent on')])
  })

  it('quote what is taken back, where it was delivered, and only then', async () => {
    const taken = says('my secret')
    await texts.onEvent(taken)
    await texts.onEvent(roomEvent('m.room.redaction', { redacts: taken.eventId }))
    parts.inbox.verdict = async () => refuse()
    const refused = says('never arrived')
    await texts.onEvent(refused)
    await texts.onEvent(roomEvent('m.room.redaction', {}, { redacts: refused.eventId }))
    await texts.onEvent(roomEvent('m.room.redaction', { redacts: '$unknown' }))
    expect(parts.inbox.texts.map(({ body }) => body.text)).toEqual([
      'my secret',
      notices.takenBack('my secret'),
      'never arrived'
    ])
  })

  it('of an encrypted room are told once, and again after a while', async () => {
    const encrypted = (): RoomEvent => roomEvent('m.room.encrypted', { algorithm: 'm.megolm.v1.aes-sha2' })
    await texts.onEvent(encrypted())
    await texts.onEvent(encrypted())
    expect(parts.link.said).toEqual([notices.encrypted])
    await parts.clock.advance(limits.warningMs)
    await texts.onEvent(encrypted())
    expect(parts.link.said).toHaveLength(2)
    // Under another transaction, or the homeserver would take it for the first one.
    expect(new Set(parts.link.sent.map(({ txnId }) => txnId)).size).toBe(2)
  })
})

describe('a message for a user', () => {
  it('stands in her room with the ghost, and its event names the record', async () => {
    const outcome = await texts.send(outgoing(plain('hello')))
    expect(parts.link.sent).toMatchObject([
      {
        ghost: phoneGhost,
        roomId,
        type: 'm.room.message',
        txnId: 's1-1',
        content: { msgtype: 'm.text', body: 'hello' }
      }
    ])
    expect(outcome).toMatchObject({ taken: true, facts: { dialogId: '$sent-1' } })
  })

  it('may be wrapped, and is no other type', async () => {
    const cpim = 'From: <sip:a@b>\r\nTo: <sip:c@d>\r\n\r\nContent-Type: text/plain\r\n\r\nwrapped'
    await texts.send(outgoing({ type: 'message/cpim', text: cpim }))
    expect(parts.link.said).toEqual(['wrapped'])
    const html = { type: 'message/cpim', text: cpim.replace('text/plain', 'text/html') } as const
    expect(await texts.send(outgoing(html))).toMatchObject({ taken: false, reason: { cause: 'incompatible-media' } })
    const stranger = await texts.send(outgoing(plain('x'), { uri: 'sip:alice@elsewhere.example' }))
    expect(stranger).toMatchObject({ taken: false, reason: { cause: 'not-found' } })
  })

  it('is refused with the cause that fits', async () => {
    const causes = {
      forbidden: 'forbidden',
      'too-large': 'forbidden',
      limited: 'congestion',
      down: 'unreachable',
      'queue-full': 'congestion',
      refused: 'peer-failed',
      'not-found': 'not-found'
    } as const
    for (const [why, cause] of Object.entries(causes)) {
      const error = new SendFailed(why as keyof typeof causes, 'because')
      parts.link.fails = error
      expect(await texts.send(outgoing(plain('x')))).toMatchObject({ taken: false, reason: { cause, text: 'because' } })
      parts.link.fails = null
      parts.link.room = error
      expect(await texts.send(outgoing(plain('x')))).toMatchObject({ taken: false, reason: { cause } })
      parts.link.room = { roomId, encrypted: false, joined: true }
    }
    parts.link.send = () => Promise.reject(new Error('a bug'))
    expect(await texts.send(outgoing(plain('x')))).toMatchObject({ taken: false, reason: { cause: 'internal' } })
  })

  it('in an encrypted room is shown, with a warning that she cannot answer there', async () => {
    parts.link.room = { roomId, encrypted: true, joined: true }
    expect(await texts.send(outgoing(plain('hello')))).toMatchObject({ taken: true })
    expect(parts.link.said).toEqual([notices.encrypted, 'hello'])
  })

  it('that she has read is told, with all before it, and once', async () => {
    const sent = [await texts.send(outgoing(plain('1'))), await texts.send(outgoing(plain('2')))]
    const refs = sent.map(outcome => (outcome.taken ? outcome.ref : null))
    texts.onEphemeral({ type: 'read', roomId, user: '@bob:x', eventId: '$sent-2' })
    texts.onEphemeral({ type: 'read', roomId, user: alice, eventId: '$other' })
    expect(parts.inbox.all('received')).toEqual([])
    texts.onEphemeral({ type: 'read', roomId, user: alice, eventId: '$sent-2' })
    texts.onEphemeral({ type: 'read', roomId, user: alice, eventId: '$sent-2' })
    expect(parts.inbox.all('received')).toEqual(refs.map(ref => ({ type: 'received', ref, receipt: 'read' })))
  })

  it('of so many unread ones is forgotten first', async () => {
    for (let n = 0; n <= limits.unreadMax; n++) await texts.send(outgoing(plain('x')))
    texts.onEphemeral({ type: 'read', roomId, user: alice, eventId: '$sent-1' })
    expect(parts.inbox.all('received')).toEqual([])
    texts.onEphemeral({ type: 'read', roomId, user: alice, eventId: `$sent-${limits.unreadMax + 1}` })
    expect(parts.inbox.all('received')).toHaveLength(limits.unreadMax)
  })
})

describe('what is told of her messages', () => {
  it('is a read marker of the ghost, a notice of failure, and nothing of delivery', async () => {
    const event = says('hello')
    await texts.onEvent(event)
    const ref = parts.inbox.texts[0]?.ref as TextRef
    await texts.receipt(ref, 'delivered')
    expect([parts.link.shown, parts.link.sent]).toEqual([[], []])
    await texts.receipt(ref, 'read')
    expect(parts.link.shown).toEqual([`${phoneGhost} ${roomId} has read ${event.eventId}`])
    await texts.receipt(ref, 'failed')
    expect(parts.link.said).toEqual([notices.undelivered('it was not delivered')])
    await texts.receipt('unknown' as TextRef, 'read')
    await parts.clock.advance(limits.textsRememberedMs)
    await texts.receipt(ref, 'read')
    expect(parts.link.shown).toHaveLength(1)
  })
})

describe('typing', () => {
  it('of a user begins and ends for the phone', () => {
    const typing = (users: readonly string[], ghost: string | null = phoneGhost) =>
      texts.onEphemeral({ type: 'typing', roomId, ghost, users })
    typing([alice])
    typing([alice])
    typing([])
    typing([])
    typing(['@mallory:elsewhere.example'])
    typing([alice], null)
    expect(parts.inbox.typing.map(({ state, called }) => [state, called])).toEqual([
      ['composing', 'tel:+4989123456'],
      ['idle', 'tel:+4989123456']
    ])
  })

  it('of more rooms than are remembered begins anew', () => {
    const typing = (room: string, users: readonly string[]) =>
      texts.onEphemeral({ type: 'typing', roomId: room, ghost: phoneGhost, users })
    for (let n = 0; n <= limits.typingRoomsMax + 1; n++) typing(`!${n}`, [alice])
    const before = parts.inbox.typing.length
    typing('!0', [])
    expect(parts.inbox.typing).toHaveLength(before)
    typing(`!${limits.typingRoomsMax}`, [])
    expect(parts.inbox.typing).toHaveLength(before + 1)
  })

  it('of a phone is shown in her room', async () => {
    await texts.typing({ from: phone, target, state: 'composing' })
    await texts.typing({ from: phone, target, state: 'idle' })
    expect(parts.link.shown).toEqual([`${phoneGhost} ${roomId} writes`, `${phoneGhost} ${roomId} does not write`])
    parts.link.room = new SendFailed('down', 'away')
    await texts.typing({ from: phone, target, state: 'composing' })
    await texts.typing({ from: phone, target: { ...target, uri: 'sip:alice@elsewhere.example' }, state: 'composing' })
    expect(parts.link.shown).toHaveLength(2)
  })
})
