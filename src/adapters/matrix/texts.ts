// Messages of one island: room messages in with a verdict, out with the homeserver's word, receipts and typing both
// ways.

import { Memory } from '../../memory.ts'
import { noFacts } from '../../session/model.ts'
import type { LegFacts, Party, Reason, Release } from '../../session/model.ts'
import type { OutgoingText, OutgoingTyping, TextOutcome } from '../../session/ports.ts'
import { plainText } from '../../session/plain-text.ts'
import type { Receipt, TextRef } from '../../session/text.ts'
import { wordsOf } from '../../session/words.ts'
import { limits } from './limits.ts'
import { SendFailed } from './link.ts'
import type { Ephemeral, RoomEvent } from './link.ts'
import { readMessage } from './message.ts'
import type { Said } from './message.ts'
import { notices } from './notices.ts'
import type { PartOptions, Texts } from './parts.ts'

/** A message that came in: where what became of it is told. */
interface Taken {
  readonly ghost: string
  readonly roomId: string
  readonly eventId: string
}

/** The newest messages of a room that went out, oldest first: reading one is reading those before it. */
interface SentIn {
  readonly user: string
  readonly unread: { readonly eventId: string; readonly ref: TextRef }[]
}

export const createTexts = (options: PartOptions): Texts => new RoomTexts(options)

class RoomTexts implements Texts {
  readonly #options: PartOptions
  readonly #taken: Memory<Taken>
  /** What a phone was told, by event: a redaction quotes it. */
  readonly #told: Memory<string>
  readonly #sent: Memory<SentIn>
  /** Rooms with a notice that encryption shuts phones out. */
  readonly #warned: Memory<true>
  /** One after the other in each room. */
  readonly #rooms = new Map<string, Promise<void>>()
  #writing: ReadonlyMap<string, ReadonlySet<string>> = new Map()
  #waiting = 0

  constructor(options: PartOptions) {
    const { clock } = options
    const bounds = { entriesMax: limits.textsRememberedMax, keepMs: limits.textsRememberedMs, now: () => clock.now() }
    this.#options = options
    this.#taken = new Memory(bounds)
    this.#told = new Memory(bounds)
    this.#sent = new Memory(bounds)
    this.#warned = new Memory({ ...bounds, keepMs: limits.warningMs })
  }

  async onEvent(event: RoomEvent): Promise<void> {
    const { addresses, log, island } = this.#options
    const party = event.ghost === null ? null : addresses.caller(event.sender)
    if (event.ghost === null || party === null) return
    const said = readMessage(event, party.display ?? event.sender)
    if (said.kind === 'nothing') return
    const { ghost } = event
    const before = this.#rooms.get(event.roomId) ?? Promise.resolve()
    const done = before
      .then(() => this.#hear(event, ghost, party, said))
      .catch((error: unknown) => log.error({ err: error, island: island.id }, 'a message was not handled'))
    this.#rooms.set(event.roomId, done)
    await done
    if (this.#rooms.get(event.roomId) === done) this.#rooms.delete(event.roomId)
  }

  async #hear(event: RoomEvent, ghost: string, party: Party, said: Exclude<Said, { kind: 'nothing' }>): Promise<void> {
    const { addresses, inbox, island, link, log, neighbour, newRef } = this.#options
    const { eventId, roomId } = event
    if (said.kind === 'encrypted') return this.#warn(ghost, roomId)
    const text = this.#textOf(said)
    // Nobody was told what is taken back.
    if (text === null && said.kind === 'redaction') return
    const called = addresses.called(ghost)
    const tell = (reason: Reason | Release): Promise<void> =>
      this.#notice(ghost, event, notices.undelivered(wordsOf(reason)))
    if ('refused' in called) return tell(called.refused)
    if (text === null) return tell({ cause: 'incompatible-media', text: 'this file cannot be sent on' })
    if (Buffer.byteLength(text) > limits.textBytesMax) {
      return tell({ cause: 'forbidden', text: `a message has at most ${limits.textBytesMax} bytes` })
    }
    if (this.#waiting >= limits.textsWaitingMax) return tell({ cause: 'congestion' })
    const isNew = await link.begin(eventId).catch((error: unknown) => {
      log.error({ err: error, island: island.id }, 'a message could not be marked as begun')
      return null
    })
    if (isNew === null) return tell({ cause: 'internal' })
    // The process before has sent it, or not: sent again it might be read and charged twice.
    if (!isNew) return this.#notice(ghost, event, notices.uncertain)
    const ref = newRef() as TextRef
    this.#taken.set(ref, { ghost, roomId, eventId })
    this.#waiting += 1
    try {
      const verdict = await inbox.texted({
        ref,
        caller: { access: 'matrix', peerId: island.id, party, media: island.media },
        called: called.called,
        body: { type: 'text/plain', text },
        charging: null,
        facts: { ...noFacts, dialogId: eventId, neighbour }
      })
      if (verdict.taken) this.#told.set(eventId, text)
      else await tell(verdict.release)
    } finally {
      this.#waiting -= 1
    }
  }

  /** Null: there is nothing that could be said. */
  #textOf(said: Exclude<Said, { kind: 'nothing' | 'encrypted' }>): string | null {
    switch (said.kind) {
      case 'text':
        return said.text
      case 'file': {
        const link = this.#options.linkTo(said.mxc)
        return link === null ? null : [said.words, `${said.name}: ${link}`].filter(part => part !== null).join('\n')
      }
      case 'redaction': {
        const was = this.#told.get(said.of)
        return was === null ? null : notices.takenBack(was)
      }
    }
  }

  async #warn(ghost: string, roomId: string): Promise<void> {
    if (this.#warned.get(roomId) !== null) return
    this.#warned.set(roomId, true)
    await this.#say(ghost, roomId, notices.encrypted, `encrypted-${this.#options.link.newId()}`)
  }

  #notice(ghost: string, { roomId, eventId }: RoomEvent, words: string): Promise<void> {
    return this.#say(ghost, roomId, words, `notice-${eventId}`)
  }

