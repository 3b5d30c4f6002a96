// A plain RTP/AVP end: two UDP sockets, RTP and RTCP, each latched to where the peer really is.

import type { Socket } from 'node:dgram'
import type { Address } from './facts.ts'
import { Latch } from './latch.ts'
import { bindUdp } from './port-pool.ts'
import type { PortPair, PortPool } from './port-pool.ts'
import { isRtcp, isRtp } from './rtp-packet.ts'
import type { MediaTransport, TransportEvents } from './transport.ts'

export class RtpTransport implements MediaTransport {
  readonly #pool: PortPool
  readonly #pair: PortPair
  readonly #rtp: Socket
  readonly #rtcp: Socket
  readonly #events: TransportEvents
  readonly #latch = new Latch()
  readonly #rtcpLatch = new Latch()
  #closed = false

  /** Null: no free pair of ports. */
  static open(pool: PortPool, events: TransportEvents): Promise<RtpTransport | null> {
    return pool.takeAnd(async pair => {
      const rtp = await bindUdp(pool.address, pair.rtp)
      if (rtp === null) return null
      try {
        const rtcp = await bindUdp(pool.address, pair.rtcp)
        if (rtcp !== null) return new RtpTransport(pool, pair, { rtp, rtcp }, events)
      } catch (error) {
        rtp.close()
        throw error
      }
      rtp.close()
      return null
    })
  }

  private constructor(pool: PortPool, pair: PortPair, sockets: { rtp: Socket; rtcp: Socket }, events: TransportEvents) {
    this.#pool = pool
    this.#pair = pair
    this.#rtp = sockets.rtp
    this.#rtcp = sockets.rtcp
    this.#events = events
    this.#rtp.on('message', (packet, { address, port }) => {
      // RFC 5761 peers may put RTCP here although it was not agreed.
      if (isRtcp(packet)) this.#heardRtcp(packet, address, null)
      else if (isRtp(packet) && this.#latch.accept(address, port)) this.#events.rtp(packet)
    })
    this.#rtcp.on('message', (packet, { address, port }) => {
      if (isRtcp(packet)) this.#heardRtcp(packet, address, port)
    })
    // A refused datagram (ICMP) is no reason to stop: the peer may not listen yet.
    for (const socket of [this.#rtp, this.#rtcp]) socket.on('error', () => {})
  }

  get port(): number {
    return this.#pair.rtp
  }

  get rtcpPort(): number {
    return this.#pair.rtcp
  }

  /** What the peer's SDP says; null while it hears nothing. */
  declare(rtp: Address | null, rtcp: Address | null): void {
    this.#latch.declare(rtp)
    this.#rtcpLatch.declare(rtcp)
  }

  send(packet: Buffer): void {
    transmit(this.#rtp, this.#closed, this.#latch.target, packet)
  }

  sendRtcp(packet: Buffer): void {
    transmit(this.#rtcp, this.#closed, this.#rtcpLatch.target, packet)
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    const closed = [this.#rtp, this.#rtcp].map(socket => new Promise<void>(resolve => void socket.close(resolve)))
    return Promise.all(closed).then(() => this.#pool.give(this.#pair))
  }

  /** RTCP must come from the host that RTP comes from: there are too few packets to learn from them alone. */
  #heardRtcp(packet: Buffer, host: string, port: number | null): void {
    if (host !== this.#latch.target?.host && host !== this.#rtcpLatch.target?.host) return
    if (port !== null && !this.#rtcpLatch.accept(host, port)) return
    this.#events.rtcp(packet)
  }
}

function transmit(socket: Socket, closed: boolean, target: Address | null, packet: Buffer): void {
  if (closed || target === null) return
  socket.send(packet, target.port, target.host, () => {})
}
