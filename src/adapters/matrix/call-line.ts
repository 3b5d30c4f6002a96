// What a call says in its room: events with its id and party, each with a transaction of its own.

import { limits } from './limits.ts'
import type { PartOptions } from './parts.ts'

export interface LineParts extends Pick<PartOptions, 'link' | 'clock' | 'log' | 'island'> {
  readonly callId: string
  readonly ghost: string
  /** Version 0: without parties. */
  readonly isOld: boolean
}

export class CallLine {
  /** Ours: a device of the ghost's, for this call alone. */
  readonly party: string
  readonly #parts: LineParts
  readonly #room: () => string
  #sequence = 0

  constructor(parts: LineParts, room: () => string) {
    this.#parts = parts
    this.#room = room
    this.party = `isthmus-${parts.link.newId().slice(0, 16)}`
  }

  /** Rejects `SendFailed`. */
  async send(type: string, content: object, expiresAt: number): Promise<void> {
    const { link, ghost, callId, isOld } = this.#parts
    const version = isOld ? { version: 0 } : { version: '1', party_id: this.party }
    await link.send({
      ghost,
      roomId: this.#room(),
      type,
      content: { call_id: callId, ...version, ...content },
      txnId: this.#txnId(),
      expiresAt
    })
  }

  /** The call goes on without it. */
  quietly(type: string, content: object): void {
    const { clock, log, island } = this.#parts
    this.send(type, content, clock.now() + limits.answerMs).catch((error: unknown) => {
      log.info({ err: error, island: island.id, type }, 'a call event was not sent')
    })
  }

  /** Words for the user. Never rejects. */
  async notice(body: string): Promise<void> {
    const { link, ghost, clock, log, island } = this.#parts
    const content = { msgtype: 'm.notice', body }
    const event = { ghost, roomId: this.#room(), type: 'm.room.message', content, txnId: this.#txnId() }
    await link.send({ ...event, expiresAt: clock.now() + limits.noticeMs }).catch((error: unknown) => {
      log.info({ err: error, island: island.id }, 'a notice could not be shown')
    })
  }

  #txnId(): string {
    this.#sequence += 1
    return `${this.party}-${this.#sequence}`
  }
}
