// Our prices for what a partner's file says: by the row that priced the call, or by that of another code.

import { divCeil } from '../money.ts'
import type { Agreement, AgreementBook } from '../agreements.ts'
import { rateByModel } from '../pricing.ts'
import type { Priced } from '../pricing.ts'
import type { RateRow } from '../rating.ts'
import { limits as chargingLimits } from '../charging.ts'
import type { OwnCall, Pricer, TheirCall } from './model.ts'

/** The decks of the calls' moments must have been prepared. */
export function createPricer(agreement: Agreement, book: AgreementBook): Pricer {
  const numberOf = (digits: string): string | null => (/^[0-9]{1,32}$/.test(digits) ? `+${digits}` : null)
  const rowBy = (
    number: string | null,
    call: { readonly calling: string | null; readonly quality?: string | null; readonly at: number }
  ): RateRow | null => {
    const calling = call.calling === null ? null : numberOf(call.calling)
    const row = book.rowOf(agreement, { number, calling, quality: call.quality ?? null, at: call.at })
    return row?.blocked === true ? null : row
  }
  const rowOf = (call: OwnCall, code: string | null): RateRow | null =>
    rowBy(numberOf(code ?? call.code ?? call.number), call)
  /** Null where no call lasts so long. */
  const priced = (row: RateRow, at: number, durationMs: number, isText: boolean): Priced | null =>
    durationMs > chargingLimits.callMsMax ? null : rateByModel(agreement, row, { at, durationMs, isText })

  return {
    units(call, durationMs) {
      const row = rowOf(call, null)
      const known = row === null ? null : priced(row, call.at, durationMs, call.isText)
      return known === null ? secondsOf(durationMs) : BigInt(known.billedUnits)
    },
    price(call, units, code) {
      const row = rowOf(call, code)
      if (row === null) return null
      if (units === 0n) return 0n
      if (call.isText) return units * (priced(row, call.at, 0, true)?.amountMicros ?? 0n)
      return priced(row, call.at, Number(units) * 1_000, false)?.amountMicros ?? null
    },
    isSameRow(call, code) {
      const [own, other] = [rowOf(call, null), rowOf(call, code)]
      return own !== null && own === other
    },
    rate(call, code) {
      const row = rowOf(call, code)
      return row === null || row.bands.length > 0 ? null : row.rateNanos
    },
    foreign(call) {
      const row = rowBy(numberOf(call.number), call)
      const isText = agreement.service === 'message'
      const durationMs = lengthOf(call)
      const known = row === null ? null : priced(row, call.at, durationMs, isText)
      const units = call.units ?? (known === null ? secondsOf(durationMs) : BigInt(known.billedUnits))
      return {
        units,
        amountMicros: call.amountMicros ?? known?.amountMicros ?? 0n,
        destination: row?.destination ?? null
      }
    }
  }
}

const secondsOf = (durationMs: number): bigint => divCeil(BigInt(durationMs), 1_000n)
const lengthOf = ({ durationMs, units }: TheirCall): number => durationMs ?? Number(units ?? 0n) * 1_000
