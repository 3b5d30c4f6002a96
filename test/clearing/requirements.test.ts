import { deepEqual, ok } from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from '@jest/globals'

const root = join(import.meta.dirname, '..', '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const ids = read('test/clearing/fixtures/charging-ids.txt').trim().split('\n')

interface Item {
  readonly id: string
  readonly status: string
  readonly what: string
}
const items: readonly Item[] = read('docs/clearing.md')
  .split('\n')
  .flatMap(line => {
    const [, id = '', status = '', what = ''] =
      /^\| ((?:CHG|CDR|CLR|RATE|COM|SET|LED|EOS|FRD)-[0-9]{2}) +\| ([a-z ]+?) +\| (.*?) *\|$/.exec(line) ?? []
    return id === '' ? [] : [{ id, status, what }]
  })

describe('the requirements in docs/clearing.md', () => {
  it('has every one once, with what became of it', () => {
    deepEqual(items.map(({ id }) => id).sort(), ids)
    for (const { id, status, what } of items) {
      ok(['done', 'open', 'not there'].includes(status), `${id}: ${status}`)
      ok(what.length > 5, `${id} says nothing`)
    }
  })

  it('those that are done have a test named after them', () => {
    const titles = globSync('test/**/*.test.ts', { cwd: root }).flatMap(file =>
      [...read(file).matchAll(/\bit(?:\.each\([^]*?\))?\(\s*(['`"])(.*?)\1/g)].map(([, , title = '']) => title)
    )
    deepEqual(
      items.filter(({ id, status }) => status === 'done' && !titles.some(title => title.includes(id))),
      []
    )
  })
})
