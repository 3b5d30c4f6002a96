import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { items } from './items.ts'

// docs/nni-conformance.md names every item of the profile once, and every test that it names is there.

const root = new URL('../../../', import.meta.url)
const page = readFileSync(new URL('docs/nni-conformance.md', root), 'utf8')
const rows = [...page.matchAll(/^\| ([A-Z]+-\d\d) \| ([a-z ]+) \| (.+) \|$/gm)].map(
  ([, id = '', state = '', where = '']) => ({
    id,
    state,
    where
  })
)
const files = (where: string): readonly string[] => [...where.matchAll(/`(test\/[^`]+)`/g)].map(([, path = '']) => path)

/** Lines that begin a test or a group of tests: their titles stand there. */
const titles = (path: string): string =>
  readFileSync(new URL(path, root), 'utf8')
    .split('\n')
    .filter(line => /^\s*(?:(?:it|test|describe)\b.*|\S*\](?: as const)?\))\('|^\s*(?:it|test|describe)\(?/.test(line))
    .join('\n')

describe('the page of conformance', () => {
  it('names every item of the profile exactly once', () => {
    expect(rows.map(({ id }) => id)).toEqual([...items])
    expect(new Set(items).size).toBe(92)
  })

  it('knows three states', () => {
    expect(rows.filter(({ state }) => !['done', 'open', 'not there'].includes(state))).toEqual([])
  })

  it.each(rows.filter(({ state }) => state === 'done'))('$id is done: its test is there', ({ id, where }) => {
    const named = files(where)
    expect(named.length).toBeGreaterThan(0)
    for (const path of named) expect([path, existsSync(new URL(path, root))]).toEqual([path, true])
    const quoted = /"([^"]+)"/.exec(where)?.[1]
    const wanted = quoted ?? id
    expect(named.filter(path => titles(path).includes(wanted))).not.toEqual([])
  })

  it('says of everything open what is missing', () => {
    for (const { id, state, where } of rows) if (state !== 'done') expect([id, where.length > 7]).toEqual([id, true])
  })

  it.each(['SCTP', 'IPsec', 'lawful interception', 'T.38', 'maximum call duration'])(
    'says why there is no %s',
    what => {
      expect(page).toMatch(new RegExp(`^\\| ${what.replace('.', '\\.')}[^|]*\\| .{20,} \\|$`, 'm'))
    }
  )
})
