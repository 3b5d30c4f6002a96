// The shell of messages: live ones, their timers and results, and which receipts belong to which sender.

import { randomUUID } from 'node:crypto'
import { limits } from './limits.ts'
import { noFacts } from './model.ts'
import type { Access, Leg, SessionId, Shown, Target } from './model.ts'
import type { CarrierParts } from './carrier.ts'
import type { OfferedText, OfferedTyping, SignallingAdapter, TextVerdict } from './ports.ts'
import { bodyShown, originOf } from './privacy.ts'
import { keyOf } from './records.ts'
import { openText, stepText } from './text-step.ts'
import type { TextCommand, TextEvent, TextSession } from './text-step.ts'
import type { Receipt, TextRef } from './text.ts'

export interface TextsParts extends CarrierParts {
  readonly chargingHost: string
}

interface Live {
  session: TextSession
  lastAt: number
  readonly offered: OfferedText
  readonly timers: Map<string, () => void>
  readonly tell: (verdict: TextVerdict) => void
}
interface Sent {
  readonly access: Access
  readonly ref: TextRef
  readonly until: number
}
interface Pair {
  readonly target: Target
  readonly from: Shown
  readonly until: number
}
type Unstamped = TextEvent extends infer E ? (E extends unknown ? Omit<E, 'at'> : never) : never

const refused = (cause: 'congestion' | 'unavailable' | 'internal', text: string): TextVerdict => ({
  taken: false,
  release: { cause, text, from: 'hub' }
})

const pairOf = ({ access, peerId, party }: Leg, called: string): string =>
  JSON.stringify([access, peerId, party.asserted, party.presented, called])

export class Texts {
  readonly #parts: TextsParts
  readonly #onClosed: () => void
  readonly #live = new Map<SessionId, Live>()
  /** By the reference under which the message went out; oldest first. */
  readonly #sent = new Map<TextRef, Sent>()
  /** What was told of messages before their adapter has said that they were taken: the one may overtake the other. */
  readonly #early = new Map<TextRef, Receipt[]>()
  /** Who has written to whom lately, and on which way; oldest first. */
  readonly #pairs = new Map<string, Pair>()

  constructor(parts: TextsParts, onClosed: () => void) {
    this.#parts = parts
    this.#onClosed = onClosed
  }

  get count(): number {
    return this.#live.size
  }

