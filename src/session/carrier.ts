// Carries out what the machines ask for. The one place where an edge may throw or reject: it comes back as an event.

import { strict as assert } from 'node:assert'
import { freed } from './ending.ts'
import type { Command, CommandOf, SessionEvent } from './messages.ts'
import type { Access, LegRef, PolicyDecision, Reason, ReleaseCause, SessionId, Side } from './model.ts'
import type {
  Anchorage,
  Anchored,
  CdrSink,
  Clock,
  Credit,
  MediaAnchor,
  Policy,
  Router,
  SignallingAdapter
} from './ports.ts'
import { originOf } from './privacy.ts'
import { keyOf } from './records.ts'
import { whenKnown } from './soon.ts'
import type { Soon } from './soon.ts'
import type { Session } from './state.ts'

export interface Fault {
  readonly sessionId: SessionId
  readonly doing: string
  readonly error: unknown
}

export interface CarrierParts {
  readonly adapters: readonly SignallingAdapter[]
  readonly router: Router
  readonly policy: Policy
  readonly credit: Credit
  readonly media: MediaAnchor
  readonly cdrs: CdrSink
  readonly clock: Clock
  /** UUIDs for sessions; those of node:crypto unless given. */
  readonly newId?: () => string
  readonly onFault: (fault: Fault) => void
}

export type Unstamped = SessionEvent extends infer E ? (E extends unknown ? Omit<E, 'at'> : never) : never

/** What the carrier needs of a live session; the rest of it is the hub's. */
export interface Carried {
  session: Session
  readonly timers: Map<string, () => void>
  readonly refs: { readonly caller: LegRef; callee: LegRef | null }
}

export interface Owner {
  put(id: SessionId, event: Unstamped): void
  alive(id: SessionId): boolean
  named(leg: LegRef, id: SessionId, side: Side): void
  forgotten(leg: LegRef): void
}

export const failure = (cause: ReleaseCause, text: string): Reason => ({ cause, text })

export class Carrier {
  readonly #parts: CarrierParts
  readonly #owner: Owner

  constructor(parts: CarrierParts, owner: Owner) {
    this.#parts = parts
    this.#owner = owner
  }

  /** One command that cannot be carried out does not keep the others from being so. */
  runAll(id: SessionId, live: Carried, commands: readonly Command[]): void {
    for (const command of commands) {
      try {
        this.#run(id, live, command)
      } catch (error) {
        this.fault(id, command.type, error)
        this.#owner.put(id, { type: 'hub.failed', reason: failure('internal', `${command.type} failed`) })
      }
    }
  }

  end(id: SessionId, access: Access, leg: LegRef, cause: ReleaseCause, text: string): void {
    const release = { ...failure(cause, text), from: 'hub' } as const
    this.ask(id, 'leg.end', () => this.adapter(access).end(leg, release))
  }

  releaseMedia(id: SessionId, attempt: number): void {
    this.ask(id, 'media.release', () => this.#parts.media.release(id, attempt))
  }

  /** What comes of it is put where it is known, at once or later. Promises only where the edge makes one. */
  ask<T>(
    id: SessionId,
    doing: string,
    work: () => Soon<T>,
    onDone: ((value: T) => Unstamped) | null = null,
    onFail: (() => Unstamped | null) | null = null
  ): void {
    let result: Soon<T>
    try {
      result = work()
    } catch (error) {
      return this.#failed(id, doing, error, onFail)
    }
    if (!(result instanceof Promise)) {
      if (onDone !== null) this.#settled(id, doing, result, onDone, onFail)
      return
    }
    result.then(onDone === null ? null : value => this.#settled(id, doing, value, onDone, onFail), (error: unknown) =>
      this.#failed(id, doing, error, onFail)
    )
  }

  #settled<T>(
    id: SessionId,
    doing: string,
    value: T,
    onDone: (value: T) => Unstamped,
    onFail: (() => Unstamped | null) | null
  ): void {
    try {
      this.#owner.put(id, onDone(value))
    } catch (error) {
      this.#failed(id, doing, error, onFail)
    }
  }

