// secsipidx from Debian: somebody else's PASSporT tool, to sign and to check. Asked for by `// needs: secsipidx`.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

function run(args: readonly string[], files: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-secsipidx-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const { status, stdout, stderr } = spawnSync('/usr/bin/secsipidx', args, { cwd: folder, encoding: 'utf8' })
    return { status, stdout: stdout.trim(), stderr: stderr.trim() }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export interface Signing {
  readonly orig: string
  readonly dest: string
  readonly attest: 'A' | 'B' | 'C'
  readonly origid: string
  readonly x5u: string
  /** PEM. */
  readonly key: string
}

/** The value of an Identity header field, signed now. */
export function signBySecsipidx({ orig, dest, attest, origid, x5u, key }: Signing): string {
  const named = ['-orig-tn', orig, '-dest-tn', dest, '-attest', attest, '-orig-id', origid, '-x5u', x5u]
  const { status, stdout, stderr } = run(['-sign-full', ...named, '-k', 'key.pem'], { 'key.pem': key })
  if (status !== 0) throw new Error(`secsipidx did not sign: ${stderr}`)
  return stdout
}

/** What it says of an Identity header field: signed by that key (PEM), and less than a minute old. */
export function checkBySecsipidx(identity: string, publicKey: string): string {
  const files = { identity, 'public.pem': publicKey }
  const { status, stdout, stderr } = run(
    ['-check', '-fidentity', 'identity', '-p', 'public.pem', '-expire', '60'],
    files
  )
  return status === 0 ? stdout : `${stdout} ${stderr}`
}
