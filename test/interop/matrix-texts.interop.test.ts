// Messages through the whole hub between a Matrix island's users, an operator's phones and a SIP island: words, typing,
// receipts, edits, files, and what is told where something cannot be.
// needs: synapse

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { notices } from '../../src/adapters/matrix/notices.ts'
import type { IslandUser } from '../../src/sandbox/island-user.ts'
import { composingType, printComposing } from '../../src/sip/composing.ts'
import { cpimNotification, cpimText, cpimType, imdnType, parseCpim, parseImdn, wishesOf } from '../../src/sip/cpim.ts'
import { freePorts } from '../support/free-port.ts'
import { ghostOf, numbers, openMatrixHub, serverName } from '../support/matrix-world.ts'
import type { MatrixHub } from '../support/matrix-world.ts'
import { openMatrixUser, roomPath } from '../support/matrix-user.ts'
import type { MatrixUser } from '../support/matrix-user.ts'
import { eventually } from '../support/until.ts'

jest.setTimeout(120_000)

const ends = { from: 'sip:somebody@there.example', to: 'sip:somebody@else.example', at: '2026-01-02T03:04:05.000Z' }
const phone = ghostOf(numbers.phone)
let world: MatrixHub
let alice: MatrixUser
let bob: MatrixUser
/** Hers with the phone. */
let roomId = ''

beforeAll(async () => {
  const [port = 0] = await freePorts(1)
  world = await openMatrixHub({
    anchor: 'embedded',
    operator: { transports: ['udp', 'tcp'], port },
    portMin: 44_000,
    telco: { mimeTypes: ['text/plain', 'message/cpim', imdnType, composingType] }
  })
  alice = openMatrixUser(await world.synapse.user('alice'))
  bob = openMatrixUser(await world.synapse.user('bob'))
  roomId = await alice.room(phone)
}, 300_000)
afterAll(async () => {
  await alice?.close()
  await bob?.close()
  await world?.close()
}, 120_000)

const words = ({ text }: { readonly text: string }): string => parseCpim(text)?.body ?? text
const atPhone = (text: string) =>
  eventually(`"${text}" at the phone`, () => world.operator.messages.find(one => words(one) === text))
const fromPhone = (text: string, type?: string) => {
  const to = { host: '127.0.0.1', port: world.hub.sipPort('udp'), transport: 'udp' } as const
  const own = type === undefined ? {} : { type }
  return world.operator.sendText(numbers.alice, text, { to, from: numbers.phone, ...own })
}
const isTyping = (who: string) => (event: { readonly type: string; readonly content: object }) =>
  event.type === 'm.typing' && JSON.stringify(event.content).includes(who)
const hasRead = (who: string, id: string) => (event: { readonly type: string; readonly content: object }) =>
  event.type === 'm.receipt' && JSON.stringify((event.content as Record<string, unknown>)[id] ?? '').includes(who)
const typing = (on: boolean) =>
  alice.request(
    'PUT',
    roomPath(roomId, 'typing', alice.userId),
    on ? { typing: true, timeout: 30_000 } : { typing: false }
  )
const read = (id: string) => alice.request('POST', roomPath(roomId, 'receipt', 'm.read', id), {})

