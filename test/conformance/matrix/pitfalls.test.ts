// Every pitfall that docs/matrix.md names has the test that it names.

import { describe, expect, it } from '@jest/globals'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const tests = join(import.meta.dirname, '../..')
const page = readFileSync(join(tests, '../docs/matrix.md'), 'utf8')
const [, table = ''] = page.split('| pitfall | file | test |\n|---|---|---|\n')
const rows = (table.split('\n\n')[0] ?? '').split('\n').map(line => line.split('|').map(cell => cell.trim()))

describe('the pitfalls of docs/matrix.md', () => {
  it('are all there', () => {
    expect(rows.length).toBeGreaterThanOrEqual(40)
    for (const row of rows) expect(row).toHaveLength(5)
  })

  it('each have a test of that name, which is run', () => {
    const missing = rows.flatMap(([, pitfall, file = '', name = '']) => {
      const path = join(tests, `${file.replaceAll('`', '')}.test.ts`)
      const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
      return [`it('${name}'`, `it("${name}"`].some(start => text.includes(start))
        ? []
        : [`${pitfall}: ${file}: ${name}`]
    })
    expect(missing).toEqual([])
  })
})
