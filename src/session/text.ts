// The vocabulary of messages: a second, smaller model beside calls, sharing parties, targets, causes and records
// (a message's record is a final `Cdr` with service `message`; it is answered when the other side took it).

import type { Brand } from './model.ts'

/** Minted by the adapter that brought or carries the message; nobody else may parse it. */
export type TextRef = Brand<string, 'TextRef'>

export const textTypes = ['text/plain', 'message/cpim'] as const
export type TextType = (typeof textTypes)[number]

/** What became of a message that was sent: `delivered` and `read` may come long after, or never. */
export const receipts = ['delivered', 'read', 'failed'] as const
export type Receipt = (typeof receipts)[number]

/** Whether somebody is writing: told on the way, never kept, recorded or charged. */
export const typingStates = ['composing', 'idle'] as const
export type TypingState = (typeof typingStates)[number]

export interface TextBody {
  readonly type: TextType
  readonly text: string
}
