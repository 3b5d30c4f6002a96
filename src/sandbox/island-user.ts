// A user of an island that speaks SIP over a WebSocket (RFC 7118): registers, places and takes calls, sends texts.

import { once } from 'node:events'
import { WebSocket } from 'ws'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { createUserAgent } from '../sip/call.ts'
import type { SipCall, UserAgent, UserAgentOptions } from '../sip/call.ts'
import { createDigestClient } from '../sip/digest-client.ts'
import { makeRequest, makeResponse, newCallId, newTag, parseNameAddr, quote } from '../sip/message.ts'
import type { HeaderLine, SipResponse } from '../sip/message.ts'
import type { ServerTransaction } from '../sip/stack.ts'
import type { AdoptedFlow } from '../sip/transport/transport.ts'
import { CallLog } from './call-log.ts'
import type { TextMessage } from './call-log.ts'
import type { MediaEnd } from './media-end.ts'
import { numberOf } from './operator.ts'
import { challengesMax, PhoneCall } from './phone-call.ts'
import { openRtp } from './rtp.ts'
import type { CodecName } from './tone.ts'
import { standardToneHz } from './tone.ts'
import { WebrtcEnd } from './webrtc.ts'

export const userLimits = {
  /** WebSocket handshake and first REGISTER, each. */
  connectMs: 10_000,
  /** Asked for in REGISTER; refreshed at half of what was granted. */
  registerSeconds: 600,
  callsMax: 16,
  /** Ended calls and texts that are remembered. */
  historyMax: 1_000,
  /** From ringing to answer where nobody else says when. */
  ringMs: 100
} as const
export type UserLimits = { readonly [name in keyof typeof userLimits]: number }

export interface IslandUserOptions {
  /** `ws://host:port/path` or `wss://`. */
  readonly url: string
  readonly name: string
  readonly password: string
  readonly domain: string
  readonly display?: string
  readonly origin?: string
  readonly media?: 'webrtc' | 'rtp'
  /** Where media is bound. */
  readonly host?: string
  readonly codecs?: readonly CodecName[]
  readonly limits?: Partial<UserLimits>
  readonly tap?: UserAgentOptions['tap']
  readonly timers?: UserAgentOptions['timers']
  readonly log?: Logger
  /** For a wss server with a certificate of its own making. */
  readonly ca?: string | Buffer
  /** A call that came in: ring, answer or refuse it. Missing: rings, then answers with the standard tone. */
  readonly incoming?: (call: PhoneCall) => void
}

export interface IslandUser {
  /** `sip:name@domain` */
  readonly address: string
  /** Live ones, in and out. */
  readonly calls: readonly PhoneCall[]
  readonly history: readonly PhoneCall[]
  readonly messages: readonly TextMessage[]
  /** Opens the WebSocket and registers. Rejects with HUB_PEER saying what the other side refused. */
  connect(): Promise<void>
  /** A number (`+49...`), a name of the same island, or a whole URI. Plays 1000 Hz unless told; null echoes. */
  call(target: string, options?: { readonly toneHz?: number | null }): Promise<PhoneCall>
  /** A MESSAGE; the status of its answer, or what kept it from one. */
  sendText(target: string, text: string, type?: string): Promise<number | 'timeout' | 'transport'>
  /** Ends calls, unregisters and closes. */
  close(): Promise<void>
}

/** A user that is not connected yet. */
export const createIslandUser = (options: IslandUserOptions): IslandUser => new SandboxUser(options)

class SandboxUser implements IslandUser {
  readonly address: string
  readonly #options: IslandUserOptions
  readonly #limits: UserLimits
  readonly #agent: UserAgent
  readonly #digest: ReturnType<typeof createDigestClient>
  readonly #contact: string
  readonly #registerCallId = newCallId()
  readonly #fromTag = newTag()
  readonly #log: CallLog
  readonly #timers = new Set<NodeJS.Timeout>()
  #socket: WebSocket | null = null
  #flow: AdoptedFlow | null = null
  #cseq = 0

