// POSIX extended regular expressions (IEEE 1003.1, 9.4) as NAPTR records bring them: strangers write them, so matching
// takes time in proportion to pattern and text, whatever the pattern. The leftmost match, of those the longest.

export const regexLimits = {
  patternMax: 255,
  textMax: 255,
  instructionsMax: 4_000,
  repeatMax: 64,
  groupsMax: 9
} as const

type Instruction =
  | { readonly do: 'one'; readonly takes: (code: number) => boolean }
  | { readonly do: 'begin' | 'end' | 'match' }
  | { readonly do: 'save'; readonly slot: number }
  /** The first is preferred. */
  | { readonly do: 'split'; first: number; second: number }
  | { readonly do: 'jump'; to: number }

export interface PosixRegex {
  /** The groups of the match, the whole of it first; null for a group that took no part. Null: no match. */
  match(text: string): readonly (string | null)[] | null
}

/** Null for what is no such expression, or too large. */
export function compilePosix(pattern: string, ignoreCase: boolean): PosixRegex | null {
  if (pattern.length > regexLimits.patternMax) return null
  try {
    const program = new Compiler(pattern, ignoreCase).compile()
    return { match: text => (text.length > regexLimits.textMax ? null : run(program, text)) }
  } catch (error) {
    if (error instanceof Unreadable) return null
    throw error
  }
}

class Unreadable extends Error {}

const classes: Readonly<Record<string, RegExp>> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  cntrl: /\p{Cc}/u,
  digit: /[0-9]/,
  graph: /[\x21-\x7e]/,
  lower: /[a-z]/,
  print: /[\x20-\x7e]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /\s/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/
}

type Program = Instruction[]

class Compiler {
  readonly #text: string
  readonly #ignoreCase: boolean
  #at = 0
  #groups = 0
  #made = 0

  constructor(text: string, ignoreCase: boolean) {
    this.#text = text
    this.#ignoreCase = ignoreCase
  }

  compile(): Program {
    const body = this.#alternatives()
    if (this.#at < this.#text.length) throw new Unreadable()
    return [{ do: 'save', slot: 0 }, ...shifted(body, 1), { do: 'save', slot: 1 }, { do: 'match' }]
  }

  #alternatives(): Program {
    let all = this.#branch()
    while (this.#next('|')) {
      const other = this.#branch()
      const end = all.length + other.length + 2
      all = [
        { do: 'split', first: 1, second: all.length + 2 },
        ...shifted(all, 1),
        { do: 'jump', to: end },
        ...shifted(other, all.length + 2)
      ]
    }
    return all
  }

