// drachtio-srf connected to the control port of a SIP engine, a drachtio-server as a rule: everything goes as text.

import type { Socket } from 'node:net'
import { messageOf } from '../errors.ts'
import { parseMessage } from '../sip/message.ts'
import type { Parsed } from '../sip/message.ts'
import type { Fields, Lines } from './headers.ts'
import { limits } from './limits.ts'
import type { Origin, SrfLike, SrfMessage, SrfParts, SrfPort, SrfRequest, SrfResponse } from './srf-types.ts'

export interface ControlPlace {
  readonly host: string
  readonly port: number
  readonly secret: string
}

export class RemotePort implements SrfPort {
  readonly guarded = true
  readonly #place: ControlPlace
  /** srf keeps this very object, so closing can stop its attempts. */
  readonly #reconnect: { retryMaxDelay: number; maxAttempts?: number } = { retryMaxDelay: limits.reconnectMs }
  /** Known from the first message on. */
  #socket: Socket | null = null

  constructor(place: ControlPlace) {
    this.#place = place
  }

  connect(srf: SrfLike): void {
    srf.on('close', () => (this.#socket = null))
    srf.connect({ ...this.#place, reconnect: this.#reconnect, enablePing: true })
  }

  close(): void {
    this.#reconnect.maxAttempts = 1
  }

  read(message: SrfMessage): Parsed {
    return parseMessage(Buffer.from(message.raw))
  }

  origin(from: SrfRequest | SrfResponse): Origin {
    this.#socket = from.socket
    return { address: from.source_address, port: from.source_port, peerId: from.sessionToken ?? null }
  }

  request(headers: Lines, body: string): SrfParts {
    this.#gather()
    return body === '' ? { headers: joined(headers) } : { headers: joined(headers), body }
  }

  acknowledgement(headers: Lines, body: string): SrfParts {
    return this.request(headers, body)
  }

  answer(response: SrfResponse, headers: Lines, body: string, failed: ((why: string) => void) | undefined): void {
    const told = (error: unknown): void => {
      if (error !== null && error !== undefined) failed?.(messageOf(error))
    }
    // With a callback srf parses the echo of what it sent: only where somebody wants to know.
    response.agent.sendResponse(response, this.request(headers, body), failed && told)
  }

  /** What is sent in one turn of the event loop leaves in one write. */
  #gather(): void {
    const socket = this.#socket
    if (socket === null || socket.writableCorked > 0) return
    socket.cork()
    setImmediate(() => socket.uncork())
  }
}

/** srf writes one value for a field: it brings the lines of the others along. */
const joined = (lines: Lines): Fields =>
  Object.fromEntries(
    Object.entries(lines).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : value.join(`\r\n${name}: `)
    ])
  )
