import { deepStrictEqual, equal } from 'node:assert/strict'
import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { anyRecord, cdrRecord, newestRecord, streamRecord } from '../../src/events/cdr.ts'
import { recordLimits } from '../../src/events/to-record.ts'
import { record } from '../support/clearing.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/cdr.md'), 'utf8')
const rows = page.split('\n').flatMap(line => {
  const [, field, meaning, equivalent] = /^\| `([a-z_.0-9]+)` \| (.+) \| (.+) \|$/.exec(line) ?? []
  return field === undefined ? [] : [{ field, meaning, equivalent }]
})

describe('the page about records', () => {
  it('has one row for every field of the contract and no other', () => {
    const streams = Object.keys(streamRecord.shape).map(field => `media.${field}`)
    const fields = [...Object.keys(newestRecord.shape), ...streams]
    expect(rows.map(({ field }) => field).sort()).toEqual(fields.sort())
  })

  it('names the values of every closed set', () => {
    for (const { field, meaning } of rows) {
      const schema = { ...newestRecord.shape, ...prefixed() }[field]
      for (const value of optionsOf(schema)) expect(`${field}: ${meaning}`).toContain(`\`${value}\``)
    }
  })

  it('names the bounds of lists', () => {
    const meaningOf = (name: string): string => rows.find(({ field }) => field === name)?.meaning ?? ''
    expect(meaningOf('transit_ioi')).toContain(`at most ${recordLimits.transitIoisMax}`)
    expect(meaningOf('media')).toContain(`at most ${recordLimits.streamsMax}`)
  })
})

function prefixed(): Record<string, unknown> {
  return Object.fromEntries(Object.entries(streamRecord.shape).map(([name, schema]) => [`media.${name}`, schema]))
}

/** The values of an enum, also of one that may be null. */
function optionsOf(schema: unknown): readonly string[] {
  if (typeof schema !== 'object' || schema === null) return []
  if ('options' in schema && Array.isArray(schema.options)) return schema.options.map(String)
  return 'unwrap' in schema && typeof schema.unwrap === 'function' ? optionsOf(schema.unwrap()) : []
}

/** Values that a field may come with, most of them wrong for it. */
const oddities: readonly unknown[] = [
  [null, undefined, true, false, '', ' ', 'x', 'voice', 'message', 'final', 'nni', 'null', 'NaN', '\0', '\ud800'],
  [0, -0, 1, 2, -1, 1.5, 64, 2 ** 31, 2 ** 53 - 1, 2 ** 53, Number.NaN, Infinity, -Infinity, 10n],
  [[], [''], ['x', 'y'], [1], [null], [undefined], Array.from({ length: 2 }), {}, new Date(0), Symbol('x')],
  ['019A0000-0001-7000-8000-000000000001', '019a00000001700080000000000000001', 'f'.repeat(64), 'F'.repeat(63), 'g'],
  ['00000000-0000-0000-0000-000000000000', '019a0000-0001-7000-8000-000000000001 ', '019a0000-0001-9000-8000-1']
].flat()
const counts = { pkts_received: 1, bytes_received: 160, pkts_sent: 1, bytes_sent: 160, pkts_lost: 0 }
const quality = { jitter_ms: 0.5, rtt_ms: null, mos: 4.2, dscp: 46, qci: null, auth_kbps: 100 }
const codecs = { codec: 'PCMA', codec_other: null, transcoded: false, gw_inserted: true }
const stream = { type: 'audio', ...codecs, ...counts, ...quality } as const
const whole: Readonly<Record<string, unknown>> = record({ media: [stream, { ...stream, type: 'video' }] })
const first: Readonly<Record<string, unknown>> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'fixtures/version-1.jsonl'), 'utf8').split('\n', 1)[0] ?? ''
)

/** What both say of a value: the record with its fields in order, or why it is none. */
function expectSame(value: unknown): boolean {
  const [compiled, plain] = [cdrRecord.safeParse(value), anyRecord.safeParse(value)]
  equal(compiled.error?.message, plain.error?.message)
  if (!compiled.success) return false
  deepStrictEqual(compiled.data, plain.data)
  equal(JSON.stringify(compiled.data), JSON.stringify(plain.data))
  return true
}

describe('the compiled check of a record', () => {
  it('takes what the schema takes, of both versions, with the same fields in the same order', () => {
    expect([whole, first].map(expectSame)).toEqual([true, true])
    const backwards = Object.fromEntries(Object.entries(whole).toReversed())
    expect(expectSame(backwards)).toBe(true)
  })

  it('says of every odd value of every field what the schema says', () => {
    for (const name of Object.keys(whole)) {
      for (const odd of oddities) expectSame({ ...whole, [name]: odd })
      expect(expectSame(Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name)))).toBe(false)
    }
    for (const name of Object.keys(first)) {
      for (const odd of [null, undefined, -1, '', []]) expectSame({ ...first, [name]: odd })
    }
    for (const name of Object.keys(stream)) {
      for (const odd of oddities) expectSame({ ...whole, media: [stream, { ...stream, [name]: odd }] })
    }
  })

  it('says the same of what has more fields, inherited ones, or is no object', () => {
    const inherited: unknown = Object.create(whole)
    const polluted: unknown = JSON.parse(`{"__proto__":{"a":1},${JSON.stringify(whole).slice(1)}`)
    expect([{ ...whole, more: 1 }, { ...whole, more: undefined }, polluted].map(expectSame)).toEqual([
      false,
      false,
      false
    ])
    for (const value of [inherited, [whole], JSON.stringify(whole), ...oddities]) expectSame(value)
    expectSame({ ...whole, media: [{ ...stream, more: 1 }] })
  })

  it('says the same of several odd values at once', () => {
    const names = fc.constantFrom(...Object.keys(whole))
    fc.assert(
      fc.property(fc.dictionary(names, fc.oneof(fc.constantFrom(...oddities), fc.jsonValue()), { maxKeys: 4 }), odd => {
        expectSame({ ...whole, ...odd })
      }),
      { numRuns: 300 }
    )
  })
})
