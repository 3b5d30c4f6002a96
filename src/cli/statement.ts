// `isthmus statement verify`: for whoever got a statement. It needs no database and no configuration.

import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createPublicKey } from 'node:crypto'
import { Command } from 'commander'
import { createProof, limits as recordLimits } from '../clearing/settlement/records.ts'
import type { RecordsProof } from '../clearing/settlement/records.ts'
import {
  readRecordLine,
  readStatementFile,
  recordsFaults,
  statementFaults
} from '../clearing/settlement/verify-file.ts'
import { HubError, messageOf } from '../errors.ts'
import { progressOf, say, sayJson } from './clearing-commands.ts'

const limits = {
  /** A statement of 250,000 lines takes 200 MB. */
  fileBytesMax: 400 * 1_048_576
} as const

interface Asked {
  readonly key?: string
  readonly records?: string
  readonly json: boolean
}

const verifyCommand = (): Command =>
  new Command('verify')
    .description('whether a statement is what was sealed, and adds up; with its records, whether they are all there')
    .argument('<file>', 'the statement as JSON')
    .option('--key <key>', 'the public key of the hub, or a file with it: only its seal counts')
    .option('--records <file>', 'the records behind it, as `isthmus settlement records` writes them')
    .option('--json', 'one JSON object instead of words', false)
    .action(async (file: string, { key, records, json }: Asked) => {
      const statement = readStatementFile(readText(file))
      const faults = [...statementFaults(statement, key === undefined ? null : keyOf(key))]
      const proof = records === undefined ? null : await proofOf(records)
      if (proof !== null) faults.push(...recordsFaults(statement, proof))
      const { statementId, cdrCount } = statement.statement
      const known = { statementId, records: proof?.records ?? null, unprovable: proof?.unprovable ?? null }
      if (json) sayJson({ ok: faults.length === 0, ...known, faults, publicKey: statement.seal?.publicKey ?? null })
      else {
        for (const fault of faults) say(`WRONG: ${fault}`)
        if (faults.length === 0) {
          say(`${statementId}: sealed with ${statement.seal?.publicKey ?? ''}, unchanged, and it adds up`)
          if (key === undefined) say('Whether that is the key of the hub, --key KEY tells.')
          if (proof === null) say(`Its ${cdrCount} records were not looked at: --records FILE.`)
          else say(`${proof.records} records are all there and unchanged${deleted(proof)}`)
        }
      }
      if (faults.length > 0) process.exitCode = 1
    })

const deleted = ({ unprovable }: RecordsProof): string =>
  unprovable === 0 ? '' : `; of ${unprovable} the personal data was deleted, and nobody can look at them`

function readText(file: string): string {
  try {
    if (statSync(file).size > limits.fileBytesMax) throw new HubError('HUB_LIMIT', 'it is too large for a statement')
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** 32 bytes as base64url, a PEM, or a file with either. Throws HUB_CONFIG. */
function keyOf(given: string): string {
  const text = existsSync(given) ? readText(given).trim() : given
  if (/^[\w-]{43}$/.test(text)) return text
  try {
    const { x } = createPublicKey(text).export({ format: 'jwk' })
    if (x !== undefined) return x
  } catch (cause) {
    throw new HubError('HUB_CONFIG', '--key: neither 43 characters of base64url nor a PEM', { cause })
  }
  throw new HubError('HUB_CONFIG', '--key: not a key for Ed25519')
}

async function proofOf(file: string): Promise<RecordsProof> {
  if (!existsSync(file)) throw new HubError('HUB_CONFIG', `${file} cannot be read`)
  const proof = createProof()
  const bar = progressOf('verifying records')
  let line = 0
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    line += 1
    const record = text.length > recordLimits.lineCharsMax ? null : readRecordLine(text)
    if (record === null) throw new HubError('HUB_CONFIG', `${file}, line ${line}: no record`)
    proof.add(record)
    if (line % 1_000 === 0) bar.at(line, null)
  }
  bar.end()
  return proof.done()
}

export const statementCommand = (): Command =>
  new Command('statement').description('a statement that you got: is it what was sealed?').addCommand(verifyCommand())
