// One call of a sandbox endpoint: joins the INVITE usage of `sip` with an end of audio, in both directions.

import type { CallEnd, CallHandler, PlaceOptions, Reoffer, SipCall, UserAgent } from '../sip/call.ts'
import { keepSession } from '../sip/call-session-timer.ts'
import type { SessionTimer } from '../sip/call-session-timer.ts'
import type { HeaderLine, SipRequest, SipResponse } from '../sip/message.ts'
import type { Logger } from '../log.ts'
import type { MediaEnd, Play } from './media-end.ts'
import type { Direction } from './sdp.ts'
import { timerAsked } from './session-timer.ts'

/** Attempts at one request, however often the other side asks for credentials. */
export const challengesMax = 3

export type PhoneState = 'ringing' | 'talking' | 'over'

export interface PlaceCall extends Omit<PlaceOptions, 'on' | 'body' | 'contentType'> {
  /** Who was called, as its user would say it. */
  readonly number: string
  /** Played as soon as there is somewhere to play to. */
  readonly play: Play
  readonly log?: Logger
  /** Header fields to try again with after a 401 or 407; null gives up. */
  readonly challenged?: (response: SipResponse, invite: SipRequest) => readonly HeaderLine[] | null
}

/** A call, ringing, answered or over. Nothing here throws or rejects: what goes wrong ends the call. */
export class PhoneCall {
  readonly direction: 'in' | 'out'
  readonly number: string
  readonly media: MediaEnd
  /** True once it is answered, false if it ends before. */
  readonly answered: Promise<boolean>
  /** Never rejects; says how. */
  readonly ended: Promise<CallEnd>
  /** Provisional answers that came, or were sent, with SDP. */
  early = false
  #state: PhoneState = 'ringing'
  #sip: SipCall | null = null
  #end: CallEnd | null = null
  #log: Logger | null
  /** Media answers one question at a time. */
  #work: Promise<unknown> = Promise.resolve()
  /** Incoming: what our side says, made once. */
  #local: Promise<string | null> | null = null
  /** Our offer that still waits for its answer. */
  #offering = false
  /** Runs where the caller wants one; calls placed here ask for none. */
  #timer: SessionTimer | null = null
  readonly #answered = Promise.withResolvers<boolean>()
  readonly #ended = Promise.withResolvers<CallEnd>()

  private constructor(direction: 'in' | 'out', number: string, media: MediaEnd, log: Logger | null) {
    this.direction = direction
    this.number = number
    this.media = media
    this.#log = log
    this.answered = this.#answered.promise
    this.ended = this.#ended.promise
  }

  /** Offers audio and sends the INVITE. */
  static async place(agent: UserAgent, media: MediaEnd, options: PlaceCall): Promise<PhoneCall> {
    const { number, play, log = null, challenged, ...rest } = options
    const call = new PhoneCall('out', number, media, log)
    media.play(play)
    const body = await media.offer()
    call.#offering = true
    const on = call.#handler()
    let attempts = 1
    const ended = (end: CallEnd): void => {
      const again = attempts++ < challengesMax ? challengeOf(end) : null
      const { invite } = call
      const headers = again === null || invite === null ? null : (challenged?.(again, invite) ?? null)
      if (headers === null) on.ended?.(end)
      else
        call.#sip = agent.place({ ...rest, headers: [...(rest.headers ?? []), ...headers], body, on: { ...on, ended } })
    }
    call.#sip = agent.place({ ...rest, body, on: { ...on, ended } })
    return call
  }

  /** A call that came in; the caller of this says what becomes of it. */
  static incoming(sip: SipCall, number: string, media: MediaEnd, log: Logger | null = null): PhoneCall {
    const call = new PhoneCall('in', number, media, log)
    call.#sip = sip
    sip.on = call.#handler()
    return call
  }

  get state(): PhoneState {
    return this.#state
  }

  /** Null while it lives. */
  get end(): CallEnd | null {
    return this.#end
  }

  /** The INVITE, as sent or received; null only before it is sent. */
  get invite(): SipRequest | null {
    return this.#sip?.invite ?? null
  }

  get id(): string {
    return this.#sip?.id ?? ''
  }

  /** Incoming: 180. */
  ring(): void {
    this.#sip?.ring()
  }

