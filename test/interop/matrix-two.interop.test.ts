// Two homeservers at one hub: users of the one and of the other write to and call each other, each by its number, and an
// island whose token no homeserver knows says so and hurts nobody.
// needs: synapse

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { registrationOf } from '../../src/adapters/matrix/registration.ts'
import { webrtcOffer } from '../support/matrix-call-events.ts'
import { ghostOf, numbers, openMatrixHub } from '../support/matrix-world.ts'
import type { MatrixHub } from '../support/matrix-world.ts'
import { openMatrixUser } from '../support/matrix-user.ts'
import type { MatrixUser } from '../support/matrix-user.ts'
import { startSynapse } from '../support/synapse.ts'
import type { Synapse } from '../support/synapse.ts'
import { eventually } from '../support/until.ts'

jest.setTimeout(120_000)

const carolsNumber = '+4930555001'
const otherName = 'other.test'
const otherGhost = (number: string): string => `@_isthmus_${number.slice(1)}:${otherName}`
/** An answer to whatever was offered: nobody listens to the media here. */
const answerSdp = webrtcOffer.replace('a=setup:actpass', 'a=setup:active')

let world: MatrixHub
let other: Synapse
let alice: MatrixUser
let carol: MatrixUser

beforeAll(async () => {
  world = await openMatrixHub({
    anchor: 'embedded',
    portMin: 41_000,
    moreIslands: async ({ hub, homeserver }) => {
      const tokens = { asToken: 'as-other', hsToken: 'hs-other' }
      const place = { islandId: 'other', domain: otherName, ghostPrefix: '_isthmus_', url: hub }
      other = await startSynapse({ serverName: otherName, registrations: [registrationOf({ ...place, ...tokens })] })
      const island = (id: string, domain: string, url: string, name: string, number: string) => ({
        id,
        access: 'matrix',
        domain,
        homeserver: url,
        asToken: { secret: `as-${id}` },
        hsToken: { secret: `hs-${id}` },
        codecs: ['PCMA', 'telephone-event'],
        dialPlan: { countryCode: '49' },
        users: [{ name, number }]
      })
      return [
        island('other', otherName, other.url, 'carol', carolsNumber),
        // Nobody has told the homeserver of this token.
        island('unknown', 'unknown.test', homeserver, 'erin', '+4930555002')
      ]
    }
  })
  ;[alice, carol] = (await Promise.all([world.synapse.user('alice'), other.user('carol')]).then(accounts =>
    accounts.map(openMatrixUser)
  )) as [MatrixUser, MatrixUser]
  await eventually(
    'the other homeserver answers',
    () => world.hub.logged().some(({ msg, island }) => island === 'other' && msg === 'the homeserver answers'),
    60_000
  )
}, 300_000)
afterAll(async () => {
  await Promise.all([alice?.close(), carol?.close()])
  await world?.close()
  await other?.stop()
}, 120_000)

describe('users of two homeservers', () => {
  it('write to each other, each behind a ghost on the other one', async () => {
    const roomId = await alice.room(ghostOf(carolsNumber))
    await alice.says(roomId, 'hello over there')
    const heard = await carol.hears('hello over there', 30_000)
    expect(heard.sender).toBe(otherGhost(numbers.alice))
    await carol.says(heard.roomId, 'hello yourself')
    expect((await alice.hears('hello yourself', 30_000)).roomId).toBe(roomId)
  })

  it('call each other: it rings there, is answered and hung up, and each leg is recorded once', async () => {
    const since = await world.finalCount()
    const roomId = await alice.room(ghostOf(carolsNumber))
    const common = { call_id: 'across', party_id: 'ALICE', version: '1' }
    const offer = { type: 'offer', sdp: webrtcOffer }
    await alice.send(roomId, 'm.call.invite', { ...common, lifetime: 60_000, offer })
    const invite = await carol.wait('a call', ({ type }) => type === 'm.call.invite', 30_000)
    const theirs = { call_id: invite.content['call_id'], party_id: 'CAROL', version: '1' }
    await carol.send(invite.roomId, 'm.call.answer', { ...theirs, answer: { type: 'answer', sdp: answerSdp } })
    await alice.wait('an answer', ({ type, content }) => type === 'm.call.answer' && content['call_id'] === 'across')
    await carol.send(invite.roomId, 'm.call.hangup', { ...theirs, reason: 'user_hangup' })
    await alice.wait('a hangup', ({ type, content }) => type === 'm.call.hangup' && content['call_id'] === 'across')
    const finals = await world.finals(2, since)
    expect(finals.map(({ leg, provider, cause }) => [leg, provider, cause])).toEqual([
      ['ingress', 'rooms', 'normal'],
      ['egress', 'other', 'normal']
    ])
  })
})

describe('an island whose token its homeserver does not know', () => {
  it('says so in the log, by name', async () => {
    const said = await eventually('it is said', () =>
      world.hub.logged().find(({ island, msg }) => island === 'unknown' && msg === 'tried again until it answers')
    )
    expect(String(said['why'])).toMatch(/M_UNKNOWN_TOKEN/)
  })
})

describe('the books', () => {
  it('have one final record for each leg, rated and settled', async () => {
    expect(await world.faults()).toEqual([])
  })
})
