// Structured logs (pino, JSON lines on stderr). Secrets never reach them.

import { pino, stdSerializers } from 'pino'
import type { DestinationStream, LogFn, Logger } from 'pino'

export type { Logger } from 'pino'

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Fields that never show their value, down to the third level. */
const secrets: ReadonlySet<string> = new Set('password secret ha1 authorization sdp token key cert'.split(' '))
const levelsMax = 3
const censor = '[redacted]'

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !(value instanceof Error)

/** The same object where it holds no secret. By hand: pino's own takes eight times as long as the rest of the line. */
function redacted(fields: Fields, levels = levelsMax): Record<string, unknown> {
  let copy: Record<string, unknown> | null = null
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    const shown = secrets.has(name) ? censor : levels > 1 && isFields(value) ? redacted(value, levels - 1) : value
    if (shown === value) continue
    copy ??= { ...fields }
    copy[name] = shown
  }
  return copy ?? fields
}

/** Errors become fields first, so that what they carry is looked at too. */
const errorFields = (error: unknown): unknown =>
  error instanceof Error ? redacted({ ...stdSerializers.err(error) }, levelsMax - 1) : error

/** A busy hub writes a line for each call: lines of a moment leave in one write, the last when the process leaves. */
const writing = { fd: 2, sync: true, minLength: 4_096, periodicFlush: 50 } as const

let shared: DestinationStream | null = null
function standardError(): DestinationStream {
  if (shared !== null) return shared
  const to = pino.destination(writing)
  process.once('exit', () => to.flushSync())
  shared = to
  return to
}

/** Something that somebody has to know, whether or not they read the log: a line with a field `alarm`, its name. */
export interface Alarm {
  readonly name: string
  readonly severity: 'warning' | 'error'
  /** Epoch milliseconds. */
  readonly at: number
  readonly text: string
  /** The other fields of the line, without secrets; of an error its message. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** `onAlarm` hears of each line with a field `alarm` that `level` lets through. It returns at once and never throws. */
export function createLog(
  level: LogLevel,
  to: DestinationStream = standardError(),
  onAlarm: ((alarm: Alarm) => void) | null = null
): Logger {
  // Also for the fields of a child, which `formatters` do not see.
  const hidden = Object.fromEntries(Array.from(secrets, name => [name, () => censor]))
  const options = { level, base: null, formatters: { log: redacted }, serializers: { ...hidden, err: errorFields } }
  return pino(onAlarm === null ? options : { ...options, hooks: { logMethod: listening(onAlarm) } }, to)
}

type LogMethod = (this: Logger, args: Parameters<LogFn>, write: LogFn, level: number) => void

const listening = (onAlarm: (alarm: Alarm) => void): LogMethod =>
  function (args, write, level) {
    const [fields, text] = args as readonly unknown[]
    if (isFields(fields) && typeof fields['alarm'] === 'string') {
      onAlarm(alarmOf(fields, typeof text === 'string' ? text : '', level))
    }
    write.apply(this, args)
  }

const errorLevel = 50

function alarmOf(fields: Fields, text: string, level: number): Alarm {
  const { alarm, err, ...rest } = fields
  const reason = Error.isError(err) ? { reason: err.message } : {}
  return {
    name: String(alarm),
    severity: level >= errorLevel ? 'error' : 'warning',
    at: Date.now(),
    text,
    facts: redacted({ ...rest, ...reason })
  }
}
