// Typing and receipts as a homeserver pushes them (Application Service API, "Pushing ephemeral data"). Pure.

import { z } from 'zod'

const typing = z.object({
  type: z.literal('m.typing'),
  room_id: z.string(),
  content: z.object({ user_ids: z.array(z.string()).max(1_000) })
})
const receipt = z.object({
  type: z.literal('m.receipt'),
  room_id: z.string(),
  content: z.record(z.string(), z.object({ 'm.read': z.record(z.string(), z.unknown()).optional() }))
})

export type Heard =
  | { readonly type: 'typing'; readonly roomId: string; readonly users: readonly string[] }
  | { readonly type: 'read'; readonly roomId: string; readonly user: string; readonly eventId: string }

/** What one pushed value says; nothing for what is neither. */
export function readEphemeral(value: unknown): readonly Heard[] {
  const typed = typing.safeParse(value)
  if (typed.success) return [{ type: 'typing', roomId: typed.data.room_id, users: typed.data.content.user_ids }]
  const read = receipt.safeParse(value)
  if (!read.success) return []
  const { room_id: roomId, content } = read.data
  return Object.entries(content).flatMap(([eventId, { 'm.read': users = {} }]) =>
    Object.keys(users).map(user => ({ type: 'read' as const, roomId, user, eventId }))
  )
}
