// Which streams share a transport (BUNDLE, RFC 8843), and how a transport learns of its peer.

import type { Side } from '../session/model.ts'
import type { Accepted, Exchange, OfferedLine } from './exchange.ts'
import type { AnchoredLine } from './anchored-line.ts'
import type { MediaFacts } from './facts.ts'
import { RtpTransport } from './rtp-transport.ts'
import type { MediaTransport } from './transport.ts'
import { WebrtcTransport } from './webrtc-transport.ts'

/** The transport of another line that lies in the same bundle (RFC 8843, 7.3.1). */
export function sharedTransport(lines: readonly OfferedLine[], side: Side, bundle: string): MediaTransport | null {
  for (const { line, facts } of lines) {
    const end = line.ends[side]
    if (facts?.bundle === bundle && end !== null) return end.transport
  }
  return null
}

/** Each line was offered its own transport; an answer that bundles them leaves the first one's alone. */
export function rebundle(exchange: Exchange, taken: Accepted, line: AnchoredLine, to: Side): void {
  const bundle = taken.get(line)?.facts.bundle ?? null
  const end = line.ends[to]
  if (bundle === null || end === null) return
  for (const { line: other } of exchange.lines) {
    if (other === line) return
    const shared = other.ends[to]
    if (taken.get(other)?.facts.bundle === bundle && shared !== null) {
      end.transport = shared.transport
      return
    }
  }
}

/** Hands a side's addresses, or its ICE and DTLS parameters, to the transport. */
export async function connectTo(transport: MediaTransport, facts: MediaFacts, offerer: boolean): Promise<void> {
  if (transport instanceof RtpTransport) transport.declare(facts.rtp, facts.rtcp)
  else if (transport instanceof WebrtcTransport && facts.webrtc !== null)
    await transport.connect(facts.webrtc, { offerer })
}
