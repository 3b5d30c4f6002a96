import { afterEach, describe, expect, it } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { chainFault } from '../../src/events/chain.ts'
import { notesPerSession, openOutbox, slotsPerSession } from '../../src/events/outbox.ts'
import type { Outbox, OutboxOptions } from '../../src/events/outbox.ts'
import { createLog } from '../../src/log.ts'
import type { Cdr, SessionId } from '../../src/session/model.ts'
import { answeredAt, cdrOf, startOf } from '../support/cdrs.ts'
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
  const made = mkdtempSync(join(tmpdir(), 'isthmus-outbox-'))
  folders.push(made)
  return made
}

let clock = answeredAt
const relayLimits = { retryMs: 1, retryMsMax: 4, appendMs: 200 }
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
    now: () => clock,
    elapsed: () => clock - Date.UTC(2026, 0),
    relayLimits,
    ...more
  })
  opened.push(outbox)
  return outbox
}

/** The records that an answered call of two legs leaves: at its answer, and at its end. */
function call(): { readonly id: SessionId; readonly starts: readonly Cdr[]; readonly finals: readonly Cdr[] } {
  const start = startOf()
  const legs: readonly Partial<Cdr>[] = [
    { leg: 'ingress' },
    { leg: 'egress', peerId: 'operator-1', otherPeerId: 'island-1' }
  ]
  const end = { kind: 'final', partialSeq: 1, endedAt: answeredAt + 60_000, durationMs: 60_000 } as const
  return {
    id: start.callId,
    starts: legs.map(leg => ({ ...start, ...leg })),
    finals: legs.map(leg => ({ ...cdrOf({ callId: start.callId }), ...leg, ...end }))
  }
}

const writeAll = (outbox: Outbox, cdrs: readonly Cdr[]): Promise<unknown> =>
  Promise.all(cdrs.map(cdr => outbox.write(cdr)))
const finalsOf = (records: readonly CdrRecord[]): readonly CdrRecord[] => records.filter(({ kind }) => kind === 'final')

