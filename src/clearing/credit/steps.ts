// What the steps of one transaction come to, one after the other: each is admitted or refused by what those before it
// have left. Pure: accounts, reservations and quotas come in as they were read under lock.

import type { EpochMs } from '../../session/model.ts'
import type { Agreement } from '../agreements.ts'
import { periodOf } from '../periods.ts'
import { rateAttempt } from '../rating.ts'
import { allot, costOf, dearest, nothing } from './price.ts'
import type { Means, Subject } from './price.ts'

/** One attempt of a call that holds something, or may: what the process that carries it knows of it. */
export interface Holder extends Subject {
  readonly callId: string
  readonly attempt: number
  /** When it was reserved. */
  readonly at: EpochMs
}

export type Step =
  | { readonly type: 'reserve'; readonly holder: Holder }
  | { readonly type: 'refresh'; readonly holder: Holder; readonly usedMs: number; readonly answeredAt: EpochMs }
  /** `answeredAt` null: nobody knows; 0 ms used: nobody has answered. */
  | {
      readonly type: 'settle'
      readonly holder: Holder
      readonly usedMs: number
      readonly answeredAt: EpochMs | null
    }

/** Milliseconds that the call may go on from now, `no-credit`, or null where nothing was asked. */
export type Verdict = { readonly reservedMs: number } | 'no-credit' | null

export interface Account {
  readonly agreementId: string
  readonly balanceMicros: bigint
  reservedMicros: bigint
}

export interface Quota {
  readonly agreementId: string
  readonly period: string
  readonly usedUnits: bigint
  reservedUnits: bigint
}

/** A reservation as it stands in the table. */
export interface Held {
  readonly callId: string
  readonly attempt: number
  readonly agreementId: string
  readonly micros: bigint
  readonly freeUnits: bigint
  /** Of its free units; empty: it has none. */
  readonly period: string
  readonly grantedMs: number
  /** The grace has been given: nothing is left after it. */
  readonly inGrace: boolean
  readonly ended: boolean
}

export const holdKey = ({ callId, attempt }: { readonly callId: string; readonly attempt: number }): string =>
  `${callId}/${attempt}`
export const quotaKey = (agreementId: string, period: string): string => `${agreementId} ${period}`

/** The period whose free units a call uses; empty: it has none. */
export const quotaPeriod = ({ model, zone, calendar }: Agreement, at: EpochMs): string =>
  model === 'freemium' ? periodOf(at, calendar, zone).name : ''

/** What steps read and change; `changed` says what has to be written, null: a reservation that is gone. */
export class Ledger {
  readonly accounts: Map<string, Account>
  readonly quotas: Map<string, Quota>
  readonly held: Map<string, Held>
  readonly changed = new Map<string, Held | null>()
  readonly touched = new Set<string>()

  constructor(accounts: readonly Account[], quotas: readonly Quota[], held: readonly Held[]) {
    this.accounts = new Map(accounts.map(account => [account.agreementId, account]))
    this.quotas = new Map(quotas.map(quota => [quotaKey(quota.agreementId, quota.period), quota]))
    this.held = new Map(held.map(one => [holdKey(one), one]))
  }

  quota(agreementId: string, period: string): Quota {
    const key = quotaKey(agreementId, period)
    const known = this.quotas.get(key)
    if (known !== undefined) return known
    const quota = { agreementId, period, usedUnits: 0n, reservedUnits: 0n }
    this.quotas.set(key, quota)
    return quota
  }

  /** What there is for a call, with what it holds already. */
  left(agreement: Agreement, period: string, own: Held | null): Means {
    const account = this.accounts.get(agreement.id)
    const free = account === undefined ? 0n : account.balanceMicros - account.reservedMicros + (own?.micros ?? 0n)
    const isMoneyless = agreement.model === 'freemium' && agreement.credit.afterFree === 'refuse'
    const limit = agreement.creditLimitMicros
    // Paid later without a limit: only free units are counted.
    const isEndless = limit === null && !agreement.credit.advance
    const micros = isMoneyless ? 0n : isEndless ? endless : free + (limit ?? 0n)
    if (agreement.model !== 'freemium') return { micros, freeUnits: 0n }
    const { usedUnits, reservedUnits } = this.quota(agreement.id, period)
    const mine = own !== null && own.period === period ? own.freeUnits : 0n
    const units = agreement.freeUnits - usedUnits - reservedUnits + mine
    return { micros, freeUnits: units > 0n ? units : 0n }
  }

