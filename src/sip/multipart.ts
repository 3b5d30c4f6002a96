// Bodies of several parts (RFC 2046, RFC 5621): read and written as text. Pure.

import { parseParams, unquote } from './message.ts'

export interface Part {
  /** Content-Type as written. */
  readonly type: string
  /** Without the angle brackets; null where it has none. */
  readonly id: string | null
  readonly disposition: string
  readonly text: string
}

export const multipartLimits = { partsMax: 16, depthMax: 2 } as const

/** The type in lower case without its parameters. */
export const plainType = (text: string): string => (text.split(';')[0] ?? '').trim().toLowerCase()

/** The parts, those of parts among them; null for what cannot be read. One body alone is one part. */
export function partsOf(type: string, text: string, depth = 0): readonly Part[] | null {
  if (!plainType(type).startsWith('multipart/')) return [{ type, id: null, disposition: '', text }]
  if (depth >= multipartLimits.depthMax) return null
  const boundary = parseParams(type.slice(type.indexOf(';')))?.get('boundary') ?? ''
  const delimiter = `--${boundary.startsWith('"') ? unquote(boundary) : boundary}`
  if (delimiter === '--') return null
  const parts: Part[] = []
  for (const piece of text.split(delimiter, multipartLimits.partsMax + 2).slice(1)) {
    if (piece.startsWith('--')) return parts
    const blank = piece.indexOf('\r\n\r\n')
    if (blank < 0) return null
    const head = piece.slice(0, blank)
    // The line break before a delimiter belongs to the delimiter.
    const body = piece.slice(blank + 4).replace(/\r\n$/, '')
    const inner = field(head, 'content-type') || 'text/plain'
    if (plainType(inner).startsWith('multipart/')) {
      const nested = partsOf(inner, body, depth + 1)
      if (nested === null) return null
      parts.push(...nested)
      continue
    }
    const id = /^<([^<>\s]+)>$/.exec(field(head, 'content-id'))?.[1] ?? null
    parts.push({ type: inner, id, disposition: field(head, 'content-disposition'), text: body })
  }
  return null
}

function field(head: string, name: string): string {
  const line = head.split('\r\n').find(text => text.toLowerCase().startsWith(`${name}:`))
  return line === undefined ? '' : line.slice(name.length + 1).trim()
}

/** `boundary` must stand in none of the parts. */
export function printMultipart(
  parts: readonly Part[],
  boundary: string
): { readonly type: string; readonly body: string } {
  const printed = parts.map(({ type, id, disposition, text }) =>
    [
      `--${boundary}`,
      `Content-Type: ${type}`,
      ...(id === null ? [] : [`Content-ID: <${id}>`]),
      ...(disposition === '' ? [] : [`Content-Disposition: ${disposition}`]),
      '',
      text
    ].join('\r\n')
  )
  return { type: `multipart/mixed;boundary=${boundary}`, body: `${printed.join('\r\n')}\r\n--${boundary}--\r\n` }
}
