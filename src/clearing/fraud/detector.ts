// The rules of fraud over the stream of finished calls, with bounded memory (5.10 of the charging requirements). Pure:
// time is that of the calls, and what was seen is told, never acted upon here.

import type { FraudConfig } from '../../config/fraud.ts'
import { parseAmount, printAmount } from '../money.ts'
import { limits } from './model.ts'
import type { CallFacts, CallScope, FraudRule, Signal } from './model.ts'
import { BoundedMap, DistinctCount, SlidingSum } from './window.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

export interface Detector {
  /** What this call makes the rules say; most calls nothing. */
  see(call: CallFacts): readonly Signal[]
}

/** Rules that are switched off see nothing. */
export function createDetector(config: FraudConfig, keysMax: number = limits.keysMax): Detector {
  if (!config.enabled) return { see: () => [] }
  const rules = [
    ...(config.irsf.enabled ? [moneyRule(config, keysMax), rangeRule(config, keysMax)] : []),
    ...(config.wangiri.enabled ? [wangiriRule(config, keysMax)] : []),
    ...(config.fas.enabled ? [fasRule(config, keysMax)] : []),
    ...(config.spike.enabled ? [spikeRule(config, keysMax)] : [])
  ]
  const quiet = new Quiet(keysMax)
  return {
    see: call => rules.flatMap(rule => rule(call)).filter(signal => quiet.allows(signal))
  }
}

type Rule = (call: CallFacts) => readonly Signal[]

/** A rule says the same once a window. */
class Quiet {
  readonly #last: BoundedMap<{ at: number }>

  constructor(keysMax: number) {
    this.#last = new BoundedMap(keysMax)
  }

  allows({ rule, scope, at, windowMs, counters }: Signal): boolean {
    const key = `${rule} ${keyOf(scope)} ${windowMs} ${counters['currency'] ?? ''}`
    const last = this.#last.of(key, () => ({ at: -Infinity }))
    if (at < last.at + windowMs) return false
    last.at = at
    return true
  }
}

const scopeOf = (parts: Partial<CallScope>): CallScope => ({
  from: null,
  to: null,
  callingPrefix: null,
  calledPrefix: null,
  ...parts
})
const keyOf = ({ from, to, callingPrefix, calledPrefix }: CallScope): string =>
  `${from ?? ''} ${to ?? ''} ${callingPrefix ?? ''} ${calledPrefix ?? ''}`

interface Seen {
  readonly rule: FraudRule
  readonly scope: CallScope
  readonly windowMs: number
  readonly counters: Readonly<Record<string, string | number | bigint>>
  readonly text: string
  readonly blocks?: readonly CallScope[]
}

const signalOf = (at: number, { rule, scope, windowMs, counters, text, blocks = [scope] }: Seen): Signal => ({
  rule,
  scope,
  blocks,
  at,
  windowMs,
  counters: Object.fromEntries(Object.entries(counters).map(([name, value]) => [name, String(value)])),
  text
})

/** What one provider spends on one destination in five minutes, an hour and a day. */
function moneyRule({ irsf }: FraudConfig, keysMax: number): Rule {
  const windows = [
    { windowMs: 5 * minuteMs, most: parseAmount(irsf.fiveMinutes), words: '5 minutes' },
    { windowMs: hourMs, most: parseAmount(irsf.hour), words: 'an hour' },
    { windowMs: 24 * hourMs, most: parseAmount(irsf.day), words: 'a day' }
  ]
  const spent = new BoundedMap<readonly SlidingSum[]>(keysMax)
  return ({ provider, price, code, at }) => {
    if (price === null || price.amountMicros === 0n) return []
    const { currency, amountMicros } = price
    const sums = spent.of(`${provider} ${code} ${currency}`, () =>
      windows.map(({ windowMs }) => new SlidingSum(windowMs))
    )
    for (const sum of sums) sum.add(at, amountMicros)
    const over = windows.findIndex(({ most }, n) => (sums[n]?.sum(at) ?? 0n) > most)
    const window = windows[over]
    if (window === undefined) return []
    const { windowMs, most, words } = window
    const amount = printAmount(sums[over]?.sum(at) ?? 0n)
    const counters = { spent: amount, most: printAmount(most), currency }
    const text = `${provider} spent ${amount} ${currency} on +${code} within ${words}, more than ${printAmount(most)}`
    const scope = scopeOf({ from: provider, calledPrefix: code })
    return [signalOf(at, { rule: 'irsf-money', scope, windowMs, counters, text })]
  }
}

/** Calls to ranges that are known. */
function rangeRule({ irsf: { ranges, rangeCalls } }: FraudConfig, keysMax: number): Rule {
  const known = new Set(ranges.map(range => range.slice(1)))
  const counts = new BoundedMap<SlidingSum>(keysMax)
  return ({ leg, provider, called, at }) => {
    if (leg !== 'ingress') return []
    const range = longestOf(known, called)
    if (range === null) return []
    const count = counts.of(`${provider} ${range}`, () => new SlidingSum(hourMs))
    count.add(at, 1n)
    const calls = count.sum(at)
    if (calls < rangeCalls) return []
    const text = `${provider} made ${calls} calls to the range +${range} within an hour`
    const scope = scopeOf({ from: provider, calledPrefix: range })
    const counters = { calls, most: rangeCalls }
    return [signalOf(at, { rule: 'irsf-range', scope, windowMs: hourMs, counters, text })]
  }
}

function longestOf(prefixes: ReadonlySet<string>, number: string): string | null {
  for (let length = Math.min(number.length, 15); length > 0; length--) {
    const prefix = number.slice(0, length)
    if (prefixes.has(prefix)) return prefix
  }
  return null
}

