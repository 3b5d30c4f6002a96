// What of drachtio-srf the NNI touches: its own declarations are too loose to check anything.

import type { Server, Socket } from 'node:net'
import type { Received } from './control.ts'
import type { Parsed } from '../sip/message.ts'
import type { Fields, Lines } from './headers.ts'

export interface SrfMessage {
  readonly raw: string
}

export interface SrfRequest {
  readonly msg: SrfMessage
  readonly method: string
  readonly source: string
  readonly source_address: string
  readonly source_port: number
  readonly stackDialogId?: string
  readonly sessionToken?: string
  readonly socket: Socket
  on(event: 'cancel', run: (cancel: SrfMessage) => void): void
  on(event: 'update', run: (request: SrfRequest, response: SrfResponse) => void): void
  on(event: 'response', run: (response: SrfResponse, ack: SrfAck) => void): void
  cancel(options: SrfParts, done: (error: unknown) => void): void
}

export interface SrfResponse {
  readonly msg: SrfMessage & { status?: number; reason?: string }
  readonly source_address: string
  readonly source_port: number
  readonly sessionToken?: undefined
  readonly agent: SrfAgent
  readonly req: SrfRequest
  readonly socket: Socket
  finished: boolean
}

export type SrfAck = (parts: SrfParts) => void

/** Header fields and body of something to send, as srf takes them. */
export interface SrfParts {
  readonly headers?: Fields
  readonly body?: string
}

interface SrfAgent {
  sendResponse(response: SrfResponse, parts: SrfParts, done?: (error: unknown) => void): void
}

export type SrfHandler = (request: SrfRequest, response: SrfResponse, next: () => void) => void

export interface SrfLike {
  connect(options: object): unknown
  listen(options: { readonly server: Server; readonly secret: string }): unknown
  disconnect(): void
  use(method: string, handler: SrfHandler): void
  use(handler: SrfHandler): void
  on(event: 'connect', run: (error: unknown, hostport?: string, version?: string) => void): void
  on(event: 'close' | 'error' | 'reconnecting', run: (detail: unknown) => void): void
  readonly app: {
    readonly client: {
      request(options: object, done: (error: unknown, request?: SrfRequest) => void): void
      /** Cuts the connection's bytes into frames, and emits each. */
      readonly wp: { emit(event: 'msg', socket: Socket, frame: string): unknown }
    }
  }
}

export type Origin = Pick<Received, 'address' | 'port' | 'peerId'>

/** How srf and the engine reach each other. */
export interface SrfPort {
  /** Whether a command or a transaction may be left without an end. */
  readonly guarded: boolean
  connect(srf: SrfLike): void
  /** Ends what keeps the connection coming back. */
  close(): void
  /** The message that srf is handing us now. */
  read(message: SrfMessage): Parsed
  /** Where it came from; no address: the engine has made it. */
  origin(from: SrfRequest | SrfResponse): Origin
  /** What srf has to be told of header fields and body of the one request that it sends next. */
  request(headers: Lines, body: string): SrfParts
  /** The same of ACK and PRACK, of which the engine's word is not waited for. */
  acknowledgement(headers: Lines, body: string): SrfParts
  /** `failed` hears why it could not be sent. */
  answer(response: SrfResponse, headers: Lines, body: string, failed: ((why: string) => void) | undefined): void
}
