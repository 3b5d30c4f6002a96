// A signature under each closed statement, over the one before it too: who has the last seal has all (EOS-04).

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonical } from '../../events/chain.ts'
import { HubError, errnoOf, messageOf } from '../../errors.ts'

/** What the first seal follows. */
export const firstSeal = '0'.repeat(64)
/** In the hub's data folder, readable by its owner alone. */
export const keyFileName = 'statement-key.pem'

/** What is signed; its canonical text stands in `Seal.body`. */
export interface SealBody {
  readonly number: number
  readonly previous: string
  readonly statementId: string
  /** SHA-256 of the canonical text of the statement. */
  readonly statement: string
  readonly merkleRoot: string
}

export interface Seal {
  readonly number: number
  readonly statementId: string
  readonly previous: string
  readonly body: string
  /** SHA-256 of the body: what the next seal names. */
  readonly hash: string
  /** Ed25519 over the body, base64url. */
  readonly signature: string
  /** The 32 bytes of the key, base64url. */
  readonly publicKey: string
}

export interface SigningKey {
  readonly publicKey: string
  sign(text: string): string
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Of a statement's document, without its seal. */
export const digestOf = (statement: unknown): string => sha256(canonical(statement))

/** A new key that nobody keeps: for a trial run. */
export const passingKey = (): SigningKey => keyOf(generateKeyPairSync('ed25519').privateKey)

/** The hub's key, made where there is none yet. Throws HUB_CONFIG for a file that holds none, or cannot be written. */
export function loadSigningKey(dataDir: string): SigningKey {
  const file = join(dataDir, keyFileName)
  const existing = readKey(file)
  if (existing !== null) return existing
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const draft = `${file}.${process.pid}.new`
  try {
    mkdirSync(dataDir, { recursive: true })
    writeFileSync(draft, pem, { mode: 0o600, flag: 'wx', flush: true })
    // Of two processes that make one, the first one's stands.
    linkSync(draft, file)
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') {
      throw new HubError('HUB_CONFIG', `the key for statements cannot be written: ${messageOf(cause)}`, { cause })
    }
  } finally {
    rmSync(draft, { force: true })
  }
  const made = readKey(file)
  if (made === null) throw new HubError('HUB_CONFIG', `${file} has gone`)
  return made
}

function readKey(file: string): SigningKey | null {
  let pem: string
  try {
    pem = readFileSync(file, 'utf8')
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return null
    throw new HubError('HUB_CONFIG', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  }
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return keyOf(key)
  } catch (cause) {
    throw new HubError('HUB_CONFIG', `${file} holds no private key`, { cause })
  }
  throw new HubError('HUB_CONFIG', `${file} holds a key that is not Ed25519`)
}

const keyOf = (key: KeyObject): SigningKey => ({
  publicKey: createPublicKey(key).export({ format: 'jwk' })['x'] ?? '',
  sign: text => sign(null, Buffer.from(text), key).toString('base64url')
})

export function sealOf(body: SealBody, key: SigningKey): Seal {
  const text = canonical(body)
  return {
    number: body.number,
    statementId: body.statementId,
    previous: body.previous,
    body: text,
    hash: sha256(text),
    signature: key.sign(text),
    publicKey: key.publicKey
  }
}

/** Null, or what is wrong with a seal in itself and under this statement, in words. */
export function sealFault(seal: Seal, statement: { readonly digest: string; readonly merkleRoot: string }) {
  const { number, statementId, previous } = seal
  const body: SealBody = {
    number,
    previous,
    statementId,
    statement: statement.digest,
    merkleRoot: statement.merkleRoot
  }
  if (sha256(seal.body) !== seal.hash) return 'the seal was changed: its hash is another one'
  if (seal.body !== canonical(body)) return 'the statement is not the one that was sealed'
  return isSigned(seal) ? null : 'the signature does not fit the seal and its key'
}

function isSigned({ body, signature, publicKey }: Seal): boolean {
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
    return verify(null, Buffer.from(body), key, Buffer.from(signature, 'base64url'))
  } catch {
    return false
  }
}
