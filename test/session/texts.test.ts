import { describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { limits } from '../../src/session/limits.ts'
import { noFacts } from '../../src/session/model.ts'
import type { TextRef } from '../../src/session/text.ts'
import { caller } from '../support/sessions.ts'
import { settle, world } from '../support/world.ts'

const brief = (w: ReturnType<typeof world>) =>
  w.cdrs.map(c => [c.leg, c.attempt, c.service, c.kind, c.answeredAt !== null, c.release?.cause ?? null])

describe('a message', () => {
  it('is taken by the other side, told so, recorded once a leg, and nothing stays behind', async () => {
    const w = world()
    equal(await w.text('in 1'), { taken: true })
    await settle()
    equal(brief(w), [
      ['ingress', 1, 'message', 'final', true, null],
      ['egress', 1, 'message', 'final', true, null]
    ])
    equal([w.texts.sent[0]?.body.text, w.texts.sent[0]?.from.asserted], ['hello', []])
    equal([w.freed, w.hub.sessionCount, w.clock.timers, w.room.left], [w.admitted, 0, 0, 1_000])
  })
  it('goes to the next target when the first is out of reach; each attempt is recorded', async () => {
    const w = world(null, { targets: 2 })
    w.texts.refuses = 'a'
    equal(await w.text('in 1'), { taken: true })
    await settle()
    equal(brief(w), [
      ['egress', 1, 'message', 'final', false, 'unreachable'],
      ['ingress', 1, 'message', 'final', true, null],
      ['egress', 2, 'message', 'final', true, null]
    ])
    equal(w.freed, w.admitted)
  })
  it('that nobody takes is refused with the reason of the last who did not', async () => {
    const w = world()
    w.texts.refuses = 'a'
    equal(await w.text('in 1'), { taken: false, release: { cause: 'unreachable', from: 'callee' } })
    await settle()
    equal(
      w.cdrs.map(c => c.release?.from),
      ['callee', 'callee']
    )
  })
  it('whose other side never answers is refused in time', async () => {
    const w = world()
    w.matrix.sendText = () => new Promise(() => {})
    const verdict = w.text('in 1')
    await settle()
    await w.clock.advance(limits.textReplyMs)
    equal((await verdict).taken, false)
    equal([w.hub.sessionCount, w.clock.timers], [0, 0])
  })
  it('delivered and read are told to its sender; a receipt nobody waits for is ignored', async () => {
    const w = world()
    await w.text('in 1')
    w.inbox.received('out 1' as TextRef, 'delivered')
    w.inbox.received('out 1' as TextRef, 'read')
    w.inbox.received('out 1' as TextRef, 'read')
    w.inbox.received('unknown' as TextRef, 'failed')
    await settle()
    equal(w.texts.receipts, ['nni in 1 delivered', 'nni in 1 read'])
  })
  it('one whose answer says that it was delivered is told so without another word', async () => {
    const w = world()
    w.matrix.sendText = async () => ({ taken: true, ref: 'out 1' as TextRef, facts: noFacts, delivered: true })
    equal(await w.text('in 1'), { taken: true })
    await settle()
    equal(w.texts.receipts, ['nni in 1 delivered'])
  })
  it('what is told of it before it is known to be taken waits for that; of one that is refused it is forgotten', async () => {
    const w = world()
    w.matrix.sendText = async () => {
      for (const told of ['delivered', 'delivered', 'read'] as const) w.inbox.received('out 1' as TextRef, told)
      equal(w.texts.receipts, [])
      return { taken: true, ref: 'out 1' as TextRef, facts: noFacts }
    }
    equal(await w.text('in 1'), { taken: true })
    await settle()
    equal(w.texts.receipts, ['nni in 1 delivered', 'nni in 1 read'])
    w.matrix.sendText = async () => {
      w.inbox.received('out 2' as TextRef, 'read')
      return { taken: false, reason: { cause: 'declined' }, facts: noFacts }
    }
    await w.text('in 2')
    await settle()
    w.matrix.sendText = async () => ({ taken: true, ref: 'out 2' as TextRef, facts: noFacts })
    await w.text('in 3')
    await settle()
    equal(w.texts.receipts.length, 2)
  })
  it('what is told too early is kept of a bounded number of messages', async () => {
    const w = world()
    w.matrix.sendText = async () => {
      for (let n = 0; n <= limits.textsMax; n++) w.inbox.received(`out ${n}` as TextRef, 'read')
      return { taken: true, ref: 'out 0' as TextRef, facts: noFacts }
    }
    await w.text('in 1')
    await settle()
    equal(w.texts.receipts, [])
  })
  it('typing is shown to whoever has taken a message of the writer lately, and to nobody else', async () => {
    const w = world()
    const typed: unknown[] = []
    w.matrix.sendTyping = async ({ state }) => void typed.push(state)
    const typing = { caller, called: 'tel:+491', state: 'composing' } as const
    w.inbox.typed(typing)
    await w.text('in 1')
    w.inbox.typed(typing)
    w.inbox.typed({ ...typing, called: 'tel:+4930999' })
    await w.clock.advance(limits.typingKeepMs + 1)
    w.inbox.typed(typing)
    await settle()
    equal(typed, ['composing'])
  })
  it('a receipt that comes after a day is too late', async () => {
    const w = world()
    await w.text('in 1')
    await w.clock.advance(limits.receiptKeepMs + 1)
    w.inbox.received('out 1' as TextRef, 'read')
    await settle()
    equal(w.texts.receipts, [])
  })
  it('receipts are kept for a bounded number of messages, the oldest give way', async () => {
    const w = world()
    for (let n = 0; n <= limits.receiptsMax; n++) await w.text(`in ${n}`)
    w.inbox.received('out 1' as TextRef, 'read')
    w.inbox.received('out 2' as TextRef, 'read')
    await settle()
    equal(w.texts.receipts, ['nni in 1 read'])
  })
  it('too many at once, or without room for its records, is refused as congestion', async () => {
    const w = world(null, { room: 1 })
    w.matrix.sendText = () => new Promise(() => {})
    void w.text('in 1')
    const verdict = await w.text('in 2')
    ok(!verdict.taken && verdict.release.cause === 'congestion')
  })
})

describe('a message: every port failing in turn', () => {
  for (const port of ['route', 'decideText', 'free', 'sendText', 'write']) {
    for (const how of ['throws', 'rejects'] as const) {
      it(`${port} ${how}: there is a verdict, one record a leg, and nothing stays behind`, async () => {
        const w = world({ port, how, times: 1 })
        const verdict = await w.text('in 1')
        await settle()
        await w.clock.advance(60_000)
        equal(verdict.taken, port === 'free' || port === 'write')
        equal([w.hub.sessionCount, w.clock.timers, w.faults.length], [0, 0, 1])
        equal(w.cdrs.filter(c => c.leg === 'ingress').length, 1)
        equal(w.room.left, 1_000)
      })
    }
  }
  it('a receipt that cannot be passed on harms nobody', async () => {
    const w = world({ port: 'sendReceipt', how: 'rejects', times: 1 })
    await w.text('in 1')
    w.inbox.received('out 1' as TextRef, 'read')
    await settle()
    equal(w.faults, ['text.receipt'])
  })
})