describe('a Matrix user and a phone', () => {
  it('write to each other, word for word, in one room', async () => {
    const since = await world.finalCount()
    const text = 'Grüße <b>& "tea"</b> 😀 ж'
    await alice.says(roomId, text)
    await atPhone(text)
    expect(await fromPhone('and back')).toBe(200)
    const heard = await alice.hears('and back')
    expect([heard.sender, heard.roomId]).toEqual([phone, roomId])
    const finals = await world.finals(4, since)
    expect(finals.map(({ leg, service, trunk }) => `${leg} ${service} ${trunk}`).toSorted()).toEqual(
      ['egress message rooms', 'egress message telco', 'ingress message rooms', 'ingress message telco'].toSorted()
    )
  })

  it('see what the other has read', async () => {
    const id = await alice.says(roomId, 'have you read this')
    const cpim = await eventually('the text', () =>
      world.operator.messages.map(one => parseCpim(one.text)).find(one => one?.body === 'have you read this')
    )
    const about = wishesOf(cpim)?.id ?? ''
    expect(await fromPhone(cpimNotification(ends, 'n1', { about, said: 'displayed' }), cpimType)).toBe(200)
    await alice.wait('a receipt of the phone', hasRead(phone, id))
    expect(await fromPhone(cpimText(ends, 'p1', 'and you this'), cpimType)).toBe(200)
    await read((await alice.hears('and you this')).id)
    await eventually('a notification', () =>
      world.operator.messages.find(({ text }) => {
        const told = parseImdn(parseCpim(text)?.body ?? '')
        return told?.said === 'displayed' && told.id === 'p1'
      })
    )
  })

  it('see who is writing', async () => {
    await typing(true)
    await eventually('typing', () => world.operator.messages.some(({ text }) => text === printComposing('active')))
    await typing(false)
    await eventually('an end of it', () => world.operator.messages.some(({ text }) => text === printComposing('idle')))
    expect(await fromPhone(printComposing('active'), composingType)).toBe(200)
    await alice.wait('typing of the phone', isTyping(phone))
  })

  it('hear of edits, of what is taken back, and of who acts', async () => {
    const id = await alice.says(roomId, 'at four')
    await atPhone('at four')
    const edit = { 'm.new_content': { msgtype: 'm.text', body: 'at five' } }
    await alice.says(roomId, '* at five', { ...edit, 'm.relates_to': { rel_type: 'm.replace', event_id: id } })
    await atPhone('* at five')
    expect((await alice.request('PUT', roomPath(roomId, 'redact', id, 'r1'), {})).status).toBe(200)
    await atPhone(notices.takenBack('at four'))
    await alice.says(roomId, 'waves', { msgtype: 'm.emote' })
    await atPhone('* Alice waves')
  })
})

describe('a file', () => {
  it('reaches the phone as a link of the hub’s, for who has it and until it expires', async () => {
    const upload = await fetch(`${world.synapse.url}/_matrix/media/v3/upload?filename=cat.png`, {
      method: 'POST',
      headers: { authorization: `Bearer ${alice.token}`, 'content-type': 'image/png' },
      body: 'not really a cat'
    })
    const { content_uri: url } = (await upload.json()) as { readonly content_uri: string }
    await alice.says(roomId, 'look at this', { msgtype: 'm.image', filename: 'cat.png', url })
    const { text } = await eventually('a link', () =>
      world.operator.messages.find(one => words(one).startsWith('look at this\ncat.png: http'))
    )
    const link = /(http\S+)\s*$/.exec(words({ text }))?.[1] ?? ''
    const file = await fetch(link)
    expect([file.status, await file.text()]).toEqual([200, 'not really a cat'])
    expect(file.headers.get('content-disposition')).toMatch(/^attachment/)
    expect((await fetch(`${link.slice(0, -4)}AAAA`)).status).toBe(404)
    // Without the hub nobody gets it: the homeserver wants a token.
    const direct = url.replace('mxc://', `${world.synapse.url}/_matrix/client/v1/media/download/`)
    expect((await fetch(direct)).status).toBe(401)
  })
})

