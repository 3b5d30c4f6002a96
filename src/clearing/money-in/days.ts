// Calendar days as text (`2026-11-30`), as invoices and banks write them: no time zone is involved.

const dayMs = 86_400_000

/** Whether a text is a day that exists. */
export function isDay(text: string): boolean {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return false
  const at = Date.parse(`${text}T00:00:00Z`)
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text)
}

const numberOf = (day: string): number => Date.parse(`${day}T00:00:00Z`) / dayMs

/** Throws RangeError for what is no day. */
export function addDays(day: string, days: number): string {
  if (!isDay(day)) throw new RangeError(`not a day: ${day}`)
  return new Date((numberOf(day) + days) * dayMs).toISOString().slice(0, 10)
}

/** How many days `to` is after `from`; below zero: before. */
export const daysBetween = (from: string, to: string): number => numberOf(to) - numberOf(from)
