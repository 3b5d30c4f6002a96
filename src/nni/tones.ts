// Telephone tones in INFO: `application/dtmf-relay`, the form that gateways agree on, and `application/dtmf`.

import type { Tone } from '../session/model.ts'

export const toneType = 'application/dtmf-relay'

const digits = /^[0-9A-D*#]$/i
const durationMsMax = 10_000
const durationMs = 160

/** Null: the type is known and the body is no tone. */
export function tonesOf(type: string, body: string): Tone | null | 'unknown-type' {
  if (type === 'application/dtmf') return toneOf(body.trim(), durationMs)
  if (type !== toneType) return 'unknown-type'
  const fields = new Map<string, string>()
  for (const line of body.slice(0, 256).split(/\r?\n/)) {
    const equal = line.indexOf('=')
    if (equal > 0) fields.set(line.slice(0, equal).trim().toLowerCase(), line.slice(equal + 1).trim())
  }
  const duration = Number(fields.get('duration') ?? durationMs)
  return toneOf(fields.get('signal') ?? '', Number.isInteger(duration) && duration > 0 ? duration : durationMs)
}

const toneOf = (digit: string, ms: number): Tone | null =>
  digits.test(digit) ? { digit: digit.toUpperCase(), durationMs: Math.min(ms, durationMsMax) } : null

export const toneBody = ({ digit, durationMs }: Tone): string => `Signal=${digit}\r\nDuration=${durationMs}\r\n`
