// A hub's outbox that lives until it is killed: `node outbox-child.ts DIR SLOTS calls|drain|open`.
// The event log is a file of JSON lines, DIR/log. Lines out: `open`, `ack KEY` for each record that is durable, `done`.

import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { openOutbox } from '../../src/events/outbox.ts'
import { createLog } from '../../src/log.ts'
import { answeredAt, cdrOf, startOf } from './cdrs.ts'

const [dir = '', slots = '64', work = 'calls'] = process.argv.slice(2)
const logFile = join(dir, 'log')
const say = (line: string): boolean => process.stdout.write(`${line}\n`)

/** Whole lines only: the last one may have been cut off. */
const known = new Set<string>()
if (existsSync(logFile)) {
  const lines = readFileSync(logFile, 'utf8').split('\n')
  if (lines.pop() !== '') appendFileSync(logFile, '\n')
  for (const line of lines) {
    try {
      known.add((JSON.parse(line) as CdrRecord).cdr_id)
    } catch {
      // That one was not acknowledged.
    }
  }
}

async function call(outbox: Awaited<ReturnType<typeof openOutbox>>): Promise<void> {
  const start = startOf()
  const id = start.callId
  if (!outbox.admit(id)) return new Promise(resolve => setTimeout(resolve, 1))
  const final = { ...cdrOf({ callId: id }), endedAt: answeredAt + 1_000, durationMs: 1_000 }
  for (const records of [
    [start, { ...start, leg: 'egress' as const }],
    [final, { ...final, leg: 'egress' as const }]
  ]) {
    const write = async (cdr: typeof start): Promise<void> => {
      await outbox.write(cdr)
      say(`ack ${cdr.callId}/${cdr.leg}/${cdr.kind}`)
    }
    await Promise.all(records.map(write))
  }
  outbox.release(id)
}

try {
  const outbox = await openOutbox({
    dir,
    slots: Number(slots),
    hubId: 'hub',
    node: 'node-1',
    heartbeatMs: 100,
    eventLog: {
      async append(records) {
        const fresh = records.filter(({ cdr_id }) => !known.has(cdr_id))
        appendFileSync(logFile, fresh.map(record => `${JSON.stringify(record)}\n`).join(''))
        for (const { cdr_id } of fresh) known.add(cdr_id)
      }
    },
    providerOf: peer => peer,
    log: createLog('silent')
  })
  say('open')
  if (work === 'calls') {
    const lane = async (): Promise<never> => {
      for (;;) await call(outbox)
    }
    await Promise.all(Array.from({ length: 20 }, lane))
  }
  if (work === 'drain') {
    await outbox.drain(30_000)
    await outbox.close()
    say('done')
  }
  if (work === 'open') process.stdin.resume()
} catch (error) {
  say(`failed ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