describe('the outbox', () => {
  it('takes a call from its admission to an empty journal, and the event log has every record once, in order', async () => {
    const eventLog = memoryLog()
    const outbox = await open({ eventLog })
    const { id, starts, finals } = call()
    expect(outbox.admit(id)).toBe(true)
    await writeAll(outbox, starts)
    expect(await outbox.drain(5_000)).toBe(true)
    expect(outbox.status.free).toBe(62)
    await writeAll(outbox, finals)
    outbox.release(id)
    expect(await outbox.drain(5_000)).toBe(true)
    await eventually(() => outbox.status.free === 64)
    expect(outbox.status).toMatchObject({ reserved: 0, waiting: 0, blindSince: null, healthy: true })
    expect(eventLog.records.map(({ seq, kind, leg }) => [seq, kind, leg])).toEqual([
      [1, 'start', 'ingress'],
      [2, 'start', 'egress'],
      [3, 'final', 'ingress'],
      [4, 'final', 'egress']
    ])
    expect(chainFault(eventLog.records)).toBeNull()
  })

  it('admits a call only where its worst case fits, and gives the room back', async () => {
    const outbox = await open({ slots: 64 })
    const ids = Array.from({ length: 5 }, () => call().id)
    expect(ids.map(id => outbox.admit(id))).toEqual([true, true, true, true, false])
    expect(outbox.status.reserved).toBe(4 * slotsPerSession)
    expect(outbox.admit(ids[0]!)).toBe(true)
    outbox.release(ids[0]!)
    outbox.release(ids[0]!)
    expect(outbox.admit(ids[4]!)).toBe(true)
  })

  it('has room for the worst that an admitted call can do, whatever the others write', async () => {
    const outbox = await open({ slots: slotsPerSession + 1, eventLog: Object.assign(memoryLog(), { away: true }) })
    const { id, starts, finals } = call()
    expect(outbox.admit(id)).toBe(true)
    await outbox.write(cdrOf())
    await expect(outbox.write(cdrOf())).rejects.toMatchObject({ code: 'HUB_JOURNAL', retryable: true })
    const [ingress, egress] = finals
    const attempts = Array.from({ length: 8 }, (_, i) => ({ ...egress!, attempt: i + 1, partialSeq: i === 7 ? 1 : 0 }))
    await writeAll(outbox, [starts[0]!, { ...starts[1]!, attempt: 8 }, ...attempts, ingress!])
    // What is left is for notes.
    expect(outbox.status).toMatchObject({ free: notesPerSession, reserved: notesPerSession })
  })

  it('an interim record never takes the room of a final', async () => {
    const outbox = await open({ slots: slotsPerSession, eventLog: Object.assign(memoryLog(), { away: true }) })
    const { id, starts, finals } = call()
    expect(outbox.admit(id)).toBe(true)
    await writeAll(outbox, starts)
    const interim: Cdr = { ...starts[0]!, kind: 'interim', partialSeq: 1 }
    await expect(outbox.write(interim)).rejects.toMatchObject({ retryable: true })
    await writeAll(
      outbox,
      finals.map(final => ({ ...final, partialSeq: 2 }))
    )
  })

  it('the same key twice is one record and one promise; a leg has one final and nothing after it', async () => {
    const eventLog = memoryLog()
    const outbox = await open({ eventLog })
    const { id, starts, finals } = call()
    outbox.admit(id)
    const first = outbox.write(starts[0]!)
    expect(outbox.write(starts[0]!)).toBe(first)
    const final = outbox.write(finals[0]!)
    expect(outbox.write(finals[0]!)).toBe(final)
    expect(outbox.write({ ...finals[0]!, partialSeq: 2 })).toBe(final)
    expect(outbox.write({ ...starts[0]!, kind: 'interim', partialSeq: 3 })).toBe(final)
    await final
    await outbox.drain(5_000)
    expect(eventLog.records.map(({ kind }) => kind)).toEqual(['start', 'final'])
  })

  it('closes the legs of a session that was given up without its finals', async () => {
    const eventLog = memoryLog()
    const outbox = await open({ eventLog })
    const { id, starts, finals } = call()
    outbox.admit(id)
    await writeAll(outbox, [...starts, finals[0]!])
    clock = answeredAt + 30_000
    outbox.release(id)
    await outbox.drain(5_000)
    const closed = finalsOf(eventLog.records)
    expect(closed.map(({ leg, incomplete, t_end }) => [leg, incomplete, t_end])).toEqual([
      ['ingress', false, answeredAt + 60_000],
      ['egress', true, answeredAt + 30_000]
    ])
    await eventually(() => outbox.status.free === 64)
  })

  it('writes without admission while there is room', async () => {
    const outbox = await open()
    await outbox.write(cdrOf())
    expect(await outbox.drain(5_000)).toBe(true)
  })
})