  constructor(options: IslandUserOptions) {
    const { name, password, domain, url } = options
    this.#options = options
    this.#limits = { ...userLimits, ...options.limits }
    this.#log = new CallLog(this.#limits.historyMax)
    this.address = `sip:${name}@${domain}`
    // Browsers cannot be reached by address, so the name says nothing (RFC 7118, 5.2.1).
    this.#contact = `sip:${newTag()}@${newTag()}.invalid;transport=${new URL(url).protocol === 'wss:' ? 'wss' : 'ws'}`
    this.#digest = createDigestClient({ username: name, password })
    const { tap, timers, log } = options
    this.#agent = createUserAgent({
      listen: [],
      userAgent: 'isthmus-sandbox-user',
      limits: { callsMax: this.#limits.callsMax },
      ...(tap === undefined ? {} : { tap }),
      ...(timers === undefined ? {} : { timers }),
      ...(log === undefined ? {} : { log }),
      incoming: sip => void this.#incoming(sip),
      requested: tx => this.#requested(tx)
    })
  }

  get calls(): readonly PhoneCall[] {
    return [...this.#log.live]
  }

  get history(): readonly PhoneCall[] {
    return this.#log.history
  }

  get messages(): readonly TextMessage[] {
    return this.#log.messages
  }

  async connect(): Promise<void> {
    await this.#agent.start()
    await this.#open()
    await this.#register(this.#limits.registerSeconds)
  }

  async call(
    target: string,
    { toneHz = standardToneHz }: { readonly toneHz?: number | null } = {}
  ): Promise<PhoneCall> {
    const flow = this.#connected()
    const { display, log } = this.#options
    const call = await PhoneCall.place(this.#agent, await this.#openMedia(), {
      number: target,
      uri: this.#uriOf(target),
      to: { flow },
      from: `${display === undefined ? '' : `${quote(display)} `}<${this.address}>`,
      contact: `<${this.#contact}>`,
      play: toneHz === null ? { what: 'echo' } : { what: 'tone', hz: toneHz },
      challenged: (response, invite) =>
        this.#digest.challenged(response, invite) ? this.#digest.authorize('INVITE', invite.uri) : null,
      ...(log === undefined ? {} : { log })
    })
    void this.#log.follow(call)
    return call
  }

  async sendText(
    target: string,
    text: string,
    type = 'text/plain;charset=UTF-8'
  ): Promise<number | 'timeout' | 'transport'> {
    const uri = this.#uriOf(target)
    const headers = [{ name: 'Content-Type', value: type }]
    const sent = await this.#exchange('MESSAGE', uri, { callId: newCallId(), to: uri, headers, body: text })
    return typeof sent === 'string' ? sent : sent.status
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const call of this.#log.live) call.hangUp()
    if (this.#flow?.closed === false) await this.#register(0).catch(() => undefined)
    await this.#agent.close()
    const socket = this.#socket
    if (socket !== null && socket.readyState !== WebSocket.CLOSED) {
      const closed = once(socket, 'close')
      socket.close()
      // A server that does not close its half is not waited for.
      const timer = setTimeout(() => socket.terminate(), 1_000)
      await closed
      clearTimeout(timer)
    }
    await this.#log.closed()
  }

  async #open(): Promise<void> {
    const { url, origin, ca } = this.#options
    const socket = new WebSocket(url, ['sip'], {
      handshakeTimeout: this.#limits.connectMs,
      ...(origin === undefined ? {} : { origin }),
      ...(ca === undefined ? {} : { ca })
    })
    try {
      await once(socket, 'open')
    } catch (cause) {
      throw new HubError('HUB_PEER', `no WebSocket at ${url}: ${messageOf(cause)}`, { cause })
    }
    const { hostname, port, protocol } = new URL(url)
    const secure = protocol === 'wss:'
    const flow = this.#agent.stack.adopt({
      transport: secure ? 'wss' : 'ws',
      local: { host: `${newTag()}.invalid`, port: secure ? 443 : 80 },
      remote: { host: hostname.replaceAll(/[[\]]/g, ''), port: Number(port) || (secure ? 443 : 80) },
      peerId: null,
      send: bytes => socket.send(bytes, { binary: false }),
      close: () => socket.close()
    })
    socket.on('message', (data: Buffer) => flow.receive(data))
    socket.on('close', () => flow.lost())
    socket.on('error', error => this.#options.log?.warn({ err: error }, 'sandbox user: WebSocket'))
    this.#socket = socket
    this.#flow = flow
  }

  async #register(expires: number): Promise<void> {
    const { domain, name } = this.#options
    const headers = [{ name: 'Contact', value: `<${this.#contact}>;expires=${expires}` }]
    const facts = { callId: this.#registerCallId, to: this.address, headers }
    const response = await this.#exchange('REGISTER', `sip:${domain}`, facts)
    if (typeof response === 'string') throw new HubError('HUB_PEER', `${domain} did not answer REGISTER: ${response}`)
    if (response.status >= 300) {
      const what = `${response.status} ${response.reason}`
      throw new HubError('HUB_PEER', `${domain} refused to register ${name}: ${what}`, { status: response.status })
    }
    if (expires > 0) this.#after((grantedSeconds(response) ?? expires) * 500, () => this.#refresh())
  }

  #refresh(): void {
    this.#register(this.#limits.registerSeconds).catch((error: unknown) => {
      this.#options.log?.error({ err: error }, 'sandbox user: registration lost')
    })
  }

  /** One request outside a dialog; a challenge is answered, once for each realm. */
  async #exchange(method: string, uri: string, facts: Facts): Promise<SipResponse | 'timeout' | 'transport'> {
    const flow = this.#connected()
    for (let attempt = 1; ; attempt++) {
      this.#cseq++
      const request = makeRequest({
        method,
        uri,
        headers: [
          ['From', `<${this.address}>;tag=${this.#fromTag}`],
          ['To', `<${facts.to}>`],
          ['Call-ID', facts.callId],
          ['CSeq', `${this.#cseq} ${method}`],
          ...[...facts.headers, ...this.#digest.authorize(method, uri)].map(line => [line.name, line.value] as const)
        ],
        ...(facts.body === undefined ? {} : { body: facts.body })
      })
      const response = await new Promise<SipResponse | 'timeout' | 'transport'>(resolve => {
        this.#agent.stack.send(
          request,
          { flow },
          {
            response: answer => {
              if (answer.status >= 200) resolve(answer)
            },
            failed: why => resolve(why)
          }
        )
      })
      if (typeof response === 'string' || (response.status !== 401 && response.status !== 407)) return response
      if (attempt === challengesMax || !this.#digest.challenged(response, request)) return response
    }
  }

  async #incoming(sip: SipCall): Promise<void> {
    const caller = parseNameAddr(sip.invite.headers.get('From') ?? '')?.uri ?? ''
    try {
      const call = PhoneCall.incoming(sip, caller, await this.#openMedia(), this.#options.log ?? null)
      void this.#log.follow(call)
      if (this.#options.incoming !== undefined) this.#options.incoming(call)
      else {
        call.ring()
        this.#after(this.#limits.ringMs, () => void call.answer({ what: 'tone', hz: standardToneHz }))
      }
    } catch (error) {
      this.#options.log?.error({ err: error }, 'sandbox user: a call could not be taken')
      sip.refuse(500)
    }
  }

  #requested(tx: ServerTransaction): void {
    const { request } = tx
    if (request.method === 'MESSAGE') {
      const from = parseNameAddr(request.headers.get('From') ?? '')?.uri ?? ''
      this.#log.take({
        from,
        to: numberOf(request),
        type: request.headers.get('Content-Type') ?? '',
        text: request.body.toString()
      })
    }
    const known = request.method === 'MESSAGE' || request.method === 'OPTIONS'
    tx.respond(makeResponse(request, known ? 200 : 405, { toTag: tx.localTag }))
  }

  async #openMedia(): Promise<MediaEnd> {
    const { media = 'webrtc', host = '127.0.0.1', codecs } = this.#options
    const options = codecs === undefined ? { host } : { host, codecs }
    return media === 'webrtc' ? new WebrtcEnd(options) : openRtp(options)
  }

  #uriOf(target: string): string {
    const { domain } = this.#options
    if (/^(sips?|tel|urn):/i.test(target)) return target
    return /^\+?[0-9]+$/.test(target) ? `sip:${target}@${domain};user=phone` : `sip:${target}@${domain}`
  }

  #connected(): AdoptedFlow {
    if (this.#flow?.closed === false) return this.#flow
    throw new HubError('HUB_PEER', `${this.address} is not connected`)
  }

  #after(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      run()
    }, ms)
    this.#timers.add(timer)
  }
}

interface Facts {
  readonly callId: string
  readonly to: string
  readonly headers: readonly HeaderLine[]
  readonly body?: string
}

/** What the registrar granted: the smallest `expires` of the contacts, or Expires. */
function grantedSeconds(response: SipResponse): number | null {
  const values = response.headers
    .all('Contact')
    .map(contact => Number(parseNameAddr(contact)?.params.get('expires') ?? Number.NaN))
    .filter(seconds => seconds > 0)
  const expires = Number(response.headers.get('Expires') ?? Number.NaN)
  if (values.length > 0) return Math.min(...values)
  return expires > 0 ? expires : null
}
