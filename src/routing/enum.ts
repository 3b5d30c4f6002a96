// ENUM (RFC 6116, RFC 4769): a number to the SIP addresses that reach it and to where it has been ported, from NAPTR
// records of the DNS. Whatever goes wrong, the prefixes of the configuration decide (ENUM-05).

import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { isE164 } from '../session/dial-plan.ts'
import type { Ported } from '../session/model.ts'
import { compilePosix } from './posix-regex.ts'

export const enumLimits = {
  /** Records of one answer that are looked at, and steps from one name to the next (RFC 6116, 5.2.1). */
  recordsMax: 32,
  stepsMax: 5,
  resultBytesMax: 512,
  onNetMax: 8
} as const

/** As the resolver gives it. */
export interface Naptr {
  readonly order: number
  readonly preference: number
  readonly flags: string
  readonly service: string
  readonly regexp: string
  readonly replacement: string
}

/** Somebody's SIP address: a number with `+`, or a name. */
export interface OnNet {
  readonly user: string
  /** Lower case. */
  readonly domain: string
}

export interface Enumerated {
  /** Best first. */
  readonly onNet: readonly OnNet[]
  /** Null: nobody knows. */
  readonly ported: Ported | null
}

/** Never rejects; null: the DNS knows nothing of the number. */
export type LookUp = (number: string) => Promise<Enumerated | null>

export interface EnumTree {
  /** Numbers that are looked up here: an E.164 prefix. */
  readonly prefix: string
  /** `e164.arpa`, or that of a carrier. */
  readonly suffix: string
  readonly naptr: (name: string) => Promise<readonly Naptr[]>
}

/** The longest prefix decides in which tree a number is looked up. */
export function createLookUp(trees: readonly EnumTree[], log: Pick<Logger, 'warn'>): LookUp {
  const longestFirst = trees.toSorted((a, b) => b.prefix.length - a.prefix.length)
  return async number => {
    const tree = longestFirst.find(({ prefix }) => number.startsWith(prefix))
    if (tree === undefined) return null
    try {
      return resultOf(await results(number, tree))
    } catch (error) {
      log.warn({ suffix: tree.suffix, err: messageOf(error) }, 'ENUM: no answer, the prefixes of the operators decide')
      return null
    }
  }
}

/** `3.8.0.0.6.9.2.3.6.1.4.4.e164.arpa` (RFC 6116, 3.2). */
export const enumName = (number: string, suffix: string): string =>
  `${number.replace(/^\+/, '').split('').toReversed().join('.')}.${suffix}`

type Kind = 'sip' | 'pstn'
export interface Found {
  readonly kind: Kind
  readonly uri: string
}

/** URIs of the kinds that are known here, best first; a name that was asked for is not asked for again. */
async function results(number: string, { suffix, naptr }: EnumTree): Promise<readonly Found[]> {
  const found: Found[] = []
  const asked = new Set<string>()
  let names: readonly string[] = [enumName(number, suffix)]
  for (let step = 0; step < enumLimits.stepsMax && names.length > 0; step++) {
    const next: string[] = []
    for (const name of names.slice(0, enumLimits.recordsMax)) {
      if (asked.has(name.toLowerCase()) || asked.size >= enumLimits.recordsMax) continue
      asked.add(name.toLowerCase())
      for (const record of inOrder(await naptr(name))) {
        const kind = kindOf(record.service)
        const flags = record.flags.toLowerCase()
        if (flags === '') next.push(...nameIn(record, number))
        else if (flags === 'u' && kind !== null) {
          const uri = applyRegexp(record.regexp, number)
          if (uri !== null) found.push({ kind, uri })
        }
      }
    }
    // What is found first is best: further names are for those who have nothing.
    if (found.length > 0) break
    names = next
  }
  return found
}

/** By order, and within one by preference (RFC 3403, 4.1); a record of a kind that is not known hides nothing. */
const inOrder = (records: readonly Naptr[]): readonly Naptr[] =>
  records.slice(0, enumLimits.recordsMax).toSorted((a, b) => a.order - b.order || a.preference - b.preference)

