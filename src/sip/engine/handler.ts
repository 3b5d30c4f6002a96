// Outbound mode: somebody is asked, or known, who takes each new request; the engine connects to that application.

import { HubError, messageOf } from '../../errors.ts'
import { isNameAddr, printMessage, uriIn } from '../message.ts'
import type { SipRequest } from '../message.ts'
import type { Flow } from '../transport/transport.ts'
import { parseUri } from '../uri.ts'

export const handlerLimits = {
  /** From the question to the whole answer. */
  askMs: 3_000,
  answerBytesMax: 65_536,
  /** Contacts of one redirection. */
  contactsMax: 16
} as const

export interface HandlerOptions {
  /** `tcp://host:port` or `tls://host:port`: that application; `http(s)://...`: asked for each request. */
  readonly url: string
  /** How it is asked: POST carries the request. */
  readonly method?: 'GET' | 'POST'
  /** Certificates that applications must come from, for `tls`. Default: Node's. */
  readonly ca?: string | Buffer
}

/** Where an application listens. */
export interface AppPlace {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

/** Who takes a request, or what it is answered. `tag`: a connected application that authenticated with it. */
export type Decision =
  | { readonly kind: 'dial'; readonly place: AppPlace }
  | { readonly kind: 'tag'; readonly tag: string }
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly reason: string | null
      readonly contacts: readonly string[]
      /** For the log, where it is not what was decided but that nothing could be. */
      readonly fault: string | null
    }

export type Decide = (request: SipRequest, flow: Flow) => Decision | Promise<Decision>

const answer = (status: number, fault: string | null = null): Decision => ({
  kind: 'answer',
  status,
  reason: null,
  contacts: [],
  fault
})

/** Throws HUB_CONFIG for a URL that is none of those. */
export function createHandler({ url, method = 'GET' }: HandlerOptions): Decide {
  const parsed = URL.parse(url)
  const scheme = parsed?.protocol.slice(0, -1)
  if (parsed !== null && (scheme === 'tcp' || scheme === 'tls')) {
    const place = placeOf(`${parsed.host}${scheme === 'tls' ? ';transport=tls' : ''}`)
    if (place !== null) return () => ({ kind: 'dial', place })
  }
  if (parsed !== null && (scheme === 'http' || scheme === 'https')) {
    return (request, flow) => ask(parsed, method, request, flow)
  }
  throw new HubError('HUB_CONFIG', `"${url}" is no handler: tcp://host:port, tls://host:port or http(s)://...`, { url })
}

async function ask(url: URL, method: 'GET' | 'POST', request: SipRequest, flow: Flow): Promise<Decision> {
  const target = new URL(url)
  for (const [name, value] of questionOf(request, flow)) target.searchParams.append(name, value)
  try {
    const response = await fetch(target, {
      method,
      signal: AbortSignal.timeout(handlerLimits.askMs),
      redirect: 'error',
      ...(method === 'POST' ? { body: printMessage(request), headers: { 'Content-Type': 'text/plain' } } : {})
    })
    if (!response.ok) {
      await response.body?.cancel()
      return answer(500, `the handler answered ${response.status}`)
    }
    const text = await textOf(response)
    return text === null ? answer(500, 'the answer of the handler is too long') : decisionIn(text)
  } catch (error) {
    return answer(480, messageOf(error))
  }
}

/** What the handler is told, as query: the names that drachtio-server uses, and the parameters of the Request-URI. */
export function questionOf(
  { method, uri, headers }: SipRequest,
  { transport, remote }: Pick<Flow, 'transport' | 'remote'>
): readonly (readonly [name: string, value: string])[] {
  const parsed = parseUri(uri)
  const sip = parsed !== null && (parsed.scheme === 'sip' || parsed.scheme === 'sips') ? parsed : null
  const user = (name: string): string => userOf(uriIn(headers.get(name) ?? '') ?? '')
  return [
    ['method', method],
    ['domain', sip?.host ?? ''],
    ['protocol', transport],
    ['source_address', remote.host],
    ['fromUser', user('From')],
    ['toUser', user('To')],
    ['uriUser', userOf(uri)],
    ['contentType', headers.get('Content-Type') ?? ''],
    ['uri', uri],
    ...[...(sip?.params ?? [])].map(([name, value]) => [name, value ?? ''] as const)
  ]
}

function userOf(text: string): string {
  const uri = parseUri(text)
  if (uri === null) return ''
  if (uri.scheme === 'tel') return uri.number
  return uri.scheme === 'urn' ? '' : (uri.user ?? '')
}

/** Null: longer than the bound. */
async function textOf(response: Response): Promise<string | null> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > handlerLimits.answerBytesMax) return null
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

/** What the handler's JSON says; what it does not say rightly is 500. */
export function decisionIn(text: string): Decision {
  const wrong = (why: string): Decision => answer(500, `the handler's answer: ${why}`)
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch {
    return wrong('no JSON')
  }
  const { action, data, tag } = fieldsOf(said)
  if (action === undefined && typeof tag === 'string') return { kind: 'tag', tag }
  const { status, reason, contact, uri } = fieldsOf(data)
  if (action === 'reject') {
    if (typeof status !== 'number' || !Number.isInteger(status) || status < 300 || status > 699)
      return wrong('no status')
    return { kind: 'answer', status, reason: typeof reason === 'string' ? reason : null, contacts: [], fault: null }
  }
  if (action === 'redirect') {
    const all: readonly unknown[] = Array.isArray(contact) ? contact : [contact]
    const contacts = all.flatMap(one => (typeof one === 'string' && isNameAddr(one) ? [one] : []))
    if (contacts.length === 0 || contacts.length > handlerLimits.contactsMax) return wrong('no contact')
    return { kind: 'answer', status: 302, reason: null, contacts, fault: null }
  }
  if (action === 'route') {
    const place = typeof uri === 'string' ? placeOf(uri) : null
    return place === null ? wrong('no uri to route to') : { kind: 'dial', place }
  }
  return wrong(action === 'proxy' ? 'this engine does not proxy' : 'no action')
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {}

/** `host:port[;transport=tls]`. */
function placeOf(text: string): AppPlace | null {
  const uri = parseUri(`sip:${text}`)
  if (uri === null || uri.scheme !== 'sip' || uri.user !== null || uri.port === null || uri.port === 0) return null
  const transport = uri.params.get('transport') ?? 'tcp'
  return transport === 'tcp' || transport === 'tls'
    ? { host: uri.host, port: uri.port, tls: transport === 'tls' }
    : null
}
