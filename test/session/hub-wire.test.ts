// What leaves the hub with an invitation: what the caller's side knows, and a note in case the hub dies.

import { deepEqual as equal } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { facts, ref } from '../support/sessions.ts'
import { settle, world } from '../support/world.ts'

describe('hub: what the caller side knows', () => {
  it('goes to the callee side, but for what names the caller side itself', async () => {
    const w = world()
    w.offer('caller 1')
    await settle()
    const { dialogId: _1, neighbour: _2, termIoi: _3, ...origin } = facts
    equal(
      w.matrix.invitations.map(invitation => invitation.origin),
      [origin]
    )
    await w.text('message 1')
    equal(
      w.texts.sent.map(text => text.origin),
      [origin]
    )
  })
})

describe('hub: legs that have said nothing yet', () => {
  it('are noted once they have reached the wire, each attempt and the caller, before anything is recorded', async () => {
    const w = world(null, { targets: 2 })
    const caller = w.offer('caller 1')
    await settle()
    const legs = () => w.noted.map(c => [c.leg, c.attempt, c.answeredAt, c.release])
    equal(
      [legs(), w.cdrs],
      [
        [
          ['ingress', 1, null, null],
          ['egress', 1, null, null]
        ],
        []
      ]
    )
    w.inbox.ended(ref('callee 1'), { cause: 'unreachable' })
    await settle()
    equal(legs().at(-1), ['egress', 2, null, null])
    w.inbox.ended(caller, { cause: 'cancelled' })
    await settle()
    equal(w.hub.sessionCount, 0)
  })
  it('nobody there, nobody noted: such a call leaves its record at once', async () => {
    const w = world(null, { targets: 0 })
    w.offer('caller 1')
    await settle()
    equal([w.noted, w.cdrs.map(c => [c.leg, c.kind])], [[], [['ingress', 'final']]])
  })
  it('a message on its way is noted like a call', async () => {
    const w = world()
    equal(await w.text('message 1'), { taken: true })
    equal(
      w.noted.map(c => [c.leg, c.service, c.answeredAt]),
      [
        ['ingress', 'message', null],
        ['egress', 'message', null]
      ]
    )
  })
  it('a sink that cannot note does not touch the call', async () => {
    const w = world({ port: 'note', how: 'throws', times: 2 })
    w.offer('caller 1')
    await settle()
    equal([w.hub.sessionCount, w.faults], [1, ['cdr.note', 'cdr.note']])
  })
})
