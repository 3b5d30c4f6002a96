// Dialogs (RFC 3261, section 12): route sets, CSeq rules, target refresh, requests inside them.

import { isIP } from 'node:net'
import { ownText } from './characters.ts'
import { fieldKey } from './field-names.ts'
import { createHeaders, makeRequest, makeResponse, uriIn } from './message.ts'
import type { HeaderLine, Headers, SipRequest, SipResponse } from './message.ts'
import { defaultPorts, isWebSocket } from './transport/transport.ts'
import type { Flow, RemoteDestination, TransportName } from './transport/transport.ts'
import { parseUri } from './uri.ts'

/** What a user adds to a message; headers replace the stack's own of the same name (Via, From, To, ... excepted). */
export interface Parts {
  readonly headers?: readonly HeaderLine[]
  readonly body?: string | Buffer
  /** `application/sdp` unless named. */
  readonly contentType?: string
  /** In a response: the phrase; else the registry's. */
  readonly reason?: string
}

/** What a user cannot set: the message would no longer belong to its dialog or transaction. */
const protectedFields: ReadonlySet<string> = new Set(
  'via from to call-id cseq route record-route content-length'.split(' ')
)
const refreshing: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'SUBSCRIBE', 'REFER', 'NOTIFY'])

export type Defaults = readonly (readonly [name: string, value: string])[]

/** The user's header fields, and of the defaults those that the user has not given. */
export function addParts(headers: Headers, parts: Parts, defaults: Defaults = []): void {
  for (const { name, value } of parts.headers ?? []) {
    if (!protectedFields.has(fieldKey(name))) headers.add(name, value)
  }
  for (const [name, value] of defaults) if (!headers.has(name)) headers.add(name, value)
  const empty = parts.body === undefined || parts.body.length === 0
  if (!empty && !headers.has('Content-Type')) headers.add('Content-Type', parts.contentType ?? 'application/sdp')
}

/** A response with the user's parts. */
export function answerWith(
  request: SipRequest,
  status: number,
  toTag: string,
  parts: Parts,
  defaults: Defaults = []
): SipResponse {
  const headers = createHeaders()
  addParts(headers, parts, defaults)
  const { reason, body } = parts
  return makeResponse(request, status, {
    toTag,
    headers,
    ...(reason === undefined ? {} : { reason }),
    ...(body === undefined ? {} : { body })
  })
}

interface DialogInit {
  readonly callId: string
  readonly local: string
  readonly localTag: string
  readonly remote: string
  readonly remoteTag: string
  readonly routeSet: readonly string[]
  readonly remoteTarget: string
  readonly localContact: string | null
  readonly localCseq: number
  readonly remoteCseq: number | null
}

/** One dialog, early or confirmed. */
export class Dialog {
  readonly callId: string
  readonly localTag: string
  readonly remoteTag: string
  /** From or To as it stands in requests sent here, tag included. */
  readonly local: string
  readonly remote: string
  readonly localContact: string | null
  #routeSet: readonly string[]
  #remoteTarget: string
  /** Where `#hopUri` leads. */
  #hop: RemoteDestination | null = null
  #hopUri: string | null = null
  #localCseq: number
  #remoteCseq: number | null

  private constructor(init: DialogInit) {
    this.callId = ownText(init.callId)
    this.local = ownText(init.local)
    this.remote = ownText(init.remote)
    this.localTag = ownText(init.localTag)
    this.remoteTag = ownText(init.remoteTag)
    this.localContact = init.localContact
    this.#routeSet = init.routeSet.map(ownText)
    this.#remoteTarget = ownText(init.remoteTarget)
    this.#localCseq = init.localCseq
    this.#remoteCseq = init.remoteCseq
  }

  /** From the request received and the response sent to it (1xx with tag, or 2xx). */
  static uas(request: SipRequest, response: SipResponse): Dialog {
    const from = request.headers.get('From') ?? ''
    return new Dialog({
      callId: request.headers.get('Call-ID') ?? '',
      local: response.headers.get('To') ?? '',
      localTag: response.headers.tag('To'),
      remote: from,
      remoteTag: request.headers.tag('From'),
      routeSet: request.headers.all('Record-Route'),
      remoteTarget: contactOf(request) ?? uriIn(from) ?? request.uri,
      localContact: response.headers.get('Contact') ?? null,
      localCseq: 0,
      remoteCseq: cseqOf(request)
    })
  }

  /** From the request sent and the response received to it. */
  static uac(request: SipRequest, response: SipResponse): Dialog {
    return new Dialog({
      callId: request.headers.get('Call-ID') ?? '',
      local: request.headers.get('From') ?? '',
      localTag: request.headers.tag('From'),
      remote: response.headers.get('To') ?? '',
      remoteTag: response.headers.tag('To'),
      routeSet: response.headers.all('Record-Route').toReversed(),
      remoteTarget: contactOf(response) ?? request.uri,
      localContact: request.headers.get('Contact') ?? null,
      localCseq: cseqOf(request) ?? 0,
      remoteCseq: null
    })
  }

  get id(): string {
    return `${this.callId};${this.localTag};${this.remoteTag}`
  }

  get routeSet(): readonly string[] {
    return this.#routeSet
  }

  get remoteTarget(): string {
    return this.#remoteTarget
  }

  get localCseq(): number {
    return this.#localCseq
  }

  get remoteCseq(): number | null {
    return this.#remoteCseq
  }

