// drachtio-srf with types that fit what it does: the ones it ships do not.

import Srf from 'drachtio-srf'
import type { Engine } from '../../src/sip/engine/engine.ts'
import { secret } from './engine.ts'

export interface SrfMessage {
  readonly method: string
  readonly uri: string
  readonly status: number
  readonly body: string
  readonly raw: string
  get(name: string): string | undefined
  has(name: string): boolean
}

export interface SrfRequest extends SrfMessage {
  readonly calledNumber: string
  readonly sessionToken?: string
  readonly receivedOn?: string
  readonly source_address: string
  readonly source_port: number
  readonly protocol: string
  readonly source: string
  on(event: 'response', run: (res: SrfMessage, ack: () => void) => void): void
  on(event: 'cancel', run: (cancel: SrfMessage) => void): void
  cancel(callback: () => void): void
}

export interface SrfResponse {
  send(status: number, options?: { readonly headers?: object; readonly body?: string }): void
}

export interface SrfDialog {
  readonly sip: { readonly callId: string; readonly localTag: string; readonly remoteTag: string }
  readonly local: { readonly uri: string; readonly sdp: string }
  readonly remote: { readonly uri: string; readonly sdp: string }
  on(event: 'destroy', run: (req: SrfRequest, reason: string) => void): void
  on(event: 'modify' | 'info' | 'update', run: (req: SrfRequest, res: SrfResponse) => void): void
  readonly connected: boolean
  destroy(): Promise<unknown>
  modify(sdp: string): Promise<string>
  request(options: { readonly method: string; readonly headers?: object; readonly body?: string }): Promise<SrfMessage>
}

interface UacCallbacks {
  readonly cbRequest?: (error: unknown, req: SrfRequest) => void
  readonly cbProvisional?: (res: SrfMessage) => void
}

export interface SrfApp {
  use(method: string, handler: (req: SrfRequest, res: SrfResponse) => void): void
  createUAS(req: SrfRequest, res: SrfResponse, options: object): Promise<SrfDialog>
  createUAC(uri: string, options: object, callbacks?: UacCallbacks): Promise<SrfDialog>
  createB2BUA(
    req: SrfRequest,
    res: SrfResponse,
    uri: string,
    options: object
  ): Promise<{ readonly uas: SrfDialog; readonly uac: SrfDialog }>
  request(uri: string, options: object): Promise<SrfRequest>
  disconnect(): void
}

/** A connected drachtio-srf; end it with `disconnect`. `prepare` registers its handlers before it connects. */
export async function connectSrf(
  engine: Engine,
  prepare: (srf: SrfApp) => void = () => undefined,
  options: object = {}
): Promise<SrfApp> {
  const srf = new Srf()
  // Reconnection is not what these tests are about; an error would be thrown without a listener.
  srf.on('error', () => undefined)
  const app = srf as unknown as SrfApp
  prepare(app)
  await new Promise<void>((done, failed) => {
    srf.on('connect', error => (error ? failed(error) : done()))
    void srf.connect({ host: engine.control.host, port: engine.control.port, secret, ...options })
  })
  return app
}
