// What a caller asks of the session timer, and what the sandbox answers (RFC 4028, 9).

import type { SessionTerms } from '../sip/call-session-timer.ts'
import type { HeaderLine, SipRequest } from '../sip/message.ts'

/** Seconds; what is shorter is refused. */
export const minSeSeconds = 90

export type TimerAsked =
  | { readonly asks: 'nothing' }
  | { readonly asks: 'too-short'; readonly headers: readonly HeaderLine[] }
  | { readonly asks: 'timer'; readonly terms: SessionTerms; readonly headers: readonly HeaderLine[] }

/** Of an INVITE, re-INVITE or UPDATE. */
export function timerAsked({ headers }: SipRequest): TimerAsked {
  const asked = headers.get('Session-Expires')
  const seconds = Number.parseInt(asked ?? '', 10)
  const supported = headers.all('Supported').some(tag => tag.toLowerCase() === 'timer')
  if (!supported || !Number.isInteger(seconds)) return { asks: 'nothing' }
  if (seconds < minSeSeconds) {
    return { asks: 'too-short', headers: [{ name: 'Min-SE', value: String(minSeSeconds) }] }
  }
  const ours = /;\s*refresher\s*=\s*uas/i.test(asked ?? '')
  return {
    asks: 'timer',
    terms: { seconds, ours },
    headers: [
      { name: 'Session-Expires', value: `${seconds};refresher=${ours ? 'uas' : 'uac'}` },
      { name: 'Require', value: 'timer' }
    ]
  }
}
