// Which SIP domains a certificate proves (RFC 5922, 7): its URIs first, else its DNS names, else its common name. Pure.

import { isIP } from 'node:net'
import { splitList, unquote } from '../message.ts'
import { parseUri } from '../uri.ts'

/** The part of Node's certificates that says whose they are. */
export interface CertificateNames {
  readonly subject?: { readonly CN?: string | readonly string[] } | undefined
  readonly subjectaltname?: string | undefined
}

interface Named {
  readonly kind: string
  readonly value: string
}

function alternativeNames({ subjectaltname }: CertificateNames): readonly Named[] {
  return splitList(subjectaltname ?? '').flatMap(text => {
    const colon = text.indexOf(':')
    return colon < 1 ? [] : [{ kind: text.slice(0, colon), value: unquote(text.slice(colon + 1)) }]
  })
}

/** Lower case, without the dot of the root. */
export const plainDomain = (name: string): string => name.toLowerCase().replace(/\.$/, '')

/** The domain of a `sip:` URI without a user; null for any other URI. */
function domainOf(uri: string): string | null {
  const parsed = parseUri(uri)
  return parsed !== null && parsed.scheme === 'sip' && parsed.user === null ? plainDomain(parsed.host) : null
}

/** Every SIP domain that this certificate proves. */
export function sipIdentities(certificate: CertificateNames): readonly string[] {
  const names = alternativeNames(certificate)
  const uris = names.flatMap(({ kind, value }) => (kind === 'URI' ? [domainOf(value)] : []))
  const domains = uris.filter(domain => domain !== null)
  if (domains.length > 0) return domains
  const dns = names.flatMap(({ kind, value }) => (kind === 'DNS' ? [plainDomain(value)] : []))
  if (names.length > 0) return dns
  const { CN: common } = certificate.subject ?? {}
  return common === undefined ? [] : [common].flat().map(plainDomain)
}

/**
 * Whether a certificate proves one of these domains. No wildcards (7.2). An IP address, which is no SIP domain, is
 * proven by an address in the certificate: for a peer that has no name.
 */
export function proves(certificate: CertificateNames, domains: readonly string[]): boolean {
  const identities = sipIdentities(certificate)
  const addresses = alternativeNames(certificate).flatMap(({ kind, value }) => (kind === 'IP Address' ? [value] : []))
  return domains.some(domain =>
    isIP(domain) > 0
      ? addresses.some(address => sameAddress(address, domain))
      : identities.includes(plainDomain(domain))
  )
}

const sameAddress = (a: string, b: string): boolean => canonical(a) === canonical(b)
const canonical = (address: string): string => (isIP(address) === 6 ? new URL(`http://[${address}]`).hostname : address)
