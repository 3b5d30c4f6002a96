// A strict wrapper of rtpengine-client: every request settles within its time, every reply is checked, nothing is
// printed, and a late reply or a socket error never reaches the process.

import { Client } from 'rtpengine-client'
import { HubError, messageOf } from '../errors.ts'

/**
 * `replyMs`: below the time in which the session core wants its answer, with room for a second node.
 * `datagramBytesMax`: what UDP carries; larger requests would be refused by the socket.
 */
export const ngLimits = { replyMs: 800, datagramBytesMax: 60_000 } as const

export const ngCommands = ['ping', 'offer', 'answer', 'query', 'delete'] as const
export type NgCommand = (typeof ngCommands)[number]
export interface NgFields {
  readonly [field: string]: NgValue
}
/** Text, integers and lists: the library encodes a boolean as 1, and a list given as text is ignored by the daemon. */
export type NgValue = string | number | readonly string[] | NgFields

export type NgReply = Readonly<Record<string, unknown>>

export interface NgAddress {
  readonly host: string
  readonly port: number
}

/** Keeps the library's own words off the console, and its complaints about late replies to itself. */
class QuietClient extends Client {
  constructor(localAddress: string, timeoutMs: number) {
    super({ localAddress, timeout: timeoutMs })
    this.on('error', () => {})
  }

  ask({ host, port }: NgAddress, command: NgCommand, fields: NgFields): Promise<unknown> {
    this.remoteHost = host
    this.remotePort = port
    return this.send_internal(command, fields)
  }

  protected override _handleIncomingMessages(): void {
    for (const message of this.incomingMsgs.splice(0)) {
      let parsed: { readonly id: string; readonly data: unknown }
      try {
        parsed = Client.decodeMessage(message)
      } catch {
        continue
      }
      if (this.messages.has(parsed.id)) this._onParsedMessage(parsed)
    }
  }
}

export class RtpengineClient {
  readonly #client: QuietClient
  readonly #address: NgAddress
  readonly #timeoutMs: number
  #closed = false

  constructor(address: NgAddress, timeoutMs: number = ngLimits.replyMs) {
    this.#address = address
    this.#timeoutMs = timeoutMs
    this.#client = new QuietClient(isLoopback(address.host) ? '127.0.0.1' : '0.0.0.0', timeoutMs)
  }

  /**
   * Throws HUB_RTPENGINE_TIMEOUT where nobody answered (`retryable`: the request may or may not have been carried
   * out) and HUB_RTPENGINE_REFUSED with the daemon's own words where it said no.
   */
  async ask(command: NgCommand, fields: NgFields = {}): Promise<NgReply> {
    const where = `${this.#address.host}:${this.#address.port}`
    if (this.#closed) throw new HubError('HUB_MEDIA', 'the rtpengine client is closed', { command })
    if (sizeOf(fields) > ngLimits.datagramBytesMax) {
      throw new HubError('HUB_LIMIT', `a request to rtpengine exceeds ${ngLimits.datagramBytesMax} bytes`, { command })
    }
    let reply: unknown
    try {
      reply = await this.#inTime(this.#client.ask(this.#address, command, fields))
    } catch (cause) {
      const text = `rtpengine at ${where} did not answer ${command}`
      throw new HubError('HUB_RTPENGINE_TIMEOUT', text, { cause, command, node: where, retryable: true })
    }
    if (!isReply(reply)) throw new HubError('HUB_RTPENGINE_REFUSED', `rtpengine at ${where} sent no reply`, { command })
    const result = reply['result']
    if (result === 'ok' || (command === 'ping' && result === 'pong')) return reply
    const why = messageOf(reply['error-reason'] ?? reply['message'] ?? result)
    throw new HubError('HUB_RTPENGINE_REFUSED', `rtpengine refused ${command}: ${why}`, { command, node: where, why })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#client.close()
  }

  /** The library's own timer does not run for every failure, so this one does. */
  async #inTime(asked: Promise<unknown>): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('no reply')), this.#timeoutMs + 100)
    })
    try {
      return await Promise.race([asked, late])
    } finally {
      clearTimeout(timer)
      asked.catch(() => {})
    }
  }
}

const isReply = (reply: unknown): reply is NgReply => typeof reply === 'object' && reply !== null

const isLoopback = (host: string): boolean => host === 'localhost' || host.startsWith('127.')

/** An upper bound without encoding twice: every text with room for its length prefix. */
function sizeOf(value: NgValue): number {
  if (typeof value === 'number') return 24
  if (typeof value === 'string') return Buffer.byteLength(value) + 8
  const parts: [string, NgValue][] = Object.entries(value)
  return parts.reduce((sum, [key, part]) => sum + Buffer.byteLength(key) + 8 + sizeOf(part), 2)
}