  /** The next request of this dialog (CSeq + 1), Contact included where the method refreshes the target. */
  request(method: string, parts: Parts = {}, defaults: Defaults = []): SipRequest {
    this.#localCseq++
    const contact = refreshing.has(method) ? this.localContact : null
    return this.#build(
      method,
      this.#localCseq,
      parts,
      contact === null ? defaults : [['Contact', contact], ...defaults]
    )
  }

  /** ACK to the 2xx of the INVITE with that CSeq number. */
  ack(cseq: number, parts: Parts = {}): SipRequest {
    return this.#build('ACK', cseq, parts, [])
  }

  /** Takes the request's CSeq; `out-of-order` is answered 500 (12.2.2). ACK and CANCEL count as their INVITE. */
  receive(request: SipRequest): 'ok' | 'out-of-order' {
    const number = cseqOf(request)
    if (number === null || (this.#remoteCseq !== null && number < this.#remoteCseq)) return 'out-of-order'
    this.#remoteCseq = number
    return 'ok'
  }

  /** Target refresh from the Contact of a refreshing request or its 2xx; anything unusable is ignored. */
  refresh(message: SipRequest | SipResponse): void {
    const target = contactOf(message)
    if (target !== null) this.#remoteTarget = ownText(target)
  }

  /** UAC: the 2xx replaces the early dialog's route set and target (13.2.2.4). */
  confirm(response: SipResponse): void {
    this.#routeSet = response.headers.all('Record-Route').toReversed().map(ownText)
    this.refresh(response)
  }

  /** Where requests of this dialog go: first route or remote target. Null: no SIP URI with a host (tel, urn). */
  nextHop(): RemoteDestination | null {
    const uri = this.nextUri()
    if (uri !== this.#hopUri) this.#hop = destinationOf(uri)
    this.#hopUri = uri
    return this.#hop
  }

  /** The URI that `nextHop` reads. */
  nextUri(): string {
    const [first] = this.#routeSet
    return (first === undefined ? null : uriIn(first)) ?? this.#remoteTarget
  }

  #build(method: string, cseq: number, parts: Parts, defaults: Defaults): SipRequest {
    const [uri, routes] = this.#path()
    const headers = createHeaders()
    for (const route of routes) headers.add('Route', route)
    headers.add('From', this.local)
    headers.add('To', this.remote)
    headers.add('Call-ID', this.callId)
    headers.add('CSeq', `${cseq} ${method}`)
    addParts(headers, parts, defaults)
    return makeRequest({ method, uri, headers, ...(parts.body === undefined ? {} : { body: parts.body }) })
  }

  /** Request-URI and Route (12.2.1.1); a strict router wants to be the Request-URI and the target last. */
  #path(): readonly [uri: string, routes: readonly string[]] {
    if (this.#routeSet.length === 0) return [this.#remoteTarget, this.#routeSet]
    const [first, ...rest] = this.#routeSet
    const router = first === undefined ? null : uriIn(first)
    if (router === null) return [this.#remoteTarget, this.#routeSet]
    const parsed = parseUri(router)
    const loose = parsed === null || parsed.scheme === 'urn' || parsed.params.has('lr')
    return loose ? [this.#remoteTarget, this.#routeSet] : [router, [...rest, `<${this.#remoteTarget}>`]]
  }
}

/** The id of the dialog a message belongs to, from the receiver's point of view (requests in, responses in). */
export function dialogIdOf(message: SipRequest | SipResponse): string {
  const { headers } = message
  const from = headers.tag('From')
  const to = headers.tag('To')
  const [local, remote] = message.kind === 'request' ? [to, from] : [from, to]
  return `${headers.get('Call-ID') ?? ''};${local};${remote}`
}

const transports: Readonly<Record<string, TransportName>> = { udp: 'udp', tcp: 'tcp', tls: 'tls', ws: 'ws', wss: 'wss' }
const secured: Readonly<Record<TransportName, TransportName>> = {
  udp: 'tls',
  tcp: 'tls',
  tls: 'tls',
  ws: 'wss',
  wss: 'wss'
}

/** Where a SIP URI points: host, port, transport, sips as TLS; a name brings its URI. Null for other schemes. */
export function destinationOf(uri: string): RemoteDestination | null {
  const parsed = parseUri(uri)
  if (parsed === null || (parsed.scheme !== 'sip' && parsed.scheme !== 'sips')) return null
  const named = transports[parsed.params.get('transport')?.toLowerCase() ?? 'udp']
  if (named === undefined) return null
  const transport = parsed.scheme === 'sips' ? secured[named] : named
  const host = parsed.params.get('maddr') ?? parsed.host
  const to = { transport, host, port: parsed.port ?? defaultPorts[transport] }
  return isIP(host) > 0 ? to : { ...to, uri: parsed }
}

/**
 * The way to the other end of a dialog, `flow` being the last that worked. A WebSocket has no other way than itself.
 * A URI that names no transport is taken to mean the connection there is, if it leads to the same host.
 */
export function routeOf(dialog: Dialog, flow: Flow): { readonly flow: Flow } | RemoteDestination {
  if (isWebSocket(flow.transport)) return { flow }
  const uri = dialog.nextUri()
  const hop = dialog.nextHop()
  if (hop === null) return { flow }
  const same = hop.host === flow.remote.host
  if (same && hop.transport === flow.transport && hop.port === flow.remote.port && !flow.closed) return { flow }
  const named = hop.transport !== 'udp' || uri.toLowerCase().includes('transport=')
  return same && !named && flow.transport !== 'udp' && !flow.closed ? { flow } : hop
}

const cseqOf = (message: SipRequest): number | null => message.headers.cseq()?.number ?? null

/** The URI of the first Contact; null where there is none or it is `*`. */
function contactOf(message: SipRequest | SipResponse): string | null {
  const contact = message.headers.get('Contact')
  return contact === undefined ? null : uriIn(contact)
}
