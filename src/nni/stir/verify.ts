// The verification service (RFC 8224, 6.2; RFC 8588; RFC 8946): what the Identity header fields of a request prove of
// its caller's number, and the status that a request without proof is refused with.

import type { Attestation, EpochMs, Verstat } from '../../session/model.ts'
import type { Certificates, Certified } from './certificates.ts'
import { stirLimits } from './limits.ts'
import { isSigned, parseIdentity, parsePassport } from './passport.ts'
import type { Passport } from './passport.ts'

export const stirStatuses = [403, 428, 436, 437, 438] as const
export interface Failure {
  readonly status: (typeof stirStatuses)[number]
  /** For the log: it may name what the peer sent. */
  readonly why: string
}

export interface Verdict {
  readonly verstat: Verstat
  readonly attest: Attestation | null
  readonly originationId: string | null
  /** Null where the number is proven. */
  readonly failure: Failure | null
}

/** What there is to check; numbers are digits without `+`. */
export interface Claimed {
  /** Values of the Identity header fields, in order. */
  readonly identities: readonly string[]
  /** The caller's number: P-Asserted-Identity, else From. Null: it has none, or hides it. */
  readonly orig: string | null
  /** The called number, as To and as the Request-URI have it. */
  readonly dest: readonly string[]
  /** Of the Date header field; null: there is none, NaN: it cannot be read. */
  readonly date: EpochMs | null
  readonly at: EpochMs
}

type Checked = { readonly ok: true; readonly passport: Passport } | { readonly ok: false; readonly failure: Failure }

const fails = (status: Failure['status'], why: string): { readonly ok: false; readonly failure: Failure } => ({
  ok: false,
  failure: { status, why }
})

const verdict = (verstat: Verstat, failure: Failure): Verdict => ({
  verstat,
  attest: null,
  originationId: null,
  failure
})

const isFresh = (moment: EpochMs, at: EpochMs): boolean => Math.abs(at - moment) <= stirLimits.freshMs

/** Never rejects. Extensions that are not known here are as if they were not there (RFC 8224, 6.2.1). */
export async function verifyIdentities(claimed: Claimed, certificates: Certificates): Promise<Verdict> {
  const { identities, orig, date, at } = claimed
  const none = (): Verdict => verdict('No-TN-Validation', { status: 428, why: 'no Identity of a known kind' })
  if (identities.length === 0) return none()
  if (orig === null) return verdict('No-TN-Validation', { status: 438, why: 'there is no number to check' })
  if (date !== null && !isFresh(date, at)) return failing({ status: 403, why: 'Date is not of now' })
  if (identities.length > stirLimits.identitiesMax) return failing({ status: 438, why: 'too many Identity fields' })
  const checked = await Promise.all(identities.map(value => check(value, at, certificates)))
  const known = checked.filter(one => one !== null)
  if (known.length === 0) return none()
  const signed = known.flatMap(one => (one.ok ? [one.passport] : []))
  const found = chained(signed, claimed)
  if (found.ok) {
    const { attest, origid } = found.passport.claims
    return { verstat: 'TN-Validation-Passed', attest, originationId: origid, failure: null }
  }
  // What is wrong with a token says more than what is wrong between them.
  const broken = known.flatMap(one => (one.ok ? [] : [one.failure]))[0]
  return failing(broken ?? found.failure)
}

/** Whoever cannot be asked has proven nothing wrong. */
const failing = (failure: Failure): Verdict =>
  verdict(failure.status === 436 ? 'No-TN-Validation' : 'TN-Validation-Failed', failure)

/** One field: its form, its certificate, its signature. Null for an extension that is not known here. */
async function check(value: string, at: EpochMs, certificates: Certificates): Promise<Checked | null> {
  if (Buffer.byteLength(value) > stirLimits.identityBytesMax) return fails(438, 'an Identity field is too long')
  const field = parseIdentity(value)
  const parsed = field === null ? null : parsePassport(field.token)
  if (field === null || parsed === null) return fails(438, 'an Identity field is malformed')
  if (!parsed.ok) return fails(438, `a token is malformed: ${parsed.why}`)
  const passport = parsed.value
  const { ppt, x5u } = passport
  if (ppt !== null && ppt !== 'shaken' && ppt !== 'div') return null
  if (field.info === null || x5u === '') return fails(436, 'it is not said where the certificate is')
  if (field.info !== x5u) return fails(436, 'info and x5u name two certificates')
  return proven(passport, at, await certificates.at(x5u))
}

function proven(passport: Passport, at: EpochMs, certified: Certified): Checked {
  if (!certified.ok) return { ok: false, failure: { status: certified.status, why: certified.why } }
  const { credential } = certified
  const { key, validFrom, validTo } = credential
  const { orig, div } = passport.claims
  if (at < validFrom || at > validTo) return fails(437, 'the certificate is not valid now')
  // Who diverts signs for the number that diverted (RFC 8946, 4.1).
  if (!credential.covers(passport.ppt === 'div' ? (div ?? '') : orig))
    return fails(437, 'the certificate does not name the number')
  if (!isSigned(passport, key)) return fails(438, 'the signature is wrong')
  return { ok: true, passport }
}

/** The token of the caller's own number that leads to the called one, over diversions where there are any. */
function chained(signed: readonly Passport[], { orig, dest, at }: Claimed): Checked {
  const mine = signed.filter(({ claims }) => claims.orig === orig)
  const roots = mine.filter(({ ppt }) => ppt !== 'div')
  if (roots.length === 0)
    return fails(438, signed.length === 0 ? 'no token is signed' : 'it is signed for another number')
  let why: Failure = { status: 438, why: 'it is signed for another called number' }
  for (const root of roots) {
    const last = lastOf(root, mine, dest)
    if (last === null) continue
    const age = at - root.claims.iat * 1_000
    const isNew = isFresh(last.claims.iat * 1_000, at)
    if (isNew && Math.abs(age) <= (last === root ? stirLimits.freshMs : stirLimits.divertedMs)) {
      return { ok: true, passport: root }
    }
    why = { status: 403, why: 'the token is not of now' }
  }
  return { ok: false, failure: why }
}

/** The token at the end of the diversions: that whose `dest` is called; null where none leads there. */
function lastOf(root: Passport, all: readonly Passport[], dest: readonly string[]): Passport | null {
  const used = new Set<Passport>()
  for (let last = root; ;) {
    if (last.claims.dest.some(number => dest.includes(number))) return last
    const { dest: at } = last.claims
    const next = all.find(one => one.ppt === 'div' && !used.has(one) && at.includes(one.claims.div ?? ''))
    if (next === undefined) return null
    used.add(next)
    last = next
  }
}
