// A Matrix user and an XMPP user call and write to each other through the hub: no SIP in between, policed and charged.
// needs: synapse chromium prosody

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { openBrowser } from '../support/browser.ts'
import type { TestBrowser } from '../support/browser.ts'
import { eventually } from '../support/until.ts'
import { startMatrixPhone } from '../support/matrix-phone.ts'
import type { MatrixPhone } from '../support/matrix-phone.ts'
import { ghostOf, numbers, openMatrixHub } from '../support/matrix-world.ts'
import type { MatrixHub } from '../support/matrix-world.ts'
import { startProsody } from '../support/prosody.ts'
import { hears, startStanzaUser } from '../support/stanza-user.ts'
import type { StanzaUser } from '../support/stanza-user.ts'
import type { XmppServer } from '../support/xmpp-server.ts'

const ours = 700
const theirs = 1_300
const carolsNumber = '+4930222001'
const gateway = 'phone.chat.test'
let prosody: XmppServer
let world: MatrixHub
let browser: TestBrowser
let alice: MatrixPhone
let carol: StanzaUser
let roomId = ''
let aliceAtHers = ''
let finalsSeen = 0

beforeAll(async () => {
  browser = await openBrowser('matrix-phone.js')
  prosody = await startProsody({ domain: 'chat.test', components: [{ domain: gateway }], users: { carol: 'pw' } })
  world = await openMatrixHub({
    anchor: 'embedded',
    codecs: ['opus', 'PCMA', 'telephone-event', 'VP8'],
    portMin: 48_000,
    islands: [
      {
        id: 'chat',
        access: 'xmpp',
        domain: 'chat.test',
        gateway,
        connection: { kind: 'component', host: '127.0.0.1', port: prosody.componentPort, secret: 's3cr3t' },
        codecs: ['opus', 'PCMA', 'telephone-event', 'VP8'],
        users: [{ name: 'carol', number: carolsNumber }]
      }
    ]
  })
  await world.synapse.user('alice')
  carol = await startStanzaUser({ url: prosody.ws, jid: 'carol@chat.test', password: 'pw' })
  // Her client announces no calls by messages: only who she watches knows where she is.
  aliceAtHers = await carol.subscribe(`${numbers.alice}@${gateway}`)
}, 300_000)

afterAll(async () => {
  await carol.close()
  equal(await world.close(), 0)
  await prosody.stop()
  await browser.close()
}, 120_000)

/** A client for each test: what it has seen before would only confuse. */
async function login(): Promise<void> {
  alice = await startMatrixPhone(browser, world.synapse.url, await world.synapse.login('alice'))
  roomId = roomId === '' ? await alice.room(ghostOf(carolsNumber)) : roomId
}

afterEach(async () => {
  await alice.stop()
  equal(await world.faults(), [])
  finalsSeen = await world.finalCount()
}, 90_000)

async function records(from: string, to: string): Promise<readonly CdrRecord[]> {
  const legs = await world.finals(2, finalsSeen)
  equal(
    legs.map(({ leg, trunk, cause }) => [leg, trunk, cause]),
    [
      ['ingress', from, 'normal'],
      ['egress', to, 'normal']
    ]
  )
  return legs
}

describe('a Matrix user and an XMPP user', () => {
  it('the one calls the other: both are heard', async () => {
    await login()
    await alice.call(roomId, ours)
    const call = await carol.incoming()
    equal(call.peer.split('/')[0], `${numbers.alice}@${gateway}`)
    await call.answer(theirs)
    await Promise.all([alice.talks(theirs), hears(call, ours)])
    await alice.hangUp()
    equal((await call.terminated()).reason, 'success')
    await records('rooms', 'chat')
  }, 120_000)

  it('the other calls the one, who puts her on hold and takes her back', async () => {
    await login()
    const call = await carol.call(aliceAtHers, theirs)
    equal((await alice.wait('incoming'))['from'], ghostOf(carolsNumber))
    await alice.answer(ours)
    await call.wait('accepted')
    await Promise.all([alice.talks(theirs), hears(call, ours)])
    await alice.hold(true)
    await call.wait('hold')
    await alice.hold(false)
    await call.wait('resumed')
    await alice.talks(theirs, 200)
    await call.end()
    equal((await alice.wait('hangup'))['reason'], 'user_hangup')
    await records('chat', 'rooms')
  }, 120_000)

  it('see each other in a video call', async () => {
    await login()
    await alice.call(roomId, ours, { video: true })
    const call = await carol.incoming()
    await call.answer(theirs, { video: true })
    await Promise.all([alice.talks(theirs), hears(call, ours)])
    await eventually('pictures both ways', async () => {
      const { framesReceived } = await alice.stats()
      const { video } = await call.stats()
      return framesReceived > 5 && video.framesReceived > 5
    })
    await alice.hangUp()
    await call.terminated()
    const legs = await records('rooms', 'chat')
    for (const { service, media } of legs) {
      equal(service, 'video')
      ok(media.some(({ type, pkts_received: packets }) => type === 'video' && packets > 5))
    }
  }, 120_000)

  it('a picture that the other adds comes and goes, and the voice goes on', async () => {
    await login()
    await alice.call(roomId, ours)
    const call = await carol.incoming()
    await call.answer(theirs)
    await Promise.all([alice.talks(theirs), hears(call, ours)])
    await call.addVideo()
    await call.wait('video-accepted')
    await eventually('she sees it', async () => (await alice.stats()).framesReceived > 5)
    await call.removeVideo()
    const { packetsReceived } = await alice.stats()
    await Promise.all([alice.talks(theirs, packetsReceived + 100), hears(call, ours, 300)])
    await alice.hangUp()
    await call.terminated()
    await records('rooms', 'chat')
  }, 120_000)

  it('her new ICE credentials carry the call on; a picture that she adds is refused by a client that cannot add', async () => {
    await login()
    await alice.call(roomId, ours)
    const call = await carol.incoming()
    await call.answer(theirs)
    await Promise.all([alice.talks(theirs), hears(call, ours)])
    const before = await alice.remoteUfrag()
    await alice.restartIce()
    await eventually("the hub's own new ones come back", async () => {
      const now = await alice.remoteUfrag()
      return now !== null && now !== before
    })
    const { packetsReceived } = await alice.stats()
    await Promise.all([alice.talks(theirs, packetsReceived + 100), hears(call, ours, 200)])
    await alice.upgrade()
    await carol.stanza(['content-add', call.sid])
    const then = await alice.stats()
    await Promise.all([alice.talks(theirs, then.packetsReceived + 100), hears(call, ours, 300)])
    await alice.hangUp()
    await call.terminated()
    await records('rooms', 'chat')
  }, 120_000)

  it('write to each other', async () => {
    await login()
    await alice.send(roomId, 'hello from Matrix')
    const heard = await carol.received('the message', ({ body }) => body === 'hello from Matrix')
    equal(String(heard['from']).split('/')[0], `${numbers.alice}@${gateway}`)
    await carol.message({ to: `${numbers.alice}@${gateway}`, type: 'chat', body: 'hello from XMPP' })
    equal((await alice.message('hello from XMPP'))['sender'], ghostOf(carolsNumber))
    const finals = await world.finals(4, finalsSeen)
    equal([...new Set(finals.map(({ service }) => service))], ['message'])
  }, 60_000)
})
