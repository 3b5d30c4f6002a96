// The journal against the real thing: processes killed with SIGKILL, a disk without room.

import { afterEach, describe, expect, it } from '@jest/globals'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cdrRecord } from '../../src/events/cdr.ts'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { chainFault } from '../../src/events/chain.ts'
import { slotBytes } from '../../src/events/slots.ts'
import { eventually, startChild, startProgram } from '../support/child.ts'
import { mulberry32, seedFromEnvironment } from '../support/random.ts'

const script = join(import.meta.dirname, '../support/outbox-child.ts')
const folders: string[] = []
afterEach(() => folders.splice(0).forEach(folder => rmSync(folder, { recursive: true })))
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'isthmus-kill-'))
  folders.push(made)
  return made
}

/** Without what an append was writing when it was killed: that was repeated. */
function logged(dir: string): readonly CdrRecord[] {
  const lines = readFileSync(join(dir, 'log'), 'utf8').split('\n')
  const records = lines.flatMap(line => {
    try {
      return [cdrRecord.parse(JSON.parse(line))]
    } catch {
      return []
    }
  })
  return records.sort((a, b) => a.seq - b.seq)
}

describe('a hub killed again and again', () => {
  it('loses no acknowledged record, tears none, leaves no gap, and closes each leg once', async () => {
    const dir = folder()
    const chance = mulberry32(seedFromEnvironment)
    const acknowledged: string[] = []
    for (let life = 0; life < 5; life++) {
      const child = startChild(script, [dir, '256', 'calls'])
      await child.line('open')
      const enough = 40 + chance(400)
      await eventually(() => child.lines.length > enough)
      child.process.kill('SIGKILL')
      expect(await child.ended).toBe('SIGKILL')
      for (const line of child.lines) if (line.startsWith('ack ')) acknowledged.push(line.slice(4))
    }
    const last = startChild(script, [dir, '256', 'drain'])
    await last.line('done')
    expect(await last.ended).toBe(0)

    const records = logged(dir)
    expect(records[0]?.seq).toBe(1)
    expect(chainFault(records)).toBeNull()
    const legs = records.map(({ call_id, leg, kind }) => `${call_id}/${leg}/${kind}`)
    const present = new Set(legs)
    expect(acknowledged.length).toBeGreaterThan(200)
    expect(acknowledged.filter(key => !present.has(key))).toEqual([])
    expect(legs).toHaveLength(present.size)
    for (const leg of legs) expect(present.has(leg.replace(/[a-z]+$/, 'final'))).toBe(true)
    const cutOff = records.filter(({ incomplete }) => incomplete)
    expect(cutOff.length).toBeGreaterThan(0)
    expect(new Set(cutOff.map(({ reason }) => reason))).toEqual(new Set(['hub stopped during the call']))
  }, 120_000)

  it('lets go of its journal, which a living one does not', async () => {
    const dir = folder()
    const first = startChild(script, [dir, '64', 'open'])
    await first.line('open')
    const second = startChild(script, [dir, '64', 'drain'])
    const refused = await second.line('failed ')
    expect(refused).toBe(`the journal ${join(dir, 'journal')} is in use by another process (pid ${first.pid})`)
    first.process.kill('SIGKILL')
    await first.ended
    const third = startChild(script, [dir, '64', 'drain'])
    await third.line('done')
    expect(await third.ended).toBe(0)
  })
})

describe('a disk without room', () => {
  it('is a clear error at the start, never later, and leaves nothing behind', async () => {
    const dir = folder()
    // ulimit counts KiB here: room for 100 slots, where 256 are asked for.
    const limited = `ulimit -f ${(100 * slotBytes) / 1_024} && exec "$0" "$@"`
    const child = startProgram('bash', ['-c', limited, process.execPath, script, dir, '256', 'calls'])
    expect(await child.line('failed ')).toMatch(
      /^the journal .*journal needs 2 MiB on disk and cannot have them: EFBIG/
    )
    expect(await child.ended).toBe(1)
    expect(readdirSync(dir).filter(name => !name.includes('lock'))).toEqual([])
  })

  it('that refuses to be written at the start is one too', async () => {
    const dir = folder()
    const first = startChild(script, [dir, '64', 'drain'])
    expect(await first.ended).toBe(0)
    const limited = 'ulimit -f 4 && exec "$0" "$@"'
    const child = startProgram('bash', ['-c', limited, process.execPath, script, dir, '64', 'drain'])
    expect(await child.line('failed ')).toMatch(/^cannot open the journal .*journal: EFBIG/)
    expect(await child.ended).toBe(1)
  })
})
