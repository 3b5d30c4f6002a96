// The vocabulary of messages: a second, smaller model beside calls, sharing parties, targets, causes and records.

import type { Brand, ChargingId, EpochMs, Leg, LegFacts, Reason, Release, SessionId, Target } from './model.ts'

/** Minted by the adapter that brought or carries the message; nobody else may parse it. */
export type TextRef = Brand<string, 'TextRef'>

export const textTypes = ['text/plain', 'message/cpim'] as const
export type TextType = (typeof textTypes)[number]

/** What became of a message that was sent: `delivered` and `read` may come long after, or never. */
export const receipts = ['delivered', 'read', 'failed'] as const
export type Receipt = (typeof receipts)[number]

export interface TextBody {
  readonly type: TextType
  readonly text: string
}

/** One record for each leg of one message (CHG-01 Event); charged per accepted message (MSG-09). */
export interface TextCdr {
  readonly kind: 'text'
  readonly callId: SessionId
  readonly leg: 'ingress' | 'egress'
  readonly attempt: number
  readonly caller: Leg
  readonly target: Target | null
  readonly called: string
  readonly acceptedAt: EpochMs | null
  readonly requestedAt: EpochMs
  readonly endedAt: EpochMs
  readonly release: Release | null
  readonly charging: ChargingId
  readonly facts: LegFacts
}

export interface TextFailure {
  readonly ref: TextRef
  readonly reason: Reason
}
