// The border's SIP engine from the configuration: listeners, certificates, who may send and where answers may lead.

import { isIP } from 'node:net'
import { fileOf, secretOf } from './config.ts'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'
import { createEngine } from './sip/engine/engine.ts'
import type { EngineOptions } from './sip/engine/engine.ts'
import { screenPeers } from './sip/engine/screening.ts'
import { targetsOf } from './sip/engine/targets.ts'
import { createResolver } from './sip/resolver.ts'
import type { TlsPeer } from './sip/transport/transport.ts'

/** The embedded engine, or the drachtio-server that the configuration names. */
export async function startEngine({ nni, operators }: Config, log: Logger, parts: AsyncDisposableStack) {
  if (nni.engine !== 'embedded') {
    const { host, port, secretEnv } = nni.engine
    const connect = { host, port, secret: secretOf({ env: secretEnv }) }
    return { connect, listening: [{ what: 'drachtio-server', where: `${host}:${port}` }] }
  }
  const listen: EngineOptions['listen'] = nni.listen.map(({ tls, ...place }) => ({
    ...place,
    ...(tls === undefined ? {} : { tls: { ...material(tls), named: tls.named.map(namedMaterial) } })
  }))
  const vouching = listen.find(({ tls }) => tls?.ca !== undefined)?.tls?.ca
  const engine = createEngine({
    control: null,
    listen,
    screen: screenPeers(
      operators.map(operator => ({
        id: operator.id,
        addresses: addressesOf(operator),
        certificateNames: operator.certificateNames
      }))
    ),
    // One that is known by its certificate alone may be anywhere, and so may what it names.
    allowTarget: targetsOf(
      operators.map(operator => {
        const own = addressesOf(operator)
        return { id: operator.id, addresses: own.length === 0 ? [] : [...own, ...operator.targets] }
      })
    ),
    resolver: createResolver({ servers: nni.dnsServers }),
    tlsPeers: operators.map(tlsPeerOf),
    ...(vouching === undefined ? {} : { tlsCa: vouching }),
    overloadControl: nni.overload.takePart,
    limits: {
      udpRequestBytesMax: nni.udpRequestBytesMax,
      lagMsMax: nni.overload.lagMsMax,
      unansweredMax: nni.overload.unansweredMax,
      peerPerSecondMin: nni.overload.operatorPerSecondMin
    },
    userAgent: 'isthmus',
    log
  })
  await engine.start()
  parts.defer(() => engine.close())
  return {
    connect: nni.link === 'direct' ? engine : { engine },
    listening: engine.listening.map(({ transport, host, port }) => ({
      what: `operators, SIP/${transport.toUpperCase()}`,
      where: `sip:${host.includes(':') ? `[${host}]` : host}:${port};transport=${transport}`
    }))
  }
}

/** Where an operator may be, as far as addresses say. */
const addressesOf = ({ address, sources }: Config['operators'][number]): readonly string[] =>
  isIP(address.host) > 0 ? [address.host, ...sources] : sources

function tlsPeerOf({ address, domain, certificateNames, tls }: Config['operators'][number]): TlsPeer {
  const own = tls === undefined ? null : material(tls)
  const proven = certificateNames.map(name => name.replace(/^sip:/i, ''))
  return {
    hosts: domain === undefined ? [address.host] : [address.host, domain],
    own: own === null ? null : { cert: own.cert, key: own.key },
    ca: own?.ca ?? null,
    domains: proven
  }
}

const namedMaterial = ({ name, certFile, keyFile }: { name: string; certFile: string; keyFile: string }) => ({
  name,
  cert: fileOf(certFile),
  key: fileOf(keyFile)
})

export const material = ({
  certFile,
  keyFile,
  caFile
}: {
  certFile: string
  keyFile: string
  caFile?: string | undefined
}) => ({
  cert: fileOf(certFile),
  key: fileOf(keyFile),
  ...(caFile === undefined ? {} : { ca: fileOf(caFile) })
})
