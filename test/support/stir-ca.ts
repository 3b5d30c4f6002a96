// An authority for telephone numbers, made by openssl for one test file: its own certificate, and signers with a
// TNAuthList. Asked for where a test file says `// needs: openssl`.

import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Entries of a TNAuthList in openssl's words, or null for a certificate without one. */
export type TnList = readonly string[] | null
export const anyNumber: TnList = ['EXP:0,IA5STRING:1234']
export const oneNumber = (digits: string): TnList => [`EXP:2,IA5STRING:${digits}`]

export interface SignerOptions {
  readonly list?: TnList
  /** More lines of openssl's extensions: `keyUsage=critical,cRLSign`. */
  readonly extensions?: readonly string[]
  /** Of openssl genpkey's `ec_paramgen_curve`. */
  readonly curve?: string
  /** Another authority below this one, and what it may have below itself. */
  readonly authority?: { readonly pathLength: number }
}

export interface Signer {
  readonly cert: string
  readonly key: string
  /** Its own certificate and those of the authorities below the root. */
  readonly chain: string
  readonly certificate: X509Certificate
  readonly privateKey: KeyObject
  issue(name: string, options?: SignerOptions): Signer
}

const openssl = (cwd: string, ...args: readonly string[]): void =>
  void execFileSync('openssl', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })

function inFolder(run: (folder: string) => void): { readonly cert: string; readonly key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-stir-'))
  try {
    run(folder)
    return {
      cert: readFileSync(join(folder, 'cert.pem'), 'utf8'),
      key: readFileSync(join(folder, 'key.pem'), 'utf8')
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const newKey = (curve = 'prime256v1'): readonly string[] => [
  '-newkey',
  'ec',
  '-pkeyopt',
  `ec_paramgen_curve:${curve}`,
  '-nodes',
  '-keyout',
  'key.pem'
]

/** Valid for two days. */
export function numberAuthority(name = 'Number CA'): Signer {
  const root = inFolder(folder =>
    openssl(folder, 'req', '-x509', ...newKey(), '-out', 'cert.pem', '-days', '2', '-subj', `/CN=${name}`)
  )
  return signer(root, '')
}

const signer = (own: { readonly cert: string; readonly key: string }, above: string): Signer => ({
  ...own,
  chain: `${own.cert}${above}`,
  certificate: new X509Certificate(own.cert),
  privateKey: createPrivateKey(own.key),
  issue: (name, options = {}) => {
    const issued = inFolder(folder => {
      writeFileSync(join(folder, 'ca.pem'), own.cert)
      writeFileSync(join(folder, 'ca.key'), own.key)
      writeFileSync(join(folder, 'extensions'), extensionsOf(options))
      openssl(folder, 'req', '-new', ...newKey(options.curve), '-out', 'request.pem', '-subj', `/CN=${name}`)
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'extensions']
      openssl(folder, 'x509', '-req', '-in', 'request.pem', ...by, '-out', 'cert.pem')
    })
    // The root itself is known to whoever believes it.
    return signer(issued, above === '' && isRoot(own.cert) ? '' : `${own.cert}${above}`)
  }
})

const isRoot = (cert: string): boolean => {
  const { subject, issuer } = new X509Certificate(cert)
  return subject === issuer
}

function extensionsOf({ list = anyNumber, extensions = [], authority }: SignerOptions): string {
  const lines = authority === undefined ? [] : [`basicConstraints=critical,CA:TRUE,pathlen:${authority.pathLength}`]
  const named = list !== null && authority === undefined ? ['1.3.6.1.5.5.7.1.26=ASN1:SEQUENCE:numbers'] : []
  const entries = (list ?? []).map((entry, index) => `entry${index}=${entry}`)
  return [...lines, ...extensions, ...named, '[numbers]', ...entries, ...ranges, ''].join('\n')
}

/** `EXP:1,SEQUENCE:hundred` is +441632960000 to 0099. */
const ranges = ['[hundred]', 'start=IA5STRING:441632960000', 'count=INTEGER:100']

export interface CertificateServer {
  /** `127.0.0.1:port`, as hub.stir.hosts names it. */
  readonly host: string
  readonly asked: string[]
  url(path: string): string
  close(): Promise<void>
}

/** A web server with these files, or with answers of its own. */
export async function serveCertificates(
  files: Readonly<Record<string, string>>,
  answer?: RequestListener
): Promise<CertificateServer> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    const file = files[request.url ?? '']
    if (file !== undefined) response.end(file)
    else if (answer !== undefined) answer(request, response)
    else response.writeHead(404).end()
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    asked,
    url: path => `http://${host}${path}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}
