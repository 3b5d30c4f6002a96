import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import { noFacts } from '../../../src/session/model.ts'
import type { SessionId } from '../../../src/session/model.ts'
import type { TextRef } from '../../../src/session/text.ts'
import { makeResponse } from '../../../src/sip/message.ts'
import { until } from '../../support/until.ts'
import { FakeClock } from '../../support/world.ts'
import { openIsland, sdp } from '../../support/ws-island.ts'
import type { Island } from '../../support/ws-island.ts'

let island: Island
beforeEach(async () => {
  island = await openIsland()
})
afterEach(() => island.close())

const bob = 'sip:bob@island.example'

describe('registration', () => {
  it.each(['MD5', 'SHA-256'] as const)('a device registers with %s and unregisters', async algorithm => {
    const alice = await island.stranger('alice', { instance: 'one' })
    const { status, headers } = await alice.register({ algorithm })
    expect(status).toBe(200)
    expect(headers.get('Contact')).toContain(alice.contact)
    expect(headers.get('Contact')).toMatch(/;expires=600$/)
    expect(island.adapter.registered('island', 'alice')).toBe(1)
    expect((await alice.register({ algorithm, expires: 0 })).status).toBe(200)
    expect(island.adapter.registered('island', 'alice')).toBe(0)
  })

  it('a wrong password is refused, in words', async () => {
    const alice = await island.stranger('alice', { password: 'guess' })
    const { status, headers } = await alice.register()
    expect(status).toBe(403)
    expect(headers.get('Reason')).toBe('SIP;cause=403;text="wrong user name or password"')
  })

  it('guessing passwords closes the connection, and others stay', async () => {
    const alice = await island.user('alice')
    const guesser = await island.stranger('alice', { password: 'guess' })
    const closed = once(guesser.socket, 'close')
    for (let n = 0; n < limits.credentialsWrongMax; n++) await guesser.register().catch(() => null)
    expect((await closed)[0]).toBe(1008)
    expect((await alice.register()).status).toBe(200)
  })

  it('a registration dies with its connection', async () => {
    const [first, second] = [await island.user('alice'), await island.user('alice')]
    expect(island.adapter.registered('island', 'alice')).toBe(2)
    first.socket.terminate()
    await until(() => island.adapter.registered('island', 'alice') === 1)
    second.socket.close()
    await until(() => island.adapter.registered('island', 'alice') === 0)
  })

  it('a connection on which nobody registers is closed in time, one that has registered stays', async () => {
    const clock = new FakeClock()
    const impatient = await openIsland({ clock })
    const [alice, stranger] = [await impatient.user('alice'), await impatient.stranger('bob')]
    const closed = once(stranger.socket, 'close')
    await clock.advance(limits.strangerMs - 1)
    for (const { socket } of [alice, stranger]) {
      socket.send('\r\n\r\n')
      await once(socket, 'message')
    }
    await clock.advance(1)
    expect((await closed)[0]).toBe(1008)
    expect((await alice.request('OPTIONS', 'sip:island.example')).status).toBe(200)
    await impatient.close()
  })

  it('a user of one island is nobody on another', async () => {
    const alice = await island.stranger('alice', { domain: 'other.example' })
    expect((await alice.register()).status).toBe(403)
    expect(island.adapter.registered('nowhere', 'alice')).toBe(0)
  })
})

describe('other requests', () => {
  it('OPTIONS is answered to who is known and challenged otherwise', async () => {
    const alice = await island.user('alice')
    const { status, headers } = await alice.request('OPTIONS', 'sip:island.example')
    expect(status).toBe(200)
    expect(headers.get('Allow')).toContain('INVITE')
    const stranger = await island.stranger('bob')
    expect((await stranger.request('OPTIONS', 'sip:island.example', { as: null })).status).toBe(407)
  })

  it.each(['SUBSCRIBE', 'PUBLISH', 'REFER', 'NOTIFY'])('%s is answered with 405 and what is allowed', async method => {
    const alice = await island.user('alice')
    const { status, headers } = await alice.request(method, bob)
    expect(status).toBe(405)
    expect(headers.all('Allow')).toContain('MESSAGE')
  })
})

