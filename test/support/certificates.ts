// Certificates for tests, made by openssl: an authority of its own for each `authority()`, leaves with any names.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Material {
  readonly cert: string
  readonly key: string
}

export interface Authority {
  /** Its own certificate. */
  readonly cert: string
  /** A certificate with these alternative names (`DNS:a.example`, `URI:sip:a.example`, `IP:127.0.0.1`). */
  issue(commonName: string, ...names: readonly string[]): Material
}

const openssl = (cwd: string, ...args: readonly string[]): void =>
  void execFileSync('openssl', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })

/** Asked for where a test file says `// needs: openssl`. */
export function authority(name = 'Test CA'): Authority {
  const files = (run: (folder: string) => void, folder = mkdtempSync(join(tmpdir(), 'isthmus-ca-'))): Material => {
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
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key.pem']
  const root = files(folder =>
    openssl(folder, 'req', '-x509', ...newKey, '-out', 'cert.pem', '-days', '2', '-subj', `/CN=${name}`)
  )
  return {
    cert: root.cert,
    issue: (commonName, ...names) =>
      files(folder => {
        writeFileSync(join(folder, 'ca.pem'), root.cert)
        writeFileSync(join(folder, 'ca.key'), root.key)
        writeFileSync(join(folder, 'extensions'), names.length === 0 ? '' : `subjectAltName=${names.join(',')}\n`)
        openssl(folder, 'req', '-new', ...newKey, '-out', 'request.pem', '-subj', `/CN=${commonName}`)
        const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'extensions']
        openssl(folder, 'x509', '-req', '-in', 'request.pem', ...by, '-out', 'cert.pem')
      })
  }
}
