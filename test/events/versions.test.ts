// What a hub of an older version has left in its journal and its event log.

import { afterEach, describe, expect, it } from '@jest/globals'
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asWritten, cdrRecord, firstRecord } from '../../src/events/cdr.ts'
import { chainFault, isIntact } from '../../src/events/chain.ts'
import { openOutbox } from '../../src/events/outbox.ts'
import { allocate, encodeSlot, slotBytes } from '../../src/events/slots.ts'
import { createLog } from '../../src/log.ts'
import { memoryLog } from '../support/memory-log.ts'

/** Written by version 1: the starts of the two legs of a call, and the final of the first. */
const lines = readFileSync(join(import.meta.dirname, 'fixtures/version-1.jsonl'), 'utf8')
  .trim()
  .split('\n')
const raw = lines.map(line => JSON.parse(line) as Record<string, unknown>)
const folders: string[] = []
afterEach(() => folders.splice(0).forEach(folder => rmSync(folder, { recursive: true })))

describe('records of version 1', () => {
  it('are read: what they do not say is null, empty or follows from the rest', () => {
    const [start, , final] = raw.map(record => cdrRecord.parse(record))
    expect(start).toMatchObject({ schema_version: 1, partial: true, cause_closing: null, fraud_flags: [] })
    expect(final).toMatchObject({
      schema_version: 1,
      trust: 'network',
      calling_trust: 'network',
      orig_cc: '49',
      called_raw: null,
      rn: null,
      npdi: false,
      agreement_id: null,
      cause_closing: 'service-end',
      partial: false,
      media: [{ codec: 'PCMA', codec_other: null, mos: null, gw_inserted: true }]
    })
  })

  it('keep their hashes, and what was changed in one shows', () => {
    const records = raw.map(record => cdrRecord.parse(record))
    expect(chainFault(records)).toBeNull()
    expect(isIntact(cdrRecord.parse({ ...raw[2], duration_ms: 1 }))).toBe(false)
  })

  it('have no fields of a later version, nor have later records the gaps of an old one', () => {
    expect(cdrRecord.safeParse({ ...raw[0], rn: '+491' }).success).toBe(false)
    expect(cdrRecord.safeParse({ ...raw[0], schema_version: 2 }).success).toBe(false)
    expect(cdrRecord.safeParse({ ...raw[0], schema_version: 3 }).success).toBe(false)
  })

  it('are written again as they were, so that a repeated one is the same record to clearing', () => {
    const again = raw.map(record => JSON.stringify(asWritten(cdrRecord.parse(record))))
    expect(again).toEqual(raw.map(record => JSON.stringify(firstRecord.parse(record))))
  })

  it('in a journal are relayed as they are, and the legs left open are closed by a record that follows', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'isthmus-version-'))
    folders.push(dir)
    writeJournal(join(dir, 'journal'))
    const eventLog = memoryLog()
    const log = createLog('silent')
    const options = { dir, slots: 64, hubId: 'hub', node: 'node-1', heartbeatMs: 1_000, eventLog, log }
    const outbox = await openOutbox({ ...options, providerOf: peer => peer })
    expect(await outbox.drain(30_000)).toBe(true)
    await outbox.close()
    const records = eventLog.records.map(record => cdrRecord.parse(record))
    expect(eventLog.records.slice(0, 3)).toEqual(raw)
    expect(records).toHaveLength(4)
    expect(records[3]).toMatchObject({ schema_version: 2, leg: 'egress', kind: 'final', incomplete: true, npdi: false })
    expect(chainFault(records)).toBeNull()
  })
})

/** As version 1 left it when it was killed: its header knows of none of the records of the last write. */
function writeJournal(path: string): void {
  allocate(path, 64)
  const file = openSync(path, 'r+')
  const slot = Buffer.alloc(slotBytes)
  const header = {
    version: 1,
    nodeId: 'node-1/0badcafe',
    seq: 0,
    hash: '0'.repeat(64),
    heartbeatAt: Date.UTC(2026, 10, 22, 13)
  }
  encodeSlot(slot, 0, 'header', { seq: 1, since: 0, body: Buffer.from(JSON.stringify(header)) })
  writeSync(file, slot, 0, slotBytes, slotBytes)
  lines.forEach((line, index) => {
    const body = Buffer.alloc(slotBytes)
    encodeSlot(body, 0, 'record', { seq: index + 1, since: 1, body: Buffer.from(line) })
    writeSync(file, body, 0, slotBytes, slotBytes * (index + 2))
  })
  closeSync(file)
}
