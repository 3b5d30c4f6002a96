import { describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { newestRecord, streamRecord } from '../../src/events/cdr.ts'
import { recordLimits } from '../../src/events/to-record.ts'

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
