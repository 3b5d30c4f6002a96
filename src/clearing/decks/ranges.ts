// The prefixes that one cell of a sheet stands for: 4477, +4477, 4477[1-9], 44771-44779, and lists of these.

import { limits } from './deck-row.ts'

export interface Prefixes {
  readonly prefixes: readonly string[]
  /** Null: all is well. */
  readonly problem: string | null
}

const digitsMax = 15

const bad = (problem: string): Prefixes => ({ prefixes: [], problem })

export function prefixesOf(cell: string): Prefixes {
  if (cell === '') return bad('it is empty')
  if (/e\+?[0-9]+$/i.test(cell)) {
    return bad(`"${cell.slice(0, 40)}" was made a number by a spreadsheet; its column must be text`)
  }
  const prefixes: string[] = []
  for (const item of cell.split(/[;,\s]+/)) {
    if (item === '') continue
    const found = item === '+' ? ['+'] : itemOf(item)
    if (typeof found === 'string') return bad(found)
    if (prefixes.length + found.length > limits.prefixesOfCellMax) {
      return bad(`it stands for more than ${limits.prefixesOfCellMax} prefixes`)
    }
    prefixes.push(...found)
  }
  if (prefixes.length === 0) return bad('it is empty')
  const twice = prefixes.find((prefix, n) => prefixes.indexOf(prefix) !== n && prefixes.length < 1_000)
  return twice === undefined ? { prefixes, problem: null } : bad(`${twice} stands in it twice`)
}

/** A text says what is wrong. */
function itemOf(item: string): readonly string[] | string {
  const wrong = `"${item.slice(0, 40)}" is no prefix such as 4477, 4477[1-9] or 44771-44779`
  const text = item.replace(/^\+/, '')
  const range = /^([1-9][0-9]*)-([0-9]+)$/.exec(text)
  if (range !== null) return rangeOf(range[1] ?? '', range[2] ?? '', wrong)
  if (!/^[1-9][0-9]*(\[[0-9-]+\])*[0-9]*$/.test(text)) return wrong
  let made = ['']
  for (const [part] of text.matchAll(/\[[0-9-]+\]|[0-9]+/g)) {
    const digits = part.startsWith('[') ? classOf(part.slice(1, -1)) : [part]
    if (digits === null) return wrong
    if (made.length * digits.length > limits.prefixesOfCellMax)
      return `it stands for more than ${limits.prefixesOfCellMax} prefixes`
    made = made.flatMap(begin => digits.map(digit => begin + digit))
  }
  if (made.some(({ length }) => length > digitsMax)) return `${wrong}: a number has ${digitsMax} digits at most`
  return made.map(prefix => `+${prefix}`)
}

/** `1-9`, `135`, `1-35`. */
function classOf(text: string): readonly string[] | null {
  if (!/^([0-9](-[0-9])?)+$/.test(text)) return null
  const digits = new Set<string>()
  for (const [, from = '', to = from] of text.matchAll(/([0-9])(?:-([0-9]))?/g)) {
    if (to < from) return null
    for (let digit = Number(from); digit <= Number(to); digit++) digits.add(String(digit))
  }
  return [...digits]
}

function rangeOf(from: string, to: string, wrong: string): readonly string[] | string {
  const last = to.length < from.length ? from.slice(0, from.length - to.length) + to : to
  if (last.length !== from.length || last < from || last.length > digitsMax) return wrong
  const count = BigInt(last) - BigInt(from) + 1n
  if (count > BigInt(limits.prefixesOfCellMax)) return `it stands for more than ${limits.prefixesOfCellMax} prefixes`
  return Array.from({ length: Number(count) }, (_, n) => `+${BigInt(from) + BigInt(n)}`)
}
