// Bodies of requests and answers: the SDP in them, alone or as a part of a multipart (29.165 6.1.4, RFC 5621).

import type { Sdp } from '../session/model.ts'
import { parseParams, unquote } from '../sip/message.ts'
import { pidfType } from '../sip/location.ts'
import type { SipMessage } from '../sip/message.ts'
import type { Fields } from './headers.ts'

export const sdpType = 'application/sdp'
export const sdpTypes = `${sdpType}, multipart/mixed, multipart/related, multipart/alternative`

/** The field that an SDP body brings; none without a body. */
export const sdpFields = (body: string | undefined): Fields => (body === undefined ? {} : { 'Content-Type': sdpType })

export type Body = { readonly ok: true; readonly sdp: Sdp | null } | { readonly ok: false }

const partsMax = 16
/** Understood beside a description: where a caller is (RFC 6442). */
const besides: ReadonlySet<string> = new Set([pidfType])

/** The type in lower case without its parameters. */
export const typeOf = (text: string): string =>
  text === sdpType ? text : (text.split(';')[0] ?? '').trim().toLowerCase()

/** Whether a text takes more bytes than that; they are counted only where it is not plain. */
export const isLonger = (text: string, bytesMax: number): boolean =>
  text.length > bytesMax || (text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax)

/** Bytes that were no UTF-8 when the control protocol decoded them. */
export const isBroken = (body: Buffer): boolean => body.includes('\uFFFD')

/** `ok: false`: there is a body that must be understood and is not (415). Null SDP: none was sent. */
export function sdpOf({ headers, body }: SipMessage): Body {
  if (body.length === 0) return { ok: true, sdp: null }
  const text = body.toString()
  // Bytes are searched only where their text has reason to.
  if (text.includes('\uFFFD') && isBroken(body)) return { ok: false }
  return inPart(headers.get('Content-Type') ?? '', headers.get('Content-Disposition') ?? '', text, 0)
}

function inPart(contentType: string, disposition: string, text: string, depth: number): Body {
  const type = typeOf(contentType)
  if (type === sdpType) return { ok: true, sdp: text as Sdp }
  if (besides.has(type)) return { ok: true, sdp: null }
  if (type.startsWith('multipart/') && depth < 2) return inParts(contentType, text, depth)
  return /;\s*handling\s*=\s*"?optional/i.test(disposition) ? { ok: true, sdp: null } : { ok: false }
}

function inParts(contentType: string, text: string, depth: number): Body {
  const boundary = parseParams(contentType.slice(contentType.indexOf(';')))?.get('boundary') ?? ''
  const delimiter = `--${boundary.startsWith('"') ? unquote(boundary) : boundary}`
  if (delimiter === '--') return { ok: false }
  let found: Sdp | null = null
  for (const part of text.split(delimiter, partsMax).slice(1)) {
    if (part.startsWith('--')) break
    const blank = part.indexOf('\r\n\r\n')
    if (blank < 0) return { ok: false }
    const head = part.slice(0, blank)
    const inside = inPart(
      field(head, 'content-type'),
      field(head, 'content-disposition'),
      lines(part.slice(blank + 4)),
      depth + 1
    )
    if (!inside.ok) return inside
    found ??= inside.sdp
  }
  return { ok: true, sdp: found }
}

/** The line break before a delimiter belongs to the delimiter, but SDP ends its last line with one. */
const lines = (text: string): string => (text.endsWith('\r\n\r\n') ? text.slice(0, -2) : text)

function field(head: string, name: string): string {
  const line = head.split('\r\n').find(text => text.toLowerCase().startsWith(`${name}:`))
  return line === undefined ? '' : line.slice(name.length + 1).trim()
}
