// Attempts that have said nothing when the hub dies: closed once, as incomplete, wherever the cut falls.

import { afterEach, describe, expect, it } from '@jest/globals'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { chainFault } from '../../src/events/chain.ts'
import { notesPerSession, openOutbox, slotsPerSession } from '../../src/events/outbox.ts'
import type { Outbox, OutboxOptions } from '../../src/events/outbox.ts'
import { legOf } from '../../src/events/retention.ts'
import { decodeSlot, slotBytes } from '../../src/events/slots.ts'
import { createLog } from '../../src/log.ts'
import type { Cdr } from '../../src/session/model.ts'
import { answeredAt, startOf } from '../support/cdrs.ts'
import { eventually } from '../support/child.ts'
import { memoryLog } from '../support/memory-log.ts'
import type { MemoryLog } from '../support/memory-log.ts'
import { weakDisk } from '../support/power-cut.ts'
import type { WeakDisk } from '../support/power-cut.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'

const folders: string[] = []
const opened: Outbox[] = []
afterEach(async () => {
  for (const outbox of opened.splice(0)) await outbox.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'isthmus-notes-'))
  folders.push(made)
  return made
}

async function open(more: Partial<OutboxOptions> = {}): Promise<Outbox> {
  const outbox = await openOutbox({
    dir: folder(),
    slots: 64,
    hubId: 'hub',
    node: 'node-1',
    heartbeatMs: 60_000,
    eventLog: memoryLog(),
    providerOf: peer => peer,
    log: createLog('silent'),
    now: () => answeredAt,
    elapsed: () => 1_000,
    relayLimits: { retryMs: 1, retryMsMax: 4, gatherMs: 0 },
    journalLimits: { gatherMs: 0, noteMs: 1 },
    ...more
  })
  opened.push(outbox)
  return outbox
}

/** What the core notes when it invites: both legs of a call that nobody has answered. */
function invited(attempt = 1, of: Cdr = startOf()): { readonly ingress: Cdr; readonly egress: Cdr } {
  const unheard = { ...of, alertedAt: null, answeredAt: null, requestedAt: answeredAt - 5_000 }
  const other = { peerId: 'operator-1', otherPeerId: 'island-1' }
  return { ingress: unheard, egress: { ...unheard, ...other, leg: 'egress', attempt } }
}
const busy = { kind: 'final', partialSeq: 0, release: { cause: 'busy', from: 'callee' } } as const

const notesIn = (image: Buffer): number =>
  Array.from({ length: image.length / slotBytes - 2 }, (_, i) =>
    decodeSlot(image, (i + 2) * slotBytes, 'record')
  ).filter(({ state }) => state === 'note').length

async function weak(more: Partial<OutboxOptions> = {}): Promise<{ outbox: Outbox; disk: WeakDisk }> {
  let disk: WeakDisk | null = null
  const outbox = await open({ ...more, disk: async path => (disk = weakDisk(path)) })
  const made = disk as WeakDisk | null
  if (made === null) throw new Error('no disk')
  return { outbox, disk: made }
}

/** The hub that is started on what is left, until it has told everything. */
async function after(image: Buffer, eventLog: MemoryLog): Promise<string> {
  const dir = folder()
  writeFileSync(join(dir, 'journal'), image)
  const outbox = await open({ dir, eventLog })
  expect(await outbox.drain(60_000)).toBe(true)
  await eventually(() => outbox.status.free === outbox.status.slots)
  await outbox.close()
  return dir
}
const finalsOf = (records: readonly CdrRecord[]) => records.filter(({ kind }) => kind === 'final')

