// One call that lives: its machine, its timers, and its acts carried out in order over the link and towards the core.

import type { Clock, Inbox } from '../../session/ports.ts'
import type { LegFacts, LegRef, Party, Reason } from '../../session/model.ts'
import { noFacts } from '../../session/model.ts'
import { ended } from './call-acts.ts'
import { callLimits } from './call-limits.ts'
import type { Act, Call, CallEvent, Identity, ReplyFailure, Step, Tag, Tell, Timer } from './call-model.ts'
import { stepCall } from './call.ts'
import { causeOfCondition } from './causes.ts'
import { xml } from './elements.ts'
import type { Element } from './elements.ts'
import { printJingle } from './jingle.ts'
import { printJmi } from './jmi.ts'
import { IqTimeout } from './link.ts'
import type { Link } from './link.ts'
import { namespaces } from './namespaces.ts'
import { conditionOf } from './stanza.ts'

export interface LiveParts {
  readonly leg: LegRef
  readonly link: Link
  readonly inbox: Inbox
  readonly clock: Clock
  readonly neighbour: string
  /** Tells the core of a call from the user. */
  readonly offered: (live: LiveCall, tell: Extract<Tell, { tell: 'offered' }>) => void
  /** The user as the core knows it. */
  readonly partyOf: (jid: string) => Party | null
  /** After each step: the call has changed, ended perhaps. */
  readonly onStep: (live: LiveCall, before: Call) => void
  /** An ending that could not be sent. */
  readonly onOwed: (stanza: Element) => void
}

type Reply = Extract<Act, { act: 'reply' }>

export class LiveCall {
  readonly #parts: LiveParts
  readonly #timers = new Map<Timer, () => void>()
  #call: Call
  #id: Identity
  #acts: Act[] = []
  #flushing = false

  constructor(parts: LiveParts, id: Identity) {
    this.#parts = parts
    this.#call = ended
    this.#id = id
  }

  get leg(): LegRef {
    return this.#parts.leg
  }
  get call(): Call {
    return this.#call
  }
  /** Stays after the end. */
  get id(): Identity {
    return this.#id
  }
  get facts(): LegFacts {
    return { ...noFacts, dialogId: this.#id.sid, neighbour: this.#parts.neighbour }
  }

  begin(first: Step): Reply | null {
    return this.#take(first)
  }

  /** The state changes at once; what follows is done in order, after the answer to the stanza at hand. */
  step(event: CallEvent): Reply | null {
    return this.#take(stepCall(this.#call, event))
  }

  #take({ call, acts }: Step): Reply | null {
    const before = this.#call
    this.#call = call
    if (call.phase !== 'ended') this.#id = call.id
    let reply: Reply | null = null
    for (const act of acts) {
      if (act.act === 'reply') reply ??= act
      else if (act.act === 'timer') this.#setTimer(act)
      else this.#acts.push(act)
    }
    if (call.phase === 'ended') this.#stopTimers()
    this.#parts.onStep(this, before)
    if (this.#acts.length > 0 && !this.#flushing) {
      this.#flushing = true
      queueMicrotask(() => this.#flush())
    }
    return reply
  }

  #flush(): void {
    for (let act = this.#acts.shift(); act !== undefined; act = this.#acts.shift()) this.#do(act)
    this.#flushing = false
  }

  #do(act: Act): void {
    switch (act.act) {
      case 'tell':
        return this.#tell(act)
      case 'jmi': {
        const { kind, to, media = [], reason = null, extra = null } = act
        const { sid, own } = this.#id
        const stanza = printJmi({ kind, id: sid, from: own, to, media, reason, extra })
        if (this.#parts.link.send(stanza)) return
        if (kind === 'propose') return this.#failed('initiate', 'down', linkDown)
        if (endings.has(kind)) this.#parts.onOwed(stanza)
        return
      }
      case 'jingle':
        return void this.#request(act)
      case 'reply':
      case 'timer':
        return
    }
  }

  async #request({ to, jingle, tag }: Extract<Act, { act: 'jingle' }>): Promise<void> {
    const { link, onOwed } = this.#parts
    const make = (): Element =>
      xml('iq', { type: 'set', from: this.#id.own, to, id: link.newId() }, printJingle(jingle))
    try {
      const reply = await link.request(make(), callLimits.iqReplyMs)
      if (reply.attrs['type'] !== 'error') return void this.step({ type: 'reply.done', tag })
      const { condition, text } = conditionOf(reply)
      const special = specialOf(reply)
      const cause = special === 'tie-break' ? 'busy' : causeOfCondition[condition]
      this.#failed(tag, special ?? 'error', { cause, ...(text === null ? {} : { text }) })
    } catch (error) {
      const late = error instanceof IqTimeout
      if (!late && jingle.action === 'session-terminate') onOwed(make())
      const reason = late ? ({ cause: 'peer-failed', text: 'the device does not answer' } as const) : linkDown
      this.#failed(tag, late ? 'timeout' : 'down', reason)
    }
  }

  #failed(tag: Tag, why: ReplyFailure, reason: Reason): void {
    this.step({ type: 'reply.failed', tag, why, reason })
  }

  #tell(tell: Tell): void {
    const { leg, inbox, partyOf } = this.#parts
    switch (tell.tell) {
      case 'offered':
        return this.#parts.offered(this, tell)
      case 'alerting':
        return inbox.alerting(leg)
      case 'answered':
        return inbox.answered(leg, { sdp: tell.sdp, party: partyOf(this.#id.peer) })
      case 'acknowledged':
        return inbox.acknowledged(leg, tell.sdp)
      case 'reoffered':
        return inbox.reoffered(leg, tell.sdp)
      case 'reoffer-answered':
        return inbox.reofferAnswered(leg, { exchange: tell.exchange, sdp: tell.sdp })
      case 'reoffer-refused':
        return inbox.reofferRefused(leg, { exchange: tell.exchange, why: tell.why })
      case 'toned':
        return inbox.toned(leg, tell.tone)
      case 'ended':
        return inbox.ended(leg, tell.reason)
    }
  }

  #setTimer({ timer, ms }: Extract<Act, { act: 'timer' }>): void {
    this.#timers.get(timer)?.()
    this.#timers.delete(timer)
    if (ms === null) return
    const cancel = this.#parts.clock.after(ms, () => {
      this.#timers.delete(timer)
      this.step({ type: 'timer', timer })
    })
    this.#timers.set(timer, cancel)
  }

  #stopTimers(): void {
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
  }
}

const endings: ReadonlySet<string> = new Set(['reject', 'retract', 'finish'])
const linkDown: Reason = { cause: 'unreachable', text: 'the link to the island is down' }

function specialOf(reply: Element): 'tie-break' | 'unknown-session' | null {
  const error = reply.getChild('error')
  if (error?.getChild('tie-break', namespaces.jingleErrors) !== undefined) return 'tie-break'
  return error?.getChild('unknown-session', namespaces.jingleErrors) === undefined ? null : 'unknown-session'
}
