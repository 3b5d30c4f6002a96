// PASSporT (RFC 8225): tokens that sign who calls whom, with attestation (shaken, RFC 8588) and diversion (div, RFC
// 8946); and the Identity header field that carries them (RFC 8224). Pure.

import { sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import { attestations } from '../../session/model.ts'
import type { Attestation } from '../../session/model.ts'
import { stripSeparators } from '../../sip/uri.ts'
import { stirLimits } from './limits.ts'

/** What a token says. Numbers are digits without `+`; what is no number is a URI, with its colon. */
export interface Claims {
  readonly orig: string
  readonly dest: readonly string[]
  /** Seconds since 1970. */
  readonly iat: number
  readonly attest: Attestation | null
  /** A UUID. */
  readonly origid: string | null
  /** Whose number diverted the call to `dest`. */
  readonly div: string | null
}

export interface Passport {
  /** Extension: `shaken`, `div`, ... or null for a plain token. */
  readonly ppt: string | null
  /** Where the certificate is. */
  readonly x5u: string
  readonly claims: Claims
  /** The token that was diverted, inside a `div-o` (RFC 8946, 6). */
  readonly original: string | null
  /** What is signed, as it came. */
  readonly text: string
  readonly signature: Buffer
}

export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string }

const failed = (why: string): { readonly ok: false; readonly why: string } => ({ ok: false, why })

const tn = z.string().regex(/^\+?[0-9*#.()-]{1,24}$/)
const uri = z.string().regex(/^[A-Za-z][A-Za-z0-9+.-]*:[^\s]{1,250}$/)
const one = z.union([z.object({ tn }), z.object({ uri })])
const some = z.union([z.array(tn).min(1).max(stirLimits.destinationsMax), tn.transform(number => [number])])
const many = z
  .looseObject({ tn: some.optional(), uri: z.array(uri).max(stirLimits.destinationsMax).optional() })
  .transform(({ tn: numbers = [], uri: uris = [] }) => [...numbers.map(digitsOf), ...uris])
  .refine(all => all.length > 0, 'dest is empty')

/** A token without `x5u` has a header all the same: who signed it cannot be known. */
const header = z.looseObject({
  alg: z.literal('ES256', 'the algorithm is not ES256'),
  typ: z.literal('passport', 'it is no PASSporT'),
  x5u: z.string().max(1_024).default(''),
  ppt: z.string().min(1).max(32).optional()
})
const payload = z.looseObject({
  orig: one.transform(said => ('tn' in said ? digitsOf(said.tn) : said.uri)),
  dest: many,
  iat: z.int('iat is no number').min(0),
  attest: z.enum(attestations).optional(),
  origid: z.uuid().optional(),
  div: one.transform(said => ('tn' in said ? digitsOf(said.tn) : said.uri)).optional(),
  opt: z.string().max(stirLimits.identityBytesMax).optional()
})

/** A number as it is compared: separators and `+` gone (RFC 8224, 8.3). */
export const digitsOf = (number: string): string => (stripSeparators(number) ?? number).replace(/^\+/, '')

/** The compact serialisation of a token: three parts in base64url. The signature is not looked at. */
export function parsePassport(token: string): Read<Passport> {
  const parts = token.split('.')
  const [head = '', body = '', end = ''] = parts
  if (parts.length !== 3 || !parts.every(part => /^[A-Za-z0-9_-]*$/.test(part))) return failed('it is no token')
  if (head === '' || body === '') return failed('the full form is needed')
  const said = read(head, header)
  if (!said.ok) return said
  const claimed = read(body, payload)
  if (!claimed.ok) return claimed
  const { ppt = null, x5u } = said.value
  const { orig, dest, iat, attest = null, origid = null, div = null, opt = null } = claimed.value
  if (ppt === 'shaken' && (attest === null || origid === null)) return failed('attest and origid are missing')
  if ((ppt === 'div' || ppt === 'div-o') && div === null) return failed('div is missing')
  const signature = Buffer.from(end, 'base64url')
  if (signature.length !== 64) return failed('the signature is no ES256')
  const claims = { orig, dest, iat, attest, origid, div }
  return { ok: true, value: { ppt, x5u, claims, original: opt, text: `${head}.${body}`, signature } }
}

function read<T>(part: string, schema: z.ZodType<T>): Read<T> {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(part, 'base64url').toString())
  } catch {
    return failed('it holds no JSON')
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return { ok: true, value: parsed.data }
  const [issue] = parsed.error.issues
  return failed(`${issue?.path.join('.') ?? ''} ${issue?.message ?? 'unreadable'}`.trim())
}

/** Whether the owner of the key has signed it (ES256: P-256, SHA-256, two integers of 32 bytes). */
export const isSigned = ({ text, signature }: Passport, key: KeyObject): boolean =>
  verify('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }, signature)

export interface ToSign {
  readonly ppt: 'shaken' | 'div'
  readonly x5u: string
  readonly claims: Claims
}

/** A token in its full form: keys in lexicographic order, no space between them (RFC 8225, 9; STIR-03). */
export function signPassport({ ppt, x5u, claims }: ToSign, key: KeyObject): string {
  const { orig, dest, iat, attest, origid, div } = claims
  const said = {
    ...(ppt === 'shaken' ? { attest } : {}),
    dest: { tn: dest },
    ...(ppt === 'div' ? { div: { tn: div } } : {}),
    iat,
    orig: { tn: orig },
    ...(ppt === 'shaken' ? { origid } : {})
  }
  const text = `${encoded({ alg: 'ES256', ppt, typ: 'passport', x5u })}.${encoded(said)}`
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A value of an Identity header field (RFC 8224, 4). */
export interface IdentityField {
  readonly token: string
  /** Null where the field names none. */
  readonly info: string | null
}

/** Null for what is no Identity header field at all. */
export function parseIdentity(text: string): IdentityField | null {
  const found = /^([A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+)\s*(?:;\s*(.*))?$/s.exec(text.trim())
  if (found === null) return null
  const info = /^info\s*=\s*<([^<>\s]{1,1024})>/i.exec(found[2] ?? '')?.[1] ?? null
  return { token: found[1] ?? '', info }
}

export const printIdentity = (token: string, x5u: string, ppt: ToSign['ppt']): string =>
  `${token};info=<${x5u}>;alg=ES256;ppt=${ppt}`
