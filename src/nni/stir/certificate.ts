// Whether a certificate may speak for a number: its chain to an authority (RFC 5280), its TNAuthList (RFC 8226). Pure.

import { X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { EpochMs } from '../../session/model.ts'
import { elementAt, elementsOf, integerOf, oidOf, tags } from './der.ts'
import type { Element } from './der.ts'
import { stirLimits } from './limits.ts'
import type { Read } from './passport.ts'

/** Who signs with this key, for which numbers, and from when to when. */
export interface Credential {
  readonly key: KeyObject
  readonly validFrom: EpochMs
  readonly validTo: EpochMs
  /** Digits without `+`. */
  covers(number: string): boolean
}

const failed = (why: string): { readonly ok: false; readonly why: string } => ({ ok: false, why })

interface Extension {
  readonly oid: string
  readonly critical: boolean
  readonly value: Buffer
}

const oids = { basicConstraints: '2.5.29.19', keyUsage: '2.5.29.15', tnAuthList: '1.3.6.1.5.5.7.1.26' } as const
/** Critical ones that change nothing here, beside those above: names, keys, purposes, policies. */
const harmless: ReadonlySet<string> = new Set(['2.5.29.17', '2.5.29.14', '2.5.29.35', '2.5.29.37', '2.5.29.32'])

/** Certificates of a file: PEM, the signer's first, or one in DER. Null where there is none. */
export function certificatesIn(bytes: Buffer): readonly X509Certificate[] | null {
  const blocks = bytes.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  try {
    if (blocks === null) return [new X509Certificate(bytes)]
    return blocks.slice(0, stirLimits.chainMax).map(block => new X509Certificate(block))
  } catch {
    return null
  }
}

/** The signer of a chain that leads to one of the roots; moments are left to whoever uses it. */
export function credentialOf(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): Read<Credential> {
  const [leaf, ...others] = chain
  if (leaf === undefined) return failed('there is no certificate')
  if (leaf.ca) return failed('an authority signs no calls')
  const path = pathTo(leaf, others, roots)
  if (path === null) return failed('nobody trusted has issued the certificate')
  const { publicKey } = leaf
  if (publicKey.asymmetricKeyType !== 'ec' || publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    return failed('the key of the certificate is no P-256')
  }
  const extensions = extensionsOf(leaf)
  if (extensions === null || hasUnknown(extensions)) return failed('the certificate demands what is not understood')
  if (!maySign(extensions)) return failed('the certificate may not sign')
  const list = extensions.find(({ oid }) => oid === oids.tnAuthList)
  const covers = list === undefined ? null : parseTnAuthList(list.value)
  if (covers === null) return failed('the certificate names no numbers (TNAuthList)')
  const validFrom = Math.max(...path.map(one => one.validFromDate.getTime()))
  const validTo = Math.min(...path.map(one => one.validToDate.getTime()))
  return { ok: true, value: { key: publicKey, validFrom, validTo, covers } }
}

/** From the leaf to a root, each issued by the next; null where there is no such path. */
function pathTo(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  roots: readonly X509Certificate[]
): readonly X509Certificate[] | null {
  const path = [leaf]
  for (let current = leaf; path.length <= stirLimits.chainMax;) {
    const below = path.length - 1
    const root = roots.find(one => issues(one, current, below))
    if (root !== undefined) return [...path, root]
    const next = others.find(one => !path.includes(one) && issues(one, current, below))
    if (next === undefined) return null
    path.push(next)
    current = next
  }
  return null
}

/** `below`: certificates of authorities between it and the leaf (RFC 5280, 4.2.1.9). */
function issues(issuer: X509Certificate, subject: X509Certificate, below: number): boolean {
  if (!issuer.ca || !subject.checkIssued(issuer) || !subject.verify(issuer.publicKey)) return false
  const extensions = extensionsOf(issuer)
  if (extensions === null || hasUnknown(extensions)) return false
  const limit = pathLength(extensions)
  return limit === null || below <= limit
}

const hasUnknown = (extensions: readonly Extension[]): boolean =>
  extensions.some(
    ({ oid, critical }) => critical && !harmless.has(oid) && !Object.values(oids).some(one => one === oid)
  )

function pathLength(extensions: readonly Extension[]): number | null {
  const said = extensions.find(({ oid }) => oid === oids.basicConstraints)
  const parts = said === undefined ? null : insideOf(elementAt(said.value))
  const last = parts?.at(-1)
  return last?.tag === tags.integer ? integerOf(last) : null
}

/** digitalSignature, where the uses are named at all (RFC 5280, 4.2.1.3). */
function maySign(extensions: readonly Extension[]): boolean {
  const said = extensions.find(({ oid }) => oid === oids.keyUsage)
  if (said === undefined) return true
  const bits = elementAt(said.value)
  return bits?.tag === tags.bitString && ((bits.content[1] ?? 0) & 0x80) !== 0
}

const insideOf = (element: Element | null | undefined): readonly Element[] | null =>
  element?.tag === tags.sequence ? elementsOf(element.content) : null

function extensionsOf({ raw }: X509Certificate): readonly Extension[] | null {
  const whole = insideOf(elementAt(raw))
  const parts = insideOf(whole?.[0])
  if (parts === null) return null
  // [3] EXPLICIT: the only place where it may be.
  const wrapped = parts.find(({ tag }) => tag === 0xa3)
  if (wrapped === undefined) return []
  const all = insideOf(elementAt(wrapped.content))
  return all?.every(one => extensionOf(one) !== null) === true ? all.flatMap(one => extensionOf(one) ?? []) : null
}

function extensionOf(element: Element): Extension | null {
  const [name, second, third] = insideOf(element) ?? []
  const value = third ?? second
  if (name?.tag !== tags.oid || value?.tag !== tags.octetString) return null
  return { oid: oidOf(name.content), critical: third !== undefined && second?.content[0] !== 0, value: value.content }
}

/**
 * TNAuthList: a service provider code speaks for whatever its provider may (the authority has checked that), a number
 * or a range for themselves. Null for what cannot be read.
 */
export function parseTnAuthList(value: Buffer): ((number: string) => boolean) | null {
  const entries = insideOf(elementAt(value))
  if (entries === null || entries.length === 0) return null
  const tests: ((number: string) => boolean)[] = []
  for (const { tag, content } of entries) {
    const inner = elementAt(content)
    if (inner === null) return null
    if (tag === 0xa0 && inner.tag === tags.ia5) tests.push(() => true)
    else if (tag === 0xa1) {
      const [start, count] = insideOf(inner) ?? []
      const many = count === undefined ? null : integerOf(count)
      if (start?.tag !== tags.ia5 || many === null) return null
      tests.push(inRange(start.content.toString('latin1'), many))
    } else if (tag === 0xa2 && inner.tag === tags.ia5) {
      const only = inner.content.toString('latin1')
      tests.push(number => number === only)
    } else return null
  }
  return number => tests.some(test => test(number))
}

function inRange(start: string, count: number): (number: string) => boolean {
  const first = /^[0-9]{1,15}$/.test(start) ? BigInt(start) : null
  return number => {
    if (first === null || number.length !== start.length || !/^[0-9]+$/.test(number)) return false
    const at = BigInt(number) - first
    return at >= 0n && at < BigInt(count)
  }
}
