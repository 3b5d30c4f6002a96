// SIP over UDP: one socket for each listener, one message in each datagram.

import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { isIPv4, isIPv6 } from 'node:net'
import { plainHost } from '../hop.ts'
import { answerStun, isStun } from './stun.ts'
import { advertised, newFlowId } from './transport.ts'
import type { Address, Flow, Listening, ListenOptions, Source, TransportPort } from './transport.ts'

const noNames: readonly string[] = []
/** What the kernel may hold while a burst is worked off; it clamps this to its own maximum. */
const socketBufferBytes = 4_194_304
/** A path on which something came so lately carries what is not too large: asking how a write went costs a tick. */
const provenMs = 1_000
const provenBytes = 8_192

/** The path between one local socket and one remote address. */
class UdpFlow implements Flow, Source {
  readonly id = newFlowId()
  readonly transport = 'udp'
  readonly certificateNames = noNames
  readonly remote: Address
  readonly peerId: string | null
  heardMs = Number.NEGATIVE_INFINITY
  readonly #listener: UdpListener

  constructor(listener: UdpListener, remote: Address, peerId: string | null) {
    this.#listener = listener
    this.remote = remote
    this.peerId = peerId
  }

  get local(): Address {
    return this.#listener.local
  }

  get closed(): boolean {
    return this.#listener.closed
  }

  send(bytes: Buffer, failed?: (error: unknown) => void): void {
    const proven = bytes.length <= provenBytes && performance.now() - this.heardMs < provenMs
    this.#listener.send(bytes, this.remote, failed, proven)
  }

  close(): void {
    // A path without a connection: nothing to close, and the socket serves others.
  }
}

/** A bound UDP socket. */
export class UdpListener {
  local: Address
  closed = false
  readonly ipv6: boolean
  readonly listening: Listening
  readonly #socket: Socket
  readonly #port: TransportPort
  /** The last path from each address. */
  readonly #flows = new Map<string, UdpFlow>()

  private constructor(socket: Socket, local: Address, port: TransportPort) {
    this.#socket = socket
    this.local = local
    const bound = socket.address()
    this.ipv6 = isIPv6(bound.address)
    this.listening = { transport: 'udp', host: bound.address, port: bound.port }
    this.#port = port
    socket.on('message', (bytes, { address, port }) => this.#receive(bytes, address, port))
    // ICMP errors and their like: the transaction's own timers tell.
    socket.on('error', error => this.#port.warn('UDP socket', error))
  }

  /** Rejects where the address cannot be bound. */
  static async open(options: ListenOptions, port: TransportPort): Promise<UdpListener> {
    const type = isIPv6(options.host) ? 'udp6' : 'udp4'
    const buffers = { recvBufferSize: socketBufferBytes, sendBufferSize: socketBufferBytes }
    // Only IP addresses come here, so that nothing needs to be looked up, in later ticks and for each datagram.
    const lookup = (host: string, _options: unknown, done: (e: null, address: string, family: number) => void): void =>
      done(null, host, host.includes(':') ? 6 : 4)
    const socket = createSocket({ type, lookup, ...buffers })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ port: options.port, address: options.host }, () => {
        socket.off('error', reject)
        resolve()
      })
    })
    return new UdpListener(socket, { host: advertised(options), port: socket.address().port }, port)
  }

  flowTo(remote: Address, peerId: string | null = null): Flow {
    return new UdpFlow(this, remote, peerId)
  }

  send(bytes: Buffer, to: Address, failed?: (error: unknown) => void, proven = false): void {
    if (this.closed) {
      failed?.(new Error('the socket is closed'))
      return
    }
    const { port } = to
    // IPv4 over a socket of both families.
    const host = this.ipv6 && isIPv4(to.host) ? `::ffff:${to.host}` : to.host
    try {
      if (failed === undefined || proven) this.#socket.send(bytes, port, host)
      else this.#socket.send(bytes, port, host, error => (error === null ? undefined : failed(error)))
    } catch (error) {
      // Port 0 and its like: what a peer wrote into its Via.
      failed?.(error)
    }
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await new Promise<void>(resolve => this.#socket.close(resolve))
  }

  #receive(bytes: Buffer, from: string, port: number): void {
    const host = plainHost(from)
    const known = this.#flows.get(host)
    const flow = known?.remote.port === port ? known : new UdpFlow(this, { host, port }, null)
    const verdict = this.#port.screen(flow)
    if (typeof verdict === 'string' || this.#port.admit(host) > 0) {
      this.#port.dropped()
      return
    }
    // Keepalives of address translators: line breaks, or nothing at all; or STUN (RFC 5626, 4.4.2).
    if (bytes.length <= 4) return
    if (isStun(bytes)) {
      const answer = answerStun(bytes, flow.remote)
      if (answer !== null) this.send(answer, flow.remote)
      return
    }
    const path = flow === known && flow.peerId === verdict.peerId ? flow : this.#newFlow(flow, verdict)
    path.heardMs = performance.now()
    this.#port.message(bytes, path)
  }

  #newFlow({ remote }: UdpFlow, { peerId }: { readonly peerId: string | null }): UdpFlow {
    const flow = new UdpFlow(this, remote, peerId)
    if (this.#flows.size >= this.#port.limits.udpFlowsMax) this.#flows.clear()
    this.#flows.set(remote.host, flow)
    return flow
  }
}
