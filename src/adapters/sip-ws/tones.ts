// Tones as clients of this access send them: INFO with application/dtmf-relay (or the shorter application/dtmf).

import type { Tone } from '../../session/model.ts'
import type { SipRequest } from '../../sip/message.ts'
import type { Limits } from './limits.ts'

const digits = /^[0-9A-D*#]$/
const durationMsDefault = 250

/** Null for what is no tone. The duration is kept within bounds. */
export function parseTone({ headers, body }: SipRequest, { toneMsMin, toneMsMax }: Limits): Tone | null {
  const type = (headers.get('Content-Type') ?? '').split(';')[0]?.trim().toLowerCase()
  const fields = type === 'application/dtmf-relay' ? relayFields(body) : null
  if (fields === null && type !== 'application/dtmf') return null
  const digit = (fields === null ? body.toString('utf8', 0, 16).trim() : (fields.get('signal') ?? '')).toUpperCase()
  if (!digits.test(digit)) return null
  const asked = Number(fields?.get('duration') ?? durationMsDefault)
  const durationMs = Number.isInteger(asked) ? Math.min(Math.max(asked, toneMsMin), toneMsMax) : durationMsDefault
  return { digit, durationMs }
}

/** Lines of `Name=value`; spaces around either do not matter, order neither. */
function relayFields(body: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const text of body.toString('utf8', 0, 256).split('\n').slice(0, 8)) {
    const equal = text.indexOf('=')
    if (equal > 0) fields.set(text.slice(0, equal).trim().toLowerCase(), text.slice(equal + 1).trim())
  }
  return fields
}

export const printTone = ({ digit, durationMs }: Tone): string => `Signal=${digit}\r\nDuration=${durationMs}\r\n`