describe('attempts that only ring when the hub dies', () => {
  it('leave one record each: incomplete, not answered, nothing to bill; dying again adds none', async () => {
    const eventLog = memoryLog()
    const { outbox, disk } = await weak({ eventLog })
    const { ingress, egress } = invited()
    expect(outbox.admit(ingress.callId)).toBe(true)
    outbox.note(ingress)
    outbox.note(egress)
    await eventually(() => notesIn(disk.cut(() => 0)) === 2)
    expect(eventLog.records).toEqual([])
    const dir = await after(
      disk.cut(() => 0),
      eventLog
    )
    expect(
      eventLog.records.map(r => [r.kind, r.leg, r.partial_seq, r.incomplete, r.units, r.cause, r.t_answer])
    ).toEqual([
      ['final', 'ingress', 0, true, 0, 'internal', null],
      ['final', 'egress', 0, true, 0, 'internal', null]
    ])
    await after(readFileSync(join(dir, 'journal')), eventLog)
    expect(eventLog.records).toHaveLength(2)
    expect(chainFault(eventLog.records)).toBeNull()
  })

  it('that were refused before anybody wrote them down are never written, and their room is free', async () => {
    const { outbox, disk } = await weak({ journalLimits: { gatherMs: 0, noteMs: 60_000 } })
    const { ingress, egress } = invited()
    outbox.admit(ingress.callId)
    outbox.note(ingress)
    outbox.note(egress)
    expect(outbox.status.free).toBe(62)
    await Promise.all([outbox.write({ ...ingress, ...busy }), outbox.write({ ...egress, ...busy })])
    expect(notesIn(disk.cut(() => 0))).toBe(0)
    expect(await outbox.drain(60_000)).toBe(true)
    await eventually(() => outbox.status.free === 64)
    outbox.release(ingress.callId)
    expect(outbox.status.reserved).toBe(0)
  })

  it('never take the room of a record, however fast they follow each other', async () => {
    const away = Object.assign(memoryLog(), { away: true })
    const outbox = await open({ slots: slotsPerSession, eventLog: away })
    const start = startOf()
    const { ingress } = invited(1, start)
    expect(outbox.admit(ingress.callId)).toBe(true)
    outbox.note(ingress)
    const finals: Promise<unknown>[] = []
    for (let attempt = 1; attempt <= 8; attempt++) {
      const { egress } = invited(attempt, start)
      outbox.note(egress)
      expect(outbox.status.free).toBeGreaterThanOrEqual(outbox.status.reserved)
      finals.push(outbox.write({ ...egress, ...busy }))
    }
    await Promise.all([...finals, outbox.write({ ...ingress, ...busy })])
    await eventually(() => outbox.status.free === slotsPerSession - 9)
    outbox.release(ingress.callId)
    expect(outbox.status.reserved).toBe(0)
    expect(notesPerSession).toBeLessThan(9)
  })

  it('of a session that was given up are closed there and then', async () => {
    const eventLog = memoryLog()
    const outbox = await open({ eventLog })
    const { ingress, egress } = invited()
    outbox.admit(ingress.callId)
    outbox.note(ingress)
    outbox.note(egress)
    outbox.release(ingress.callId)
    expect(await outbox.drain(60_000)).toBe(true)
    expect(finalsOf(eventLog.records).map(({ leg, reason }) => [leg, reason])).toEqual([
      ['ingress', 'the hub gave the call up'],
      ['egress', 'the hub gave the call up']
    ])
    await eventually(() => outbox.status.free === 64 && outbox.status.reserved === 0)
  })

  it(`have at most one final, and one if they were written down, wherever the cut fell (seed ${seedFromEnvironment})`, async () => {
    const chance = mulberry32(seedFromEnvironment)
    const reached = { noted: 0, recovered: 0, ended: 0 }
    for (let round = 0; round < 40; round++) await oneCut(chance, reached)
    expect(Math.min(...Object.values(reached))).toBeGreaterThan(3)
  }, 120_000)
})

/** Calls are placed, ring, are refused or answered, at random; the power goes; the next hub closes what is open. */
async function oneCut(
  chance: (n: number) => number,
  reached: { noted: number; recovered: number; ended: number }
): Promise<void> {
  const eventLog = memoryLog()
  const { outbox, disk } = await weak({ eventLog, slots: 128 })
  const ringing: Cdr[] = []
  for (let i = 0, steps = 4 + chance(20); i < steps; i++) {
    const { ingress, egress } = invited()
    if (outbox.admit(ingress.callId)) {
      outbox.note(ingress)
      outbox.note(egress)
      ringing.push(egress)
    }
    if (chance(2) === 0) {
      const [one] = ringing.splice(chance(ringing.length), 1)
      if (one !== undefined) {
        const ended = [one, { ...one, leg: 'ingress', attempt: 1 } as const].map(cdr =>
          outbox.write({ ...cdr, ...busy })
        )
        void Promise.all(ended).then(() => outbox.release(one.callId))
      }
    }
    for (let turns = chance(20); turns > 0; turns--) await new Promise(setImmediate)
  }
  const image = disk.cut(chance)
  reached.noted += notesIn(image) > 0 ? 1 : 0
  const told = [...eventLog.records]
  const survivors = memoryLog()
  await survivors.append(told)
  await after(image, survivors)
  const finals = finalsOf(survivors.records)
  const legs = finals.map(legOf)
  expect(legs).toHaveLength(new Set(legs).size)
  reached.recovered += finals.some(({ incomplete }) => incomplete) ? 1 : 0
  reached.ended += finals.some(({ incomplete }) => !incomplete) ? 1 : 0
  await outbox.close()
}
