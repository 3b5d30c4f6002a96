// What infrastructure may do wrong: thrown by edges, caught in exactly one place, `Hub` (or at start-up).

export const errorCodes = [
  'HUB_CONFIG',
  'HUB_LISTEN',
  'HUB_DATABASE',
  'HUB_JOURNAL',
  'HUB_EVENT_LOG',
  'HUB_SIP_ENGINE',
  'HUB_MEDIA',
  'HUB_RTPENGINE_TIMEOUT',
  'HUB_RTPENGINE_REFUSED',
  'HUB_PEER',
  'HUB_DNS',
  'HUB_LIMIT',
  'HUB_INTERNAL'
] as const
export type ErrorCode = (typeof errorCodes)[number]

export interface ErrorFacts {
  readonly retryable?: boolean
  readonly cause?: unknown
  readonly [fact: string]: unknown
}

/** `message` is for people, `code` for programs, `facts` for the log. */
export class HubError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly facts: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, { retryable = false, cause, ...facts }: ErrorFacts = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'HubError'
    this.code = code
    this.retryable = retryable
    this.facts = facts
  }
}

/** The text of anything thrown. */
export const messageOf = (error: unknown): string => (Error.isError(error) ? error.message : String(error))

/** The system's name for what failed (`ENOENT`, `EACCES`), or null. */
export const errnoOf = (error: unknown): string | null =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : null
