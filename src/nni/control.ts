// What the NNI needs of a SIP engine: requests in and out, over a connection that may be lost and come back.

import type { Logger } from '../log.ts'
import type { Clock } from '../session/ports.ts'
import type { Joinable } from '../sip/link.ts'
import type { SipRequest, SipResponse } from '../sip/message.ts'
import type { Told } from './causes.ts'
import { DirectControl } from './direct.ts'
import type { Fields, Lines } from './headers.ts'
import { SrfControl } from './srf-control.ts'
import type { SrfOptions } from './srf-control.ts'

/** The methods that the engine hands to us; everything else it answers itself. */
const methods = [
  'invite',
  'message',
  'options',
  'info',
  'update',
  'prack',
  'bye',
  'refer',
  'register',
  'subscribe',
  'notify',
  'publish'
] as const

export interface Parts {
  readonly reason?: string | undefined
  readonly headers?: Readonly<Fields>
  readonly body?: string
}

/** A request from the network, or one that the engine made itself to tell us of an end (`unsolicited`). */
export interface Received {
  readonly method: string
  /** Empty outside a dialog. */
  readonly dialogId: string
  readonly address: string
  readonly port: number
  /** The peer as the engine has verified it; null where it does not. */
  readonly peerId: string | null
  readonly unsolicited: boolean
  readonly message: SipRequest
  /** `failed` hears why the engine could not send it: as a rule, the transaction is gone. */
  respond(status: number, parts?: Parts, failed?: (why: string) => void): void
  /** CANCEL: the engine has answered both. */
  onCancel: ((told: readonly Told[]) => void) | null
  /** An UPDATE inside the early dialog of this INVITE. */
  onUpdate: ((update: Received) => void) | null
}

export interface ToSend {
  readonly method: string
  readonly uri?: string
  readonly headers: Lines
  readonly body?: string
  /** A URI: where the first request of a dialog goes, whatever its Request-URI says. */
  readonly nextHop?: string
  /** Of a request inside a dialog. */
  readonly dialogId?: string
}

export interface Answer {
  readonly message: SipResponse
  /** Made by the engine: 408 for silence, 503 for a broken path. */
  readonly local: boolean
  /** PRACK to a reliable 1xx, ACK to a 2xx; nothing for the rest. */
  ack(body?: string): void
}

export interface AnswerHandler {
  sent?(): void
  answered(answer: Answer): void
  /** It was not sent, or nothing will come of it any more. */
  failed(why: string): void
  /** An UPDATE of the peer that srf took for a part of this request. */
  updated(update: Received): void
}

export interface Sent {
  /** INVITE only. The INVITE's own answer still comes. */
  cancel(headers: Readonly<Fields>): void
}

export interface ControlHandler {
  received(request: Received): void
  /** Everything that lived on the connection is gone. */
  lost(): void
  connected(): void
}

export interface Control {
  /** Rejects with HUB_SIP_ENGINE where the engine cannot be reached, or refuses the secret. */
  start(handler: ControlHandler): Promise<void>
  readonly up: boolean
  send(request: ToSend, on: AnswerHandler): Sent
  close(): void
}

export interface ControlOptions {
  /** By drachtio-srf to the control port of an engine or to the engine of this process, or to that one without it. */
  readonly connect: SrfOptions['connect'] | Joinable
  readonly log: Logger
  readonly clock: Clock
}

export const createControl = ({ connect, log, clock }: ControlOptions): Control =>
  'join' in connect
    ? new DirectControl({ engine: connect, methods, log })
    : new SrfControl({ connect, methods, log, clock })
