// The dialogs that applications use: one record each, found by the name applications know and by the tag peers write.

import { routeOf } from '../dialog.ts'
import type { Dialog, Parts } from '../dialog.ts'
import { ownText } from '../characters.ts'
import { createHeaders } from '../message.ts'
import type { HeaderLine, SipRequest } from '../message.ts'
import { systemClock } from '../timers.ts'
import type { Destination, Flow } from '../transport/transport.ts'
import { parseUri } from '../uri.ts'
import type { App } from './app.ts'
import type { Inbound, Outbound } from './context.ts'
import type { SessionTerms } from './session-timer.ts'
import { oneToken } from './tokens.ts'

/** A 2xx of ours that the peer has not acknowledged. */
export interface AwaitedAck {
  /** The INVITE's transaction, by which the application hears of the ACK. */
  readonly txn: string
  readonly cseq: number
  stop(): void
}

/** An ACK of ours, kept for retransmissions of another fork's 2xx. */
export interface SentAck {
  readonly request: SipRequest
  readonly to: Destination
}

/** An early dialog, the RSeq that waits for its PRACK, and the last one told. */
export interface Fork {
  readonly tag: string
  readonly dialog: Dialog
  rseq: number | null
  last: number | null
}

export interface LastAck {
  readonly cseq: number
  /** When it was first sent; the clock that `Usages.end` is told. */
  readonly at: number
  readonly parts: Parts
  readonly to: Destination
}

// Most calls fork nowhere, and every one of them is kept for a while.
const noForks: readonly Fork[] = []
const noAcks: ReadonlyMap<string, SentAck> = new Map()
const noRequests: readonly Inbound[] = []
const noBody = Buffer.alloc(0)

export interface UsageInit {
  readonly role: 'uas' | 'uac'
  readonly callId: string
  readonly localTag: string
  /** The tag of the dialog's initiator: part of the name that applications know. */
  readonly fromTag: string
  /** The request that opens the dialog: INVITE or SUBSCRIBE. */
  readonly opening: SipRequest
  readonly app: App
}

export class Usage {
  readonly id: string
  readonly role: 'uas' | 'uac'
  readonly callId: string
  readonly localTag: string
  opening: SipRequest
  readonly app: App
  phase: 'early' | 'confirmed' | 'ended' = 'early'
  /** Null until the peer's tag is known. */
  dialog: Dialog | null = null
  /** Early dialogs of an INVITE sent; the RSeq each acknowledged last. */
  forks: readonly Fork[] = noForks
  /** The path of the peer's last message. */
  flow: Flow | null = null
  /** Reached over the connection it registered on, whatever its Contact says. */
  pinned = false
  /** Our Contact as last sent. */
  contact: string | null = null
  awaitedAck: AwaitedAck | null = null
  /** CSeq of an INVITE of ours that was answered and has no ACK yet. */
  owedAck: number | null = null
  /** What our last ACK to a 2xx was made of, for the 2xx's retransmissions. */
  lastAck: LastAck | null = null
  /** ACKs to answered forks beyond the first. */
  forkAcks: ReadonlyMap<string, SentAck> = noAcks
  /** Requests of the peer that the application has not answered. */
  open: readonly Inbound[] = noRequests
  /** Our INVITE inside this dialog that has no final answer. */
  reinvite: Outbound | null = null
  /** The engine's own INVITE is out. */
  refreshing = false
  /** What waits for the ACK: the application's BYE, or the reason for one of ours. */
  heldBye: (() => void) | null = null
  endAfterAck: HeaderLine | null = null
  /** RFC 4028: what holds, who the peer is, the body a refresh repeats. */
  session: SessionTerms | null = null
  /** Of `systemClock`. */
  sessionTimer: unknown = null
  peerAllowsUpdate = false
  localBody: Buffer | null = null

  constructor({ role, callId, localTag, fromTag, opening, app }: UsageInit) {
    this.id = dialogName(callId, fromTag)
    this.role = role
    this.callId = ownText(callId)
    this.localTag = localTag
    this.opening = opening
    this.app = app
  }

  /** Where requests inside this dialog go; null where nothing says. */
  get to(): Destination | null {
    const { dialog, flow } = this
    if (dialog === null) return null
    if (flow === null) return dialog.nextHop()
    const connected = flow.transport !== 'udp' && !flow.closed && dialog.routeSet.length === 0
    return connected && (this.pinned || isUnreachable(dialog.remoteTarget)) ? { flow } : routeOf(dialog, flow)
  }

  addOpen(inbound: Inbound): void {
    this.open = [...this.open, inbound]
  }

  closeOpen(inbound: Inbound): void {
    if (!this.open.includes(inbound)) return
    this.open = this.open.length === 1 ? noRequests : this.open.filter(other => other !== inbound)
  }

