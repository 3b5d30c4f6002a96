// A Matrix user (matrix-js-sdk's MatrixCall in Chromium, on a real Synapse) and the phone network, through the whole hub.
// needs: synapse chromium rtpengine

import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import type { CdrRecord } from '../../src/events/cdr.ts'
import type { OperatorOptions } from '../../src/sandbox/operator.ts'
import { openBrowser } from '../support/browser.ts'
import type { TestBrowser } from '../support/browser.ts'
import { eventually } from '../support/until.ts'
import { startMatrixPhone } from '../support/matrix-phone.ts'
import type { MatrixPhone } from '../support/matrix-phone.ts'
import { ghostOf, numbers, openMatrixHub } from '../support/matrix-world.ts'
import type { MatrixHub } from '../support/matrix-world.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'

const ours = 700
const theirs = 1_300
/** The only tone a SIP-over-WebSocket user of the sandbox plays unless told. */
const daves = 1_000

const setups = [
  { name: 'the embedded anchor', anchor: 'embedded', codecs: ['PCMA', 'telephone-event'], spoken: ['PCMA', 'PCMA'] },
  {
    name: 'rtpengine, Opus to PCMA',
    anchor: 'rtpengine',
    codecs: ['opus', 'telephone-event'],
    spoken: ['opus', 'PCMA']
  }
] as const

let browser: TestBrowser
beforeAll(async () => {
  browser = await openBrowser('matrix-phone.js')
}, 60_000)
afterAll(() => browser.close(), 30_000)