  /** Puts `next` in the place of what an attempt holds. */
  hold(key: string, next: Held | null): void {
    const before = this.held.get(key) ?? null
    for (const [held, sign] of [
      [before, -1n],
      [next, 1n]
    ] as const) {
      if (held === null) continue
      const account = this.accounts.get(held.agreementId)
      if (account !== undefined) account.reservedMicros += sign * held.micros
      this.touched.add(held.agreementId)
      if (held.period !== '') this.quota(held.agreementId, held.period).reservedUnits += sign * held.freeUnits
    }
    if (next === null) this.held.delete(key)
    else this.held.set(key, next)
    this.changed.set(key, next)
  }
}

/** More than any price: what nobody counts. */
const endless = 10n ** 18n

export function take(ledger: Ledger, step: Step): Verdict {
  switch (step.type) {
    case 'reserve':
      return reserve(ledger, step.holder)
    case 'refresh':
      return refresh(ledger, step.holder, step.usedMs, step.answeredAt)
    case 'settle':
      return settle(ledger, step.holder, step.usedMs, step.answeredAt)
  }
}

function reserve(ledger: Ledger, holder: Holder): Verdict {
  const { agreement, at, isText } = holder
  const period = quotaPeriod(agreement, at)
  const own = ledger.held.get(holdKey(holder)) ?? null
  const left = ledger.left(agreement, period, own)
  const subject = dearest(holder)
  if (isText) {
    const cost = costOf(subject, at, 0, left.freeUnits)
    if (cost.micros > 0n && cost.micros > left.micros) return 'no-credit'
    hold(ledger, holder, { cost, period, grantedMs: 0, inGrace: false, ended: true })
    return { reservedMs: 0 }
  }
  const allotted = allot(subject, at, { grantedMs: 0, wantedMs: agreement.credit.quantumMs, left })
  if (allotted === null) return 'no-credit'
  const { cost, grantedMs } = allotted
  hold(ledger, holder, { cost, period, grantedMs, inGrace: false, ended: false })
  return { reservedMs: grantedMs }
}

function refresh(ledger: Ledger, holder: Holder, usedMs: number, answeredAt: EpochMs): Verdict {
  const { agreement } = holder
  const { quantumMs, graceMs } = agreement.credit
  // One that was let go meanwhile is held anew: the call is there.
  const own = ledger.held.get(holdKey(holder)) ?? null
  const period = quotaPeriod(agreement, answeredAt)
  const left = ledger.left(agreement, period, own)
  const grantedMs = own?.grantedMs ?? 0
  const allotted = allot(holder, answeredAt, { grantedMs, wantedMs: Math.max(grantedMs, usedMs) + quantumMs, left })
  if (allotted !== null && allotted.grantedMs > usedMs) {
    hold(ledger, holder, { ...allotted, period, inGrace: false, ended: false })
    return { reservedMs: allotted.grantedMs - usedMs }
  }
  if (own === null || own.inGrace || graceMs === 0 || grantedMs + graceMs <= usedMs) return 'no-credit'
  // Paid from the beginning: nothing more is taken.
  ledger.hold(holdKey(holder), { ...own, grantedMs: grantedMs + graceMs, inGrace: true })
  return { reservedMs: grantedMs + graceMs - usedMs }
}

/** Holds what the call has cost until its record is charged. */
function settle(ledger: Ledger, holder: Holder, usedMs: number, answeredAt: EpochMs | null): Verdict {
  const key = holdKey(holder)
  const own = ledger.held.get(key) ?? null
  // Charged already, or settled before.
  if (own === null || own.ended) return null
  const { agreement } = holder
  if (usedMs === 0) {
    const { amountMicros: micros } = rateAttempt(agreement.attemptFeeNanos, agreement.rounding)
    if (micros === 0n) ledger.hold(key, null)
    else hold(ledger, holder, { cost: { ...nothing, micros }, period: '', grantedMs: 0, inGrace: false, ended: true })
    return null
  }
  if (answeredAt === null) {
    ledger.hold(key, { ...own, ended: true })
    return null
  }
  const period = quotaPeriod(agreement, answeredAt)
  const left = ledger.left(agreement, period, own)
  const cost = costOf(holder, answeredAt, usedMs, left.freeUnits)
  if (cost.micros === 0n && cost.freeUnits === 0n) ledger.hold(key, null)
  else hold(ledger, holder, { cost, period, grantedMs: usedMs, inGrace: false, ended: true })
  return null
}

interface Holding {
  readonly cost: Means
  readonly period: string
  readonly grantedMs: number
  readonly inGrace: boolean
  readonly ended: boolean
}

function hold(ledger: Ledger, holder: Holder, { cost, period, grantedMs, inGrace, ended }: Holding): void {
  const { callId, attempt, agreement } = holder
  ledger.hold(holdKey(holder), {
    callId,
    attempt,
    agreementId: agreement.id,
    micros: cost.micros,
    freeUnits: cost.freeUnits,
    period: cost.freeUnits === 0n ? '' : period,
    grantedMs,
    inGrace,
    ended
  })
}