  /** Both sides agree: of the request that opened it stays what the 2xx of a further fork needs (13.2.2.4). */
  confirm(): void {
    this.phase = 'confirmed'
    this.forks = noForks
    const { method, uri, headers } = this.opening
    const kept = createHeaders()
    if (this.role === 'uac') {
      // The dialog has them already.
      kept.add('From', this.dialog?.local ?? headers.get('From') ?? '')
      kept.add('Call-ID', this.callId)
      kept.add('CSeq', ownText(headers.get('CSeq') ?? ''))
      if (this.contact !== null) kept.add('Contact', this.contact)
    }
    this.opening = {
      kind: 'request',
      method,
      uri: this.role === 'uac' ? ownText(uri) : '',
      headers: kept,
      body: noBody
    }
  }

  /** The early dialog of the peer with that tag. */
  forkOf(tag: string): Fork | undefined {
    return this.forks.find(fork => fork.tag === tag)
  }

  addForkAck(tag: string, ack: SentAck): void {
    this.forkAcks = new Map(this.forkAcks).set(tag, ack)
  }

  stopSession(): void {
    if (this.sessionTimer !== null) systemClock.clear(this.sessionTimer)
    this.sessionTimer = null
  }

  /** What a late 2xx still needs is little. */
  forget(): void {
    this.forks = noForks
    this.localBody = null
    this.opening = { ...this.opening, body: noBody }
  }

  /** The dialog of the peer with that tag. */
  dialogWith(remoteTag: string): Dialog | null {
    if (this.dialog?.remoteTag === remoteTag) return this.dialog
    return this.phase === 'early' ? (this.forkOf(remoteTag)?.dialog ?? null) : null
  }
}

/** What browsers behind a proxy write (RFC 7118): only the connection leads there. */
function isUnreachable(target: string): boolean {
  const uri = parseUri(target)
  return uri !== null && uri.scheme !== 'tel' && uri.scheme !== 'urn' && uri.host.endsWith('.invalid')
}

interface Ended {
  readonly key: string
  readonly at: number
}

/** All dialogs of the engine. An ended one stays for late 2xx, if one may still come, but has no name any more. */
export class Usages {
  readonly #byId = new Map<string, Usage>()
  readonly #byTag = new Map<string, Usage>()
  #ended: Ended[] = []
  readonly #keepMs: number

  /** `keepMs`: how long a late 2xx may come, 64*T1. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  get size(): number {
    return this.#byId.size
  }

  add(usage: Usage): void {
    this.#byId.set(usage.id, usage)
    this.#byTag.set(keyOf(usage.callId, usage.localTag), usage)
  }

  named(id: string): Usage | undefined {
    return this.#byId.get(id)
  }

  /** By Call-ID and the tag of this side. */
  tagged(callId: string, localTag: string): Usage | undefined {
    return this.#byTag.get(keyOf(callId, localTag))
  }

  of(app: App): readonly Usage[] {
    return [...this.#byId.values()].filter(usage => usage.app === app)
  }

  /** Takes its name away; nothing about it runs any more. */
  end(usage: Usage, now: number): void {
    if (usage.phase === 'ended') return
    usage.phase = 'ended'
    usage.awaitedAck?.stop()
    usage.awaitedAck = null
    usage.heldBye = null
    usage.stopSession()
    if (this.#byId.get(usage.id) === usage) this.#byId.delete(usage.id)
    const key = keyOf(usage.callId, usage.localTag)
    const { lastAck } = usage
    const late = lastAck === null || now - lastAck.at < this.#keepMs
    if (late && usage.role === 'uac' && usage.opening.method === 'INVITE') {
      usage.forget()
      this.#ended.push({ key, at: now })
    } else this.#byTag.delete(key)
    this.#sweep(now)
  }

  /** In batches, so that the list is not rebuilt for each. */
  #sweep(now: number): void {
    const oldest = this.#ended[0]
    if (oldest === undefined || now - oldest.at < this.#keepMs * 1.5) return
    const kept = this.#ended.findIndex(({ at }) => now - at < this.#keepMs)
    for (const { key } of this.#ended.slice(0, kept < 0 ? undefined : kept)) {
      if (this.#byTag.get(key)?.phase === 'ended') this.#byTag.delete(key)
    }
    this.#ended = kept < 0 ? [] : this.#ended.slice(kept)
  }
}

/** What applications call a dialog: Call-ID and the tag of its initiator. */
export const dialogName = (callId: string, fromTag: string): string => oneToken(`${callId};from-tag=${fromTag}`)

const keyOf = (callId: string, localTag: string): string => `${callId}\n${localTag}`