  #failed(id: SessionId, doing: string, error: unknown, onFail: (() => Unstamped | null) | null): void {
    this.fault(id, doing, error)
    const event = onFail?.() ?? null
    if (event !== null) this.#owner.put(id, event)
  }

  fault(sessionId: SessionId, doing: string, error: unknown): void {
    try {
      this.#parts.onFault({ sessionId, doing, error })
    } catch {
      // A reporter that fails must not take a call with it.
    }
  }

  adapter(access: Access): SignallingAdapter {
    const found = this.#parts.adapters.find(adapter => adapter.access === access)
    assert(found !== undefined, `no adapter for ${access}`)
    return found
  }

  #run(id: SessionId, live: Carried, command: Command): void {
    const { credit, cdrs, policy } = this.#parts
    switch (command.type) {
      case 'route.ask':
        return this.#route(id, live.session)
      case 'policy.ask':
        return this.#admit(id, live, command.attempt)
      case 'policy.free':
        return this.ask(id, command.type, () => policy.free(command.grantId))
      case 'credit.refresh':
        return this.ask(
          id,
          command.type,
          () => credit.refresh(command.reservationId, command.usedMs),
          verdict => ({ type: 'credit.answered', verdict }),
          () => ({ type: 'credit.answered', verdict: 'silent' })
        )
      case 'credit.settle':
        return this.ask(id, command.type, () => credit.settle(command.reservationId, command.usedMs))
      case 'timer.set':
        return this.#setTimer(id, live, command)
      case 'timer.clear':
        return stop(live, command.timer)
      case 'cdr.note':
        return this.ask(id, command.type, () => cdrs.note(command.cdr))
      case 'cdr.write': {
        const key = keyOf(command.cdr)
        return this.ask(
          id,
          command.type,
          () => cdrs.write(command.cdr),
          () => ({ type: 'cdr.written', key }),
          () => ({ type: 'cdr.failed', key })
        )
      }
      case 'media.offer':
      case 'media.answer':
      case 'media.make-offer':
      case 'media.abandon':
      case 'media.release':
        return this.#runMedia(id, live, command)
      default:
        return this.#runLeg(id, live, command)
    }
  }

  #route(id: SessionId, { called, caller, service, facts }: Session): void {
    this.ask(
      id,
      'route.ask',
      () => this.#parts.router.route(called, caller, service, facts.caller),
      routed =>
        'nobody' in routed ? { type: 'route.failed', reason: routed.nobody } : { type: 'route.found', ...routed },
      () => ({ type: 'route.failed', reason: failure('internal', 'router failed') })
    )
  }

  #admit(id: SessionId, live: Carried, attempt: number): void {
    this.ask(
      id,
      'policy.ask',
      () => this.#decide(id, live, attempt),
      decision => ({ type: 'policy.decided', attempt, decision }),
      () => ({
        type: 'policy.decided',
        attempt,
        decision: { admit: false, reason: failure('internal', 'policy failed') }
      })
    )
  }

  #decide(id: SessionId, live: Carried, number: number): Soon<PolicyDecision> {
    const { session } = live
    assert('attempt' in session && session.attempt?.number === number, 'admission is asked for the current attempt')
    const { caller, called, service, offer, attempt, facts } = session
    const { target, transcode, startedAt: at } = attempt
    const { rn, psapCallback: urgent } = facts.caller
    const asked = { id, attempt: number, caller, target, called, rn, urgent, service, offer, transcode, at }
    return whenKnown(this.#parts.policy.decide(asked), decision => {
      // Nobody is left to give it back.
      if (decision.admit && !this.#owner.alive(id)) this.runAll(id, live, freed(decision.grant))
      return decision
    })
  }

  #runMedia(id: SessionId, live: Carried, command: Extract<Command, { type: `media.${string}` }>): void {
    const { media } = this.#parts
    if (command.type === 'media.release') {
      const { attempt } = command
      return this.ask(
        id,
        command.type,
        () => media.release(id, attempt),
        stats => ({ type: 'media.released', attempt, stats }),
        () => ({ type: 'media.released', attempt, stats: null })
      )
    }
    const { exchange } = command
    const at = anchorage(live.session, exchange)
    if (command.type === 'media.abandon') return this.ask(id, command.type, () => media.abandon(at))
    this.ask<Anchored>(
      id,
      command.type,
      () => {
        switch (command.type) {
          case 'media.offer':
            return media.offer(at, command.side, command.sdp)
          case 'media.answer':
            return media.answer(at, command.side, command.sdp)
          case 'media.make-offer':
            return media.makeOffer(at, command.side)
        }
      },
      result =>
        result.anchored
          ? { type: 'media.ready', exchange, sdp: result.sdp }
          : { type: 'media.failed', exchange, reason: result.reason },
      () => ({ type: 'media.failed', exchange, reason: failure('internal', 'media anchor failed') })
    )
  }

  #runLeg(id: SessionId, live: Carried, command: Extract<Command, { type: `leg.${string}` }>): void {
    const { side, type } = command
    const { session, refs } = live
    const leg = refs[side]
    this.ask(
      id,
      type,
      (): Soon<void> => {
        if (type === 'leg.invite') return this.#invite(id, live, command)
        assert(leg !== null, `${type} before the ${side} has a leg`)
        return perform(this.adapter(accessOf(session, side)), leg, command)
      },
      null,
      () => {
        // A tone that cannot be sent is no reason to end a call, and the leg of an attempt that is over says nothing
        // about the next one.
        if (type === 'leg.send-tone' || (type !== 'leg.invite' && refs[side] !== leg)) return null
        if (type !== 'leg.invite' && type !== 'leg.end' && leg !== null) this.#drop(id, leg, accessOf(session, side))
        return { type: 'leg.ended', side, reason: failure('peer-failed', `${type} failed`) }
      }
    )
  }

  /** A leg that cannot be commanded counts as ended for the machine: its adapter must still let it go. */
  #drop(id: SessionId, leg: LegRef, access: Access): void {
    this.#owner.forgotten(leg)
    this.end(id, access, leg, 'peer-failed', 'the leg could not be commanded')
  }

  #invite(id: SessionId, live: Carried, { from, target, sdp }: CommandOf<'leg.invite'>): void {
    const { session } = live
    if (live.refs.callee !== null) this.#owner.forgotten(live.refs.callee)
    live.refs.callee = null
    assert('attempt' in session && session.attempt !== null)
    const { service, charging, attempt, facts } = session
    const leg = this.adapter(target.access).invite({
      id,
      attempt: attempt.number,
      charging,
      from,
      target,
      origin: originOf(facts.caller),
      callerLeg: live.refs.caller,
      service,
      sdp
    })
    live.refs.callee = leg
    this.#owner.named(leg, id, 'callee')
  }

  #setTimer(id: SessionId, live: Carried, { timer, afterMs }: CommandOf<'timer.set'>): void {
    stop(live, timer)
    live.timers.set(
      timer,
      this.#parts.clock.after(afterMs, () => this.#owner.put(id, { type: 'timer.fired', timer }))
    )
  }
}

