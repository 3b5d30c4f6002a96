// Several Matrix islands in one hub: each with its homeserver, none the worse for the others.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createMatrix } from '../../../src/adapters/matrix/matrix.ts'
import type { Matrix } from '../../../src/adapters/matrix/matrix.ts'
import { matrixMigrations } from '../../../src/adapters/matrix/store.ts'
import { systemClock } from '../../../src/compose.ts'
import { linkSecretOf, parseConfig } from '../../../src/config.ts'
import type { ChargingId, LegRef, SessionId, Target } from '../../../src/session/model.ts'
import type { TextVerdict } from '../../../src/session/ports.ts'
import type { TextRef } from '../../../src/session/text.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { FakeInbox } from '../../support/inbox.ts'
import { from, sdpOf } from '../../support/matrix-fake-calls.ts'
import { FakeServer } from '../../support/matrix-fake-server.ts'
import { quiet } from '../../support/matrix-fakes.ts'
import { eventually } from '../../support/until.ts'

let postgres: TestPostgres
let database: TestDatabase
let one: FakeServer
let two: FakeServer
let matrix: Matrix
let inbox: FakeInbox
const waitingEventsMax = 20
const ghostAt = (domain: string): string => `@_isthmus_4989123456:${domain}`

beforeAll(async () => {
  postgres = await startTestPostgres()
}, 120_000)
afterAll(() => postgres.stop(), 60_000)

beforeEach(async () => {
  database = await postgres.fresh(matrixMigrations)
  one = new FakeServer({ serverName: 'one.example', hsToken: 'hs-one' })
  two = new FakeServer({ serverName: 'two.example', hsToken: 'hs-two' })
  await Promise.all([one.start(), two.start()])
  const island = (id: string, { url }: FakeServer): object => ({
    id,
    access: 'matrix',
    domain: `${id}.example`,
    homeserver: url,
    asToken: { secret: `as-${id}` },
    hsToken: { secret: `hs-${id}` },
    users: [{ name: 'alice' }]
  })
  const away = { ...island('away', one), homeserver: 'http://127.0.0.1:9' }
  const text = JSON.stringify({
    matrix: { host: '127.0.0.1', port: 0 },
    islands: [island('one', one), island('two', two), away, { ...island('off', one), enabled: false }]
  })
  inbox = new FakeInbox()
  matrix = createMatrix({
    config: parseConfig(text),
    database,
    log: quiet,
    clock: systemClock,
    secretOf: linkSecretOf,
    numberOf: () => '+4930111001',
    limits: { waitingEventsMax },
    random: () => 0
  })
  await matrix.start(inbox)
  for (const server of [one, two]) server.endpoint = matrix.url
  await eventually('both answer', () => matrix.ready('one') && matrix.ready('two'))
})
afterEach(async () => {
  await matrix.close()
  await Promise.all([one.close(), two.close()])
}, 60_000)

async function open(server: FakeServer, domain: string, roomId = '!room'): Promise<void> {
  expect(await server.push([server.invitation(roomId, ghostAt(domain))])).toBe(200)
}
const says = (server: FakeServer, body: string, roomId = '!room'): Promise<number> =>
  server.push([server.event(roomId, 'm.room.message', { msgtype: 'm.text', body })])
const heardBy = (island: string): readonly string[] =>
  inbox.texts.filter(({ caller }) => caller.peerId === island).map(({ body }) => body.text)
const targetAt = (island: string): Target => ({
  access: 'matrix',
  peerId: island,
  uri: `sip:alice@${island}.example`,
  trust: 'user' as const,
  media: 'webrtc' as const,
  needsOffer: true
})
const invitation = (island: string) => ({
  id: 'session' as SessionId,
  attempt: 1,
  charging: {} as ChargingId,
  from,
  target: targetAt(island),
  origin: {} as never,
  service: 'voice' as const,
  sdp: sdpOf()
})