/** `E2U+sip`, `E2U+pstn:tel`, `E2U+pstn:sip`, also several at once: `E2U+voice:tel+sip` (RFC 6116, 3.4.3). */
export function kindOf(service: string): Kind | null {
  const [first, ...services] = service.toLowerCase().split('+')
  if (first !== 'e2u') return null
  if (services.includes('sip')) return 'sip'
  return services.some(one => one === 'pstn:tel' || one === 'pstn:sip') ? 'pstn' : null
}

/** Where a record without flags leads: by its replacement, or by its expression. */
function nameIn({ regexp, replacement }: Naptr, number: string): readonly string[] {
  const name = replacement === '' || replacement === '.' ? applyRegexp(regexp, number) : replacement
  return name !== null && /^[A-Za-z0-9_.-]{1,253}$/.test(name) ? [name.replace(/\.$/, '')] : []
}

/**
 * The substitution of a NAPTR record (RFC 3402, 3.2) on a number with its `+`: delimiter, expression, replacement with
 * back-references, flag `i`. Null where it is malformed or does not match.
 */
export function applyRegexp(text: string, number: string): string | null {
  const delimiter = text[0] ?? ''
  if (delimiter === '' || /[0-9\\i\0]/.test(delimiter)) return null
  const parts = splitAt(text.slice(1), delimiter)
  const [pattern = '', replacement = '', flags = ''] = parts
  if (parts.length !== 3 || !/^i?$/i.test(flags)) return null
  const matched = compilePosix(pattern, flags !== '')?.match(number) ?? null
  if (matched === null) return null
  let result = ''
  for (let at = 0; at < replacement.length; at++) {
    const character = replacement[at] ?? ''
    if (character !== '\\') {
      result += character
      continue
    }
    const next = replacement[++at] ?? ''
    if (next === '' || next === '0') return null
    result += /[1-9]/.test(next) ? (matched[Number(next)] ?? '') : next
  }
  return result.length > enumLimits.resultBytesMax ? null : result
}

/** At delimiters that no backslash stands before; the backslash before one goes. */
function splitAt(text: string, delimiter: string): readonly string[] {
  const parts = ['']
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ''
    const last = parts.length - 1
    if (character === delimiter) parts.push('')
    else if (character !== '\\') parts[last] += character
    else {
      const next = text[++at] ?? ''
      parts[last] += next === delimiter ? next : `\\${next}`
    }
  }
  return parts
}

/** On-net before off-net (ENUM-06); what is no SIP address and no number says nothing. */
function resultOf(found: readonly Found[]): Enumerated | null {
  const onNet = found.flatMap(({ kind, uri }) => (kind === 'sip' ? (addressIn(uri) ?? []) : []))
  const ported = found.flatMap(({ kind, uri }) => (kind === 'pstn' ? (portedIn(uri) ?? []) : []))[0] ?? null
  return onNet.length === 0 && ported === null ? null : { onNet: onNet.slice(0, enumLimits.onNetMax), ported }
}

/** `sip:+441632960083@example.com;user=phone`: who and where. Null for what cannot be called so. */
export function addressIn(uri: string): OnNet | null {
  const [, user = '', domain = ''] =
    /^sips?:([A-Za-z0-9\-_.!~*'()&=+$,;?/%]{1,255})@([A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?(?:;[^?<>\s]*)?$/i.exec(
      uri
    ) ?? []
  const [name = ''] = user.split(';')
  if (name === '' || domain === '') return null
  const number = name.replace(/[().-]/g, '')
  return { user: isE164(number) ? number : name, domain: domain.toLowerCase() }
}

/** `tel:+1-215-555-0123;npdi;rn=+1-215-555-0199`, or the same in the user part of a SIP URI (RFC 4694, RFC 4769). */
export function portedIn(uri: string): Ported | null {
  const [, text = ''] = /^(?:tel:|sips?:)([^@?<>\s]{1,255})/i.exec(uri) ?? []
  const [number = '', ...params] = text.split(';')
  if (!/^\+[0-9().-]{2,32}$/.test(number)) return null
  const values = new Map(params.map(param => [param.split('=')[0]?.toLowerCase() ?? '', param.split('=')[1] ?? '']))
  const rn = (values.get('rn') ?? '').replace(/[().-]/g, '')
  return { rn: isE164(rn) ? rn : null, npdi: values.has('npdi') || rn !== '' }
}
