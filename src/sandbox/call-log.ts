// What a sandbox endpoint remembers: live calls, ended ones and texts, the last two bounded.

import type { PhoneCall } from './phone-call.ts'

export interface TextMessage {
  readonly from: string
  readonly to: string
  /** Content-Type, as it was written. */
  readonly type: string
  readonly text: string
}

/** The oldest is forgotten first. */
export class CallLog {
  readonly live = new Set<PhoneCall>()
  readonly history: PhoneCall[] = []
  readonly messages: TextMessage[] = []
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  /** Live from now on, history once it has ended. */
  async follow(call: PhoneCall): Promise<void> {
    this.live.add(call)
    await call.ended
    this.live.delete(call)
    this.history.push(call)
    if (this.history.length > this.#max) this.history.shift()
  }

  take(message: TextMessage): void {
    this.messages.push(message)
    if (this.messages.length > this.#max) this.messages.shift()
  }

  /** Waits until the media of every remembered call is closed. */
  async closed(): Promise<void> {
    await Promise.all([...this.live, ...this.history].map(({ media }) => media.close()))
  }
}