describe('islands', () => {
  it('are told apart by the token of their homeserver, also where rooms have the same name', async () => {
    await Promise.all([open(one, 'one.example'), open(two, 'two.example')])
    await Promise.all([says(one, 'from one'), says(two, 'from two')])
    await eventually('both are heard', () => inbox.texts.length === 2)
    expect([heardBy('one'), heardBy('two')]).toEqual([['from one'], ['from two']])
    // A user of the one in a transaction of the other is nobody's.
    const stranger = one.event(
      '!room',
      'm.room.message',
      { msgtype: 'm.text', body: 'odd' },
      { sender: '@alice:two.example' }
    )
    expect(await one.push([stranger])).toBe(200)
    await says(one, 'last')
    await eventually('the last one is heard', () => heardBy('one').includes('last'))
    expect(inbox.texts.map(({ body }) => body.text)).not.toContain('odd')
  })

  it('do not wait for one that floods: it is told to come again, and nothing of it is lost', async () => {
    await Promise.all([open(one, 'one.example'), open(two, 'two.example')])
    const waits: ((verdict: TextVerdict) => void)[] = []
    inbox.verdict = ({ caller }) =>
      caller.peerId === 'one' ? new Promise(done => void waits.push(done)) : Promise.resolve({ taken: true })
    const flood = Array.from({ length: waitingEventsMax }, (_, n) => one.event(`!flood-${n}`, 'm.test', { n }))
    for (let n = 0; n < waitingEventsMax - 1; n++) expect(await says(one, `flood ${n}`)).toBe(200)
    await eventually('the first waits', () => waits.length === 1)
    expect(await one.push(flood)).toBe(503)
    for (let n = 0; n < 5; n++) expect(await says(two, `calm ${n}`)).toBe(200)
    await eventually('the other is heard', () => heardBy('two').length === 5)
    inbox.verdict = async () => ({ taken: true })
    for (const wait of waits) wait({ taken: true })
    await eventually('all of the flood is heard', () => heardBy('one').length === waitingEventsMax - 1)
    await eventually('there is room again', async () => (await one.push(flood)) === 200)
  })

  it('do not wait for one whose homeserver is away', async () => {
    await open(two, 'two.example')
    const lost = matrix.sendText({ ...invitation('away'), body: { type: 'text/plain', text: 'x' } })
    const leg = matrix.invite(invitation('away'))
    expect(await matrix.sendText({ ...invitation('two'), body: { type: 'text/plain', text: 'hello' } })).toMatchObject({
      taken: true
    })
    expect(two.sent.map(({ content }) => content['body'])).toEqual(['hello'])
    expect(await lost).toMatchObject({ taken: false, reason: { cause: 'unreachable' } })
    expect((await inbox.wait('ended', leg)).reason.cause).toBe('unreachable')
    expect(matrix.ready('away')).toBe(false)
    await one.close()
    await eventually('it is noticed', () => !matrix.ready('one'))
    expect(matrix.ready('two')).toBe(true)
  })
})

describe('the adapter', () => {
  it('finds the island of a leg, a message and a target by its name', async () => {
    await open(two, 'two.example')
    const leg = matrix.invite(invitation('two'))
    await inbox.wait('alerting', leg)
    expect(two.sent.map(({ type }) => type)).toEqual(['m.call.invite'])
    await matrix.end(leg, { cause: 'answered-elsewhere', from: 'caller' })
    await eventually('the end is sent', () => two.sent.some(({ type }) => type === 'm.call.hangup'))
    expect(one.sent).toEqual([])
    expect(() => matrix.invite(invitation('off'))).toThrow(/no Matrix island off is connected/)
    expect(await matrix.sendText({ ...invitation('off'), body: { type: 'text/plain', text: 'x' } })).toMatchObject({
      taken: false,
      reason: { cause: 'not-found' }
    })
    // What is said of nothing that is known does nothing.
    const nobody = 'matrix off 1' as LegRef
    await matrix.alert(nobody)
    await matrix.progress(nobody, { sdp: null, reliable: false })
    await matrix.answer(nobody, { sdp: null, connected: null })
    await matrix.acknowledge(nobody, sdpOf())
    await matrix.reoffer(nobody, { exchange: 1, sdp: sdpOf() })
    await matrix.answerReoffer(nobody, sdpOf())
    await matrix.refuseReoffer(nobody, 'glare')
    await matrix.end(nobody, { cause: 'normal', from: 'caller' })
    await matrix.sendReceipt('odd' as TextRef, 'read')
    await matrix.sendTyping?.({ from, target: targetAt('off'), state: 'composing' })
  })

  it('takes no calls while it is drained, and does not start without its tokens', async () => {
    await matrix.drain()
    const leg = matrix.invite(invitation('two'))
    expect((await inbox.wait('ended', leg)).reason.cause).toBe('unavailable')
    const island = {
      id: 'one',
      access: 'matrix',
      domain: 'one.example',
      homeserver: one.url,
      asToken: { secretEnv: 'NOT_THERE' },
      hsToken: { secret: 'x' }
    }
    const config = parseConfig(JSON.stringify({ islands: [island] }))
    const parts = { database, log: quiet, clock: systemClock, secretOf: linkSecretOf, numberOf: () => null }
    expect(() => createMatrix({ ...parts, config })).toThrow(/NOT_THERE/)
  })
})
