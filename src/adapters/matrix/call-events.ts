// The m.call.* events, version "1" and the version 0 of old clients (Client-Server API, "Voice over IP"). Pure.

import { z } from 'zod'
import type { Sdp } from '../../session/model.ts'
import { sdpLimits } from '../../session/sdp.ts'

const word = z.string().min(1).max(255)
/** "1" as a string; 0 was a number. */
const version = z.union([z.literal(0), z.literal('0'), z.literal('1')]).catch('1')
const sdp = z
  .string()
  .max(sdpLimits.bytesMax)
  .transform(text => text as Sdp)
const description = z.looseObject({ type: z.enum(['offer', 'answer']), sdp })
const base = { call_id: word, party_id: word.nullable().catch(null).default(null), version }
const lifetime = z.number().positive().catch(60_000).default(60_000)
const reason = z.unknown().optional()
const candidate = z.looseObject({
  candidate: z.string().max(512),
  sdpMid: z.string().max(64).nullish().catch(null),
  sdpMLineIndex: z.int().min(0).max(sdpLimits.sectionsMax).nullish().catch(null)
})

const schemas = {
  'm.call.invite': z.looseObject({ ...base, lifetime, offer: description, invitee: z.string().nullish().catch(null) }),
  'm.call.candidates': z.looseObject({ ...base, candidates: z.array(z.unknown()).max(256) }),
  'm.call.answer': z.looseObject({ ...base, answer: description }),
  'm.call.select_answer': z.looseObject({ ...base, selected_party_id: word.nullable().catch(null) }),
  'm.call.reject': z.looseObject({ ...base, reason }),
  'm.call.hangup': z.looseObject({ ...base, reason }),
  'm.call.negotiate': z.looseObject({ ...base, lifetime, description })
} as const

export interface Candidate {
  readonly candidate: string
  readonly mid: string | null
  readonly index: number | null
}

interface Common {
  readonly callId: string
  /** The device; null: of version 0, which has none. */
  readonly partyId: string | null
  readonly isOld: boolean
}
export type CallEvent = Common &
  (
    | { readonly type: 'invite'; readonly sdp: Sdp; readonly lifetimeMs: number; readonly invitee: string | null }
    | { readonly type: 'candidates'; readonly candidates: readonly Candidate[] }
    | { readonly type: 'answer'; readonly sdp: Sdp }
    | { readonly type: 'select'; readonly selected: string | null }
    | { readonly type: 'reject'; readonly reason: unknown }
    | { readonly type: 'hangup'; readonly reason: unknown }
    | { readonly type: 'negotiate'; readonly kind: 'offer' | 'answer'; readonly sdp: Sdp; readonly lifetimeMs: number }
  )

/** `mine`: it is about calls, whether or not anything can be done with it. */
export const isCallEvent = (type: string): boolean =>
  type.startsWith('m.call.') || type === 'org.matrix.call.asserted_identity'

/** Null: not one that this hub acts on, or a broken one. */
export function readCallEvent(type: string, content: Readonly<Record<string, unknown>>): CallEvent | null {
  switch (type) {
    case 'm.call.invite': {
      const { data } = schemas[type].safeParse(content)
      if (data?.offer.type !== 'offer') return null
      const { lifetime: lifetimeMs, invitee = null } = data
      return { ...commonOf(data), type: 'invite', sdp: data.offer.sdp, lifetimeMs, invitee }
    }
    case 'm.call.candidates': {
      const { data } = schemas[type].safeParse(content)
      return data === undefined
        ? null
        : { ...commonOf(data), type: 'candidates', candidates: candidatesOf(data.candidates) }
    }
    case 'm.call.answer': {
      const { data } = schemas[type].safeParse(content)
      return data?.answer.type === 'answer' ? { ...commonOf(data), type: 'answer', sdp: data.answer.sdp } : null
    }
    case 'm.call.select_answer': {
      const { data } = schemas[type].safeParse(content)
      return data === undefined ? null : { ...commonOf(data), type: 'select', selected: data.selected_party_id }
    }
    case 'm.call.reject':
    case 'm.call.hangup': {
      const { data } = schemas[type].safeParse(content)
      const kind = type === 'm.call.reject' ? 'reject' : 'hangup'
      return data === undefined ? null : { ...commonOf(data), type: kind, reason: data.reason }
    }
    case 'm.call.negotiate': {
      const { data } = schemas[type].safeParse(content)
      if (data === undefined) return null
      const { description: said, lifetime: lifetimeMs } = data
      return { ...commonOf(data), type: 'negotiate', kind: said.type, sdp: said.sdp, lifetimeMs }
    }
    default:
      return null
  }
}

interface Read {
  readonly call_id: string
  readonly party_id: string | null
  readonly version: 0 | '0' | '1'
}
const commonOf = ({ call_id: callId, party_id: partyId, version }: Read): Common => ({
  callId,
  partyId: version === '1' ? partyId : null,
  isOld: version !== '1'
})

/** One line, whatever a client has put into it: it is written into a description. */
const candidateLine = /^candidate:[\u0020-\u007e]+$/

/** The end marker (an empty candidate) and what is none are left out: gathering ends nothing here. */
const candidatesOf = (values: readonly unknown[]): readonly Candidate[] =>
  values.flatMap(value => {
    const { data } = candidate.safeParse(value)
    if (data === undefined || !candidateLine.test(data.candidate)) return []
    return [{ candidate: data.candidate, mid: data.sdpMid ?? null, index: data.sdpMLineIndex ?? null }]
  })

/** MatrixRTC: calls of another kind, which this hub cannot take part in. */
const otherCalls = new Set([
  'm.rtc.notification',
  'org.matrix.msc4075.rtc.notification',
  'org.matrix.msc4075.call.notify',
  'm.call.member',
  'org.matrix.msc3401.call.member',
  'm.rtc.member',
  'org.matrix.msc4143.rtc.member'
])

/** A user has started such a call: its membership is not empty. */
export const isOtherCall = (type: string, content: Readonly<Record<string, unknown>>): boolean =>
  otherCalls.has(type) && Object.keys(content).length > 0
export const isOtherCallEvent = (type: string): boolean => otherCalls.has(type)