describe('what cannot be', () => {
  it('for nobody, and for help: she is told in the room, and help is never charged', async () => {
    const since = await world.finalCount()
    const nobody = await alice.room(ghostOf('+15550100'))
    await alice.says(nobody, 'is anybody there')
    await alice.hears(/^Your message was not delivered: no operator and no island serves \+15550100\.$/)
    const help = await alice.room(`@_isthmus_112:${serverName}`)
    await alice.says(help, 'help')
    await alice.hears(/112 cannot be reached from here\. Use a phone/)
    // Records of messages before this one may still have been on their way.
    const causes = await eventually('its record', async () => {
      const found = (await world.finals(0, since)).flatMap(({ cause }) => cause ?? [])
      return found.length > 0 ? found : null
    })
    expect(causes).toEqual(['not-found'])
  })

  it('in an encrypted room: she is told, and nothing goes out', async () => {
    const room = await alice.room(ghostOf('+4989777'))
    await alice.request('PUT', roomPath(room, 'state', 'm.room.encryption', ''), { algorithm: 'm.megolm.v1.aes-sha2' })
    const before = world.operator.messages.length
    await alice.send(room, 'm.room.encrypted', { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'xyz' })
    await alice.send(room, 'm.room.encrypted', { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'abc' })
    await alice.hears(notices.encrypted)
    expect(world.operator.messages).toHaveLength(before)
  })

  it('beyond what a message may hold: she is told', async () => {
    await alice.says(roomId, 'x'.repeat(33_000))
    await alice.hears(/at most 32768 bytes/)
  })
})

describe('a Matrix user and others', () => {
  it('of a SIP island write to each other, see who writes and what is read', async () => {
    const dave: IslandUser = await world.dave()
    const room = await alice.room(ghostOf(numbers.dave))
    // Who asks to be told is taken for somebody who tells.
    expect(await dave.sendText(numbers.alice, cpimText(ends, 'd1', 'from SIP'), cpimType)).toBe(200)
    expect((await alice.hears('from SIP')).roomId).toBe(room)
    const id = await alice.says(room, 'to SIP')
    const cpim = await eventually('the text', () =>
      dave.messages.map(({ text }) => parseCpim(text)).find(one => one?.body === 'to SIP')
    )
    expect(await dave.sendText(numbers.alice, printComposing('active'), composingType)).toBe(200)
    await alice.wait('typing of dave', isTyping(ghostOf(numbers.dave)))
    await alice.request('PUT', roomPath(room, 'typing', alice.userId), { typing: true, timeout: 30_000 })
    await eventually('typing', () => dave.messages.some(({ text }) => text === printComposing('active')))
    const about = wishesOf(cpim)?.id ?? ''
    const told = cpimNotification(ends, 'n3', { about, said: 'displayed' })
    expect(await dave.sendText(numbers.alice, told, cpimType)).toBe(200)
    await alice.wait('a receipt of dave', hasRead(ghostOf(numbers.dave), id))
  })

  it('of their own island reach each other by number, each behind a ghost', async () => {
    const room = await alice.room(ghostOf(numbers.bob))
    await alice.says(room, 'hello bob')
    const heard = await bob.hears('hello bob')
    expect(heard.sender).toBe(ghostOf(numbers.alice))
    await bob.says(heard.roomId, 'hello alice')
    expect(await alice.hears('hello alice')).toMatchObject({ roomId: room, sender: ghostOf(numbers.bob) })
  })

  it('who withhold their number are one ghost for all, which nobody can answer', async () => {
    const room = await alice.room(`@_isthmus_anonymous:${serverName}`)
    await alice.says(room, 'who are you')
    await alice.hears(/anonymous caller cannot be called back/)
  })
})

describe('the homeserver', () => {
  it('was there all the time, as far as the hub could see', () => {
    const logged = world.hub.logged().map(({ msg }) => msg)
    expect(logged.filter(msg => msg === 'the homeserver answers')).toHaveLength(1)
    expect(logged).not.toContain('the homeserver does not answer')
  })
})

describe('the books', () => {
  it('have one final record for each leg, rated and settled', async () => {
    expect(await world.faults()).toEqual([])
    const finals = await world.finals(20)
    expect(finals.every(({ service }) => service === 'message')).toBe(true)
    expect(new Set(finals.map(({ cdr_id: id }) => id)).size).toBe(finals.length)
  })
})