describe('messages out of an island', () => {
  const text = 'Grüße 👋 von\r\nAlice'
  it('reach the core unharmed, and its verdict is the answer', async () => {
    const alice = await island.user('alice')
    const headers = [['Content-Type', 'text/plain;charset=UTF-8']] as const
    expect((await alice.request('MESSAGE', 'sip:+4930900100@island.example', { headers, body: text })).status).toBe(200)
    expect(island.inbox.texts).toHaveLength(1)
    expect(island.inbox.texts[0]).toMatchObject({
      called: 'tel:+4930900100',
      body: { type: 'text/plain', text },
      caller: { access: 'sip-ws', peerId: 'island', party: { presented: 'tel:+493012345601' } },
      charging: null
    })
  })

  it('a refusal is answered with its status and words', async () => {
    const alice = await island.user('alice')
    island.inbox.verdict = async () => ({
      taken: false,
      release: { cause: 'not-found', text: 'no such user', from: 'hub' }
    })
    const { status, headers } = await alice.request('MESSAGE', bob, { body: text })
    expect([status, headers.get('Reason')]).toEqual([404, 'SIP;cause=404;text="no such user"'])
  })

  it.each([
    ['text/html', 415],
    ['message/cpim', 415],
    ['text/plain;charset=iso-8859-1', 415]
  ])('%s is refused with %i', async (type, status) => {
    const alice = await island.user('alice')
    const answer = await alice.request('MESSAGE', bob, { headers: [['Content-Type', type]], body: text })
    expect(answer.status).toBe(status)
    expect(answer.headers.all('Accept')).toEqual(['text/plain', 'message/cpim', 'application/im-iscomposing+xml'])
    expect(island.inbox.texts).toEqual([])
  })

  it('too much text and bytes that are no text are refused', async () => {
    const alice = await island.user('alice')
    expect((await alice.request('MESSAGE', bob, { body: 'x'.repeat(limits.textBytesMax) })).status).toBe(200)
    expect((await alice.request('MESSAGE', bob, { body: 'x'.repeat(limits.textBytesMax + 1) })).status).toBe(413)
    expect((await alice.request('MESSAGE', bob, { body: Buffer.from([0xff, 0xfe]) })).status).toBe(400)
    expect(island.inbox.texts).toHaveLength(1)
  })

  it('to an address that leads nowhere is refused like a call', async () => {
    const alice = await island.user('alice')
    expect((await alice.request('MESSAGE', 'sip:030900100@island.example', { body: text })).status).toBe(484)
  })

  it('so many may wait for their verdict and no more', async () => {
    const alice = await island.user('alice')
    let decide = (): void => {}
    const decided = new Promise<void>(resolve => {
      decide = resolve
    })
    island.inbox.verdict = () => decided.then(() => ({ taken: true }))
    const waiting = Array.from({ length: limits.textsPerConnectionMax }, () =>
      alice.request('MESSAGE', bob, { body: 'x' })
    )
    await until(() => island.inbox.texts.length === limits.textsPerConnectionMax)
    expect((await alice.request('MESSAGE', bob, { body: 'x' })).status).toBe(503)
    decide()
    expect((await Promise.all(waiting)).every(({ status }) => status === 200)).toBe(true)
    expect((await alice.request('MESSAGE', bob, { body: 'x' })).status).toBe(200)
  })
})

