import { afterEach, describe, expect, it } from '@jest/globals'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Journal } from '../../src/events/journal.ts'
import { Relay } from '../../src/events/relay.ts'
import type { RelayOptions } from '../../src/events/relay.ts'
import { createLog } from '../../src/log.ts'
import { bodyOf } from '../support/cdrs.ts'
import { eventually } from '../support/child.ts'
import { memoryLog } from '../support/memory-log.ts'
import type { MemoryLog } from '../support/memory-log.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

interface Rig {
  readonly journal: Journal
  readonly relay: Relay
  readonly eventLog: MemoryLog
  readonly said: string[]
  readonly batches: number[]
}

async function rig(limits: RelayOptions['limits'], now: () => number = Date.now): Promise<Rig> {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-relay-'))
  const said: string[] = []
  const log = Object.assign(createLog('silent'), {
    error: (_facts: unknown, text: string) => said.push(text),
    info: (_facts: unknown, text: string) => said.push(text)
  })
  const options = { dir, slots: 64, hubId: 'hub', node: 'node', heartbeatMs: 60_000, now, log }
  const { journal } = await Journal.open(options)
  const eventLog = memoryLog()
  const batches: number[] = []
  const onRelayed: RelayOptions['onRelayed'] = records => void batches.push(records.length)
  const relay = new Relay({ journal, eventLog, log, now, onRelayed, limits: { retryMs: 1, retryMsMax: 2, ...limits } })
  journal.onDurable = () => relay.notify()
  closing.push(async () => {
    await relay.stop()
    await journal.close()
    rmSync(dir, { recursive: true })
  })
  return { journal, relay, eventLog, said, batches }
}

const append = (journal: Journal, count: number): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, () => journal.append(bodyOf())))

describe('the relay', () => {
  it('gathers what comes in shortly after an append into the next one', async () => {
    const { journal, relay, batches } = await rig({ gatherMs: 500 })
    relay.start()
    for (let i = 0; i < 4; i++) await append(journal, 1)
    await eventually(() => batches.reduce((sum, count) => sum + count, 0) === 4)
    expect(batches).toEqual([1, 3])
  })

  it('moves what waits in batches of bounded size, in order', async () => {
    const { journal, relay, eventLog, batches } = await rig({ batchMax: 4 })
    await append(journal, 10)
    relay.start()
    expect(await relay.caughtUp(5_000)).toBe(true)
    expect(batches).toEqual([4, 4, 2])
    expect(eventLog.records.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    await append(journal, 1)
    await eventually(() => eventLog.records.length === 11)
  })

  it('raises one alarm in a while about an outage, and says when it is over', async () => {
    let clock = 1_000
    const { journal, relay, eventLog, said } = await rig({ alarmMs: 60_000 }, () => clock)
    eventLog.away = true
    relay.start()
    await append(journal, 1)
    await eventually(() => eventLog.tries > 4)
    expect(said).toEqual(['the event log takes no records; the journal keeps them'])
    expect(relay.failingSince).toBe(1_000)
    clock += 60_000
    await eventually(() => said.length === 2)
    expect(relay.failingSince).toBe(1_000)
    eventLog.away = false
    expect(await relay.caughtUp(5_000)).toBe(true)
    expect(said.at(-1)).toBe('the event log takes records again')
    expect(relay.failingSince).toBeNull()
  })

  it('in a back-off is not hurried by news, but by whoever waits for its end', async () => {
    const { journal, relay, eventLog } = await rig({ retryMs: 3_600_000, retryMsMax: 3_600_000 })
    eventLog.away = true
    relay.start()
    await append(journal, 1)
    await eventually(() => eventLog.tries === 1)
    await append(journal, 3)
    expect(eventLog.tries).toBe(1)
    eventLog.away = false
    expect(await relay.caughtUp(5_000)).toBe(true)
    expect(eventLog.tries).toBe(2)
  })

  it('stops where it is: at once in a back-off, and what waits stays', async () => {
    const { journal, relay, eventLog } = await rig({ retryMs: 3_600_000, retryMsMax: 3_600_000 })
    eventLog.away = true
    relay.start()
    await append(journal, 2)
    await eventually(() => eventLog.tries === 1)
    await relay.stop()
    expect(journal.waiting).toBe(2)
    expect(await relay.caughtUp(1)).toBe(false)
  })
})
