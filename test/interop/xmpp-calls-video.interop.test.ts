// Pictures in calls of XMPP users through the whole hub: with another XMPP island, with a browser that speaks SIP over a
// WebSocket, and with a phone that has none; brought along, added and removed, over the embedded anchor and rtpengine.
// Tones and new ICE credentials as well, which want the same users.
// needs: prosody ejabberd rtpengine chromium

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { openBrowser } from '../support/browser.ts'
import type { BrowserUser, TestBrowser } from '../support/browser.ts'
import { eventually } from '../support/hub.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'
import { hears } from '../support/stanza-user.ts'
import type { StanzaCall, StanzaUser } from '../support/stanza-user.ts'
import { at, openXmppWorld, people, phoneHears, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppWorld } from '../support/xmpp-world.ts'

const ours = 700
const theirs = 1_300
const framesMin = 20
const waitMs = 30_000
/** What a digit sounds like (ITU-T Q.23). */
const digitFive = { digit: '5', lowHz: 770, highHz: 1_336 } as const

const setups = [
  { name: 'the embedded anchor', anchor: 'embedded', portMin: 46_000 },
  { name: 'rtpengine', anchor: 'rtpengine', portMin: 47_000 }
] as const

let browser: TestBrowser
beforeAll(async () => {
  browser = await openBrowser()
}, 60_000)
afterAll(() => browser.close())

/** Until both sides have decoded so many pictures more of the other. */
async function bothSee(call: StanzaCall, other: StanzaCall | BrowserUser): Promise<void> {
  const before = await Promise.all([call.stats(), other.stats()])
  await eventually(`${framesMin} more pictures each way`, async () => {
    const now = await Promise.all([call.stats(), other.stats()])
    return now.every(({ video }, side) => {
      const { framesReceived = 0 } = before[side]?.video ?? {}
      return video.framesReceived >= framesReceived + framesMin && video.packetsSent > 0 && video.packetsReceived > 0
    })
  })
}

/** Until the browser hears this tone. */
const browserHears = (user: BrowserUser, hz: number): Promise<true> =>
  eventually(`${hz} Hz in the browser`, async () => {
    const heard = await user.heard()
    return Math.abs(heard.hz - hz) < 40 && heard.decibels > -70 ? true : null
  })