describe('messages into an island', () => {
  const send = (name: string, text = 'Grüße 👋', privacy: readonly string[] = []) =>
    island.adapter.sendText({
      id: 'session' as SessionId,
      attempt: 1,
      charging: { icid: 'icid', generatedAt: 'hub' },
      origin: noFacts,
      from: { asserted: ['tel:+4930900100'], presented: 'tel:+4930900100', display: null, privacy },
      target: {
        access: 'sip-ws',
        peerId: 'island',
        uri: `sip:${name}@island.example`,
        trust: 'user',
        media: 'webrtc',
        needsOffer: false
      },
      body: { type: 'text/plain', text }
    })

  it('reach every device unharmed; the first that takes it settles it', async () => {
    const users = [await island.user('alice'), await island.user('alice', { requested: () => {} })]
    expect(await send('alice')).toMatchObject({ taken: true })
    await until(() => users.every(({ requests }) => requests.length === 1))
    for (const { requests } of users) {
      const { headers, body } = requests[0]!
      expect(body.toString()).toBe('Grüße 👋')
      expect(headers.get('Content-Type')).toBe('text/plain;charset=UTF-8')
      expect(headers.get('From')).toMatch(/^<sip:\+4930900100@hub.example;user=phone>;tag=/)
    }
  })

  it('a refusal of one device is no refusal while another takes it', async () => {
    await island.user('alice', { requested: tx => tx.respond(makeResponse(tx.request, 486)) })
    await island.user('alice')
    expect(await send('alice')).toMatchObject({ taken: true })
  })

  it('when all devices refuse the best reason is told', async () => {
    await island.user('alice', { requested: tx => tx.respond(makeResponse(tx.request, 480)) })
    await island.user('alice', { requested: tx => tx.respond(makeResponse(tx.request, 603)) })
    expect(await send('alice')).toMatchObject({ taken: false, reason: { cause: 'declined', sip: 603 } })
  })

  it('without a device, without such a user, over a lost connection: not taken, and why', async () => {
    expect(await send('bob')).toMatchObject({ taken: false, reason: { cause: 'unavailable' } })
    expect(await send('nobody')).toMatchObject({ taken: false, reason: { cause: 'not-found' } })
    const alice = await island.user('alice', { requested: () => {} })
    const sent = send('alice')
    await until(() => alice.requests.length === 1)
    alice.socket.terminate()
    expect(await sent).toMatchObject({ taken: false, reason: { cause: 'unreachable' } })
  })

  it('of somebody withheld comes from nobody', async () => {
    const alice = await island.user('alice')
    await send('alice', 'psst', ['id'])
    const { headers } = alice.requests[0]!
    expect(headers.get('From')).toMatch(/^"Anonymous" <sip:anonymous@anonymous.invalid>;tag=/)
    expect(headers.has('P-Asserted-Identity')).toBe(false)
  })
})

describe('bad input of one client', () => {
  it('garbage, half messages and strays harm nobody', async () => {
    const [alice, bad] = [await island.user('alice'), await island.stranger('bob')]
    const frames = [
      'hello',
      '\r\n\r\n\r\n',
      '\0\0\0\0',
      'INVITE',
      'INVITE sip:x SIP/2.0\r\n\r\n',
      'SIP/2.0 200 OK\r\n\r\n',
      `SIP/2.0 200 OK\r\nVia: SIP/2.0/WS x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n`,
      `MESSAGE ${bob} SIP/2.0\r\nVia: SIP/2.0/WS x;branch=z9hG4bK2\r\nContent-Length: 99999999\r\n\r\nx`,
      `ACK ${bob} SIP/2.0\r\nVia: SIP/2.0/WS x;branch=z9hG4bK3\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 ACK\r\n\r\n`,
      `BYE ${bob} SIP/2.0\r\nVia: SIP/2.0/WS x;branch=z9hG4bK4\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nMax-Forwards: 1\r\n\r\n`
    ]
    for (const frame of frames) bad.socket.send(Buffer.from(frame))
    await until(() => bad.heard.some(message => message.kind === 'response' && message.status === 481))
    expect((await alice.request('OPTIONS', 'sip:island.example')).status).toBe(200)
    alice.call('sip:+4930900100@island.example', { body: sdp('offer') })
    await island.inbox.wait('offered')
    expect(island.inbox.all('offered')).toHaveLength(1)
  })

  it('a flood of requests closes its connection alone', async () => {
    const [alice, bad] = [await island.user('alice'), await island.stranger('bob')]
    const closed = once(bad.socket, 'close')
    for (let n = 0; n < limits.framesBurst * 2; n++) bad.socket.send(`OPTIONS ${bob} SIP/2.0\r\n\r\n`)
    expect((await closed)[0]).toBe(1008)
    expect((await alice.register()).status).toBe(200)
  })
})

describe('commands that come too late', () => {
  it('do nothing', async () => {
    const leg = island.invite('alice')
    await island.inbox.wait('ended', leg)
    const { adapter } = island
    await adapter.alert(leg)
    await adapter.progress(leg, { sdp: null, reliable: false })
    await adapter.answer(leg, { sdp: null, connected: null })
    await adapter.acknowledge(leg, sdp('x'))
    await adapter.reoffer(leg, { exchange: 1, sdp: sdp('x') })
    await adapter.answerReoffer(leg, sdp('x'))
    await adapter.refuseReoffer(leg, 'glare')
    await adapter.sendTone(leg, { digit: '1', durationMs: 100 })
    await adapter.end(leg, { cause: 'normal', from: 'hub' })
    await adapter.sendReceipt('x' as TextRef, 'delivered')
    expect(island.inbox.all('ended')).toHaveLength(1)
    expect(island.inbox.all('reofferRefused')).toEqual([])
  })
})
