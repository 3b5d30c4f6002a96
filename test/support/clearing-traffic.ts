// A mixed day of records: answered, failed, refused, bilateral, messages, emergency, nothing that prices them, partial
// ones and what is no record at all. The same for the same count.

import type { CdrRecord } from '../../src/events/cdr.ts'
import { callRecords, failedCall } from './clearing.ts'
import { mulberry32 } from './random.ts'

export const trafficAgreements = `
agreements:
  - { id: sell, buyer: island, seller: hub, attemptFee: "0.001", timeZone: Asia/Kolkata, rates: [
      { prefix: "+49", destination: Germany, rate: "0.0345" },
      { prefix: "+4915", destination: Germany mobile, rate: "0.09", initialSeconds: 30, nextSeconds: 6 }] }
  - { id: buy, buyer: hub, seller: operator, timeZone: Europe/Berlin, rates: [
      { prefix: "+49", destination: Germany, rate: "0.0300", initialSeconds: 60, nextSeconds: 60, bands: [
        { days: [mon, tue, wed, thu, fri], from: "18:00", to: "08:00", rate: "0.01" }] }] }
  - { id: direct, buyer: isle, seller: carrier, currency: USD, rates: [{ prefix: "+", destination: all, rate: "0.5" }] }
  - { id: text, buyer: island, seller: hub, service: message, rates: [{ prefix: "+", destination: all, rate: "0.02" }] }
  - { id: buy-text, buyer: hub, seller: operator, service: message,
      rates: [{ prefix: "+", destination: all, rate: "0.01" }] }
`
const text = { service: 'message', record_type: 'event', unit_type: 'messages', units: 1, duration_ms: 0 } as const

const kinds: readonly Partial<CdrRecord>[] = [
  {},
  {},
  {},
  { called: 'tel:+4915112345', dialled: 'tel:+4915112345' },
  failedCall,
  { ...failedCall, cause: 'no-agreement', release_side: 'hub' },
  { called: 'tel:+331', dialled: 'tel:+331' },
  text,
  { emergency: true, called: 'urn:service:sos', dialled: 'urn:service:sos' },
  { incomplete: true, reason: 'a NUL \0 and half a character \ud800', calling: '\0' }
]

export function traffic(calls: number): readonly unknown[] {
  const draw = mulberry32(calls)
  const records: unknown[] = []
  for (let n = 1; n <= calls; n++) {
    const kind = kinds[draw(kinds.length)] ?? {}
    const duration_ms = kind.duration_ms ?? draw(200_000)
    const t_answer = Date.parse('2026-11-02T00:00:00Z') + draw(86_400_000)
    const call = { duration_ms, t_answer, t_request: t_answer - 4_000, t_end: t_answer + duration_ms, ...kind }
    const [ingress, egress] = callRecords(n, call)
    if (draw(8) === 0)
      records.push(
        { ...ingress, provider: 'isle', other_provider: 'carrier' },
        { ...egress, provider: 'carrier', other_provider: 'isle' }
      )
    else records.push(ingress, egress)
    const more = { ...ingress, cdr_id: ingress.cdr_id.replace('019a', '019b'), seq: 1_000_000 + n }
    if (draw(4) === 0) records.push({ ...more, kind: 'interim', partial_seq: 0 })
    if (draw(9) === 0) records.push({ ...more, service: 'telepathy' }, `not even an object ${n}`)
    if (draw(9) === 0) records.push({ ...more, t_end: 1 })
  }
  return records
}
