// Money and rates as scaled integers, and the only places where something is rounded: no binary fraction touches money.

/** Digits after the point of a rate: one nano of the currency unit, per minute or per message. */
export const rateScale = 9
/** Digits after the point of an amount: one micro of the currency unit. */
export const amountScale = 6

/** How a quotient that does not come out even is rounded. `up` is away from zero, `down` towards it. */
export const roundingModes = ['half-up', 'half-even', 'up', 'down'] as const
export type RoundingMode = (typeof roundingModes)[number]

const abs = (n: bigint): bigint => (n < 0n ? -n : n)

const powers = Array.from({ length: 37 }, (_, exponent) => 10n ** BigInt(exponent))
export const powerOfTen = (exponent: number): bigint => powers[exponent] ?? 10n ** BigInt(exponent)

/** Symmetric about zero, so that a reversing entry is the exact opposite of what it reverses. Throws on 0 below. */
export function divRound(numerator: bigint, denominator: bigint, mode: RoundingMode): bigint {
  if (denominator === 0n) throw new RangeError('division by zero')
  const negative = numerator < 0n !== denominator < 0n
  const [above, below] = [abs(numerator), abs(denominator)]
  const whole = above / below
  const rounded = whole + (grows[mode](above % below, below, whole) ? 1n : 0n)
  return negative ? -rounded : rounded
}

/** Whether the whole part grows by one, away from zero. */
const grows = {
  down: () => false,
  up: rest => rest > 0n,
  'half-up': (rest, below) => rest * 2n >= below,
  'half-even': (rest, below, whole) => rest * 2n > below || (rest * 2n === below && whole % 2n === 1n)
} as const satisfies Record<RoundingMode, (rest: bigint, below: bigint, whole: bigint) => boolean>

/** The smallest integer that is not below the quotient. */
export const divCeil = (numerator: bigint, denominator: bigint): bigint => {
  const whole = numerator / denominator
  return numerator % denominator !== 0n && numerator < 0n === denominator < 0n ? whole + 1n : whole
}

const decimal = /^(-?)([0-9]{1,18})(?:\.([0-9]{1,18}))?$/

/** A decimal text as an integer of `scale` digits after the point. Throws RangeError where that would lose a digit. */
export function parseScaled(text: string, scale: number): bigint {
  const [, sign = '', whole = '', fraction = ''] = decimal.exec(text) ?? []
  if (whole === '') throw new RangeError(`not a decimal number: ${JSON.stringify(text.slice(0, 60))}`)
  if (/[1-9]/.test(fraction.slice(scale))) throw new RangeError(`more than ${scale} digits after the point: ${text}`)
  const value = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'))
  return sign === '' ? value : -value
}

/** The decimal text of a scaled integer, always with all its digits: `0.012505`. */
export function printScaled(value: bigint, scale: number): string {
  const digits = abs(value)
    .toString()
    .padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  return `${value < 0n ? '-' : ''}${whole}${scale === 0 ? '' : `.${digits.slice(-scale)}`}`
}

/** An amount in micro units, from and to text such as `0.012505`. */
export const parseAmount = (text: string): bigint => parseScaled(text, amountScale)
export const printAmount = (micros: bigint): string => printScaled(micros, amountScale)

/** A rate or fee in nano units, from and to text such as `0.0123`; printed without needless zeros. */
export const parseRate = (text: string): bigint => parseScaled(text, rateScale)
export function printRate(nanos: bigint): string {
  const known = printedRates.get(nanos)
  if (known !== undefined) return known
  if (printedRates.size >= limits.printedRatesMax) printedRates.clear()
  const text = printScaled(nanos, rateScale).replace(/\.?0+$/, '')
  printedRates.set(nanos, text)
  return text
}

export const limits = {
  /** Rates whose text is kept: decks repeat theirs. */
  printedRatesMax: 10_000
} as const
const printedRates = new Map<bigint, string>()
