// Messages of one island: in with a verdict, out with what the server says of them, receipts both ways; each once.

import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import type { XmppIslandConfig } from '../../config.ts'
import { noFacts } from '../../session/model.ts'
import type { LegFacts, Reason } from '../../session/model.ts'
import type { Clock, Inbox, OutgoingText, OutgoingTyping, TextOutcome, TextVerdict } from '../../session/ports.ts'
import { plainText } from '../../session/plain-text.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import { anonymousLocal } from './addresses.ts'
import type { Addresses } from './addresses.ts'
import { wordsOf } from '../../session/words.ts'
import { causeOfCondition, conditionOfCause } from './causes.ts'
import type { Limits } from './limits.ts'
import type { Link } from './link.ts'
import { Memory } from '../../memory.ts'
import { bareOf, conditionOf, errorOf, ns, parseJid, sameJid } from './stanza.ts'
import { read, receiptStanza, stateStanza, textStanza } from './text-stanza.ts'
import type { ChatState, Heard } from './text-stanza.ts'

export interface TextsParts {
  readonly island: XmppIslandConfig
  readonly link: Link
  readonly addresses: Addresses
  readonly limits: Limits
  readonly clock: Clock
  readonly inbox: Inbox
  /** Where the server can be reached, for the record. */
  readonly neighbour: string
}

/** A message that came in: where its receipts go. */
interface Taken {
  readonly from: string
  readonly to: string
  readonly id: string | null
  readonly receipt: boolean
  readonly marker: boolean
}

/** A message that went out: who may say what became of it. */
interface Sent {
  readonly user: string
  readonly settle: (outcome: 'delivered' | Reason) => void
  readonly outcome: Promise<TextOutcome>
}

export class Texts {
  readonly #parts: TextsParts
  /** By sender, addressee and id: what was said to it. */
  readonly #heard: Memory<Promise<TextVerdict>>
  readonly #taken: Memory<Taken>
  /** By the id of the stanza. */
  readonly #sent: Memory<Sent>
  #waiting = 0

  constructor(parts: TextsParts) {
    const { limits, clock } = parts
    const bounds = { entriesMax: limits.textsRememberedMax, keepMs: limits.textsRememberedMs, now: () => clock.now() }
    this.#parts = parts
    this.#heard = new Memory(bounds)
    this.#taken = new Memory(bounds)
    this.#sent = new Memory(bounds)
  }

  get waiting(): number {
    return this.#waiting
  }

  /** A message stanza that belongs to no call. */
  heard(message: Element): void {
    const { from = '', to = '', type, id } = message.attrs
    // The payload of an error is our own, sent back.
    if (type === 'error') return this.#bounced(message)
    if (type === 'groupchat') return this.#refuse(message, 'service-unavailable', 'there are no rooms here')
    if (type === 'headline' || this.#isCopy(message)) return
    const what = read(message)
    if (what.type === 'receipt') return this.#told(from, what.id, what.receipt)
    if (what.type === 'nothing') return this.#typed(from, to, what.state)
    if (what.type === 'encrypted') {
      const words = `${what.how} cannot be read by the phone network: switch encryption off for this contact.`
      return this.#refuse(message, 'not-acceptable', words)
    }
    const sender = this.#parts.addresses.caller(from)
    if (sender === null) return this.#refuse(message, 'forbidden', 'only users of this island may write from here')
    const key = `${bareOf(from)} ${bareOf(to)} ${id}`
    const before = id === undefined ? null : this.#heard.get(key)
    const verdict = before ?? this.#take(message, what, sender)
    if (before === null && id !== undefined) this.#heard.set(key, verdict)
    void this.#answer(message, key, verdict)
  }

  async #answer(message: Element, key: string, verdict: Promise<TextVerdict>): Promise<void> {
    const said = await verdict
    if (said.taken) return
    const { release } = said
    this.#refuse(message, conditionOfCause(release), wordsOf(release))
    // Nobody has it, so another attempt with the same id is no second delivery.
    this.#heard.delete(key)
  }

