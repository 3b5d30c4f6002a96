// Texts and numbers as they are printed in a PDF. Pure.

/** The fonts of every reader know the letters of Western Europe; of others the base letter, or ?. */
export const inFont = (text: string): string =>
  text.replaceAll(/[^\x20-\x7e\u00a0-\u00ff]/gu, char => {
    const base = char.normalize('NFKD').replaceAll(/[^\x20-\x7e]/g, '')
    return base === '' ? '?' : base
  })

/** A name in these fonts; its code where the fonts have none of its letters. */
export function nameInFont(name: string, code: string | null): string {
  const printed = inFont(name)
  return code !== null && /^[?\s]*$/.test(printed) ? `Code ${code}` : printed
}

/** `1234567.890000` as `1,234,567.890000`. */
export function grouped(decimal: string): string {
  const [whole = '', fraction] = decimal.split('.')
  const spaced = whole.replaceAll(/\B(?=(\d{3})+(?!\d))/g, ',')
  return fraction === undefined ? spaced : `${spaced}.${fraction}`
}

/** An amount in the currency's minor unit. It has been rounded to it before. */
export function money(decimal: string, minorDigits: number): string {
  const point = decimal.indexOf('.')
  return grouped(minorDigits === 0 ? decimal.slice(0, point) : decimal.slice(0, point + 1 + minorDigits))
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const

/** `2026-11-30` as `30 Nov 2026`; `shift`: so many days later. */
export function dateOf(day: string, shift = 0): string {
  const at = new Date(Date.parse(`${day}T00:00:00Z`) + shift * 86_400_000)
  return `${at.getUTCDate()} ${months[at.getUTCMonth()] ?? ''} ${at.getUTCFullYear()}`
}