/** Most timers that a machine clears were never set. */
function stop({ timers }: Carried, timer: string): void {
  const cancel = timers.get(timer)
  if (cancel === undefined) return
  cancel()
  timers.delete(timer)
}

function accessOf(session: Session, side: Side): Access {
  if (side === 'caller') return session.caller.access
  const target = 'attempt' in session ? session.attempt?.target : undefined
  assert(target !== undefined, 'a callee belongs to an attempt')
  return target.access
}

function anchorage(session: Session, exchange: number): Anchorage {
  assert('grant' in session && session.grant !== null && session.attempt !== null, 'media needs a grant')
  const { id, caller, attempt, grant } = session
  const { number, transcode, target } = attempt
  return { id, attempt: number, exchange, grant, transcode, profiles: { caller: caller.media, callee: target.media } }
}

type LegCommand = Exclude<Extract<Command, { type: `leg.${string}` }>, CommandOf<'leg.invite'>>

function perform(adapter: SignallingAdapter, leg: LegRef, command: LegCommand): Promise<void> {
  switch (command.type) {
    case 'leg.alert':
      return adapter.alert(leg)
    case 'leg.progress':
      return adapter.progress(leg, { sdp: command.sdp, reliable: command.reliable })
    case 'leg.answer':
      return adapter.answer(leg, { sdp: command.sdp, connected: command.connected })
    case 'leg.acknowledge':
      return adapter.acknowledge(leg, command.sdp)
    case 'leg.reoffer':
      return adapter.reoffer(leg, { exchange: command.exchange, sdp: command.sdp })
    case 'leg.answer-reoffer':
      return adapter.answerReoffer(leg, command.sdp)
    case 'leg.refuse-reoffer':
      return adapter.refuseReoffer(leg, command.why)
    case 'leg.send-tone':
      return adapter.sendTone(leg, command.tone)
    case 'leg.end':
      return adapter.end(leg, command.release)
  }
}
