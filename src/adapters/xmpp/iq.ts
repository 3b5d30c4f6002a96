// Requests to others: random ids, a bound on how many wait, a timeout for each, and only the one asked may answer.

import { randomBytes } from 'node:crypto'
import type { Element } from '@xmpp/xml'
import type { Clock } from '../../session/ports.ts'
import type { Limits } from './limits.ts'
import { IqTimeout, LinkDown } from './link.ts'
import { sameJid } from './stanza.ts'

/** 128 random bits. */
export const newId = (): string => randomBytes(16).toString('base64url')

interface Waiting {
  readonly from: string | null
  readonly done: (reply: Element) => void
  readonly failed: (error: Error) => void
  readonly cancel: () => void
}

export interface RequesterParts {
  readonly limits: Pick<Limits, 'iqReplyMs' | 'iqWaitingMax'>
  readonly clock: Clock
  /** False: not connected. */
  readonly send: (iq: Element) => boolean
}

export class Requester {
  readonly #parts: RequesterParts
  readonly #waiting = new Map<string, Waiting>()

  constructor(parts: RequesterParts) {
    this.#parts = parts
  }

  get count(): number {
    return this.#waiting.size
  }

  /** Resolves with the result or error; rejects only with IqTimeout or LinkDown. */
  request(iq: Element, ms = this.#parts.limits.iqReplyMs): Promise<Element> {
    const { limits, clock, send } = this.#parts
    iq.attrs['id'] ??= newId()
    const { id = '', to } = iq.attrs
    if (this.#waiting.size >= limits.iqWaitingMax || this.#waiting.has(id)) {
      return Promise.reject(new LinkDown(`${this.#waiting.size} requests wait for their answers already`))
    }
    return new Promise((done, failed) => {
      const cancel = clock.after(ms, () => {
        this.#waiting.delete(id)
        failed(new IqTimeout(`${to ?? 'the server'} did not answer within ${ms} ms`))
      })
      this.#waiting.set(id, { from: sameJid(to), done, failed, cancel })
      if (send(iq)) return
      this.#waiting.delete(id)
      cancel()
      failed(new LinkDown('the link to the server is down'))
    })
  }

  /** True: it answered something. A reply from anybody but the one asked answers nothing. */
  settle(reply: Element): boolean {
    const { id = '', from } = reply.attrs
    const waiting = this.#waiting.get(id)
    if (waiting === undefined || waiting.from !== sameJid(from)) return false
    this.#waiting.delete(id)
    waiting.cancel()
    waiting.done(reply)
    return true
  }

  /** Nobody will answer any more. */
  down(why: string): void {
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { cancel, failed } of all) {
      cancel()
      failed(new LinkDown(why))
    }
  }
}