  texted(offered: OfferedText, draining: boolean): Promise<TextVerdict> {
    if (draining) return Promise.resolve(refused('unavailable', 'the hub is shutting down'))
    if (this.#live.size >= limits.textsMax) return Promise.resolve(refused('congestion', 'too many messages at once'))
    const id = (this.#parts.newId ?? randomUUID)() as SessionId
    return new Promise<TextVerdict>(tell => {
      try {
        if (this.#parts.cdrs.admit(id)) return this.#open(id, offered, tell)
        tell(refused('congestion', 'there is no room for the records of another message'))
      } catch (error) {
        this.#fault(id, 'text.offered', error)
        this.#parts.cdrs.release(id)
        tell(refused('internal', 'the message could not be taken'))
      }
    })
  }

  /** What became of a message that was sent: its sender is told, if its dialect has a word for it. */
  received(ref: TextRef, receipt: Receipt): void {
    const sent = this.#sent.get(ref)
    if (sent === undefined) return this.#keepEarly(ref, receipt)
    if (receipt !== 'delivered') this.#sent.delete(ref)
    if (sent.until < this.#parts.clock.now()) return
    const id = 'receipt' as SessionId
    void this.#guard(id, 'text.receipt', () => this.#adapter(sent.access).sendReceipt(sent.ref, receipt))
  }

  typed({ caller, called, state }: OfferedTyping): void {
    const pair = this.#pairs.get(pairOf(caller, called))
    if (pair === undefined || pair.until < this.#parts.clock.now()) return
    const { from, target } = pair
    const id = 'typing' as SessionId
    void this.#guard(id, 'text.typing', async () => this.#adapter(target.access).sendTyping?.({ from, target, state }))
  }

  #open(id: SessionId, offered: OfferedText, tell: (verdict: TextVerdict) => void): void {
    const { caller, called, body, facts, refusal } = offered
    const at = this.#parts.clock.now()
    const charging = offered.charging ?? { icid: id, generatedAt: this.#parts.chargingHost }
    const { session, commands } = openText({ id, caller, called, body, charging, facts, refusal, requestedAt: at })
    const live: Live = { session, lastAt: at, offered, timers: new Map(), tell }
    this.#live.set(id, live)
    this.#runAll(id, live, commands)
  }

  #put(id: SessionId, unstamped: Unstamped): void {
    const live = this.#live.get(id)
    if (live === undefined) return
    try {
      live.lastAt = Math.max(live.lastAt, this.#parts.clock.now())
      const { session, commands } = stepText(live.session, { ...unstamped, at: live.lastAt })
      live.session = session
      this.#runAll(id, live, commands)
      if (session.phase === 'closed') this.#forget(id, live)
    } catch (error) {
      this.#fault(id, unstamped.type, error)
      live.tell(refused('internal', 'the message could not be handled'))
      this.#forget(id, live)
    }
  }

  #forget(id: SessionId, live: Live): void {
    for (const cancel of live.timers.values()) cancel()
    this.#live.delete(id)
    if (this.#live.size === 0) this.#early.clear()
    this.#parts.cdrs.release(id)
    this.#onClosed()
  }

  #runAll(id: SessionId, live: Live, commands: readonly TextCommand[]): void {
    for (const command of commands) this.#run(id, live, command)
  }

  #run(id: SessionId, live: Live, command: TextCommand): void {
    const { router, policy, cdrs, clock } = this.#parts
    const { caller, called } = live.offered
    switch (command.type) {
      case 'route.ask':
        return void this.#guard(
          id,
          command.type,
          async () => {
            const routed = await router.route(called, caller, 'message', live.session.facts)
            if ('nobody' in routed) this.#put(id, { type: 'route.failed', reason: routed.nobody })
            else this.#put(id, { type: 'route.found', ...routed })
          },
          () => this.#put(id, { type: 'route.failed', reason: { cause: 'internal', text: 'router failed' } })
        )
      case 'policy.ask':
        return this.#admit(id, live, command)
      case 'policy.free':
        return void this.#guard(id, command.type, () => policy.free(command.grantId))
      case 'text.send':
        return this.#send(id, live, command)
      case 'text.verdict':
        return live.tell(command.verdict)
      case 'cdr.note':
        return void this.#guard(id, command.type, async () => cdrs.note(command.cdr))
      case 'cdr.write': {
        const key = keyOf(command.cdr)
        return void this.#guard(
          id,
          command.type,
          async () => {
            await cdrs.write(command.cdr)
            this.#put(id, { type: 'cdr.written', key })
          },
          () => this.#put(id, { type: 'cdr.failed', key })
        )
      }
      case 'timer.set': {
        const { timer, afterMs } = command
        live.timers.get(timer)?.()
        live.timers.set(
          timer,
          clock.after(afterMs, () => this.#put(id, { type: 'timer.fired', timer }))
        )
        return
      }
      case 'timer.clear':
        live.timers.get(command.timer)?.()
        live.timers.delete(command.timer)
    }
  }

  #admit(id: SessionId, live: Live, { attempt, target }: Extract<TextCommand, { type: 'policy.ask' }>): void {
    const { policy } = this.#parts
    const { caller, called } = live.offered
    const { rn } = live.session.facts
    void this.#guard(
      id,
      'policy.ask',
      async () => {
        const decision = await policy.decideText({ id, attempt, caller, target, called, rn, at: live.lastAt })
        // Nobody is left to give it back.
        if (decision.admit && !this.#live.has(id)) await policy.free(decision.grant.id)
        this.#put(id, { type: 'policy.decided', attempt, decision })
      },
      () =>
        this.#put(id, {
          type: 'policy.decided',
          attempt,
          decision: { admit: false, reason: { cause: 'internal', text: 'policy failed' } }
        })
    )
  }

  #send(id: SessionId, live: Live, { attempt, target, from }: Extract<TextCommand, { type: 'text.send' }>): void {
    const { offered, session } = live
    const { charging } = session
    const origin = originOf(session.facts)
    void this.#guard(
      id,
      'text.send',
      async () => {
        const body = bodyShown(from, offered.body)
        const text = { id, attempt, charging, from, target, origin, callerRef: offered.ref, body }
        const outcome = await this.#adapter(target.access).sendText(text)
        const { facts } = outcome
        if (!outcome.taken) return this.#put(id, { type: 'text.refused', attempt, reason: outcome.reason, facts })
        this.#remember(outcome.ref, { access: offered.caller.access, ref: offered.ref })
        this.#pair(offered, target, from)
        this.#put(id, { type: 'text.taken', attempt, facts })
        if (outcome.delivered === true) this.received(outcome.ref, 'delivered')
        const early = this.#early.get(outcome.ref) ?? []
        this.#early.delete(outcome.ref)
        for (const receipt of early) this.received(outcome.ref, receipt)
      },
      () =>
        this.#put(id, {
          type: 'text.refused',
          attempt,
          reason: { cause: 'peer-failed', text: 'the message could not be sent' },
          facts: noFacts
        })
    )
  }

  #keepEarly(ref: TextRef, receipt: Receipt): void {
    if (this.#live.size === 0) return
    const told = this.#early.get(ref) ?? []
    if (!told.includes(receipt)) told.push(receipt)
    this.#early.set(ref, told)
    if (this.#early.size <= limits.textsMax) return
    const [oldest] = this.#early.keys()
    if (oldest !== undefined) this.#early.delete(oldest)
  }

  #remember(out: TextRef, { access, ref }: Omit<Sent, 'until'>): void {
    this.#sent.set(out, { access, ref, until: this.#parts.clock.now() + limits.receiptKeepMs })
    if (this.#sent.size <= limits.receiptsMax) return
    const [oldest] = this.#sent.keys()
    if (oldest !== undefined) this.#sent.delete(oldest)
  }

  #pair({ caller, called }: OfferedText, target: Target, from: Shown): void {
    const key = pairOf(caller, called)
    this.#pairs.delete(key)
    this.#pairs.set(key, { target, from, until: this.#parts.clock.now() + limits.typingKeepMs })
    if (this.#pairs.size <= limits.typingPairsMax) return
    const [oldest] = this.#pairs.keys()
    if (oldest !== undefined) this.#pairs.delete(oldest)
  }

  #adapter(access: Access): SignallingAdapter {
    const found = this.#parts.adapters.find(adapter => adapter.access === access)
    if (found === undefined) throw new Error(`no adapter for ${access}`)
    return found
  }

  async #guard(id: SessionId, doing: string, work: () => unknown, onFail?: () => void): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#fault(id, doing, error)
      onFail?.()
    }
  }

  #fault(sessionId: SessionId, doing: string, error: unknown): void {
    try {
      this.#parts.onFault({ sessionId, doing, error })
    } catch {
      // A reporter that fails must not take a message with it.
    }
  }
}
