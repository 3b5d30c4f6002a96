// RFC 4028: how long a session lasts without a sign of life, and who gives it. Pure; refresh.ts runs the timers.

import type { Headers } from '../message.ts'
import { parseNumber } from '../characters.ts'

export interface SessionExpires {
  readonly seconds: number
  readonly refresher: 'uac' | 'uas' | null
}

/** What holds for one dialog after a 2xx to INVITE or UPDATE. */
export interface SessionTerms {
  readonly seconds: number
  /** Whether this side refreshes. */
  readonly ours: boolean
}

export interface SessionDefaults {
  /** Asked for in INVITEs that do not say themselves, granted to those that ask. Null: only what somebody asks for. */
  readonly seconds: number | null
  /** Smaller ones are refused with 422 (RFC 4028 section 5: at least 90). */
  readonly minSeconds: number
  /** Who refreshes when an INVITE leaves it open. */
  readonly refresher: 'uac' | 'uas'
}

export const sessionDefaults: SessionDefaults = { seconds: null, minSeconds: 90, refresher: 'uac' }

const secondsMax = 4_294_967_295

/** `1800;refresher=uac`, or null where it is absent or unreadable. */
export function parseSessionExpires(text: string | undefined): SessionExpires | null {
  if (text === undefined) return null
  const semicolon = text.indexOf(';')
  const seconds = parseNumber((semicolon < 0 ? text : text.slice(0, semicolon)).trim(), secondsMax)
  if (seconds === null) return null
  return { seconds, refresher: semicolon < 0 ? null : refresherIn(text.slice(semicolon)) }
}

function refresherIn(params: string): 'uac' | 'uas' | null {
  // As nearly everybody writes it.
  if (params === ';refresher=uac') return 'uac'
  if (params === ';refresher=uas') return 'uas'
  const named = /;\s*refresher\s*=\s*(uac|uas)\s*(?:;|$)/i.exec(params)?.[1]?.toLowerCase()
  return named === 'uac' || named === 'uas' ? named : null
}

export const printSessionExpires = ({ seconds, refresher }: SessionExpires): string =>
  refresher === null ? String(seconds) : `${seconds};refresher=${refresher}`

const isTimer = (tag: string): boolean => tag === 'timer' || tag.toLowerCase() === 'timer'
export const supportsTimer = (headers: Headers): boolean =>
  headers.all('Supported').some(isTimer) || headers.all('Require').some(isTimer)

/** Whether a request asks for a shorter session than is allowed here. */
export function tooShort(headers: Headers, { minSeconds }: SessionDefaults): boolean {
  const asked = parseSessionExpires(headers.get('Session-Expires'))
  return asked !== null && asked.seconds < minSeconds
}

/**
 * What a 2xx says about the session. `said` is what the application wrote itself. Null: no session timer.
 * The refresher of the request stands (table 2); a caller without `timer` cannot be asked to refresh.
 */
export function grant(
  request: Headers,
  said: SessionExpires | null,
  defaults: SessionDefaults
): (SessionExpires & { readonly refresher: 'uac' | 'uas' }) | null {
  const asked = parseSessionExpires(request.get('Session-Expires'))
  const seconds = said?.seconds ?? asked?.seconds ?? defaults.seconds
  if (seconds === null) return null
  if (!supportsTimer(request)) return { seconds, refresher: 'uas' }
  return { seconds, refresher: asked?.refresher ?? said?.refresher ?? defaults.refresher }
}

/**
 * What holds after a 2xx. The one who sent the request is its uac. A 2xx without Session-Expires leaves no deadline,
 * but a caller that asked for one may still refresh to find out whether the peer lives (7.2).
 */
export function termsOf(
  answer: SessionExpires | null,
  sent: boolean,
  asked: SessionExpires | null
): SessionTerms | null {
  if (answer === null) return sent && asked !== null ? { seconds: asked.seconds, ours: true } : null
  return { seconds: answer.seconds, ours: ((answer.refresher ?? 'uac') === 'uac') === sent }
}

/** When to act, in seconds: the refresher at half time, the other when a third is left, at most 32 s. */
export const actAfter = ({ seconds, ours }: SessionTerms): number =>
  ours ? seconds / 2 : seconds - Math.min(32, seconds / 3)
