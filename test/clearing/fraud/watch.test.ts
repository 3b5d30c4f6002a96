import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { withFraudBlocks } from '../../../src/compose-fraud.ts'
import { fraud } from '../../../src/config/fraud.ts'
import { createBlockList } from '../../../src/clearing/fraud/blocks.ts'
import type { Block } from '../../../src/clearing/fraud/model.ts'
import { activeBlocks, addBlock, listSignals, releaseBlock, suspectCalls } from '../../../src/clearing/fraud/store.ts'
import { createFraudWatch } from '../../../src/clearing/fraud/watch.ts'
import type { FraudWatch, FraudWatchParts } from '../../../src/clearing/fraud/watch.ts'
import { postBatch } from '../../../src/clearing/ledger.ts'
import { clearingMigrations } from '../../../src/clearing/migrations.ts'
import type { CdrRecord } from '../../../src/events/cdr.ts'
import { createLog } from '../../../src/log.ts'
import { createPolicy } from '../../../src/qos-policy/policy.ts'
import type { PolicyDecision, SessionId } from '../../../src/session/model.ts'
import type { Admission } from '../../../src/session/ports.ts'
import { bookOf, callRecords, uuid } from '../../support/clearing.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestDatabase, TestPostgres } from '../../support/database.ts'
import { caller, target } from '../../support/sessions.ts'
import { eventually } from '../../support/until.ts'

let postgres: TestPostgres
let database: TestDatabase
beforeAll(async () => {
  postgres = await startTestPostgres()
  database = await postgres.fresh(clearingMigrations)
}, 60_000)
afterAll(() => postgres.stop())

const book = bookOf()
const watching = (config: unknown, over: Partial<FraudWatchParts> = {}): FraudWatch =>
  createFraudWatch({
    config: fraud.parse(config),
    database,
    book,
    nodeId: 'node-1',
    log: createLog('silent'),
    ...over
  })
/** Six calls to a range that is known. */
const toRange = (digits: string): readonly CdrRecord[] =>
  Array.from({ length: 6 }, (_, n) => {
    const number = `tel:+${digits}${n}`
    return callRecords(n + 1, { called: number, dialled: number })
  }).flat()
const ranged = (digits: string, more: object = {}): unknown => ({
  irsf: { ranges: [`+${digits}`], rangeCalls: 5, ...more }
})

/** The hub's own policy with the blocks before it, as composed. */
function policyOf(watch: Pick<FraudWatch, 'blocks'>, now: () => number) {
  const peers = ['op-a', 'a'].map(id => ({
    id,
    enabled: true,
    codecs: ['PCMA'],
    callsMax: 100,
    callsPerSecondMax: 100
  }))
  const terms = { ingressAgreementId: 'in', egressAgreementId: 'out', legs: null, prepaid: false } as const
  const agreements = { terms: () => Promise.resolve({ ...terms, onCreditSilence: 'continue' as const }) }
  const policy = createPolicy({ peers, agreements, clock: { now } })
  return withFraudBlocks(policy, watch, { party: peerId => (peerId === 'op-a' ? 'island' : 'operator'), now })
}
const admission = (called: string, over: Partial<Admission> = {}): Admission => ({
  id: 's' as SessionId,
  attempt: 1,
  caller,
  target: target('a'),
  called,
  rn: null,
  urgent: false,
  service: 'voice',
  offer: null,
  transcode: false,
  at: 0,
  ...over
})
const why = (decision: PolicyDecision): readonly (string | undefined)[] =>
  decision.admit ? ['admitted'] : [decision.reason.cause, decision.reason.text]

