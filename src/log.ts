// Structured logs (pino, JSON lines on stderr). Secrets never reach them.

import { pino } from 'pino'
import type { Logger } from 'pino'

export type { Logger } from 'pino'

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

const secret = ['password', 'secret', 'ha1', 'authorization', 'sdp', 'token', 'key', 'cert']

export function createLog(level: LogLevel): Logger {
  const paths = secret.flatMap(name => [name, `*.${name}`, `*.*.${name}`])
  return pino({ level, base: null, redact: { paths, censor: '[redacted]' } }, pino.destination({ fd: 2, sync: true }))
}