for (const { name, anchor, portMin } of setups) {
  describe(`pictures over ${name}`, () => {
    let world: XmppWorld
    let rtpengine: Rtpengine | null = null
    let alice: StanzaUser
    let carol: StanzaUser
    let dave: BrowserUser
    let finalsSeen = 0

    beforeAll(async () => {
      rtpengine = anchor === 'rtpengine' ? await startRtpengine() : null
      const media = { anchor, portMin, ...(rtpengine === null ? {} : { rtpengine }) }
      world = await openXmppWorld({ ...media, video: true, origin: browser.origin })
      ;[alice, carol] = await Promise.all([world.person('alice'), world.person('carol')])
      // Only who shows its devices is called without a proposal, which stanza does not know.
      await Promise.all([alice.subscribe(at('alice', phoneNumber)), carol.subscribe(at('carol', phoneNumber))])
      dave = await browser.user()
      const uri = `sip:dave@${people.dave.domain}`
      await dave.start({
        url: world.hub.where('SIP over WebSocket'),
        uri,
        password: 'secret',
        bundlePolicy: 'balanced'
      })
    }, 120_000)

    afterAll(async () => {
      await dave.page.context().close()
      const left = await world.close()
      await rtpengine?.stop()
      equal(left, 0)
    }, 120_000)

    afterEach(async () => {
      equal(await world.faults(), [])
      finalsSeen = await world.finalCount()
    }, 60_000)

    /** The one final record of each leg since the last look: its service, and packets both ways of each of its media. */
    async function records(service: string, kinds: readonly string[]): Promise<readonly CdrRecord[]> {
      const finals = await world.finals(2, finalsSeen)
      equal(finals.map(({ leg }) => leg).sort(), ['egress', 'ingress'])
      for (const { service: said, t_answer, cause, media } of finals) {
        equal([said, cause], [service, 'normal'])
        ok(t_answer !== null)
        const flowed = media.filter(({ pkts_received, pkts_sent }) => pkts_received > 10 && pkts_sent > 10)
        equal(
          flowed.map(({ type }) => type),
          kinds
        )
      }
      return finals
    }

    /** Alice calls the browser, which answers. */
    async function aliceCallsDave(hz: number, video = false): Promise<StanzaCall> {
      const before = (await dave.events()).filter(({ type }) => type === 'session').length
      const call = await alice.call(await alice.subscribe(at('alice', people.dave.number)), ours, { video })
      await dave.wait('session', { nth: before + 1, ms: waitMs })
      await dave.answer(hz, { video })
      await call.wait('accepted')
      return call
    }

    /** Ended by Alice, and so at the browser. */
    async function aliceEnds(call: StanzaCall): Promise<void> {
      const before = (await dave.events()).filter(({ type }) => type === 'ended').length
      await call.end()
      await dave.wait('ended', { nth: before + 1, ms: waitMs })
    }

    it('two XMPP islands see and hear each other', async () => {
      const call = await alice.call(await alice.subscribe(at('alice', people.carol.number)), ours, { video: true })
      const called = await carol.incoming()
      await called.answer(theirs, { video: true })
      await call.wait('accepted')
      await Promise.all([hears(call, theirs), hears(called, ours), bothSee(call, called)])
      await call.end()
      await called.terminated()
      const finals = await records('video', ['audio', 'video'])
      equal(
        finals.map(({ media }) => media[1]?.codec),
        ['VP8', 'VP8']
      )
    }, 90_000)

    it('an XMPP user and a browser on SIP over WebSocket see and hear each other, whoever calls', async () => {
      const call = await aliceCallsDave(theirs, true)
      await Promise.all([hears(call, theirs), browserHears(dave, ours), bothSee(call, dave)])
      await aliceEnds(call)
      await records('video', ['audio', 'video'])
      finalsSeen = await world.finalCount()

      await dave.call(people.carol.number, theirs, { video: true })
      const called = await carol.incoming()
      await called.answer(ours, { video: true })
      await Promise.all([hears(called, theirs), browserHears(dave, ours), bothSee(called, dave)])
      await dave.hangUp()
      await called.terminated()
      await records('video', ['audio', 'video'])
    }, 120_000)

    it('a picture is added by the user in a call, and taken away: the voice goes on', async () => {
      const call = await aliceCallsDave(theirs)
      await hears(call, theirs)
      await call.addVideo()
      // rtpengine 10.5 knows no bundles, and a client that bundles has one transport for both.
      const taken = anchor === 'embedded'
      await call.wait(taken ? 'video-accepted' : 'video-rejected')
      if (taken) {
        await eventually('the browser sees it', async () => (await dave.stats()).video.framesReceived >= framesMin)
        const before = (await dave.events()).filter(({ type }) => type === 'reinvite').length
        await call.removeVideo()
        await dave.wait('reinvite', { nth: before + 1, ms: waitMs })
      }
      await Promise.all([hears(call, theirs, 300), browserHears(dave, ours)])
      await aliceEnds(call)
      const finals = await world.finals(2, finalsSeen)
      const flowed = finals.map(({ service, media }) => [
        service,
        media.filter(({ pkts_received, pkts_sent }) => pkts_received + pkts_sent > 10).map(({ type }) => type)
      ])
      equal(
        flowed,
        Array.from({ length: 2 }, () => ['voice', taken ? ['audio', 'video'] : ['audio']])
      )
    }, 90_000)

    it('a picture that the browser adds is refused by a client that cannot add: the voice goes on', async () => {
      await dave.call(people.carol.number, theirs)
      const called = await carol.incoming()
      await called.answer(ours)
      await hears(called, theirs)
      await dave.addVideo()
      if (anchor === 'embedded') await carol.stanza(['content-add', called.sid])
      await eventually('the browser heard the refusal', async () => {
        const said = await dave.page.evaluate('phone.remoteSdp()')
        return /^m=video 0 /m.test(String(said))
      })
      await Promise.all([hears(called, theirs, 300), browserHears(dave, ours)])
      await dave.hangUp()
      await called.terminated()
      await world.finals(2, finalsSeen)
    }, 90_000)

    it('a phone has no pictures: brought along they stay out, added they are refused, and the voice goes on', async () => {
      const number = await alice.subscribe(at('alice', phoneNumber))
      const call = await alice.call(number, ours, { video: true })
      const phone = await world.phone()
      await call.wait('accepted')
      await Promise.all([hears(call, ours), phoneHears(phone, ours)])
      await call.end()
      await phone.ended
      const finals = await world.finals(2, finalsSeen)
      for (const { media } of finals) ok(media.every(({ type, pkts_sent }) => type === 'audio' || pkts_sent === 0))
      finalsSeen = await world.finalCount()

      const second = await alice.call(number, ours)
      const again = await world.phone()
      await second.wait('accepted')
      await hears(second, ours)
      await second.addVideo()
      await second.wait('video-rejected')
      await Promise.all([hears(second, ours, 300), phoneHears(again, ours, 300)])
      await second.end()
      await again.ended
      await records('voice', ['audio'])
    }, 90_000)

    it('digits reach the other side: by session-info from the user, in RTP from the browser', async () => {
      const call = await aliceCallsDave(0)
      await eventually('media', async () => (await call.stats()).packetsReceived > 100)
      await call.tone(digitFive.digit)
      const tone = await dave.wait('tone', { ms: waitMs })
      equal([tone['originator'], tone['digit']], ['remote', digitFive.digit])
      // The client plays what came as an event (RFC 4733): there is no sound in the call itself.
      await eventually('the digit sounds', async () => {
        await dave.sendTone(digitFive.digit, 'RFC2833')
        for (let look = 0; look < 20; look++) if (await call.hearsBoth(digitFive.lowHz, digitFive.highHz)) return true
        return null
      })
      const from = alice.events.length
      await dave.sendTone('7', 'INFO')
      await alice.stanza(['session-info', '<dtmf', call.sid], { from })
      await aliceEnds(call)
      await records('voice', ['audio'])
    }, 90_000)

    it('new ICE credentials of the user: media goes on over them', async () => {
      const call = await alice.call(await alice.subscribe(at('alice', people.carol.number)), ours)
      const called = await carol.incoming()
      await called.answer(theirs)
      await call.wait('accepted')
      await Promise.all([hears(call, theirs), hears(called, ours)])
      const from = alice.events.length
      await call.restartIce()
      // The hub's own new credentials come back.
      await alice.stanza(['transport-info', 'ufrag=', call.sid], { from })
      const { packetsReceived, packetsSent } = await call.stats()
      await hears(call, theirs, Math.max(packetsReceived, packetsSent) + 200)
      await hears(called, ours, 300)
      await call.end()
      await called.terminated()
      await records('voice', ['audio'])
    }, 90_000)
  })
}
