// Fetches the certificates that tokens name: only from hosts of a list, bounded in time, size and number, remembered
// for as long as their server says, within limits (RFC 8224, 6.2.2 and 10.3).

import type { X509Certificate } from 'node:crypto'
import { get as getPlain } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { get as getTls } from 'node:https'
import { messageOf } from '../../errors.ts'
import { certificatesIn, credentialOf } from './certificate.ts'
import type { Credential } from './certificate.ts'
import { stirLimits } from './limits.ts'

/** 436: it cannot be had; 437: it is there and may not be used. */
export type Certified =
  | { readonly ok: true; readonly credential: Credential }
  | { readonly ok: false; readonly status: 436 | 437; readonly why: string }

export interface Certificates {
  /** Never rejects. */
  at(url: string): Promise<Certified>
}

export interface CertificatesParts {
  /** Authorities that may issue certificates for numbers. */
  readonly roots: readonly X509Certificate[]
  /** `certs.example` (port 443, or 80 for http) or `certs.example:8443`: nobody else is ever asked. */
  readonly hosts: readonly string[]
  /** http, too. */
  readonly insecure: boolean
  /** Who vouches for the web servers, in PEM; null: the authorities of Node. */
  readonly webCa: string | null
  /** Milliseconds; tests bring their own. */
  readonly now: () => number
  readonly limits?: Partial<StirLimits>
}

type StirLimits = { readonly [name in keyof typeof stirLimits]: number }

interface Kept {
  readonly certified: Certified
  readonly until: number
}

interface Fetched {
  readonly bytes: Buffer
  readonly keptMs: number | null
}

export function createCertificates(parts: CertificatesParts): Certificates & { readonly size: number } {
  const limits = { ...stirLimits, ...parts.limits }
  /** Oldest question first. */
  const kept = new Map<string, Kept>()
  const open = new Map<string, Promise<Certified>>()

  const keep = (url: string, certified: Certified, ms: number): Certified => {
    kept.delete(url)
    kept.set(url, { certified, until: parts.now() + ms })
    if (kept.size > limits.cacheMax) kept.delete(kept.keys().next().value ?? '')
    return certified
  }

  async function load(url: URL): Promise<Certified> {
    try {
      const { bytes, keptMs } = await fetched(url, parts, limits)
      const chain = certificatesIn(bytes)
      if (chain === null) return keep(url.href, unusable(436, 'there is no certificate'), limits.failedMs)
      const found = credentialOf(chain, parts.roots)
      const ms = Math.min(limits.keptMsMax, Math.max(limits.keptMsMin, keptMs ?? limits.keptMs))
      if (!found.ok) return keep(url.href, unusable(437, found.why), limits.keptMsMin)
      return keep(url.href, { ok: true, credential: found.value }, ms)
    } catch (error) {
      return keep(url.href, unusable(436, `the certificate could not be fetched: ${messageOf(error)}`), limits.failedMs)
    }
  }

  return {
    get size() {
      return kept.size
    },
    at: async text => {
      const url = allowed(text, parts)
      if (url === null) return unusable(436, 'nobody agreed to fetch certificates from there')
      const known = kept.get(url.href)
      if (known !== undefined && known.until > parts.now()) {
        kept.delete(url.href)
        kept.set(url.href, known)
        return known.certified
      }
      const under = open.get(url.href)
      if (under !== undefined) return under
      if (open.size >= limits.fetchesMax) return unusable(436, 'too many certificates are being fetched')
      const loading = load(url).finally(() => open.delete(url.href))
      open.set(url.href, loading)
      return loading
    }
  }
}

const unusable = (status: 436 | 437, why: string): Certified => ({ ok: false, status, why })

/** Whom a token names is anybody's word: only those of the list are asked, by name and port. */
function allowed(text: string, { hosts, insecure }: CertificatesParts): URL | null {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '') return null
  if (url.protocol !== 'https:' && !(insecure && url.protocol === 'http:')) return null
  url.hash = ''
  return hosts.some(host => host.toLowerCase() === url.host) ? url : null
}

/** Rejects with what went wrong. No redirects: where they lead is nobody's agreement. */
function fetched(url: URL, { webCa }: CertificatesParts, { fetchMs, certificateBytesMax }: StirLimits) {
  return new Promise<Fetched>((resolve, reject) => {
    const signal = AbortSignal.timeout(fetchMs)
    const options = { agent: false, signal, headers: { Accept: 'application/pem-certificate-chain, */*' } } as const
    const take = (response: IncomingMessage): void => {
      const { statusCode = 0, headers } = response
      const fail = (why: string): void => {
        response.destroy()
        reject(new Error(why))
      }
      if (statusCode !== 200) return fail(`its server says ${statusCode}`)
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > certificateBytesMax) fail('it is too long')
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => resolve({ bytes: Buffer.concat(chunks), keptMs: ageIn(headers['cache-control']) }))
    }
    const asked =
      url.protocol === 'http:'
        ? getPlain(url, options, take)
        : getTls(url, { ...options, ...(webCa === null ? {} : { ca: webCa }) }, take)
    asked.on('error', error => reject(signal.aborted ? new Error('no answer in time') : error))
  })
}

/** Milliseconds of Cache-Control (RFC 9111, 5.2.2.1); null where it says nothing. */
function ageIn(text: string | undefined): number | null {
  if (text === undefined) return null
  if (/\bno-(?:store|cache)\b/i.test(text)) return 0
  const seconds = /\bmax-age\s*=\s*([0-9]{1,9})/i.exec(text)?.[1]
  return seconds === undefined ? null : Number(seconds) * 1_000
}
