// A provider's number table as CSV: `number,user,proof,proven_on`, in any order, other columns ignored.

import Papa from 'papaparse'
import { isE164 } from '../session/dial-plan.ts'
import { directoryLimits } from './directory.ts'
import type { Entry } from './directory.ts'

const columns = ['number', 'user', 'proof', 'proven_on'] as const

export type Table =
  | { readonly ok: true; readonly entries: readonly Entry[] }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Every problem with its line; a number or a user may appear once. */
export function parseNumbers(text: string): Table {
  const { data, errors, meta } = Papa.parse<Record<string, string>>(text.replace(/^\uFEFF/, ''), {
    header: true,
    skipEmptyLines: 'greedy',
    transformHeader: name => name.trim().toLowerCase()
  })
  const missing = columns.filter(name => meta.fields?.includes(name) !== true)
  if (missing.length > 0) return { ok: false, problems: [`line 1: no column ${missing.join(', ')}`] }
  const problems = errors.map(({ row = 0, message }) => `line ${row + 2}: ${message}`)
  const seen = new Map<string, number>()
  const entries = data.map((row, n) => {
    const line = n + 2
    const say = (what: string): void => void problems.push(`line ${line}: ${what}`)
    const [number, user, proof, provenOn] = columns.map(name => (row[name] ?? '').trim()) as [
      string,
      string,
      string,
      string
    ]
    if (!isE164(number)) say(`"${number}" is no E.164 number such as +4930123456`)
    if (user === '' || Buffer.byteLength(user) > directoryLimits.userBytesMax) say('the user is empty or too long')
    if (proof === '') say("no proof: how the provider knows that the number is this user's")
    if (!isDay(provenOn)) say(`"${provenOn}" is no day such as 2026-11-22`)
    for (const what of [number, `user ${user}`]) {
      const before = seen.get(what)
      if (before === undefined) seen.set(what, line)
      else say(`${what} is in line ${before} already`)
    }
    return { number, user, proof, provenOn }
  })
  return problems.length > 0 ? { ok: false, problems } : { ok: true, entries }
}

function isDay(text: string): boolean {
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text)
}

export const printNumbers = (entries: readonly Entry[]): string =>
  `${Papa.unparse(
    {
      fields: [...columns],
      data: entries.map(({ number, user, proof, provenOn }) => [number, user, proof, provenOn])
    },
    { newline: '\n' }
  )}\n`
