// Alarms to where people look: each is a line of the log with a field `alarm`, and is posted as signed JSON to a web
// server, in order, for as long as it takes within bounds. Nothing ever waits for it.

import { createHmac, randomUUID } from 'node:crypto'
import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import type { WebhookConfig } from './config/alarms.ts'
import { fileOf, secretOf } from './config.ts'
import type { Config } from './config.ts'
import { errnoOf, messageOf } from './errors.ts'
import { createLog } from './log.ts'
import type { Alarm, Logger } from './log.ts'

export const alarmLimits = {
  /** Alarms that wait; one more drops the oldest, and the next one that arrives says how many were dropped. */
  waitingMax: 1_000,
  /** Of one message; facts that make it longer are left out. */
  bodyBytesMax: 65_536,
  /** From the connection to the status. */
  answerMs: 10_000,
  /** After a failure, doubled each time up to the maximum: the same message again. */
  retryMs: 500,
  retryMsMax: 60_000,
  /** An alarm that could not be told for so long is told no more. */
  ageMs: 24 * 3_600_000,
  /** At the end, for what still waits. */
  closeMs: 5_000
} as const
export type AlarmLimits = { readonly [Name in keyof typeof alarmLimits]: number }

export interface AlarmsOptions {
  readonly webhook: WebhookConfig
  readonly secret: string
  readonly hubId: string
  readonly node: string
  /** Not one whose lines become alarms. */
  readonly log: Logger
  readonly limits?: Partial<AlarmLimits>
}

export interface Alarms {
  /** Returns at once. One that waits already with the same words and facts counts once more. */
  tell(alarm: Alarm): void
  readonly waiting: number
  /** Sends what waits, for at most `closeMs`. */
  close(): Promise<void>
}

/** The log of a process that runs on; its alarms go where the configuration says. Throws HUB_CONFIG. */
export function openLog(config: Config): { readonly log: Logger; readonly close: () => Promise<void> } {
  const { level } = config.log
  const alarms = openAlarms(config)
  if (alarms === null) return { log: createLog(level), close: () => Promise.resolve() }
  return { log: createLog(level, undefined, alarm => alarms.tell(alarm)), close: () => alarms.close() }
}

function openAlarms(config: Config): Alarms | null {
  const { webhook } = config.alarms
  if (webhook === undefined) return null
  const secret = secretOf({ env: webhook.secretEnv, file: webhook.secretFile })
  const { id: hubId, node } = config.hub
  return createAlarms({ webhook, secret, hubId, node, log: createLog(config.log.level) })
}

