// From a final record to what the rules of fraud look at. Pure.

import type { CdrRecord } from '../../events/cdr.ts'
import { countryCodeOf } from '../../events/country-code.ts'
import type { AgreementBook } from '../agreements.ts'
import { chargeOf } from '../charging.ts'
import { normalised } from '../reconcile/number.ts'
import type { CallFacts } from './model.ts'

/** A shorter answered call says nothing of silence. */
const heardMs = 2_000

/** Null: no rule looks at it, as at calls for help. */
export function factsOf(record: CdrRecord, book: AgreementBook): CallFacts | null {
  if (record.kind !== 'final' || record.emergency) return null
  const { leg, provider, t_request, t_alert, t_answer, t_end, duration_ms, release_side } = record
  const called = normalised(leg === 'ingress' ? record.dialled : record.called)
  if (!/^[0-9]+$/.test(called)) return null
  const calling = record.calling === null ? null : normalised(record.calling)
  const endedByCaller = release_side === 'caller'
  const rang = t_answer === null && endedByCaller && t_alert !== null
  return {
    leg,
    at: t_end,
    provider,
    calling: calling !== null && /^[0-9]+$/.test(calling) ? calling : null,
    called,
    code: record.dest_code?.replace(/^\+/, '') || (countryCodeOf(`+${called}`) ?? called.slice(0, 3)),
    answered: t_answer !== null,
    rangMs: rang ? t_end - t_alert : null,
    setupMs: t_answer === null ? null : t_answer - t_request,
    alerted: t_alert !== null,
    durationMs: duration_ms,
    endedByCaller,
    silent: silenceOf(record),
    price: leg === 'ingress' && t_answer !== null ? priceOf(record, book) : null
  }
}

/** Only where the anchor counted packets of this leg. */
function silenceOf({ media, duration_ms, t_answer }: CdrRecord): boolean | null {
  const counted = media.filter(({ gw_inserted }) => gw_inserted)
  if (t_answer === null || duration_ms < heardMs || counted.length === 0) return null
  return counted.every(({ pkts_received }) => pkts_received === 0)
}

/** By what is known of decks now; the ledger has the last word. */
function priceOf(record: CdrRecord, book: AgreementBook): CallFacts['price'] {
  const outcome = chargeOf(record, book)
  if (!outcome.charged || outcome.charge.agreement === null || outcome.charge.side === 'buy') return null
  const { agreement, amountMicros } = outcome.charge
  return { currency: agreement.currency, amountMicros }
}
