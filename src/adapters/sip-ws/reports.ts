// What is told of messages besides themselves: notifications (RFC 5438) and who is writing (RFC 3994). A device hears
// of either once it has used it: others would show the XML to their users.

import type { Clock, Inbox, OfferedText, OutgoingTyping } from '../../session/ports.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import { composingType, parseComposing, printComposing, Writers } from '../../sip/composing.ts'
import { cpimNotification, cpimText, cpimType, imdnType, parseCpim, parseImdn, wishesOf } from '../../sip/cpim.ts'
import type { Disposition, Ends } from '../../sip/cpim.ts'
import { newCallId } from '../../sip/message.ts'
import { answerWith, refuseWith } from './answer.ts'
import type { Answer } from './answer.ts'
import { addressOf, fromShown } from './identity.ts'
import type { Account } from './identity.ts'
import type { Limits } from './limits.ts'

/** What a device has shown that it knows. */
export type Knows = 'notifications' | 'composing'

/** A body as it goes out. */
export interface Body {
  readonly type: string
  readonly text: string
}

/** A message that came in, and what its sender wants to be told of it. */
interface Asked {
  readonly account: Account
  readonly called: string
  readonly id: string
  readonly wants: readonly Disposition[]
}

export interface ReportParts {
  readonly clock: Clock
  readonly limits: Pick<Limits, 'reportsMax'>
  readonly hubDomain: string
}

const wordOf = { delivered: 'positive-delivery', read: 'display', failed: 'negative-delivery' } as const
const saidOf = { delivered: 'delivered', read: 'displayed', failed: 'failed' } as const

export class Reports {
  readonly #parts: ReportParts
  readonly #writers: Writers
  /** Oldest first. */
  readonly #asked = new Map<TextRef, Asked>()
  /** Messages that went out with a wish to be told, and to whom. Oldest first. */
  readonly #sent = new Map<TextRef, string>()

  constructor(parts: ReportParts) {
    this.#parts = parts
    this.#writers = new Writers((ms, run) => parts.clock.after(ms, run))
  }

  /** Null: a message like any other. Else what came was about one, and this is its answer. */
  heard(
    { type, text }: Body,
    from: { readonly caller: OfferedText['caller']; readonly called: string; readonly account: Account },
    knows: Set<Knows>,
    inbox: Inbox
  ): Answer | null {
    if (type === composingType) {
      const composing = parseComposing(text)
      if (composing === null) return refuseWith(400, 'the body does not say who is writing')
      knows.add('composing')
      const { caller, called } = from
      this.#writers.heard(writing(from), composing, () => inbox.typed({ caller, called, state: 'idle' }))
      inbox.typed({ caller, called, state: composing.state === 'active' ? 'composing' : 'idle' })
      return answerWith(200)
    }
    const cpim = type === cpimType ? parseCpim(text) : null
    if (cpim?.type !== imdnType) return null
    const told = parseImdn(cpim.body)
    const ref = (told?.id ?? '') as TextRef
    // That it was delivered has been said by the answer to the MESSAGE.
    if (told !== null && told.said !== 'delivered' && this.#sent.get(ref) === addressOf(from.account)) {
      inbox.received(ref, told.said === 'displayed' ? 'read' : 'failed')
    }
    return answerWith(200)
  }

  /** The words in a body, and what is wished with them; null for what holds no plain text. */
  opened({ type, text }: Body, knows: Set<Knows>): { readonly text: string; readonly wishes: Wishes | null } | null {
    if (type !== cpimType) return { text, wishes: null }
    const cpim = parseCpim(text)
    if (cpim === null || cpim.type !== 'text/plain') return null
    const wishes = wishesOf(cpim)
    if (wishes !== null) knows.add('notifications')
    return { text: cpim.body, wishes }
  }

  came(ref: TextRef, wishes: Wishes | null, at: { readonly account: Account; readonly called: string }): void {
    this.#writers.forget(writing(at))
    if (wishes !== null) bounded(this.#asked, ref, { ...at, ...wishes }, this.#parts.limits.reportsMax)
  }

  /** A text for a device, asking to be told of it where the device knows how. */
  wrapped(ref: TextRef, text: string, ends: Omit<Ends, 'at'>, account: Account): Body {
    bounded(this.#sent, ref, addressOf(account), this.#parts.limits.reportsMax)
    return { type: cpimType, text: cpimText({ ...ends, at: this.#now() }, ref, text) }
  }

  /** What is to be told to the sender of a message that came in, and to whom; null: nothing. */
  about(
    ref: TextRef,
    receipt: Receipt
  ): { readonly account: Account; readonly called: string; readonly body: Body } | null {
    const asked = this.#asked.get(ref)
    if (asked === undefined || !asked.wants.includes(wordOf[receipt])) return null
    if (receipt !== 'delivered') this.#asked.delete(ref)
    const { account, called, id } = asked
    const shown = { asserted: [called], presented: called, display: null, privacy: [] }
    const ends = { from: fromShown(shown, this.#parts.hubDomain).uri, to: addressOf(account), at: this.#now() }
    const text = cpimNotification(ends, newCallId(), { about: id, said: saidOf[receipt] })
    return { account, called, body: { type: cpimType, text } }
  }

  close(): void {
    this.#writers.close()
  }

  #now(): string {
    return new Date(this.#parts.clock.now()).toISOString()
  }
}

export type Wishes = Pick<Asked, 'id' | 'wants'>

export const composingBody = (state: OutgoingTyping['state']): Body => ({
  type: composingType,
  text: printComposing(state === 'composing' ? 'active' : 'idle')
})

const writing = ({ account, called }: { readonly account: Account; readonly called: string }): string =>
  `${addressOf(account)} ${called}`

function bounded<V>(map: Map<TextRef, V>, ref: TextRef, value: V, max: number): void {
  map.set(ref, value)
  if (map.size <= max) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}
