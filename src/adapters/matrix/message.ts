// What a room message says to a phone, as plain text (Client-Server API, "Instant Messaging"). Pure.

import { z } from 'zod'
import type { RoomEvent } from './link.ts'

const relation = z.looseObject({
  rel_type: z.string().optional(),
  event_id: z.string().optional(),
  'm.in_reply_to': z.looseObject({ event_id: z.string().optional() }).optional()
})
const plain = z.looseObject({ msgtype: z.string(), body: z.string() })
const message = plain.extend({
  url: z.string().optional(),
  filename: z.string().optional(),
  'm.new_content': plain.optional().catch(undefined),
  'm.relates_to': relation.optional().catch(undefined)
})
const files = new Set(['m.image', 'm.file', 'm.audio', 'm.video'])

export type Said =
  /** `replaces`: the event that it corrects. */
  | { readonly kind: 'text'; readonly text: string; readonly replaces: string | null }
  | { readonly kind: 'file'; readonly name: string; readonly words: string | null; readonly mxc: string }
  /** A file of an encrypted room, or a message of one. */
  | { readonly kind: 'encrypted' }
  | { readonly kind: 'redaction'; readonly of: string }
  | { readonly kind: 'nothing' }

const nothing: Said = { kind: 'nothing' }

export function readMessage({ type, content, redacts, stateKey }: RoomEvent, display: string): Said {
  if (stateKey !== null) return nothing
  if (type === 'm.room.encrypted') return { kind: 'encrypted' }
  if (type === 'm.room.redaction') {
    // From room version 11 on it stands in the content.
    const of = typeof content['redacts'] === 'string' ? content['redacts'] : redacts
    return of === null ? nothing : { kind: 'redaction', of }
  }
  const parsed = type === 'm.room.message' ? message.safeParse(content) : null
  if (parsed?.success !== true) return nothing
  const { msgtype, body, url, filename, 'm.new_content': corrected, 'm.relates_to': related } = parsed.data
  if (files.has(msgtype)) {
    if (url === undefined) return 'file' in content ? { kind: 'encrypted' } : nothing
    const name = filename ?? body
    return { kind: 'file', name, words: filename === undefined || filename === body ? null : body, mxc: url }
  }
  const isEdit = related?.rel_type === 'm.replace' && typeof related.event_id === 'string'
  const words = isEdit ? (corrected?.body ?? body) : related?.['m.in_reply_to'] === undefined ? body : ownWords(body)
  const text = msgtype === 'm.emote' ? `* ${display} ${words}` : words
  if (text.trim() === '') return nothing
  return { kind: 'text', text: isEdit ? `* ${text}` : text, replaces: isEdit ? (related.event_id ?? null) : null }
}

/** A reply without what it quotes (`> ` lines at its head, as clients wrote them before 1.13). */
function ownWords(body: string): string {
  const lines = body.split('\n')
  const first = lines.findIndex(line => !line.startsWith('> ') && line !== '>')
  if (first <= 0) return body
  return lines.slice(lines[first] === '' ? first + 1 : first).join('\n')
}
