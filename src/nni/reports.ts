// What is told over the border of messages besides themselves: notifications (RFC 5438) and who is writing (RFC 3994),
// with peers whose `mimeTypes` name them.

import { noFacts } from '../session/model.ts'
import type { SessionId, Shown } from '../session/model.ts'
import type { Clock, Inbox, OutgoingText, OutgoingTyping } from '../session/ports.ts'
import { originOf } from '../session/privacy.ts'
import type { Receipt, TextRef } from '../session/text.ts'
import { composingType, parseComposing, printComposing, Writers } from '../sip/composing.ts'
import { cpimNotification, cpimText, cpimType, imdnType, parseCpim, parseImdn, wishesOf } from '../sip/cpim.ts'
import type { Disposition, Ends } from '../sip/cpim.ts'
import { parseNameAddr } from '../sip/message.ts'
import { typeOf } from './body.ts'
import type { Control, Received } from './control.ts'
import type { Lines } from './headers.ts'
import { fromRequest, toMessage } from './invite.ts'
import type { IncomingText, Outgoing, Surroundings } from './invite.ts'
import { limits } from './limits.ts'
import type { HubFace, Peer } from './peers.ts'

/** A message that came in, and what its sender wants to be told of it. */
interface Asked {
  readonly peer: Peer
  readonly sender: string
  readonly called: string
  readonly id: string
  readonly wants: readonly Disposition[]
}

export interface ReportParts {
  readonly clock: Clock
  readonly control: Control
  readonly newId: () => string
  readonly hub: HubFace
}

const wordOf = { delivered: 'positive-delivery', read: 'display', failed: 'negative-delivery' } as const
const saidOf = { delivered: 'delivered', read: 'displayed', failed: 'failed' } as const
const receiptOf = { delivered: 'delivered', displayed: 'read', failed: 'failed' } as const

type Told = typeof imdnType | typeof composingType
const takes = ({ config }: Peer, type: Told): boolean => config.mimeTypes.some(one => one === type)

export class Reports {
  readonly #parts: ReportParts
  readonly #writers: Writers
  /** Oldest first. */
  readonly #asked = new Map<TextRef, Asked>()
  /** By peer and the name under which a message went out. Oldest first. */
  readonly #sent = new Map<string, TextRef>()

  constructor(parts: ReportParts) {
    this.#parts = parts
    this.#writers = new Writers((ms, run) => parts.clock.after(ms, run))
  }

  close(): void {
    this.#writers.close()
  }

  /** True: it was about a message, and is answered. */
  heard(request: Received, at: Surroundings, inbox: Inbox): boolean {
    const { headers, body } = request.message
    const type = typeOf(headers.get('Content-Type') ?? '')
    if (type === composingType && takes(at.peer, composingType)) {
      this.#typed(request, at, inbox)
      return true
    }
    const cpim = type === cpimType && takes(at.peer, imdnType) ? parseCpim(body.toString()) : null
    if (cpim?.type !== imdnType) return false
    const told = parseImdn(cpim.body)
    const ref = told === null ? undefined : this.#sent.get(`${at.peer.id} ${told.id}`)
    if (told !== null && ref !== undefined) inbox.received(ref, receiptOf[told.said])
    request.respond(200)
    return true
  }

