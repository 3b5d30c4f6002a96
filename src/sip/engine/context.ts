// What the parts of the engine share: the stack below, the applications above, the tables between.

import type { Logger } from '../../log.ts'
import type { HeaderLine, SipRequest, SipResponse } from '../message.ts'
import { goesFirst } from '../overload.ts'
import { stackLimits } from '../ports.ts'
import type { ClientTransaction, ServerTransaction, SipStack, SipTimers } from '../ports.ts'
import type { Bindings } from './bindings.ts'
import type { App } from './app.ts'
import type { ControlServer } from './control.ts'
import type { Decide } from './handler.ts'
import { overloadLimits } from './overload.ts'
import type { Overload } from './overload.ts'
import type { SessionDefaults } from './session-timer.ts'
import type { AllowTarget } from './targets.ts'
import type { KnownHops } from './next-hop.ts'
import type { Usage, Usages } from './usages.ts'

export const engineLimits = {
  ...overloadLimits,
  /** Of a hundred dialogs and waiting requests so many more for emergency and priority calls. */
  reservePercent: stackLimits.reservePercent,
  /** Dialogs; an INVITE or SUBSCRIBE beyond it is refused with 503, or NOK where an application asks. */
  dialogsMax: 100_000,
  /** Requests of the network that wait for an application; beyond it 503. */
  waitingMax: 50_000,
  /** From INVITE to the application's first answer; then 480. */
  firstAnswerMs: 64_000,
  /** Answers of one INVITE that wait for a PRACK. */
  heldAnswersMax: 8,
  /** Early dialogs, and answered ones beyond the first, of one INVITE sent. */
  forksMax: 16,
  /** Contacts that are reached over the connection they registered on. */
  bindingsMax: 100_000,
  /** Next hops named by address that are remembered; with one more all are forgotten. */
  hopsMax: 1_000,
  /** Dialogs of a dead application ended at once, and the pause before the next ones. */
  releasesMax: 200,
  releasePauseMs: 20
} as const
export type EngineLimits = { readonly [name in keyof typeof engineLimits]: number }

/** A request of the network that an application answers. */
export interface Inbound {
  readonly txn: string
  readonly tx: ServerTransaction
  readonly app: App
  usage: Usage | null
  toTag: string
  answered: 'no' | 'early' | 'final'
  /** RSeq of the last reliable 1xx; what waits for its PRACK, and what stops its retransmission. */
  rseq: number
  unacknowledged: (() => void) | null
  readonly held: HeldAnswer[]
  /** Of `systemClock`. */
  guard: unknown
}

export interface HeldAnswer {
  run(): void
  fail(text: string): void
}

/** A request of an application on its way. */
export interface Outbound {
  readonly txn: string
  readonly app: App
  readonly tx: ClientTransaction
  readonly usage: Usage | null
  /** The application has asked to cancel it. */
  cancelled: boolean
  /** RSeq of the last reliable 1xx to a re-INVITE. */
  rseq?: number
}

/** Outbound mode: who is asked which application takes a request. */
export interface Handler {
  readonly decide: Decide
  readonly ca?: string | Buffer
}

export interface Context {
  readonly stack: SipStack
  readonly control: ControlServer
  readonly log: Logger
  readonly limits: EngineLimits
  readonly timers: SipTimers
  readonly session: SessionDefaults
  /** How long a second of a session lasts; 1000 but in tests. */
  readonly secondMs: number
  readonly usages: Usages
  readonly bindings: Bindings
  readonly overload: Overload
  readonly inbound: Map<string, Inbound>
  readonly handler: Handler | null
  /** Null: peers may name any target. */
  readonly allowTarget: AllowTarget | null
  /** Requests whose application is being found. */
  readonly deciding: Set<ServerTransaction>
  readonly outbound: Map<string, Outbound>
  /** Where next hops lead that applications have named by address. */
  readonly hops: KnownHops
}

/** Whether a request of the network may open one more dialog: what goes first has some room of its own. */
export function hasDialogRoom({ usages, limits }: Pick<Context, 'usages' | 'limits'>, request: SipRequest): boolean {
  const { dialogsMax, reservePercent } = limits
  return usages.size < dialogsMax || (usages.size < dialogsMax * (1 + reservePercent / 100) && goesFirst(request))
}

/** A Reason header (RFC 3326) for what the engine ends by itself. */
export const reasonLine = (cause: number, text: string): HeaderLine => ({
  name: 'Reason',
  value: `SIP;cause=${cause};text="${text}"`
})

/** The number of a request's CSeq. */
export const cseqOf = (request: SipRequest): number => request.headers.cseq()?.number ?? 0

/** The RSeq of a reliable answer; not a number in the others. */
export const rseqOf = (response: SipResponse): number => Number.parseInt(response.headers.get('RSeq') ?? '', 10)
