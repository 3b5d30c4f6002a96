// STIR from the configuration: the hub's key and certificate, the authorities it believes, and how numbers were proven.

import { createPrivateKey } from 'node:crypto'
import type { KeyObject, X509Certificate } from 'node:crypto'
import { fileOf } from './config.ts'
import type { Config } from './config.ts'
import { HubError, messageOf } from './errors.ts'
import { certificatesIn } from './nni/stir/certificate.ts'
import { createCertificates } from './nni/stir/certificates.ts'
import { createStir } from './nni/stir/stir.ts'
import type { Stir, StirParts } from './nni/stir/stir.ts'
import type { Clock } from './session/ports.ts'

type HubStir = Config['hub']['stir']

/** Throws HUB_CONFIG for files that cannot be what they should. */
export function openStir({ hub }: Config, proofOf: StirParts['proofOf'], clock: Clock): Stir {
  const { caFile, hosts, insecure, webCaFile, attest } = hub.stir
  const roots = caFile === undefined ? [] : certificatesAt(caFile)
  const webCa = webCaFile === undefined ? null : fileOf(webCaFile).toString('utf8')
  return createStir({
    hub,
    clock,
    signing: signingOf(hub.stir),
    certificates:
      roots.length === 0 ? null : createCertificates({ roots, hosts, insecure, webCa, now: () => clock.now() }),
    attestByProof: attest,
    proofOf
  })
}

function signingOf({ keyFile, certFile, x5u }: HubStir): StirParts['signing'] {
  if (keyFile === undefined || certFile === undefined || x5u === undefined) return null
  const key = keyAt(keyFile)
  const [certificate] = certificatesAt(certFile)
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new HubError('HUB_CONFIG', `${keyFile} holds no key of the curve P-256`)
  }
  if (certificate?.checkPrivateKey(key) !== true) {
    throw new HubError('HUB_CONFIG', `the certificate in ${certFile} is not that of the key in ${keyFile}`)
  }
  return { key, x5u }
}

function keyAt(file: string): KeyObject {
  try {
    return createPrivateKey(fileOf(file))
  } catch (cause) {
    if (cause instanceof HubError) throw cause
    throw new HubError('HUB_CONFIG', `${file} holds no private key: ${messageOf(cause)}`, { cause })
  }
}

function certificatesAt(file: string): readonly X509Certificate[] {
  const found = certificatesIn(fileOf(file))
  if (found === null) throw new HubError('HUB_CONFIG', `${file} holds no certificate`)
  return found
}
