// What one end of an anchored stream does, plain or encrypted. Packets are plain RTP and RTCP on this side of it.

export interface TransportEvents {
  /** The buffer belongs to the receiver, which may rewrite it. */
  readonly rtp: (packet: Buffer) => void
  readonly rtcp: (packet: Buffer) => void
  /** The peer is gone for good: consent expired, handshake failed. */
  readonly lost: (why: string) => void
}

export interface MediaTransport {
  readonly port: number
  /** Drops what cannot be sent yet. Never throws. */
  send(packet: Buffer): void
  sendRtcp(packet: Buffer): void
  /** Gives the ports back. A second time is harmless. */
  close(): Promise<void>
}
