// A number as a spreadsheet file writes it (1.2300000000000001E-2), as the decimal text that its author saw.

/** What spreadsheets show and keep. */
const significantDigits = 15

/** Rounded half up to 15 significant digits; text that is no number stays as it is. Exact: no binary fraction. */
export function spreadsheetNumber(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?$/.exec(text.trim()) ?? []
  if (whole === '') return text
  const digits = (whole + fraction).replace(/^0+/, '')
  if (digits === '') return '0'
  // The value is 0.digits * 10^point.
  let point = whole.length + Number(exponent) - (whole.length + fraction.length - digits.length)
  let kept = digits
  if (digits.length > significantDigits) {
    const rounded = (BigInt(digits.slice(0, significantDigits + 1)) + 5n) / 10n
    kept = rounded.toString()
    point += kept.length - significantDigits
  }
  kept = kept.replace(/0+$/, '')
  const left = point <= 0 ? '0' : kept.slice(0, point).padEnd(point, '0')
  const right = point >= kept.length ? '' : `.${'0'.repeat(Math.max(0, -point))}${kept.slice(Math.max(0, point))}`
  return `${sign === '-' ? '-' : ''}${left}${right}`
}