  async #say(ghost: string, roomId: string, body: string, txnId: string): Promise<void> {
    const { link, clock, log, island } = this.#options
    const content = { msgtype: 'm.notice', body }
    const expiresAt = clock.now() + limits.noticeMs
    await link.send({ ghost, roomId, type: 'm.room.message', content, txnId, expiresAt }).catch((error: unknown) => {
      log.info({ err: error, island: island.id, roomId }, 'a notice could not be shown')
    })
  }

  async send({ id, attempt, from, target, body }: OutgoingText): Promise<TextOutcome> {
    const { addresses, link, neighbour, clock, newRef } = this.#options
    const facts: LegFacts = { ...noFacts, dialogId: `${id}-${attempt}`, neighbour }
    const no = (cause: Reason['cause'], text: string): TextOutcome => ({ taken: false, reason: { cause, text }, facts })
    const user = addresses.userOf(target.uri)
    if (user === null) return no('not-found', 'no such user on this island')
    const text = plainText(body)
    if (text === null) return no('incompatible-media', 'only text can be sent to this island')
    const ghost = addresses.ghostOf(from)
    try {
      const room = await link.directRoom(ghost, user, from.display)
      if (room.encrypted) await this.#warn(ghost, room.roomId)
      const event = { ghost, roomId: room.roomId, type: 'm.room.message', txnId: `${id}-${attempt}` }
      const content = { msgtype: 'm.text', body: text }
      const eventId = await link.send({ ...event, content, expiresAt: clock.now() + limits.textMs })
      const ref = newRef() as TextRef
      this.#remember(room.roomId, user, eventId, ref)
      return { taken: true, ref, facts: { ...facts, dialogId: eventId } }
    } catch (error) {
      return error instanceof SendFailed
        ? no(causeOf[error.why], error.message)
        : no('internal', 'it could not be sent')
    }
  }

  #remember(roomId: string, user: string, eventId: string, ref: TextRef): void {
    const sent = this.#sent.get(roomId) ?? { user, unread: [] }
    sent.unread.push({ eventId, ref })
    if (sent.unread.length > limits.unreadMax) sent.unread.shift()
    this.#sent.set(roomId, sent)
  }

  /** Of delivery Matrix has no word. */
  async receipt(ref: TextRef, receipt: Receipt): Promise<void> {
    const taken = this.#taken.get(ref)
    if (taken === null || receipt === 'delivered') return
    const { ghost, roomId, eventId } = taken
    if (receipt === 'read') return this.#options.link.read(ghost, roomId, eventId)
    await this.#say(ghost, roomId, notices.undelivered('it was not delivered'), `failed-${eventId}`)
  }

  async typing({ from, target, state }: OutgoingTyping): Promise<void> {
    const { addresses, link } = this.#options
    const user = addresses.userOf(target.uri)
    if (user === null) return
    const ghost = addresses.ghostOf(from)
    // There is one: the core only tells of typing where messages have gone.
    const room = await link.directRoom(ghost, user, null).catch(() => null)
    if (room !== null) await link.typing(ghost, room.roomId, state === 'composing')
  }

  onEphemeral(heard: Ephemeral): void {
    if (heard.type === 'read') return this.#read(heard.roomId, heard.user, heard.eventId)
    const { roomId, ghost, users } = heard
    const before = this.#writing.get(roomId) ?? new Set()
    const now = new Set(users)
    const kept = new Map([...this.#writing].filter(([other]) => other !== roomId).slice(-limits.typingRoomsMax))
    this.#writing = now.size === 0 ? kept : kept.set(roomId, now)
    if (ghost === null) return
    for (const user of now) if (!before.has(user)) this.#typed(user, ghost, 'composing')
    for (const user of before) if (!now.has(user)) this.#typed(user, ghost, 'idle')
  }

  #typed(user: string, ghost: string, state: 'composing' | 'idle'): void {
    const { addresses, inbox, island } = this.#options
    const party = addresses.caller(user)
    const called = addresses.called(ghost)
    if (party === null || 'refused' in called) return
    inbox.typed({
      caller: { access: 'matrix', peerId: island.id, party, media: island.media },
      called: called.called,
      state
    })
  }

  #read(roomId: string, user: string, eventId: string): void {
    const sent = this.#sent.get(roomId)
    const at = sent?.user === user ? sent.unread.findIndex(each => each.eventId === eventId) : -1
    if (sent === null || at < 0) return
    for (const { ref } of sent.unread.splice(0, at + 1)) this.#options.inbox.received(ref, 'read')
  }
}

const causeOf: Readonly<Record<SendFailed['why'], Reason['cause']>> = {
  forbidden: 'forbidden',
  'too-large': 'forbidden',
  limited: 'congestion',
  down: 'unreachable',
  'queue-full': 'congestion',
  refused: 'peer-failed',
  'not-found': 'not-found'
}