  async #take(
    message: Element,
    { text, receipt, marker }: Extract<Heard, { type: 'text' }>,
    party: NonNullable<ReturnType<Addresses['caller']>>
  ): Promise<TextVerdict> {
    const { island, addresses, inbox, limits, link, neighbour } = this.#parts
    const { from = '', to = '', id = null } = message.attrs
    const called = addresses.called(to)
    if ('refused' in called) return refusal(called.refused)
    if (Buffer.byteLength(text) > limits.textBytesMax) {
      return refusal({ cause: 'forbidden', text: `a message has at most ${limits.textBytesMax} bytes` })
    }
    if (this.#waiting >= limits.textsWaitingMax) return refusal({ cause: 'congestion' })
    const ref = `xmpp ${island.id} ${link.newId()}` as TextRef
    this.#taken.set(ref, { from, to, id, receipt, marker })
    this.#waiting += 1
    try {
      return await inbox.texted({
        ref,
        caller: { access: 'xmpp', peerId: island.id, party, media: island.media },
        called: called.called,
        body: { type: 'text/plain', text },
        charging: null,
        facts: { ...noFacts, dialogId: id, neighbour, calledRaw: to }
      })
    } finally {
      this.#waiting -= 1
    }
  }

  /** Sends one message; settles once the server has had its chance to refuse it, or its reader has confirmed it. */
  send(text: OutgoingText): Promise<TextOutcome> {
    const { link, limits } = this.#parts
    const id = `${text.id}-${text.attempt}`
    const facts: LegFacts = { ...noFacts, dialogId: id, neighbour: this.#parts.neighbour }
    const no = (cause: Reason['cause'], words: string): Promise<TextOutcome> =>
      Promise.resolve({ taken: false, reason: { cause, text: words }, facts })
    const before = this.#sent.get(id)
    if (before !== null) return before.outcome
    const prepared = this.#prepare(text)
    if ('cause' in prepared) return no(prepared.cause, prepared.words)
    const { user, from, words } = prepared
    if (Buffer.byteLength(words) > limits.textBytesMax) {
      return no('forbidden', `a message has at most ${limits.textBytesMax} bytes`)
    }
    let settle: Sent['settle'] = () => {}
    const outcome = new Promise<TextOutcome>(resolve => {
      settle = said =>
        resolve(
          said === 'delivered' ? { taken: true, ref: this.#refOf(id), facts } : { taken: false, reason: said, facts }
        )
    })
    this.#sent.set(id, { user, settle, outcome })
    if (!link.send(textStanza({ from, to: user, id }, words))) {
      this.#sent.delete(id)
      return no('unreachable', 'the link to the server is down')
    }
    void this.#fence(from, settle)
    return outcome
  }

  /** Tells the sender of a message that came in what became of it. */
  receipt(ref: TextRef, receipt: Receipt): void {
    const taken = this.#taken.get(ref)
    if (taken === null || taken.id === null) return
    const { from, to, id } = taken
    const { link } = this.#parts
    if (receipt === 'failed') {
      this.#taken.delete(ref)
      const original = xml('message', { from, to, id, type: 'chat' })
      return void link.send(errorOf(original, 'recipient-unavailable', { text: 'the message was not delivered' }))
    }
    if (receipt === 'delivered' ? !taken.receipt : !taken.marker) return
    const sender = this.#parts.addresses.answering(to)
    if (sender === null) return
    link.send(receiptStanza({ from: sender, to: from, id: link.newId() }, receipt, id))
  }

  /** Shows a user that somebody is writing. */
  typing({ from, target, state }: OutgoingTyping): void {
    const { addresses, link } = this.#parts
    const to = addresses.userJid(target.uri)
    if (to === null) return
    link.send(stateStanza({ from: addresses.gatewayJid(from), to, id: link.newId() }, state))
  }

  #typed(from: string, to: string, state: ChatState | null): void {
    const { addresses, island, inbox } = this.#parts
    const party = addresses.caller(from)
    const called = addresses.called(to)
    if (state === null || party === null || 'refused' in called) return
    const caller = { access: 'xmpp', peerId: island.id, party, media: island.media } as const
    inbox.typed({ caller, called: called.called, state: state === 'composing' ? 'composing' : 'idle' })
  }

  #prepare({
    from,
    target,
    body
  }: OutgoingText):
    | { readonly user: string; readonly from: string; readonly words: string }
    | { readonly cause: Reason['cause']; readonly words: string } {
    const { addresses, island } = this.#parts
    const user = addresses.userJid(target.uri)
    if (user === null) return { cause: 'not-found', words: 'no such user on this island' }
    const words = plainText(body)
    if (words === null) return { cause: 'incompatible-media', words: 'only text can be sent to this island' }
    const sender = addresses.gatewayJid(from)
    if (island.connection.kind === 'accounts' && parseJid(sender)?.local === anonymousLocal) {
      return { cause: 'forbidden', words: 'no account of this island stands for the sender' }
    }
    return { user, from: sender, words }
  }

  /**
   * XMPP has no word for "taken". A server handles the stanzas of one link in order, so an error has come, or is about
   * to, when it answers what was asked right behind the message.
   */
  async #fence(from: string, settle: Sent['settle']): Promise<void> {
    const { link, island, clock, limits } = this.#parts
    const ping = xml('iq', { type: 'get', from, to: island.domain }, xml('ping', { xmlns: ns.ping }))
    try {
      await link.request(ping)
    } catch {
      return settle({ cause: 'unreachable', text: 'the server does not answer' })
    }
    clock.after(limits.bounceMs, () => settle('delivered'))
  }

  #refOf(id: string): TextRef {
    return `xmpp ${this.#parts.island.id} out ${id}` as TextRef
  }

  #bounced(message: Element): void {
    const { from = '', id = '' } = message.attrs
    const sent = this.#sent.get(id)
    if (sent === null || sent.user !== bareOf(from)) return
    const { condition, text } = conditionOf(message)
    sent.settle({ cause: causeOfCondition[condition], ...(text === null ? {} : { text }) })
    // One device may bounce what another has taken: nobody hears `failed` of a message that was delivered.
    if (parseJid(from)?.resource === null) this.#parts.inbox.received(this.#refOf(id), 'failed')
  }

  #told(from: string, id: string, receipt: Receipt): void {
    const sent = this.#sent.get(id)
    if (sent === null || sent.user !== bareOf(from)) return
    sent.settle('delivered')
    // After the outcome: until the core has it, it knows no such reference.
    void sent.outcome.then(() => this.#parts.clock.after(0, () => this.#parts.inbox.received(this.#refOf(id), receipt)))
  }

  /** Our own messages on other devices of an account, or copies of what was received: never a new message. */
  #isCopy(message: Element): boolean {
    return message.getChildElements().some(child => child.getNS() === ns.carbons && child.getName() !== 'private')
  }

  #refuse(message: Element, condition: Parameters<typeof errorOf>[1], text: string): void {
    if (sameJid(message.attrs['from']) === null) return
    this.#parts.link.send(errorOf(message, condition, { text }))
  }
}

const refusal = (reason: Reason): TextVerdict => ({ taken: false, release: { ...reason, from: 'hub' } })