  #branch(): Program {
    const parts: Program = []
    while (this.#at < this.#text.length && !'|)'.includes(this.#text[this.#at] ?? '')) {
      parts.push(...shifted(this.#piece(), parts.length))
      this.#count(parts.length)
    }
    return parts
  }

  #piece(): Program {
    let piece = this.#atom()
    for (;;) {
      if (this.#next('*')) piece = this.#repeated(piece, 0, null)
      else if (this.#next('+')) piece = this.#repeated(piece, 1, null)
      else if (this.#next('?')) piece = this.#repeated(piece, 0, 1)
      else if (this.#text[this.#at] === '{') piece = this.#repeated(piece, ...this.#interval())
      else break
    }
    return piece
  }

  #interval(): readonly [number, number | null] {
    const found = /^\{([0-9]{1,3})(,([0-9]{1,3})?)?\}/.exec(this.#text.slice(this.#at))
    if (found === null) throw new Unreadable()
    const [whole, least = '', comma, most] = found
    this.#at += whole.length
    const low = Number(least)
    const high = comma === undefined ? low : most === undefined ? null : Number(most)
    if (low > regexLimits.repeatMax || (high !== null && (high < low || high > regexLimits.repeatMax))) {
      throw new Unreadable()
    }
    return [low, high]
  }

  #repeated(piece: Program, least: number, most: number | null): Program {
    this.#count(piece.length * Math.max(least, most ?? least + 1) + 2)
    const all: Program = []
    for (let n = 0; n < least; n++) all.push(...shifted(piece, all.length))
    if (most === null) {
      const start = all.length
      all.push({ do: 'split', first: start + 1, second: start + piece.length + 2 })
      all.push(...shifted(piece, start + 1), { do: 'jump', to: start })
      return all
    }
    const end = all.length + (most - least) * (piece.length + 1)
    for (let n = least; n < most; n++) {
      all.push({ do: 'split', first: all.length + 1, second: end })
      all.push(...shifted(piece, all.length))
    }
    return all
  }

  #atom(): Program {
    const character = this.#text[this.#at++]
    switch (character) {
      case '(': {
        const group = ++this.#groups
        const body = this.#alternatives()
        if (!this.#next(')')) throw new Unreadable()
        const save = (slot: number): Instruction => ({ do: 'save', slot })
        return [save(group * 2), ...shifted(body, 1), save(group * 2 + 1)]
      }
      case '[':
        return [{ do: 'one', takes: this.#bracket() }]
      case '.':
        return [{ do: 'one', takes: () => true }]
      case '^':
        return [{ do: 'begin' }]
      case '$':
        return [{ do: 'end' }]
      case '\\': {
        const escaped = this.#text[this.#at++]
        // A back-reference is no part of extended expressions, and what letters mean is undefined.
        if (escaped === undefined || /[A-Za-z0-9]/.test(escaped)) throw new Unreadable()
        return [this.#literal(escaped)]
      }
      case undefined:
      case '*':
      case '+':
      case '?':
      case '{':
        throw new Unreadable()
      default:
        return [this.#literal(character)]
    }
  }

  #literal(character: string): Instruction {
    const set = new Set(this.#cases(character.charCodeAt(0)))
    return { do: 'one', takes: code => set.has(code) }
  }

  #cases(code: number): readonly number[] {
    if (!this.#ignoreCase) return [code]
    const character = String.fromCharCode(code)
    return [character.toLowerCase().charCodeAt(0), character.toUpperCase().charCodeAt(0)]
  }

  /** After `[`: members, ranges, classes; a `]` that comes first is a member. */
  #bracket(): (code: number) => boolean {
    const negated = this.#next('^')
    const ranges: (readonly [number, number])[] = []
    const named: RegExp[] = []
    for (let first = true; first || this.#text[this.#at] !== ']'; first = false) {
      const rest = this.#text.slice(this.#at)
      const [whole, name] = /^\[:([a-z]+):\]/.exec(rest) ?? []
      if (whole !== undefined) {
        const known = classes[name ?? '']
        if (known === undefined) throw new Unreadable()
        named.push(known)
        this.#at += whole.length
        continue
      }
      if (rest === '' || /^\[[.=]/.test(rest)) throw new Unreadable()
      const low = rest.charCodeAt(0)
      const isRange = rest[1] === '-' && rest.length > 2 && rest[2] !== ']'
      const high = isRange ? rest.charCodeAt(2) : low
      if (high < low) throw new Unreadable()
      ranges.push([low, high])
      this.#at += isRange ? 3 : 1
    }
    this.#at++
    const has = (code: number): boolean =>
      ranges.some(([low, high]) => code >= low && code <= high) ||
      named.some(one => one.test(String.fromCharCode(code)))
    return code => this.#cases(code).some(has) !== negated
  }

  #next(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #count(instructions: number): void {
    this.#made = Math.max(this.#made, instructions)
    if (this.#made > regexLimits.instructionsMax) throw new Unreadable()
  }
}

/** The same program, to stand `by` further down. */
const shifted = (program: readonly Instruction[], by: number): Program =>
  program.map(one => {
    if (one.do === 'jump') return { ...one, to: one.to + by }
    return one.do === 'split' ? { ...one, first: one.first + by, second: one.second + by } : one
  })

/** Every place of the program meets every place of the text once: the order of preference, the longest end wins. */
function run(program: Program, text: string): readonly (string | null)[] | null {
  for (let start = 0; start <= text.length; start++) {
    const slots = longest(program, text, start)
    if (slots === null) continue
    return Array.from({ length: regexLimits.groupsMax + 1 }, (_, group) => {
      const [from, to] = [slots[group * 2], slots[group * 2 + 1]]
      return from === undefined || to === undefined ? null : text.slice(from, to)
    })
  }
  return null
}

type Slots = readonly (number | undefined)[]

function longest(program: Program, text: string, start: number): Slots | null {
  const seen = new Uint8Array(program.length * (text.length + 1))
  const waiting: { readonly pc: number; readonly at: number; readonly slots: Slots }[] = [
    { pc: 0, at: start, slots: [] }
  ]
  let best: { readonly end: number; readonly slots: Slots } | null = null
  for (let thread = waiting.pop(); thread !== undefined; thread = waiting.pop()) {
    let { pc, at, slots } = thread
    for (;;) {
      const key = pc * (text.length + 1) + at
      const instruction = program[pc]
      if (instruction === undefined || seen[key] === 1) break
      seen[key] = 1
      if (instruction.do === 'match') {
        if (best === null || at > best.end) best = { end: at, slots }
        break
      }
      if (instruction.do === 'split') {
        waiting.push({ pc: instruction.second, at, slots })
        pc = instruction.first
      } else if (instruction.do === 'jump') pc = instruction.to
      else if (instruction.do === 'save') {
        slots = Object.assign([...slots], { [instruction.slot]: at })
        pc++
      } else if (instruction.do === 'one') {
        if (at >= text.length || !instruction.takes(text.charCodeAt(at))) break
        at++
        pc++
      } else if (instruction.do === 'begin' ? at === 0 : at === text.length) pc++
      else break
    }
  }
  return best?.slots ?? null
}
