// The part of @xmpp/client 0.14 that is used; it brings no types of its own.
declare module '@xmpp/client' {
  import type { EventEmitter } from 'node:events'
  import type { Element, Parser } from '@xmpp/xml'

  export interface RawSocket {
    setNoDelay?(on: boolean): void
    setKeepAlive?(on: boolean, ms: number): void
    pause?(): void
    resume?(): void
    destroy?(): void
    close?(): void
    readonly writableLength?: number
  }
  /** A TCP socket itself, or a wrapper of a TLS socket or WebSocket. */
  export interface ClientSocket extends EventEmitter, RawSocket {
    readonly socket?: RawSocket | null
    end(): void
  }

  export type Authenticate = (
    credentials: { readonly username: string; readonly password: string },
    mechanism: string
  ) => Promise<void>

  export interface ClientEntity extends EventEmitter {
    readonly jid: { toString(): string } | null
    readonly socket: ClientSocket | null
    readonly parser: Parser | null
    readonly status: string
    readonly reconnect: { stop(): void }
    _onElement(element: Element): void
    _attachSocket(socket: ClientSocket): void
    _onData(data: Buffer | string): void
    isSecure(): boolean
    start(): Promise<unknown>
    stop(): Promise<unknown>
    disconnect(): Promise<unknown>
    send(element: Element): Promise<void>
    write(text: string): Promise<void>
  }

  export function client(options: {
    readonly service: string
    readonly domain: string
    readonly resource: string
    readonly timeout?: number
    readonly username: string
    readonly credentials: (
      authenticate: Authenticate,
      mechanisms: readonly string[],
      fast: unknown,
      entity: ClientEntity
    ) => Promise<void>
  }): ClientEntity
}