  /** Incoming: 183 with SDP, and plays; a plain 180 where the INVITE brought no offer. */
  async progress(play: Play): Promise<void> {
    if (!this.#offered()) return this.ring()
    await this.#queue(async () => {
      const body = await this.#localSdp()
      if (body === null) return this.refuse(488)
      this.media.play(play)
      this.early = this.#sip?.ring({ status: 183, reliable: 'if-supported', body }) ?? false
    })
  }

  /** Incoming: 200, and plays; 488 where the offer has nothing for us. */
  async answer(play: Play): Promise<void> {
    await this.#queue(async () => {
      const body = await this.#localSdp()
      if (body === null) return this.refuse(488)
      this.media.play(play)
      this.#offering = !this.#offered()
      // An answer that went out reliably is not repeated (RFC 6337, 3.1.1).
      this.#accepted(this.early && this.#reliable() ? {} : { body })
    })
  }

  #accepted(parts: { readonly body?: string }): void {
    const sip = this.#sip
    if (sip === null) return
    const timer = timerAsked(sip.invite)
    sip.answer(timer.asks === 'timer' ? { ...parts, headers: timer.headers } : parts)
    if (sip.state !== 'answered') return
    if (timer.asks === 'timer') this.#timer = keepSession(sip, timer.terms)
    this.#talk()
  }

  /** Incoming: 300 to 699. */
  refuse(status: number, headers: readonly HeaderLine[] = []): void {
    this.#sip?.refuse(status, { headers })
  }

  /** Whatever ends it now: CANCEL, a refusal or BYE. */
  hangUp(headers: readonly HeaderLine[] = []): void {
    this.#sip?.end({ headers })
  }

  /** A re-INVITE with another direction; true where the other side took it. */
  async reoffer(direction: Direction): Promise<boolean> {
    let body = ''
    await this.#queue(async () => {
      body = await this.media.offer(direction)
    })
    const sip = this.#sip
    if (body === '' || sip === null || this.#state === 'over') return false
    return new Promise(resolve => {
      sip.reinvite(
        { body },
        {
          answered: (response, ack) => {
            void this.#accept(response).then(resolve)
            ack?.()
          },
          refused: () => resolve(false)
        }
      )
    })
  }

  #handler(): CallHandler {
    return {
      provisional: ({ response }) => {
        if (response.body.length === 0) return
        this.early = true
        void this.#accept(response)
      },
      answered: response => {
        void this.#settle(response)
        this.#talk()
      },
      acknowledged: ack => {
        if (this.#offering && ack.body.length > 0) void this.#accept(ack)
      },
      reoffered: reoffer => void this.#reoffered(reoffer),
      ended: end => {
        this.#state = 'over'
        this.#end = end
        this.#timer?.stop()
        this.#answered.resolve(false)
        this.#ended.resolve(end)
        void this.#queue(() => this.media.close())
      }
    }
  }

  /** Early media may have brought the answer before; the 2xx then repeats it or leaves it out. */
  async #settle(response: SipResponse): Promise<void> {
    if (!(await this.#accept(response)) && !this.early) this.hangUp(reason(488, 'No Usable Answer'))
  }

  #talk(): void {
    this.#state = 'talking'
    this.#answered.resolve(true)
  }

  /** An answer to our offer, wherever it came; only the first one counts (RFC 3261, 13.2.1). */
  async #accept({ body }: SipRequest | SipResponse): Promise<boolean> {
    if (body.length === 0) return !this.#offering
    let usable = false
    await this.#queue(async () => {
      usable = await this.media.accept(body.toString())
      if (usable) this.#offering = false
    })
    return usable
  }

  async #reoffered(reoffer: Reoffer): Promise<void> {
    const timer = timerAsked(reoffer.request)
    if (timer.asks === 'too-short') return reoffer.refuse(422, { headers: timer.headers })
    const headers = timer.asks === 'timer' ? timer.headers : []
    // A refresh that offers nothing (RFC 3311, 5.2).
    if (!reoffer.hasSdp && reoffer.method === 'UPDATE') reoffer.answer({ headers })
    else await this.#queue(() => this.#reanswer(reoffer, headers))
    if (timer.asks === 'timer') this.#timer?.refreshed(timer.terms)
  }

  async #reanswer(reoffer: Reoffer, headers: readonly HeaderLine[]): Promise<void> {
    if (!reoffer.hasSdp) {
      this.#offering = true
      reoffer.answer({ headers, body: await this.media.offer() })
      return
    }
    const body = await this.media.answer(reoffer.request.body.toString())
    if (body === null) reoffer.refuse(488)
    else reoffer.answer({ headers, body })
  }

  #localSdp(): Promise<string | null> {
    const offer = this.#sip?.invite.body.toString() ?? ''
    this.#local ??= offer === '' ? this.media.offer() : this.media.answer(offer)
    return this.#local
  }

  /** Whether the INVITE that came in brought an offer. */
  #offered(): boolean {
    return (this.#sip?.invite.body.length ?? 0) > 0
  }

  #reliable(): boolean {
    const { headers } = this.#sip?.invite ?? {}
    return ['Supported', 'Require'].some(name => headers?.all(name).includes('100rel') === true)
  }

  /** One after the other; a failure ends the call and is told in the log. */
  async #queue(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work).catch((error: unknown) => {
      this.#log?.warn({ err: error, call: this.id }, 'sandbox: media failed')
      this.#sip?.end({ status: 500 })
    })
    this.#work = done
    await done
  }
}

/** The answer that asks for credentials, if that is why the call ended. */
const challengeOf = ({ how, message }: CallEnd): SipResponse | null =>
  how === 'refused' && message?.kind === 'response' && (message.status === 401 || message.status === 407)
    ? message
    : null

/** Why a BYE or CANCEL is sent (RFC 3326). */
export const reason = (status: number, text: string): readonly HeaderLine[] => [
  { name: 'Reason', value: `SIP;cause=${status};text="${text}"` }
]
