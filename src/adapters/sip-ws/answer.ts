// An answer as a value: status and header lines, and how such lines become what the stack wants.

import { quote } from '../../sip/message.ts'
import type { HeaderLine } from '../../sip/message.ts'

export interface Answer {
  readonly status: number
  readonly headers: readonly HeaderLine[]
}

export const line = (name: string, value: string): HeaderLine => ({ name, value })

export const answerWith = (status: number, ...headers: readonly HeaderLine[]): Answer => ({ status, headers })

/** A refusal with its reason in plain words, where clients show it (RFC 3326). */
export const refuseWith = (status: number, text: string, ...headers: readonly HeaderLine[]): Answer => ({
  status,
  headers: [line('Reason', `SIP;cause=${status};text=${quote(text)}`), ...headers]
})