for (const [index, { name, anchor, codecs, spoken }] of setups.entries()) {
  describe(`calls over ${name}`, () => {
    let world: MatrixHub
    let rtpengine: Rtpengine | null = null
    let alice: MatrixPhone
    let roomId = ''
    let finalsSeen = 0
    /** Directions of the audio in the INVITEs that the operator got since the test began. */
    const offered: string[] = []
    const tap: OperatorOptions['tap'] = (way, message) => {
      if (way !== 'in' || message.kind !== 'request' || message.method !== 'INVITE') return
      offered.push(/^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m.exec(message.body.toString())?.[1] ?? 'sendrecv')
    }
    /** A phone for each test: what it has seen before would only confuse. */
    const users: MatrixPhone[] = []
    const device = async (): Promise<MatrixPhone> => {
      const user = await startMatrixPhone(browser, world.synapse.url, await world.synapse.login('alice'))
      users.push(user)
      return user
    }

    beforeAll(async () => {
      rtpengine = anchor === 'rtpengine' ? await startRtpengine() : null
      const portMin = 46_000 + index * 1_000
      world = await openMatrixHub({
        anchor,
        codecs,
        portMin,
        operator: { tap },
        ...(rtpengine === null ? {} : { rtpengine })
      })
      await world.synapse.user('alice')
      alice = await device()
      roomId = await alice.room(ghostOf(numbers.phone))
    }, 300_000)

    afterEach(async () => {
      for (const user of users.splice(0)) await user.stop()
      equal(await world.faults(), [])
      finalsSeen = await world.finalCount()
      offered.length = 0
      alice = await device()
    }, 90_000)

    afterAll(async () => {
      for (const user of users.splice(0)) await user.stop()
      equal(await world.close(), 0)
      await rtpengine?.stop()
    }, 120_000)

    /** Both legs of the last call's last attempt: answered, with their packets. */
    async function records(from: string, to: string): Promise<readonly CdrRecord[]> {
      const legs = await eventually('two answered records', async () => {
        const found = (await world.finals(1, finalsSeen)).filter(({ t_answer: at }) => at !== null)
        return found.length === 2 ? found : null
      })
      equal(
        legs.map(({ leg, trunk, cause }) => [leg, trunk, cause]),
        [
          ['ingress', from, 'normal'],
          ['egress', to, 'normal']
        ]
      )
      for (const { media } of legs)
        ok(
          media.some(({ pkts_received: packets }) => packets > 50),
          JSON.stringify(media)
        )
      return legs
    }
    const codecsOf = (legs: readonly CdrRecord[]): readonly unknown[] => legs.map(({ media }) => media[0]?.codec)

    it('a user calls a phone: both are heard, on hold and back, and the user hangs up', async () => {
      await alice.call(roomId, ours)
      const phone = await world.phone()
      // The phone sends back what it hears.
      await alice.talks(ours)
      await alice.hold(true)
      await eventually('the phone is on hold', () => offered.at(-1) === 'sendonly')
      await alice.hold(false)
      await eventually('the phone is back', () => offered.at(-1) === 'sendrecv')
      await alice.talks(ours, 200)
      await alice.hangUp()
      equal((await phone.ended).how, 'bye')
      equal(codecsOf(await records('rooms', 'telco')), spoken)
    }, 120_000)

    it('a phone calls a user: she sees who, both are heard, on hold and back, and the phone hangs up', async () => {
      const phone = await world.phoneCalls(numbers.alice, theirs)
      const rings = await alice.wait('incoming')
      equal(rings['from'], ghostOf(numbers.phone))
      await alice.answer(ours)
      ok(await phone.answered)
      await alice.talks(theirs)
      ok(await phone.reoffer('sendonly'))
      await alice.wait('held')
      ok(await phone.reoffer('sendrecv'))
      await alice.wait('unheld')
      await alice.talks(theirs, 200)
      phone.hangUp()
      equal((await alice.wait('hangup'))['reason'], 'user_hangup')
      equal(codecsOf(await records('telco', 'rooms')).toReversed(), spoken)
    }, 120_000)

    if (anchor === 'rtpengine') return

    it('a user rejects: the phone hears that she declined', async () => {
      const phone = await world.phoneCalls(numbers.alice, theirs)
      await alice.wait('incoming')
      await alice.reject()
      equal(await phone.answered, false)
      const { message } = await phone.ended
      equal(message?.kind === 'response' && message.status, 603)
      const finals = await world.finals(2, finalsSeen)
      equal([...new Set(finals.map(({ cause }) => cause))], ['declined'])
    }, 60_000)

    it('a phone that gives up stops the ringing, and leaves word of the missed call', async () => {
      const phone = await world.phoneCalls(numbers.alice, theirs)
      await alice.wait('incoming')
      phone.hangUp()
      await alice.wait('call ended')
      await alice.message('You missed a call.')
      await world.finals(2, finalsSeen)
    }, 60_000)

    it('a busy phone is busy, and one that nobody has is told in words', async () => {
      const busy = await alice.room(ghostOf('+4989486'))
      await alice.call(busy, ours)
      equal((await alice.wait('hangup'))['reason'], 'user_busy')
      const nobody = await alice.room(ghostOf('+4989404'))
      await alice.call(nobody, ours)
      await alice.message(/^The call did not go through: /)
      await world.finals(4, finalsSeen)
      // The operator has seen both: the next test asks for a call of its own.
      for (let n = 0; n < 2; n++) await world.phone()
    }, 60_000)

    it('a call to a phone that nobody answers ends when the user gives up', async () => {
      const ringing = await alice.room(ghostOf('+4989180'))
      await alice.call(ringing, ours)
      const phone = await world.phone()
      await alice.hangUp()
      await phone.ended
      const finals = await world.finals(2, finalsSeen)
      equal([...new Set(finals.map(({ cause }) => cause))], ['cancelled'])
    }, 60_000)

    it('one of two devices answers, and the other stops ringing', async () => {
      const second = await device()
      const phone = await world.phoneCalls(numbers.alice, theirs)
      await Promise.all([alice.wait('incoming'), second.wait('incoming')])
      await second.answer(ours)
      ok(await phone.answered)
      await second.talks(theirs)
      equal((await alice.wait('hangup'))['reason'], 'answered_elsewhere')
      await second.hangUp()
      equal((await phone.ended).how, 'bye')
      await records('telco', 'rooms')
    }, 120_000)

    it('a muted microphone changes nothing on the way', async () => {
      await alice.call(roomId, ours)
      const phone = await world.phone()
      await alice.talks(ours)
      await alice.mute(true)
      await alice.mute(false)
      await alice.talks(ours, 200)
      equal(offered.length, 1)
      await alice.hangUp()
      await phone.ended
      await records('rooms', 'telco')
    }, 90_000)

    it('a user calls a SIP-over-WebSocket user, without the phone network', async () => {
      const dave = await world.dave()
      const room = await alice.room(ghostOf(numbers.dave))
      await alice.call(room, ours)
      const call = await eventually('a call at dave', () => dave.calls[0])
      await alice.talks(daves)
      await eventually('dave hears her', () => call.media.hears(ours))
      await alice.hangUp()
      await records('rooms', 'acme')
    }, 90_000)
  })
}