  #typed(request: Received, at: Surroundings, inbox: Inbox): void {
    const composing = parseComposing(request.message.body.toString())
    if (composing === null) return request.respond(400)
    const understood = fromRequest(request.message, at)
    if (!understood.ok) return request.respond(understood.refused.status, understood.refused)
    const { caller, called } = understood.value
    this.#writers.heard(writing(understood.value), composing, () => inbox.typed({ caller, called, state: 'idle' }))
    inbox.typed({ caller, called, state: composing.state === 'active' ? 'composing' : 'idle' })
    request.respond(200)
  }

  /** Remembers what the sender of a message wants to be told of it. */
  came(ref: TextRef, text: IncomingText, peer: Peer): void {
    const { caller, called, body } = text
    this.#writers.forget(writing(text))
    if (body.type !== cpimType || !takes(peer, imdnType)) return
    const cpim = parseCpim(body.text)
    const wishes = cpim === null ? null : wishesOf(cpim)
    const sender = caller.party.asserted[0] ?? caller.party.presented
    // Nobody can be told whom nobody can write to.
    if (wishes !== null && sender !== null) bounded(this.#asked, ref, { peer, sender, called, ...wishes })
  }

  /** A message as it goes to that peer, and the name by which it will be told of; null: it will not. */
  asking(outgoing: Outgoing, body: OutgoingText['body'], peer: Peer): { outgoing: Outgoing; id: string | null } {
    if (!takes(peer, imdnType)) return { outgoing, id: null }
    if (body.type === cpimType) {
      const cpim = parseCpim(body.text)
      return { outgoing, id: cpim === null ? null : (wishesOf(cpim)?.id ?? null) }
    }
    const id = this.#parts.newId()
    const { headers } = outgoing
    const text = cpimText(this.#ends(uriOf(headers['From']), uriOf(headers['To'])), id, body.text)
    return { outgoing: { ...outgoing, headers: { ...headers, 'Content-Type': cpimType }, body: text }, id }
  }

  sent(peer: Peer, id: string | null, ref: TextRef): void {
    if (id !== null) bounded(this.#sent, `${peer.id} ${id}`, ref)
  }

  /** Tells the sender of a message what became of it, as far as it has asked to be told. */
  receipt(ref: TextRef, receipt: Receipt): void {
    const asked = this.#asked.get(ref)
    if (asked === undefined || !asked.wants.includes(wordOf[receipt])) return
    if (receipt !== 'delivered') this.#asked.delete(ref)
    const { peer, sender, called, id } = asked
    const from = { asserted: [called], presented: called, display: null, privacy: [] }
    this.#tell(peer, from, sender, headers => ({
      type: cpimType,
      text: cpimNotification(this.#ends(uriOf(headers['From']), uriOf(headers['To'])), this.#parts.newId(), {
        about: id,
        said: saidOf[receipt]
      })
    }))
  }

  typing({ from, target, state }: OutgoingTyping, peer: Peer): void {
    if (!takes(peer, composingType)) return
    const text = printComposing(state === 'composing' ? 'active' : 'idle')
    this.#tell(peer, from, target.uri, () => ({ type: composingType, text }))
  }

  /** Nobody waits for what becomes of it. */
  #tell(
    peer: Peer,
    from: Shown,
    uri: string,
    write: (headers: Outgoing['headers']) => { readonly type: string; readonly text: string }
  ): void {
    const { newId, hub, control } = this.#parts
    const text: OutgoingText = {
      id: newId() as SessionId,
      attempt: 1,
      charging: { icid: newId(), generatedAt: hub.domain },
      from,
      target: { access: 'nni', peerId: peer.id, uri, trust: 'user', media: 'rtp', needsOffer: false },
      origin: originOf(noFacts),
      body: { type: 'text/plain', text: '' }
    }
    const ids = { callId: newId(), fromTag: newId(), maxForwards: limits.maxForwards }
    const plain = toMessage(text, ids, { peer, hub, sessionExpiresSeconds: 0 })
    const { type, text: body } = write(plain.headers)
    const headers = { ...plain.headers, 'Content-Type': type }
    const nothing = { answered: () => {}, failed: () => {}, updated: () => {} }
    control.send(
      { method: plain.method, uri: plain.uri, headers, body, nextHop: hopFor(peer, { ...plain, headers, body }) },
      nothing
    )
  }

  #ends(from: string, to: string): Ends {
    return { from, to, at: new Date(this.#parts.clock.now()).toISOString() }
  }
}

const uriOf = (value: string | readonly string[] | undefined): string =>
  parseNameAddr(typeof value === 'string' ? value : (value?.[0] ?? ''))?.uri ?? 'sip:anonymous@anonymous.invalid'

const writing = ({ caller, called }: Pick<IncomingText, 'caller' | 'called'>): string =>
  JSON.stringify([caller.peerId, caller.party.asserted, caller.party.presented, called])

/** A large one goes by TCP; where the peer takes none it is refused, not cut into datagrams. */
export function hopFor(
  { nextHop }: Peer,
  { uri, headers, body }: Pick<Outgoing, 'uri' | 'body'> & { readonly headers: Lines }
): string {
  const parts = [uri, ...Object.entries(headers).flat(2), body]
  const bytes = parts.reduce<number>((sum, part) => sum + Buffer.byteLength(part) + '\r\n'.length, limits.addedBytesMax)
  return bytes <= limits.datagramBytesMax ? nextHop : nextHop.replace(/;transport=udp$/, ';transport=tcp')
}

function bounded<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.set(key, value)
  if (map.size <= limits.reportsMax) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}
