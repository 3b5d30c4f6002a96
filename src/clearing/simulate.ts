// Why a call would cost what it costs, step by step: for whoever has to explain a price. Pure.

import type { EpochMs } from '../session/model.ts'
import type { Agreement, AgreementBook } from './agreements.ts'
import { printAmount, printRate } from './money.ts'
import { rateByModel } from './pricing.ts'
import type { Priced } from './pricing.ts'
import type { RateRow } from './rating.ts'

export interface SimulatedCall {
  /** As +E.164. */
  readonly called: string
  readonly calling: string | null
  readonly at: EpochMs
  readonly durationMs: number
  readonly quality: string | null
}

export interface Step {
  readonly step: string
  readonly detail: string
}

export interface Simulation {
  readonly agreementId: string
  /** Null: nothing prices it, and a real call would wait in suspense. */
  readonly amount: string | null
  readonly currency: string
  readonly billedUnits: number | null
  readonly rateId: string | null
  readonly steps: readonly Step[]
}

export function simulate(book: AgreementBook, agreement: Agreement, call: SimulatedCall): Simulation {
  const { called, calling, at, durationMs, quality } = call
  const steps: Step[] = []
  const say = (step: string, detail: string): void => void steps.push({ step, detail })
  const isText = agreement.service === 'message'
  const { id, buyer, seller, model, currency, service } = agreement
  say('agreement', `${id}: ${buyer} buys ${service} from ${seller}, ${model}, in ${currency}`)
  const origin = agreement.originOf(calling === null ? null : book.numberOf(calling))
  say('caller', `${calling ?? 'without a number'}, ${origin === null ? 'in no origin set' : `origin ${origin}`}`)
  const row = book.rowOf(agreement, { number: book.numberOf(called), calling, quality, at })
  const nothing = { agreementId: id, amount: null, currency, billedUnits: null }
  if (row === null) {
    say('rate', `nothing prices ${called} at ${new Date(at).toISOString()}: the call would be refused`)
    return { ...nothing, rateId: null, steps }
  }
  say('rate', describeRow(row))
  if (row.blocked) {
    say('blocked', `${row.prefix} is blocked: the call would be refused`)
    return { ...nothing, rateId: row.id, steps }
  }
  const priced = rateByModel(agreement, row, { at, durationMs, isText })
  for (const step of priceSteps(agreement, row, priced, call)) steps.push(step)
  const amount = printAmount(priced.amountMicros)
  return { agreementId: id, amount, currency, billedUnits: priced.billedUnits, rateId: row.id, steps }
}

function describeRow(row: RateRow): string {
  const until = row.effectiveTo === null ? 'until further notice' : `to ${new Date(row.effectiveTo).toISOString()}`
  const from =
    row.effectiveFrom === 0 ? 'since its version is in force' : `from ${new Date(row.effectiveFrom).toISOString()}`
  const kinds = [
    row.origin === null ? '' : `, origin ${row.origin}`,
    row.quality === null ? '' : `, class ${row.quality}`
  ].join('')
  return `deck version ${row.version}, ${row.prefix} ${row.destination}${kinds}, ${from}, ${until}`
}

function priceSteps(agreement: Agreement, row: RateRow, priced: Priced, call: SimulatedCall): readonly Step[] {
  const { rounding, zone, service } = agreement
  const steps: Step[] = []
  const say = (step: string, detail: string): void => void steps.push({ step, detail })
  const isText = service === 'message'
  if (!isText) {
    const minimum = row.minimumSeconds === 0 ? '' : `, at least ${row.minimumSeconds} s`
    say('seconds', `${call.durationMs} ms, rounded ${rounding.seconds}${minimum}`)
    say('increments', `${row.initialSeconds}/${row.nextSeconds}: ${priced.billedUnits} s are billed`)
  }
  if (row.bands.length > 0) {
    const local = new Date(call.at + zone.offsetMs(call.at)).toISOString().slice(0, 16).replace('T', ' ')
    say('time', `answered ${local} in ${zone.name}; bands by ${rounding.bands}`)
  }
  for (const { rateNanos, units } of priced.parts) {
    say('price', isText ? `${units} at ${printRate(rateNanos)}` : `${units} s at ${printRate(rateNanos)} a minute`)
  }
  if (row.setupFeeNanos > 0n) say('set-up fee', printRate(row.setupFeeNanos))
  for (const [name, value] of Object.entries(priced.steps)) {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    say(name, name === 'provisional' ? 'final when the period is closed: it depends on the order of calls' : text)
  }
  say(
    'amount',
    `${printAmount(priced.amountMicros)} ${agreement.currency}, rounded ${rounding.mode} to ${rounding.scale} digits`
  )
  return steps
}