describe('while the event log is away', () => {
  it('calls go on, the journal keeps their records, and each is relayed once when it is back', async () => {
    const eventLog = Object.assign(memoryLog(), { away: true })
    const outbox = await open({ eventLog })
    const calls = Array.from({ length: 5 }, call)
    for (const { id, starts, finals } of calls) {
      expect(outbox.admit(id)).toBe(true)
      await writeAll(outbox, [...starts, ...finals])
      outbox.release(id)
    }
    await eventually(() => eventLog.tries > 3)
    expect(outbox.status).toMatchObject({ waiting: 20, free: 44, blindSince: clock })
    expect(await outbox.drain(20)).toBe(false)
    eventLog.away = false
    await eventually(() => outbox.status.free === 64)
    expect(eventLog.records.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    expect(outbox.status).toMatchObject({ waiting: 0, blindSince: null })
  })

  it('no call is admitted any more once the journal is full', async () => {
    const eventLog = Object.assign(memoryLog(), { away: true })
    const outbox = await open({ eventLog })
    let admitted = 0
    for (let next = call(); outbox.admit(next.id); next = call(), admitted += 1) {
      await writeAll(outbox, [...next.starts, ...next.finals])
      outbox.release(next.id)
    }
    expect(admitted).toBe(Math.floor((64 - slotsPerSession) / 4) + 1)
    eventLog.away = false
    await eventually(() => outbox.admit(call().id))
  })

  it('an answer that was lost, or never comes, repeats an append and no record', async () => {
    const eventLog = Object.assign(memoryLog(), { answerLost: true })
    const outbox = await open({ eventLog })
    await outbox.write(cdrOf())
    await eventually(() => outbox.status.free === 64)
    eventLog.silent = true
    await outbox.write(cdrOf())
    await eventually(() => outbox.status.free === 64)
    expect(eventLog.records.map(({ seq }) => seq)).toEqual([1, 2])
    expect(eventLog.tries).toBe(4)
  })

  it('what was not relayed is, after the next start', async () => {
    const dir = folder()
    const away = await open({ dir, eventLog: Object.assign(memoryLog(), { away: true }) })
    await away.write(cdrOf())
    await away.close()
    const eventLog = memoryLog()
    const back = await open({ dir, eventLog })
    expect(await back.drain(5_000)).toBe(true)
    expect(eventLog.records).toHaveLength(1)
  })
})

/** A hub that dies after `work`, and what its disk held then. */
async function killed(
  clocks: Pick<OutboxOptions, 'now' | 'elapsed'>,
  eventLog: MemoryLog,
  work: (of: ReturnType<typeof call>, outbox: Outbox) => Promise<void>
): Promise<{ readonly outbox: Outbox; readonly image: Buffer }> {
  let disk: WeakDisk | null = null
  const outbox = await open({ ...clocks, eventLog, heartbeatMs: 5, disk: async path => (disk = weakDisk(path)) })
  await work(call(), outbox)
  return { outbox, image: (disk as WeakDisk | null)?.cut(() => 0) ?? Buffer.alloc(0) }
}

describe('after the hub died in a call', () => {
  it('CDR-03 each open leg gets one final, billed to the last heartbeat, however often it dies again', async () => {
    const eventLog = memoryLog()
    let disk: WeakDisk | null = null
    const dir = folder()
    clock = answeredAt
    const outbox = await open({ dir, eventLog, heartbeatMs: 5, disk: async path => (disk = weakDisk(path)) })
    const { id, starts, finals } = call()
    outbox.admit(id)
    await writeAll(outbox, starts)
    await writeAll(outbox, finals.slice(0, 1))
    clock = answeredAt + 20_000
    await outbox.write(cdrOf())
    const image = (disk as WeakDisk | null)?.cut(() => 0) ?? Buffer.alloc(0)

    // Three more lives, hours apart; the event log is away, and the first two die before anything was relayed.
    let left = image
    for (const hours of [1, 2, 3]) {
      clock = answeredAt + hours * 3_600_000
      const next = folder()
      writeFileSync(join(next, 'journal'), left)
      const log = hours < 3 ? Object.assign(memoryLog(), { away: true }) : eventLog
      const again = await open({ dir: next, eventLog: log, disk: async path => (disk = weakDisk(path)) })
      left = (disk as WeakDisk | null)?.cut(() => 0) ?? Buffer.alloc(0)
      if (hours === 3) expect(await again.drain(5_000)).toBe(true)
    }
    const egress = finalsOf(eventLog.records).filter(({ call_id, leg }) => call_id === id && leg === 'egress')
    expect(egress).toHaveLength(1)
    expect(egress[0]).toMatchObject({ t_end: answeredAt + 20_000, duration_ms: 20_000, incomplete: true, units: 20 })
    const ingress = finalsOf(eventLog.records).filter(({ call_id, leg }) => call_id === id && leg === 'ingress')
    expect(ingress.map(({ incomplete }) => incomplete)).toEqual([false])
    expect(chainFault(eventLog.records)).toBeNull()
  })

  it('is billed for as long as it lasted, whoever set the wall clock in the call', async () => {
    for (const stepMs of [-86_400_000, 3_600_000]) {
      const eventLog = memoryLog()
      let [wall, steady] = [answeredAt, 5_000]
      const clocks = { now: () => wall, elapsed: () => steady }
      const { outbox, image } = await killed(clocks, eventLog, async ({ id, starts }, running) => {
        running.admit(id)
        await writeAll(running, starts)
        steady += 30_000
        wall += 30_000 + stepMs
        await running.write(cdrOf())
      })
      await outbox.close()
      const dir = folder()
      writeFileSync(join(dir, 'journal'), image)
      // The next process has a steady clock of its own.
      const again = await open({ dir, eventLog, now: () => wall + 60_000, elapsed: () => 3 })
      expect(await again.drain(60_000)).toBe(true)
      const cutOff = eventLog.records.filter(({ incomplete }) => incomplete)
      expect(cutOff.map(({ duration_ms, units, t_end }) => [duration_ms, units, t_end])).toEqual(
        [1, 2].map(() => [30_000, 30, answeredAt + 30_000])
      )
    }
  })

  it(`wherever the power was cut: nothing lost, nothing closed twice (seed ${seedFromEnvironment})`, async () => {
    const chance = mulberry32(seedFromEnvironment)
    const reached = { closed: 0, completed: 0 }
    for (let round = 0; round < 25; round++) await manyLives(chance, reached)
    expect(Math.min(reached.closed, reached.completed)).toBeGreaterThan(20)
  })
})

/** Several lives on one journal, each cut off somewhere; one event log that sees them all. */
async function manyLives(chance: (n: number) => number, reached: { closed: number; completed: number }): Promise<void> {
  const eventLog = memoryLog()
  const acknowledged = new Set<string>()
  let dir = folder()
  for (let life = 0; life < 4; life++) {
    let disk: WeakDisk | null = null
    eventLog.away = chance(3) === 0
    const journalLimits = { gatherMs: 0 }
    const outbox = await open({ dir, eventLog, journalLimits, disk: async path => (disk = weakDisk(path)) })
    for (let i = chance(8); i > 0; i--) {
      const { id, starts, finals } = call()
      if (!outbox.admit(id)) continue
      const write = (cdr: Cdr): Promise<unknown> =>
        outbox.write(cdr).then(() => acknowledged.add(`${cdr.callId}/${cdr.leg}/${cdr.kind}`))
      const talk = Promise.all(starts.map(write)).then(() => (chance(2) === 0 ? Promise.all(finals.map(write)) : null))
      // The process dies in the middle of it.
      talk.catch(() => undefined)
      for (let turns = chance(10); turns > 0; turns--) await new Promise(setImmediate)
    }
    const known = [...acknowledged]
    const image = (disk as WeakDisk | null)?.cut(chance) ?? Buffer.alloc(0)
    // The dead process relays nothing more.
    eventLog.away = true
    await outbox.close()
    acknowledged.clear()
    for (const key of known) acknowledged.add(key)
    dir = folder()
    writeFileSync(join(dir, 'journal'), image)
  }
  eventLog.away = false
  const last = await open({ dir, eventLog })
  expect(await last.drain(5_000)).toBe(true)
  await eventually(() => last.status.free === 64)
  const records = [...eventLog.records].sort((a, b) => a.seq - b.seq)
  expect(chainFault(records)).toBeNull()
  expect(records[0]?.seq ?? 1).toBe(1)
  const present = new Set(records.map(({ call_id, leg, kind }) => `${call_id}/${leg}/${kind}`))
  expect([...acknowledged].filter(key => !present.has(key))).toEqual([])
  for (const { call_id, leg, incomplete } of finalsOf(records)) {
    expect(finalsOf(records).filter(other => other.call_id === call_id && other.leg === leg)).toHaveLength(1)
    reached[incomplete ? 'closed' : 'completed'] += 1
  }
  for (const { call_id, leg } of records) expect(present.has(`${call_id}/${leg}/final`)).toBe(true)
}
