// SIP over WebSockets that somebody else terminates (RFC 7118): one message in each frame, both ways.

import { newFlowId } from './transport.ts'
import type { Address, AdoptedFlow, AdoptOptions, TransportPort } from './transport.ts'

const pong = Buffer.from('\r\n')

/** A flow over an adopted connection. */
export class WebSocketFlow implements AdoptedFlow {
  readonly id = newFlowId()
  readonly transport: 'ws' | 'wss'
  readonly local: Address
  readonly remote: Address
  readonly peerId: string | null
  closed = false
  readonly #owner: AdoptOptions
  readonly #port: TransportPort

  constructor(owner: AdoptOptions, port: TransportPort) {
    this.transport = owner.transport
    this.local = owner.local
    this.remote = owner.remote
    this.peerId = owner.peerId
    this.#owner = owner
    this.#port = port
  }

  send(bytes: Buffer, failed?: (error: unknown) => void): void {
    if (this.closed) {
      failed?.(new Error('the connection is closed'))
      return
    }
    try {
      this.#owner.send(bytes)
    } catch (error) {
      failed?.(error)
    }
  }

  close(): void {
    if (this.closed) return
    this.lost()
    try {
      this.#owner.close()
    } catch (error) {
      this.#port.warn('WebSocket close', error)
    }
  }

  receive(bytes: Buffer): void {
    if (this.closed) return
    if (this.#port.admit(this.remote.host) > 0) {
      this.#port.dropped()
      return
    }
    if (bytes.length > this.#port.limits.messageBytesMax) {
      this.#port.unreadable(bytes.subarray(0, this.#port.limits.headerBytesMax), 413, this)
      this.close()
    } else if (bytes.length > 4) this.#port.message(bytes, this)
    // RFC 5626, 4.4.1 within a frame: a double line break wants a single one.
    else if (bytes.toString('latin1') === '\r\n\r\n') this.send(pong)
  }

  lost(): void {
    if (this.closed) return
    this.closed = true
    this.#port.closed(this)
  }
}
