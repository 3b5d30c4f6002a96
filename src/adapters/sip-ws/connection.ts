// One WebSocket as the adapter sees it: its flow in the SIP stack, and what ends or counts with it.

import type { Flow } from '../../sip/transport/transport.ts'
import type { Knows } from './reports.ts'
import type { Socket } from './server.ts'

/** A call over this connection, told when the connection is gone. */
export interface Passenger {
  connectionLost(): void
}

export class Connection {
  readonly socket: Socket
  readonly flow: Flow
  readonly calls = new Set<Passenger>()
  /** Messages that wait for their verdict. */
  texts = 0
  /** What it has shown to know of notifications about messages. */
  readonly knows = new Set<Knows>()
  credentialsWrong = 0
  #proven = false

  constructor(socket: Socket, flow: Flow) {
    this.socket = socket
    this.flow = flow
  }

  /** Somebody has shown a right password on it. */
  get proven(): boolean {
    return this.#proven
  }

  prove(): void {
    this.#proven = true
    this.socket.trust()
  }

  get neighbour(): string {
    const { host, port } = this.socket.remote
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  }
}

/** Live connections by the id of their flow. */
export class Connections {
  readonly #byFlow = new Map<number, Connection>()

  add(connection: Connection): void {
    this.#byFlow.set(connection.flow.id, connection)
  }

  of(flow: Flow | null): Connection | null {
    return flow === null ? null : (this.#byFlow.get(flow.id) ?? null)
  }

  /** The calls over it hear first, while the connection is still known. */
  lost(connection: Connection): void {
    for (const call of connection.calls) call.connectionLost()
    connection.calls.clear()
    this.#byFlow.delete(connection.flow.id)
  }
}
