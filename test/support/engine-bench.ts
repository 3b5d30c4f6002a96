// One engine, one application that speaks the control protocol by hand and one SIP peer: what conformance tests need.

import { Dialog } from '../../src/sip/dialog.ts'
import type { Engine, EngineOptions } from '../../src/sip/engine/engine.ts'
import { printMessage } from '../../src/sip/message.ts'
import type { ServerTransaction } from '../../src/sip/stack.ts'
import { portOf, RawApp, sdp, startEngine } from './engine.ts'
import type { Frame } from './engine.ts'
import { startPeer } from './sip-peer.ts'
import type { Exchange, SipPeer } from './sip-peer.ts'

export interface Called {
  readonly exchange: Exchange
  readonly dialog: Dialog
  readonly txn: string
  readonly id: string
}

export interface Ringing {
  readonly txn: string
  readonly tx: ServerTransaction
}

export const from = 'from: sip:me@localhost\r\n'
export const text = (method: string, uri: string, headers = from, body = ''): string =>
  `${method} ${uri} SIP/2.0\r\n${headers}\r\n${body}`

export class EngineBench {
  engine!: Engine
  app!: RawApp
  peer!: SipPeer
  readonly #methods: readonly string[]

  constructor(...methods: readonly string[]) {
    this.#methods = methods
  }

  get port(): number {
    return portOf(this.engine)
  }

  readonly begin = async (over: Partial<EngineOptions> = {}): Promise<void> => {
    this.engine = await startEngine(over)
    this.app = await RawApp.open(this.engine, ...this.#methods)
    this.peer = await startPeer()
  }

  readonly end = async (): Promise<void> => {
    this.app.close()
    await this.peer.close()
    await this.engine.close()
  }

  /** Another engine in place of the first. */
  readonly again = async (over: Partial<EngineOptions>): Promise<void> => {
    await this.end()
    await this.begin(over)
  }

  /** An INVITE of the peer. */
  readonly invite = (headers: readonly (readonly [string, string])[] = []): Exchange =>
    this.peer.ask(this.port, { method: 'INVITE', headers, body: sdp() })

  /** The transaction of the next request of that method, as the application hears it. */
  readonly heard = async (method: string): Promise<string> => (await this.app.sip(method)).tokens[8] ?? ''

  readonly respond = (txn: string, answer: string): Promise<Frame> => this.app.ask(`sip|${txn}|`, answer)

  readonly ok = (txn: string): Promise<Frame> => this.respond(txn, `SIP/2.0 200 OK\r\n\r\n${sdp()}`)

  /** Every answer with that status that has reached the peer. */
  readonly answersWith = (status: number): readonly string[] =>
    this.peer.log
      .filter(
        ({ direction, message }) => direction === 'in' && message.kind === 'response' && message.status === status
      )
      .map(({ message }) => printMessage(message).toString())

  /** A call of the peer, answered and acknowledged. */
  readonly called = async (): Promise<Called> => {
    const exchange = this.invite()
    const txn = await this.heard('INVITE')
    const { tokens } = await this.ok(txn)
    const dialog = this.peer.acknowledge(exchange, await exchange.response(200))
    await this.app.sip('ACK')
    return { exchange, dialog, txn, id: tokens[11] ?? '' }
  }

  /** A request of the application to the peer. */
  readonly send = (method: string, headers = from, body = ''): Promise<Frame> =>
    this.app.ask('sip||', text(method, this.peer.uri, headers, body))

  readonly inside = (id: string, method: string, headers = '', body = ''): Promise<Frame> =>
    this.app.ask(`sip||${id}`, text(method, 'sip:placeholder', headers, body))

  /** The reason why a command was refused. */
  readonly nok = async (command: string, message: string): Promise<string> => {
    const { tokens } = await this.app.ask(command, message)
    if (tokens[3] !== 'NOK') throw new Error(`not refused: ${tokens.join('|')}`)
    return tokens[4] ?? ''
  }

  /** An INVITE of the application that has reached the peer. */
  readonly ring = async (headers = from): Promise<Ringing> => {
    const { tokens } = await this.send('INVITE', headers, sdp())
    return { txn: tokens[10] ?? '', tx: await this.peer.next('INVITE') }
  }

  /** A call that the peer has answered and the application acknowledged. */
  readonly placed = async (): Promise<Ringing & { readonly id: string; readonly dialog: Dialog }> => {
    const ringing = await this.ring()
    const response = this.peer.answer(ringing.tx, 200, [['Allow', 'INVITE, ACK, BYE, UPDATE']], sdp())
    const id = (await this.app.sip('SIP/2.0 200')).tokens[9] ?? ''
    await this.inside(id, 'ACK')
    await this.peer.ack()
    return { ...ringing, id, dialog: Dialog.uas(ringing.tx.request, response) }
  }
}
