// The embedded SIP engine: a drachtio-compatible server in this process, on our own stack.

import { messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Joinable } from '../link.ts'
import type { SipStack, StackLimits, StackOptions, SipTimers } from '../ports.ts'
import { createStack } from '../stack.ts'
import { timersFrom } from '../timers.ts'
import type { Listening, ListenOptions } from '../transport/transport.ts'
import { hostPort } from '../transport/transport.ts'
import { answer } from './answers.ts'
import { Bindings } from './bindings.ts'
import { engineLimits, reasonLine } from './context.ts'
import type { Context, EngineLimits, Handler } from './context.ts'
import type { App, Command } from './app.ts'
import { createControlServer } from './control.ts'
import type { ControlLimits, ControlPort, SipCommand } from './control.ts'
import { endByEngine } from './ending.ts'
import { createHandler } from './handler.ts'
import type { HandlerOptions } from './handler.ts'
import { acknowledged, answerFor, cancelledLate, receive } from './inbound.ts'
import { sendInside } from './inside.ts'
import { LinkedApp } from './link.ts'
import { KnownHops } from './next-hop.ts'
import { abandon, cancel, sendOutside, stray } from './outbound.ts'
import { Overload } from './overload.ts'
import { sessionDefaults } from './session-timer.ts'
import type { SessionDefaults } from './session-timer.ts'
import type { AllowTarget } from './targets.ts'
import { parseAppMessage } from './text.ts'
import type { AppMessage } from './text.ts'
import { Usages } from './usages.ts'

export { engineLimits } from './context.ts'
export type { EngineLimits } from './context.ts'

export interface EngineOptions {
  /** Null: no port, applications of this process only. */
  readonly control: ControlPort | null
  readonly listen: readonly ListenOptions[]
  /** Who may send, decided before anything is parsed; see `screenPeers`. */
  readonly screen?: StackOptions['screen']
  /** Where peers may have requests inside dialogs sent to; see `targetsOf`. Unset: anywhere. */
  readonly allowTarget?: AllowTarget
  /** Outbound mode: new requests go to applications that the engine connects to. */
  readonly handler?: HandlerOptions
  readonly timers?: Partial<SipTimers>
  readonly limits?: Partial<EngineLimits & ControlLimits & StackLimits>
  readonly session?: Partial<SessionDefaults>
  /** A second of a session timer in ms; tests shorten it. */
  readonly secondMs?: number
  readonly tap?: StackOptions['tap']
  readonly tlsCa?: StackOptions['tlsCa']
  readonly tlsPeers?: StackOptions['tlsPeers']
  /** For the names of next hops and peers; the system's unless given. */
  readonly resolver?: StackOptions['resolver']
  readonly userAgent?: string
  /** Takes part in overload control with neighbours (RFC 7339); unless `false`. */
  readonly overloadControl?: boolean
  /** Unless given, one of `limits`; tests drive its clock. */
  readonly overload?: Overload
  readonly log: Logger
}

export interface Engine extends Joinable {
  /** Rejects with HUB_LISTEN where a port cannot be had; nothing stays open then. */
  start(): Promise<void>
  close(): Promise<void>
  /** A WebSocket that somebody else terminates (RFC 7118): told to applications as `ws` or `wss`. */
  adopt: SipStack['adopt']
  /** Port 0 where there is none. */
  readonly control: { readonly host: string; readonly port: number }
  readonly listening: readonly Listening[]
  /** For metrics and tests: nothing of it may grow without end. */
  readonly counts: {
    readonly dialogs: number
    readonly waiting: number
    readonly sent: number
    readonly bindings: number
    /** New requests that overload refused, and own ones that overload below kept here. */
    readonly shed: number
    readonly heldBack: number
  }
}

export function createEngine(options: EngineOptions): Engine {
  const { log } = options
  const limits = { ...engineLimits, ...options.limits }
  const timers = timersFrom(options.timers)
  const overload = options.overload ?? new Overload({ limits, log })
  const stack = createStack({
    listen: options.listen,
    timers,
    log,
    limits: options.limits ?? {},
    handler: {
      request: tx => receive(ctx, tx),
      ack: (ack, flow) => acknowledged(ctx, ack, flow),
      strayResponse: (response, flow) => stray(ctx, response, flow)
    },
    tap: (direction, message, flow) => {
      if (direction === 'in' && message.kind === 'request' && message.method === 'CANCEL') cancelledLate(ctx, message)
      options.tap?.(direction, message, flow)
    },
    ...(options.overloadControl === false ? {} : { overload }),
    ...passedOn(options)
  })
  const hostports = (): string => stack.listening.map(own => `${own.transport}/${hostPort(own)}`).join(',')
  const control = createControlServer({
    at: options.control,
    limits: options.limits ?? {},
    log,
    hostports,
    handler: { sip: (app, command) => obey(ctx, app, command), gone: (app, reached) => release(ctx, app, reached) }
  })
  const ctx: Context = {
    stack,
    control,
    log,
    limits,
    timers,
    session: { ...sessionDefaults, ...options.session },
    secondMs: options.secondMs ?? 1_000,
    usages: new Usages(64 * timers.T1),
    bindings: new Bindings(limits.bindingsMax),
    overload,
    inbound: new Map(),
    handler: handlerOf(options.handler),
    deciding: new Set(),
    allowTarget: options.allowTarget ?? null,
    outbound: new Map(),
    hops: new KnownHops(limits.hopsMax)
  }
  return engineOf(ctx)
}

