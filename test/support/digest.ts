// A digest client of the tests' own (RFC 7616, 3.4), so that the hub's is not checked against itself.

import { createHash } from 'node:crypto'
import { parseParams, unquote } from '../../src/sip/message.ts'
import type { HeaderLine } from '../../src/sip/message.ts'

export interface Answering {
  readonly name: string
  readonly password: string
  readonly method: string
  readonly uri: string
  readonly algorithm: string
  readonly nc?: number
}

/** The credentials for a 401 or 407; null where it asks for nothing that can be answered. */
export function answerTo(
  { status, headers }: { readonly status: number; readonly headers: readonly HeaderLine[] },
  as: Answering
): readonly [string, string] | null {
  const [asked, answer] =
    status === 401
      ? ['WWW-Authenticate', 'Authorization']
      : status === 407
        ? ['Proxy-Authenticate', 'Proxy-Authorization']
        : []
  if (asked === undefined || answer === undefined) return null
  const challenges = headers.filter(line => line.name.toLowerCase() === asked.toLowerCase())
  for (const { value } of challenges) {
    const params = parseParams(`;${value.slice('Digest '.length).replaceAll(/,\s*(?=[a-z-]+=)/gi, ';')}`)
    const of = (name: string): string => unquote(params?.get(name) ?? '')
    if ((of('algorithm') || 'MD5') !== as.algorithm) continue
    const hash = (text: string): string =>
      createHash(as.algorithm === 'MD5' ? 'md5' : 'sha256')
        .update(text)
        .digest('hex')
    const nc = (as.nc ?? 1).toString(16).padStart(8, '0')
    const secret = hash(`${as.name}:${of('realm')}:${as.password}`)
    const response = hash(`${secret}:${of('nonce')}:${nc}:cafe:auth:${hash(`${as.method}:${as.uri}`)}`)
    const fields = `username="${as.name}", realm="${of('realm')}", nonce="${of('nonce')}", uri="${as.uri}", response="${response}"`
    return [answer, `Digest ${fields}, algorithm=${as.algorithm}, cnonce="cafe", qop=auth, nc=${nc}`]
  }
  return null
}
