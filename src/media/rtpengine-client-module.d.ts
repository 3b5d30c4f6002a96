// The part of rtpengine-client 0.4.12 that is used; it brings no types of its own.
declare module 'rtpengine-client' {
  import type { EventEmitter } from 'node:events'

  export interface ClientOptions {
    readonly localAddress?: string
    readonly localPort?: number
    /** Milliseconds; none means that a lost datagram is waited for forever. */
    readonly timeout?: number
    readonly rejectOnError?: boolean
  }

  export class Client extends EventEmitter {
    constructor(options: ClientOptions)
    /** Requests under way, by cookie. */
    protected readonly messages: Map<string, unknown>
    protected incomingMsgs: Buffer[]
    static decodeMessage(message: Buffer): { readonly id: string; readonly data: unknown }
    /** Every command of the protocol under its name in camel case. */
    send_internal(command: string, fields: Readonly<Record<string, unknown>>): Promise<unknown>
    protected remoteHost: string
    protected remotePort: number
    protected _onParsedMessage(message: { readonly id: string; readonly data: unknown }): void
    protected _handleIncomingMessages(): void
    close(): void
  }
}
