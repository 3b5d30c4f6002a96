// The call ladder: one line for each SIP message, as it happens: time, from, to, what.

import type { SipMessage } from '../sip/message.ts'

export interface Ladder {
  /** What an endpoint sees on its wire; `out` is from that endpoint to the hub. */
  tap(endpoint: string): (direction: 'in' | 'out', message: SipMessage) => void
  readonly lines: number
  /** Prints no more. */
  mute(): void
}

const namesWidth = 22

/** `print` gets one line a message. */
export function createLadder(print: (line: string) => void, now: () => Date = () => new Date()): Ladder {
  let lines = 0
  let muted = false
  return {
    mute: () => {
      muted = true
    },
    get lines() {
      return lines
    },
    tap: endpoint => (direction, message) => {
      if (muted) return
      const [from, to] = direction === 'out' ? [endpoint, 'hub'] : ['hub', endpoint]
      lines++
      print(`${now().toISOString().slice(11, 23)}  ${`${from} → ${to}`.padEnd(namesWidth)} ${what(message)}`)
    }
  }
}

/** A request's method and target, an answer's status and what it answers; and whether it carries SDP. */
export function what(message: SipMessage): string {
  const sdp = message.body.length > 0 ? sdpWord(message) : ''
  if (message.kind === 'request') return `${message.method} ${message.uri}${sdp}`
  const method = message.headers.cseq()?.method ?? ''
  return `${message.status} ${message.reason} (${method})${sdp}`
}

function sdpWord({ headers, body }: SipMessage): string {
  const type = headers.get('Content-Type') ?? ''
  if (!type.startsWith('application/sdp')) return `  [${type}]`
  return body.includes('a=fingerprint') ? '  [SDP: WebRTC]' : '  [SDP: plain RTP]'
}