/** What the receiver computes again: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>">`, in hexadecimal. */
export function signatureOf(secret: string, seconds: number, body: string): string {
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`
}

interface Waiting {
  readonly id: string
  readonly alarm: Alarm
  /** Words and facts. */
  readonly key: string
  times: number
}

/** `refused`: it would be the next time, too. */
type Outcome = { readonly state: 'told' } | { readonly state: 'refused' | 'again'; readonly why: string }

/** Throws HUB_CONFIG for authorities that cannot be read. */
export const createAlarms = (options: AlarmsOptions): Alarms => new Webhook(options)

class Webhook implements Alarms {
  readonly #options: AlarmsOptions
  readonly #limits: AlarmLimits
  readonly #url: URL
  readonly #ca: Buffer | null
  readonly #queue: Waiting[] = []
  readonly #closing = new AbortController()
  readonly #end = new AbortController()
  #dropped = 0
  #failing = false
  #running: Promise<void> | null = null

  constructor(options: AlarmsOptions) {
    const { url, caFile } = options.webhook
    this.#options = options
    this.#limits = { ...alarmLimits, ...options.limits }
    this.#url = new URL(url)
    this.#ca = caFile === undefined ? null : fileOf(caFile)
  }

  get waiting(): number {
    return this.#queue.length
  }

  tell(alarm: Alarm): void {
    if (this.#closing.signal.aborted) return
    const key = `${alarm.name} ${alarm.text} ${textOf(alarm.facts)}`
    // Not the first: that one may be under way.
    const same = this.#queue.find((waiting, at) => at > 0 && waiting.key === key)
    if (same !== undefined) same.times += 1
    else this.#queue.push({ id: randomUUID(), alarm, key, times: 1 })
    if (this.#queue.length > this.#limits.waitingMax) {
      this.#queue.splice(1, 1)
      if (this.#dropped === 0)
        this.#options.log.error({ ...this.#where }, 'too many alarms wait: the oldest are dropped')
      this.#dropped += 1
    }
    this.#running ??= this.#run()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    const timer = setTimeout(() => this.#end.abort(), this.#limits.closeMs)
    await this.#running
    clearTimeout(timer)
    const { length } = this.#queue
    if (length > 0) this.#options.log.error({ ...this.#where, waiting: length }, 'alarms were not told before the end')
  }

  /** Without the path and what follows it: some servers know their clients by that. */
  get #where(): { readonly webhook: string } {
    return { webhook: this.#url.origin }
  }

  async #run(): Promise<void> {
    for (let first = this.#queue[0]; first !== undefined && !this.#end.signal.aborted; first = this.#queue[0]) {
      await this.#deliver(first)
    }
    this.#running = null
  }

  /** Until it is told, refused, or too old; or until the end, which leaves it in the queue. */
  async #deliver(waiting: Waiting): Promise<void> {
    const { log } = this.#options
    const { retryMs, retryMsMax, ageMs } = this.#limits
    for (let waitMs = retryMs; !this.#end.signal.aborted; waitMs = Math.min(waitMs * 2, retryMsMax)) {
      const dropped = this.#dropped
      const outcome = await this.#post(waiting, dropped)
      if (outcome.state === 'told') {
        if (this.#failing) log.info({ ...this.#where, dropped }, 'alarms are told again')
        this.#failing = false
        this.#dropped -= dropped
        return void this.#queue.shift()
      }
      const { name } = waiting.alarm
      const facts = { ...this.#where, name, reason: outcome.why }
      if (outcome.state === 'refused' || Date.now() - waiting.alarm.at > ageMs) {
        log.error(facts, outcome.state === 'refused' ? 'an alarm was refused' : 'an alarm could not be told in time')
        return void this.#queue.shift()
      }
      if (!this.#failing) log.error({ ...facts, waiting: this.#queue.length }, 'alarms cannot be told, trying again')
      this.#failing = true
      // Once it is being closed every try counts.
      const { signal } = this.#closing.signal.aborted ? this.#end : this.#closing
      await wait(signal === this.#end.signal ? retryMs : waitMs, undefined, { signal }).catch(() => undefined)
    }
  }

  #post({ id, alarm, times }: Waiting, dropped: number): Promise<Outcome> {
    const { hubId, node, secret } = this.#options
    const { name, severity, at, text, facts } = alarm
    const message = {
      id,
      alarm: name,
      severity,
      at: new Date(at).toISOString(),
      hub: hubId,
      node,
      text,
      times,
      dropped
    }
    const whole = textOf({ ...message, facts })
    const fits = Buffer.byteLength(whole) <= this.#limits.bodyBytesMax
    const body = fits ? whole : textOf({ ...message, facts: {}, truncated: true })
    const headers = {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'user-agent': 'isthmus',
      'x-isthmus-delivery': id,
      'x-isthmus-signature': signatureOf(secret, Math.floor(Date.now() / 1_000), body)
    }
    return this.#send(body, headers)
  }

  #send(body: string, headers: Readonly<Record<string, string>>): Promise<Outcome> {
    const url = this.#url
    const signal = AbortSignal.any([AbortSignal.timeout(this.#limits.answerMs), this.#end.signal])
    // A connection of its own: alarms are few, and one that was kept may be dead.
    const options = { method: 'POST', headers, agent: false, signal } as const
    return new Promise(settle => {
      const request =
        url.protocol === 'http:'
          ? requestPlain(url, options)
          : requestTls(url, this.#ca === null ? options : { ...options, ca: this.#ca })
      request.once('response', response => {
        // The status is the answer; nobody reads what else there may be.
        response.destroy()
        settle(outcomeOf(response.statusCode ?? 0))
      })
      request.on('error', error => settle({ state: 'again', why: reasonOf(error) }))
      request.end(body)
    })
  }
}

const busy: ReadonlySet<number> = new Set([408, 425, 429])

function outcomeOf(status: number): Outcome {
  if (status >= 200 && status < 300) return { state: 'told' }
  return { state: status >= 500 || busy.has(status) ? 'again' : 'refused', why: `HTTP ${status}` }
}

function reasonOf(error: unknown): string {
  const errno = errnoOf(error)
  return errno === 'ABORT_ERR' ? 'no answer in time' : (errno ?? messageOf(error))
}

/** Facts are whatever a line of the log has. */
function textOf(value: object): string {
  try {
    return JSON.stringify(value, (_name, item: unknown) => (typeof item === 'bigint' ? item.toString() : item))
  } catch {
    return '{}'
  }
}
