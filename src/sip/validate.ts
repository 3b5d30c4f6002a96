// What a user agent server refuses before it looks at the meaning of a request (RFC 3261, 8.2.1 to 8.2.3). Pure.

import { parseNumber } from './characters.ts'
import { fieldNamed } from './field-names.ts'
import { isNameAddr, isVia } from './fields.ts'
import type { HeaderLine, SipRequest } from './message.ts'
import { reasonPhrase } from './reasons.ts'
import { parseUri, schemeOf } from './uri.ts'

/** What the user agent can do. Methods as written, all else in lower case. */
export interface Supports {
  readonly methods: readonly string[]
  /** Option tags that a Require may ask for. */
  readonly extensions: readonly string[]
  /** Of the Request-URI. */
  readonly schemes: readonly string[]
  /** Of bodies: `application/sdp`, or `multipart/*` for all of a kind. */
  readonly contentTypes: readonly string[]
  /** Whether requests are passed on to a further hop, so that Max-Forwards 0 ends their way here. */
  readonly forwards: boolean
}

export interface Rejection {
  readonly status: number
  readonly reason: string
  readonly headers: readonly HeaderLine[]
}

/** Methods in the IANA registry: one of these that is not supported is 405, any other is 501. */
const registeredMethods: ReadonlySet<string> = new Set([
  'ACK',
  'BYE',
  'CANCEL',
  'INFO',
  'INVITE',
  'MESSAGE',
  'NOTIFY',
  'OPTIONS',
  'PRACK',
  'PUBLISH',
  'REFER',
  'REGISTER',
  'SUBSCRIBE',
  'UPDATE'
])

/** Fields whose every value is a name-addr or addr-spec. */
const addressFields = ['Route', 'Record-Route', 'Contact', 'Path', 'P-Asserted-Identity', 'P-Preferred-Identity'].map(
  fieldNamed
)

/**
 * Null where nothing speaks against the request. An ACK is never answered (17.1.1.3) and so never refused.
 * The order is that of RFC 3261, 8.2: what cannot be read, method, Request-URI, extensions, content.
 */
export function validateRequest(request: SipRequest, supports: Supports): Rejection | null {
  if (request.method === 'ACK') return null
  return (
    refuseMethod(request, supports) ??
    refuseFields(request) ??
    refuseUri(request, supports) ??
    refuseHops(request, supports) ??
    refuseExtensions(request, supports) ??
    refuseContent(request, supports) ??
    refuseAccept(request)
  )
}

const reject = (status: number, reason = reasonPhrase(status), headers: readonly HeaderLine[] = []): Rejection => ({
  status,
  reason,
  headers
})
const listed = (name: string, values: readonly string[]): readonly HeaderLine[] => [{ name, value: values.join(', ') }]

function refuseMethod({ method }: SipRequest, { methods }: Supports): Rejection | null {
  if (methods.includes(method)) return null
  return reject(registeredMethods.has(method) ? 405 : 501, undefined, listed('Allow', methods))
}

/** What cannot be read: 400, or null. For elements that leave the rest of 8.2 to somebody above them. */
export function refuseFields({ method, headers }: SipRequest): Rejection | null {
  if (headers.cseq()?.method !== method) return reject(400, 'CSeq Method Does Not Match')
  const vias = headers.all('Via')
  if (headers.via() === null || (vias.length > 1 && !vias.every(isVia))) return reject(400, 'Bad Via')
  for (const field of addressFields) {
    const values = headers.all(field)
    const wildcard = field.name === 'Contact' && method === 'REGISTER' && values.length === 1 && values[0] === '*'
    if (!wildcard && !values.every(isNameAddr)) return reject(400, `Bad ${field.name}`)
  }
  const hops = headers.get('Max-Forwards')
  return hops !== undefined && parseNumber(hops, 255) === null ? reject(400, 'Bad Max-Forwards') : null
}

function refuseUri({ uri }: SipRequest, { schemes }: Supports): Rejection | null {
  const scheme = schemeOf(uri)
  if (scheme === null || !schemes.includes(scheme)) return reject(416)
  const parsed = parseUri(uri)
  // Header fields in a Request-URI are not allowed (19.1.1), and honouring them would let a stranger route requests.
  const headers = parsed !== null && 'headers' in parsed && parsed.headers.size > 0
  return parsed === null || headers ? reject(400, 'Bad Request-URI') : null
}

function refuseHops({ headers }: SipRequest, { forwards }: Supports): Rejection | null {
  const hops = headers.get('Max-Forwards')
  return forwards && hops !== undefined && parseNumber(hops, 255) === 0 ? reject(483) : null
}

/** CANCEL must not be refused for extensions (8.2.2.3). */
function refuseExtensions({ method, headers }: SipRequest, { extensions }: Supports): Rejection | null {
  if (method === 'CANCEL') return null
  const unknown = headers.all('Require').filter(tag => tag !== '' && !extensions.includes(tag.toLowerCase()))
  return unknown.length === 0 ? null : reject(420, undefined, listed('Unsupported', unknown))
}

function refuseContent({ headers, body }: SipRequest, { contentTypes }: Supports): Rejection | null {
  if (body.length === 0 || isOptional(headers.get('Content-Disposition'))) return null
  const encodings = headers.all('Content-Encoding').filter(coding => coding.toLowerCase() !== 'identity')
  if (encodings.length > 0) return reject(415, undefined, listed('Accept-Encoding', ['identity']))
  const type = mediaType(headers.get('Content-Type') ?? '')
  return accepts(contentTypes, type) ? null : reject(415, undefined, listed('Accept', contentTypes))
}

/** Every INVITE is answered with SDP, so an Accept that leaves it out cannot be met (RFC 4475, 3.3.15). */
function refuseAccept({ method, headers }: SipRequest): Rejection | null {
  if (method !== 'INVITE' || !headers.has('Accept')) return null
  const ranges = headers.all('Accept').filter(range => !/;\s*q\s*=\s*0(\.0*)?\s*(;|$)/i.test(range))
  const types = ranges.map(mediaType).map(type => (type === '*/*' ? 'application/*' : type))
  return accepts(types, 'application/sdp') ? null : reject(406, 'Accept Leaves Out application/sdp')
}

/** A body that its sender calls optional may be left aside (20.11). */
const isOptional = (disposition: string | undefined): boolean =>
  disposition !== undefined && /;\s*handling\s*=\s*optional\s*(;|$)/i.test(disposition)

/** `Type/Subtype;parameters` as `type/subtype`. */
const mediaType = (text: string): string => (text.split(';')[0] ?? '').replaceAll(/\s/g, '').toLowerCase()

const accepts = (ranges: readonly string[], type: string): boolean =>
  ranges.includes(type) || ranges.includes(`${type.split('/')[0]}/*`)
