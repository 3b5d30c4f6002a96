// The words of a message, whichever way it came. Pure.

import type { TextBody } from './text.ts'

/** Message headers, content headers, content (RFC 3862, 2). */
const cpim = /^[\s\S]*?\r?\n\r?\n([\s\S]*?)\r?\n\r?\n([\s\S]*)$/

/** Null for what is no text. */
export function plainText({ type, text }: TextBody): string | null {
  if (type === 'text/plain') return text
  const [, headers = '', content] = cpim.exec(text) ?? []
  const contentType = /^content-type:\s*(\S+)/im.exec(headers)?.[1]?.toLowerCase() ?? 'text/plain'
  return content === undefined || !contentType.startsWith('text/plain') ? null : content
}
