// Events on their way out: in the order of their room, tried again while the homeserver is down or limits us, each with
// a transaction id of its own so that a repetition is no second event.

import type { Clock } from '../../session/ports.ts'
import { HomeserverError } from './homeserver.ts'
import type { Homeserver } from './homeserver.ts'
import type { Limits } from './limits.ts'
import { SendFailed } from './link.ts'
import type { OutgoingEvent } from './link.ts'

export interface SenderParts {
  readonly homeserver: Homeserver
  readonly limits: Limits
  readonly clock: Clock
  /** Resolves when the homeserver answers again, or after so many ms. */
  readonly back: (ms: number) => Promise<void>
  /** Whether the ghost has the device that it sends from. */
  readonly hasDevice: (ghost: string) => boolean
  /** It did not answer. */
  readonly onDown: (why: string) => void
}

interface Job {
  readonly event: OutgoingEvent
  readonly done: (eventId: string) => void
  readonly failed: (error: SendFailed) => void
}

export class Sender {
  readonly #parts: SenderParts
  readonly #rooms = new Map<string, Job[]>()
  readonly #queue: string[] = []
  #busy = 0
  #waiting = 0
  #closed = false

  constructor(parts: SenderParts) {
    this.#parts = parts
  }

  get waiting(): number {
    return this.#waiting
  }

  send(event: OutgoingEvent): Promise<string> {
    const { limits } = this.#parts
    if (this.#closed) return Promise.reject(new SendFailed('down', 'the hub is shutting down'))
    if (Buffer.byteLength(JSON.stringify(event.content)) > limits.contentBytesMax) {
      return Promise.reject(new SendFailed('too-large', `more than ${limits.contentBytesMax} bytes`))
    }
    if (this.#waiting >= limits.outgoingEventsMax) {
      return Promise.reject(new SendFailed('queue-full', `${this.#waiting} events wait for this homeserver already`))
    }
    this.#waiting += 1
    return new Promise((done, failed) => {
      const jobs = this.#rooms.get(event.roomId)
      const job = { event, done, failed }
      if (jobs === undefined) {
        this.#rooms.set(event.roomId, [job])
        this.#queue.push(event.roomId)
      } else jobs.push(job)
      this.#next()
    })
  }

  /** What waits is given up. */
  close(): void {
    this.#closed = true
  }

  #next(): void {
    while (this.#busy < this.#parts.limits.requestsAtOnceMax) {
      const roomId = this.#queue.shift()
      if (roomId === undefined) return
      this.#busy += 1
      void this.#work(roomId)
    }
  }

  async #work(roomId: string): Promise<void> {
    const jobs = this.#rooms.get(roomId) ?? []
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      try {
        job.done(await this.#try(job.event))
      } catch (error) {
        job.failed(error instanceof SendFailed ? error : new SendFailed('refused', String(error)))
      }
      this.#waiting -= 1
    }
    this.#rooms.delete(roomId)
    this.#busy -= 1
    this.#next()
  }

  async #try(event: OutgoingEvent): Promise<string> {
    const { homeserver, clock, limits, onDown } = this.#parts
    const { ghost, roomId, type, content, txnId } = event
    const path = ['/v3/rooms', roomId, 'send', type, txnId].map((part, at) =>
      at === 0 ? part : encodeURIComponent(part)
    )
    for (let tries = 1; ; tries++) {
      const leftMs = event.expiresAt === null ? Number.POSITIVE_INFINITY : event.expiresAt - clock.now()
      if (this.#closed) throw new SendFailed('down', 'the hub is shutting down')
      if (leftMs <= 0) throw new SendFailed('down', 'it could not be sent in time')
      try {
        const body = await homeserver.request<{ readonly event_id?: unknown }>({
          method: 'PUT',
          path: path.join('/'),
          body: content,
          as: ghost,
          onDevice: this.#parts.hasDevice(ghost)
        })
        return String(body.event_id)
      } catch (error) {
        if (!(error instanceof HomeserverError)) throw error
        if (tries >= limits.triesMax) throw new SendFailed(error.kind, error.message)
        await this.#after(error, leftMs, onDown)
      }
    }
  }

  /** Waits for another try, or throws what there is to say. */
  async #after(error: HomeserverError, leftMs: number, onDown: (why: string) => void): Promise<void> {
    const { limits, clock, back } = this.#parts
    switch (error.kind) {
      case 'down':
        onDown(error.message)
        return back(Math.min(leftMs, limits.backOffMsMax))
      case 'limited': {
        const waitMs = error.retryAfterMs ?? limits.limitedMs
        if (waitMs >= leftMs) throw new SendFailed('limited', error.message)
        return new Promise(done => void clock.after(waitMs, done))
      }
      case 'refused': {
        const isLarge = error.status === 413 || error.code === 'M_TOO_LARGE'
        throw new SendFailed(isLarge ? 'too-large' : error.status === 403 ? 'forbidden' : 'refused', error.message)
      }
    }
  }
}
