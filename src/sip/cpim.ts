// CPIM (RFC 3862): a text with its sender, its name and the notifications it asks for (RFC 5438), and those
// notifications. Pure.

export const cpimType = 'message/cpim'
export const imdnType = 'message/imdn+xml'

/** What a sender may ask to be told. */
export const dispositions = ['positive-delivery', 'negative-delivery', 'display'] as const
export type Disposition = (typeof dispositions)[number]

export interface Cpim {
  /** By name in lower case; those of RFC 5438 as `imdn.name`, whatever their prefix. The first of each counts. */
  readonly headers: ReadonlyMap<string, string>
  /** In lower case, without parameters. */
  readonly type: string
  readonly body: string
}

const imdnSpace = 'urn:ietf:params:imdn'
const field = /^([^\s:]+):[ \t]*(.*)$/

/** Null for what is no CPIM: no message headers, or no content behind them. */
export function parseCpim(text: string): Cpim | null {
  const [head, rest] = cut(text)
  const [inner, body] = cut(rest ?? '')
  if (rest === null || body === null) return null
  const lines = fieldsOf(head)
  // `NS: imdn <urn:ietf:params:imdn>` (RFC 3862, 3.4).
  const prefix = lines
    .filter(([name]) => name === 'ns')
    .map(([, value]) => /^(\S+)\s*<([^>]*)>$/.exec(value))
    .find(declared => declared?.[2] === imdnSpace)?.[1]
  const own = prefix === undefined ? null : `${prefix.toLowerCase()}.`
  const headers = new Map<string, string>()
  for (const [name, value] of lines) {
    // Under another name space, or none, its fields mean something else.
    const known = own !== null && name.startsWith(own) ? `imdn.${name.slice(own.length)}` : name
    if (!headers.has(known) && (known !== name || own === 'imdn.' || !name.startsWith('imdn.')))
      headers.set(known, value)
  }
  const type = fieldsOf(inner).find(([name]) => name === 'content-type')?.[1] ?? 'text/plain'
  return { headers, type: (type.split(';')[0] ?? '').trim().toLowerCase(), body }
}

/** Head and what follows the first empty line; null without one. */
function cut(text: string): readonly [string, string | null] {
  const at = /(?:^|\r?\n)\r?\n/.exec(text)
  return at === null ? [text, null] : [text.slice(0, at.index), text.slice(at.index + at[0].length)]
}

const fieldsOf = (head: string): readonly (readonly [string, string])[] =>
  head.split(/\r?\n/).flatMap(line => {
    const found = field.exec(line)
    return found === null ? [] : [[(found[1] ?? '').toLowerCase(), (found[2] ?? '').trim()] as const]
  })

/** What a message asks to be told about, and its name there; null: nothing, or there is no name to tell it by. */
export function wishesOf({ headers }: Cpim): { readonly id: string; readonly wants: readonly Disposition[] } | null {
  const id = headers.get('imdn.message-id')
  const asked = (headers.get('imdn.disposition-notification') ?? '').split(',').map(word => word.trim().toLowerCase())
  const wants = dispositions.filter(one => asked.includes(one))
  return id === undefined || id === '' || id.length > 255 || wants.length === 0 ? null : { id, wants }
}

export interface Ends {
  /** URIs. */
  readonly from: string
  readonly to: string
  /** ISO 8601. */
  readonly at: string
}

const bare = (text: string): string => text.replace(/[<>\r\n]/g, '')

const wrapped = ({ from, to, at }: Ends, own: readonly string[], inner: readonly string[], body: string): string =>
  [
    `From: <${bare(from)}>`,
    `To: <${bare(to)}>`,
    `DateTime: ${at}`,
    `NS: imdn <${imdnSpace}>`,
    ...own,
    '',
    ...inner,
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body
  ].join('\r\n')

/** A text that asks to be told of its delivery and display. */
export const cpimText = (ends: Ends, id: string, text: string): string =>
  wrapped(
    ends,
    [`imdn.Message-ID: ${id}`, 'imdn.Disposition-Notification: positive-delivery, negative-delivery, display'],
    ['Content-Type: text/plain;charset=UTF-8'],
    text
  )

export interface Notification {
  /** The name of the message it is about. */
  readonly id: string
  readonly said: 'delivered' | 'displayed' | 'failed'
}

/** Null for what says nothing of delivery or display: processing, storage, what is not allowed to be told. */
export function parseImdn(xml: string): Notification | null {
  const id = /<(?:[\w.-]+:)?message-id>\s*([^<\s]{1,255})\s*</.exec(xml)?.[1]
  const [, kind, status] =
    /<(?:[\w.-]+:)?(delivery|display)-notification>\s*<(?:[\w.-]+:)?status>\s*<(?:[\w.-]+:)?(\w+)\s*\/?>/.exec(xml) ??
    []
  if (id === undefined) return null
  const name = plain(id)
  if (kind === 'display') return status === 'displayed' ? { id: name, said: 'displayed' } : null
  if (status === 'delivered') return { id: name, said: 'delivered' }
  return status === 'failed' || status === 'error' ? { id: name, said: 'failed' } : null
}

/** A notification about a message, from its reader (`ends.from`) to its sender. */
export function cpimNotification(
  ends: Ends,
  id: string,
  { about, said }: { about: string; said: Notification['said'] }
) {
  const kind = said === 'displayed' ? 'display' : 'delivery'
  const body = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<imdn xmlns="urn:ietf:params:xml:ns:imdn">',
    `<message-id>${escaped(about)}</message-id><datetime>${ends.at}</datetime>`,
    `<recipient-uri>${escaped(ends.from)}</recipient-uri>`,
    `<${kind}-notification><status><${said}/></status></${kind}-notification>`,
    '</imdn>'
  ].join('')
  const inner = [`Content-Type: ${imdnType}`, 'Content-Disposition: notification']
  return wrapped(ends, [`imdn.Message-ID: ${id}`], inner, body)
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string): string => text.replace(/[&<>"]/g, character => entities[character] ?? '')
const plain = (text: string): string =>
  Object.entries(entities)
    .toReversed()
    .reduce((left, [character, entity]) => left.replaceAll(entity, character), text)