/** Callers of one range: their numbers without the last three digits. */
const callerRange = (calling: string): string => calling.slice(0, Math.max(6, calling.length - 3))

/** Many numbers rung for a moment, few calls answered; who calls back pays. */
function wangiriRule({ wangiri }: FraudConfig, keysMax: number): Rule {
  const { ringMsMax, windowMinutes, callees, answeredPercentMax } = wangiri
  const windowMs = windowMinutes * minuteMs
  interface Range {
    readonly calls: SlidingSum
    readonly answered: SlidingSum
    readonly rung: DistinctCount
  }
  const seen = new BoundedMap<Range>(keysMax)
  return ({ leg, provider, calling, called, at, answered, rangMs }) => {
    if (leg !== 'ingress' || calling === null) return []
    const range = callerRange(calling)
    const of = seen.of(`${provider} ${range}`, () => ({
      calls: new SlidingSum(windowMs),
      answered: new SlidingSum(windowMs),
      rung: new DistinctCount(windowMs, callees)
    }))
    of.calls.add(at, 1n)
    if (answered) of.answered.add(at, 1n)
    if (rangMs === null || rangMs > ringMsMax) return []
    of.rung.add(at, called)
    const [rung, calls, taken] = [of.rung.count(at), of.calls.sum(at), of.answered.sum(at)]
    if (rung < callees || taken * 100n > calls * BigInt(answeredPercentMax)) return []
    const words = `within ${windowMinutes} minutes, ${taken} of ${calls} calls answered`
    const scope = scopeOf({ from: provider, callingPrefix: range })
    return [
      signalOf(at, {
        rule: 'wangiri',
        scope,
        windowMs,
        counters: { rung, calls, answered: taken, most: callees },
        text: `callers +${range} of ${provider} rang ${rung} or more numbers for a moment ${words}`,
        // The callers, and those who call them back.
        blocks: [scope, scopeOf({ calledPrefix: range })]
      })
    ]
  }
}

/** Answered without anybody there: told of the provider that the calls went to. */
function fasRule({ fas }: FraudConfig, keysMax: number): Rule {
  const { windowMinutes, suspectPercent, answerMsMax, givenUpMsMax } = fas
  const windowMs = windowMinutes * minuteMs
  const least = BigInt(fas.answered)
  const seen = new BoundedMap<{ readonly answered: SlidingSum; readonly suspect: SlidingSum }>(keysMax)
  const isSuspect = ({ alerted, setupMs, endedByCaller, durationMs, silent }: CallFacts): boolean =>
    (!alerted && setupMs !== null && setupMs <= answerMsMax) ||
    (endedByCaller && durationMs <= givenUpMsMax) ||
    silent === true
  return call => {
    const { leg, provider, code, at, answered } = call
    if (leg !== 'egress' || !answered) return []
    const of = seen.of(`${provider} ${code}`, () => ({
      answered: new SlidingSum(windowMs),
      suspect: new SlidingSum(windowMs)
    }))
    of.answered.add(at, 1n)
    if (!isSuspect(call)) return []
    of.suspect.add(at, 1n)
    const [taken, suspect] = [of.answered.sum(at), of.suspect.sum(at)]
    if (taken < least || suspect * 100n < taken * BigInt(suspectPercent)) return []
    const text =
      `of ${taken} calls to +${code} that ${provider} answered within ${windowMinutes} minutes ` +
      `${suspect} were answered at once, silent, or given up`
    const scope = scopeOf({ to: provider, calledPrefix: code })
    const counters = { answered: taken, suspect, percent: suspectPercent }
    return [signalOf(at, { rule: 'fas', scope, windowMs, counters, text })]
  }
}

/** Windows before there is anything usual. */
const usualAfter = 3
/** What is longer ago than so many windows is forgotten. */
const forgottenAfter = 32

/** Many times what is usual: a running mean of the windows before, in thousandths, a quarter for the last one. */
function spikeRule({ spike }: FraudConfig, keysMax: number): Rule {
  const { windowMinutes, calls: least, factor } = spike
  const windowMs = windowMinutes * minuteMs
  interface Usual {
    window: number
    count: number
    meanThousandths: number
    windows: number
  }
  const seen = new BoundedMap<Usual>(keysMax)
  return ({ leg, provider, code, at }) => {
    if (leg !== 'ingress') return []
    const window = Math.floor(at / windowMs)
    const of = seen.of(`${provider} ${code}`, () => ({ window, count: 0, meanThousandths: 0, windows: 0 }))
    if (window > of.window) goOn(of, window)
    if (window < of.window) return []
    of.count += 1
    const isMuch = of.count >= least && of.count * 1_000 >= factor * Math.max(of.meanThousandths, 1_000)
    if (of.windows < usualAfter || !isMuch) return []
    const usual = Math.round(of.meanThousandths / 1_000)
    const text = `${of.count} calls of ${provider} to +${code} within ${windowMinutes} minutes; ${usual} are usual`
    const scope = scopeOf({ from: provider, calledPrefix: code })
    return [signalOf(at, { rule: 'spike', scope, windowMs, counters: { calls: of.count, usual, factor }, text })]
  }

  function goOn(of: Usual, window: number): void {
    const passed = Math.min(window - of.window, forgottenAfter)
    for (let n = 0; n < passed; n++) {
      const count = n === 0 ? of.count * 1_000 : 0
      const weight = of.windows === 0 ? 1 : 4
      of.meanThousandths = Math.floor((of.meanThousandths * (weight - 1) + count) / weight)
      of.windows += 1
    }
    of.window = window
    of.count = 0
  }
}