describe('fraud control of a running hub', () => {
  it('FRD-01 a rule that may block refuses such calls, explained, until it expires, and never a call for help', async () => {
    const watch = watching(ranged('8835101', { block: true }))
    watch.see(toRange('8835101'))
    await watch.catchUp()
    const [signal] = await listSignals(database, { rule: 'irsf-range', max: 1 })
    const [block] = await activeBlocks(database)
    deepEqual([block?.rule, block?.signalId, block?.reason], ['irsf-range', signal?.id, signal?.text])
    deepEqual(signal?.counters, { calls: '5', most: '5' })
    let now = Date.now() + 1_000
    const policy = policyOf(watch, () => now)
    const [cause, text = ''] = why(await policy.decide(admission('tel:+88351017')))
    equal(cause, 'forbidden')
    match(text, /^blocked by irsf-range until 20[0-9-]+T[0-9]{4}Z \(block [0-9]+\)$/)
    // It fits what a record keeps of a reason.
    ok(text.length <= 88)
    deepEqual(why(await policy.decideText(admission('tel:+88351017'))), [cause, text])
    deepEqual(why(await policy.decide(admission('tel:+4989'))), ['admitted'])
    deepEqual(why(await policy.decide(admission('urn:service:sos'))), ['admitted'])
    deepEqual(why(await policy.decide(admission('tel:+88351017', { urgent: true }))), ['admitted'])
    now = Date.now() + 61 * 60_000
    deepEqual(why(await policy.decide(admission('tel:+88351017'))), ['admitted'])
  })

  it('a route that is blocked may have another one beside it: the next target is tried', async () => {
    const scope = { from: null, to: 'operator', callingPrefix: null, calledPrefix: '8835109' }
    const asked = { ...scope, rule: 'fas', signalId: null, reason: 'x', minutes: 5, by: 'rule fas' }
    const { id } = await addBlock(database, asked)
    const watch = watching({})
    await watch.catchUp()
    const [cause, text] = why(await policyOf(watch, () => Date.now() + 1_000).decide(admission('tel:+8835109')))
    deepEqual([cause, text?.startsWith('blocked by fas until ')], ['limit-reached', true])
    await releaseBlock(database, { id, reason: 'a test', by: 'anna' })
  })

  it('FRD-01 blocks nothing by itself unless it is configured', async () => {
    const watch = watching(ranged('8835102'))
    watch.see(toRange('8835102'))
    await watch.catchUp()
    const [signal] = await listSignals(database, { rule: null, max: 1 })
    equal(signal?.calledPrefix, '8835102')
    ok((await activeBlocks(database)).every(({ calledPrefix }) => calledPrefix !== '8835102'))
    deepEqual(why(await policyOf(watch, Date.now).decide(admission('tel:+88351021'))), ['admitted'])
  })

  it('FRD-01 a block is released by a person with a reason, and only once', async () => {
    const asked = { from: 'island', to: null, callingPrefix: null, calledPrefix: '8835103' }
    const manual = { rule: 'manual', signalId: null, reason: 'by phone', minutes: 5, by: 'anna' }
    const { id } = await addBlock(database, { ...asked, ...manual })
    const watch = watching({})
    await watch.catchUp()
    const policy = policyOf(watch, () => Date.now() + 1_000)
    equal(why(await policy.decide(admission('tel:+8835103')))[0], 'forbidden')
    await releaseBlock(database, { id, reason: 'a test', by: 'bert' })
    await watch.catchUp()
    deepEqual(why(await policy.decide(admission('tel:+8835103'))), ['admitted'])
    equal((await activeBlocks(database, 1)).length, 1)
    await rejects(releaseBlock(database, { id, reason: 'again', by: 'bert' }), /released before/)
    await rejects(releaseBlock(database, { id: 99_999n, reason: 'x', by: 'bert' }), /no block 99999/)
    await rejects(
      addBlock(database, { ...asked, ...manual, from: null, calledPrefix: null }),
      /nobody blocks everything/
    )
  })

  it('reads the blocks of other hubs again and again, and keeps what it knows while the database is away', async () => {
    const own = await postgres.fresh(clearingMigrations)
    const watch = watching({}, { database: own, pollMs: 20 })
    watch.start()
    const scope = { from: null, to: 'operator', callingPrefix: null, calledPrefix: null }
    await addBlock(own, { ...scope, rule: 'manual', signalId: null, reason: 'x', minutes: 5, by: 'anna' })
    await eventually('the block is known', () => watch.blocks.size === 1)
    await own.close()
    watch.see(toRange('49'))
    deepEqual(watch.blocks.size, 1)
    await watch.stop()
  })

  it('holds a bounded number of signals while the database is away', async () => {
    const own = await postgres.fresh(clearingMigrations)
    const watch = watching(
      { irsf: { ranges: ['+1', '+2', '+3', '+4'], rangeCalls: 1 } },
      { database: own, waitingMax: 3 }
    )
    for (const digits of ['1', '2', '3', '4']) watch.see(toRange(digits).slice(0, 1))
    await watch.catchUp()
    const kept = await listSignals(own, { rule: null, max: 10 })
    deepEqual(kept.map(({ calledPrefix }) => calledPrefix).toReversed(), ['2', '3', '4'])
  })

  it('FRD-02 suspected calls are charged all the same, and found by their signal', async () => {
    const records = toRange('4988')
    await database.transaction(sql => postBatch(sql, { topic: 'suspects', after: 0n, position: 1n, records }, book))
    const watch = watching(ranged('4988'))
    watch.see(records)
    await watch.catchUp()
    const [signal] = await listSignals(database, { rule: 'irsf-range', max: 1 })
    const calls = await suspectCalls(database, signal?.id ?? 0n, 100)
    deepEqual(new Set(calls.map(({ cdrId }) => cdrId)), new Set([1, 3, 5, 7, 9, 11].map(uuid)))
    ok(calls.every(({ amountMicros, agreementId }) => amountMicros === 35_075n && agreementId === 'sell'))
    await rejects(suspectCalls(database, 99_999n, 1), /no signal 99999/)
  })
})

describe('the list of blocks', () => {
  const block = (over: Partial<Block>): Block => ({
    id: 1n,
    rule: 'manual',
    signalId: null,
    from: null,
    to: null,
    callingPrefix: null,
    calledPrefix: null,
    reason: 'x',
    startsAt: new Date(0),
    expiresAt: new Date(1_000),
    by: 'anna',
    ...over
  })
  const asked = { from: 'a', to: 'b', calling: '4930', called: '8835' }
  it.each([
    ['the caller', { from: 'a' }, true],
    ['another caller', { from: 'c' }, false],
    ['the callee', { to: 'b' }, true],
    ['a range of callers', { callingPrefix: '49' }, true],
    ['another range of callers', { callingPrefix: '33' }, false],
    ['a range of numbers', { calledPrefix: '88' }, true],
    ['a longer number', { calledPrefix: '88351' }, false],
    ['all of it', { from: 'a', to: 'b', callingPrefix: '4', calledPrefix: '8' }, true],
    ['one of it not', { from: 'a', to: 'c', callingPrefix: '4', calledPrefix: '8' }, false]
  ])('matches by %s', (_what, over, found) => {
    const list = createBlockList([block(over)])
    deepEqual([list.find(asked, 999) !== null, list.find(asked, 1_000)], [found, null])
  })

  it('a caller without a number is in no range', () => {
    equal(createBlockList([block({ callingPrefix: '4' })]).find({ ...asked, calling: null }, 1), null)
  })
})