function engineOf(ctx: Context): Engine {
  const { stack, control } = ctx
  return {
    async start() {
      await stack.start()
      try {
        await control.start()
      } catch (error) {
        await stack.close()
        throw error
      }
      ctx.overload.start()
    },
    async close() {
      ctx.overload.stop()
      await control.close()
      await stack.close()
    },
    adopt: options => stack.adopt(options),
    get control() {
      return control.address
    },
    join(listener, methods) {
      const gone = (app: App): void => {
        control.leave(app)
        release(ctx, app, true)
      }
      const link = new LinkedApp({
        listener,
        gone,
        carryOut: (app, command, message) => safely(ctx, app, command, message)
      })
      control.join(link, methods)
      return link
    },
    get listening() {
      return stack.listening
    },
    get counts() {
      const { usages, inbound, outbound, bindings, overload } = ctx
      return {
        dialogs: usages.size,
        waiting: inbound.size + ctx.deciding.size,
        sent: outbound.size,
        bindings: bindings.size,
        shed: overload.shed,
        heldBack: stack.counts.heldBack
      }
    }
  }
}

function handlerOf(options: HandlerOptions | undefined): Handler | null {
  if (options === undefined) return null
  return { decide: createHandler(options), ...(options.ca === undefined ? {} : { ca: options.ca }) }
}

/** What goes to the stack as it is. */
const passedOn = ({ screen, tlsCa, tlsPeers, userAgent, resolver }: EngineOptions): Partial<StackOptions> => ({
  ...(tlsPeers === undefined ? {} : { tlsPeers }),
  ...(resolver === undefined ? {} : { resolver }),
  ...(screen === undefined ? {} : { screen }),
  ...(tlsCa === undefined ? {} : { tlsCa }),
  ...(userAgent === undefined ? {} : { userAgent })
})

function obey(ctx: Context, app: App, command: SipCommand): void {
  const message = parseAppMessage(command.text, app.binary)
  if (message === null) app.refused(command.id, 'not a SIP message')
  else safely(ctx, app, command, message)
}

/** A fault of ours must not take other calls with it. */
function safely(ctx: Context, app: App, command: Command, message: AppMessage): void {
  try {
    carryOut(ctx, app, command, message)
  } catch (error) {
    ctx.log.error({ error: messageOf(error), stack: error instanceof Error ? error.stack : '' }, 'command')
    app.refused(command.id, `internal error: ${messageOf(error)}`)
  }
}

/** A response by its transaction; a request by its dialog, CANCEL by its transaction, else a new one. */
function carryOut(ctx: Context, app: App, command: Command, message: AppMessage): void {
  if (message.rest.skipped.length > 0) ctx.log.warn({ names: message.rest.skipped }, 'header names left out')
  if (message.kind === 'response') {
    if (command.txn === '') app.refused(command.id, 'transaction id missing')
    else answer(ctx, app, command, message)
    return
  }
  if (command.dialog !== '') sendInside(ctx, app, command, message)
  else if (message.method === 'CANCEL') cancel(ctx, app, command, message)
  else if (message.method === 'ACK') sendInside(ctx, app, command, message)
  else if (command.txn !== '') app.refused(command.id, `${message.method} with a transaction but no dialog`)
  else sendOutside(ctx, app, command, message)
}

/** An application is gone: what it has not answered is refused, what it has built is taken down, in batches. */
function release(ctx: Context, app: App, reached: boolean): void {
  const waiting = [...ctx.inbound.values()].filter(inbound => inbound.app === app)
  const { length: dialogs } = ctx.usages.of(app)
  if (waiting.length + dialogs > 0) ctx.log.warn({ waiting: waiting.length, dialogs }, 'application gone')
  const status = reached ? 503 : 480
  for (const inbound of waiting) answerFor(ctx, inbound, inbound.tx.request.method === 'BYE' ? 200 : status)
  abandon(ctx, app)
  const rest = ctx.usages.of(app).filter(usage => usage.phase === 'confirmed')
  const next = (): void => {
    for (const usage of rest.splice(0, ctx.limits.releasesMax)) {
      endByEngine(ctx, usage, reasonLine(503, 'Application gone'))
    }
    if (rest.length > 0) setTimeout(next, ctx.limits.releasePauseMs).unref()
  }
  next()
}
