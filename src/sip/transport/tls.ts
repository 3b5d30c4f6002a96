// SIP over TLS: what differs from TCP (certificates both ways, the SIP domains in them).

import { isIP } from 'node:net'
import { connect, createServer, TLSSocket } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { HubError } from '../../errors.ts'
import { plainDomain, proves, sipIdentities } from './identity.ts'
import type { StreamKind } from './tcp.ts'
import type { TlsMaterial, TlsPeer } from './transport.ts'

export interface TlsOptions {
  /** Our certificate for outgoing connections too (mutual TLS), unless a peer has its own. */
  readonly own: TlsMaterial | null
  /** Vouches for the certificates of others, unless a peer has its own. */
  readonly ca: string | Buffer | null
  readonly peers: readonly TlsPeer[]
  readonly handshakeMs: number
}

const minVersion = 'TLSv1.2'

export function tlsKind(options: TlsOptions): StreamKind {
  const { handshakeMs } = options
  return {
    transport: 'tls',
    listen: ({ tls }, accept) => {
      if (tls === undefined) throw new HubError('HUB_LISTEN', 'a TLS listener needs a certificate and its key')
      const { cert, key, ca, named = [] } = tls
      const trust = ca === undefined ? {} : { ca }
      const ask = ca === undefined ? {} : { requestCert: true, rejectUnauthorized: false }
      const server = createServer({ cert, key, minVersion, handshakeTimeout: handshakeMs, ...trust, ...ask }, accept)
      for (const { name, ...own } of named) server.addContext(name, { ...own, ...trust, minVersion })
      // A handshake that takes too long leaves its socket open.
      return server.on('tlsClientError', (_error, socket) => socket.destroy())
    },
    connect: ({ host, port }, name) => connect(clientOptions(options, host, port, name)),
    ready: 'secureConnect',
    names: socket =>
      socket instanceof TLSSocket && socket.authorized ? sipIdentities(socket.getPeerCertificate()) : []
  }
}

/**
 * What the server has to prove is the domain that was asked for, not the host that the DNS made of it (RFC 5922, 7.3);
 * for a peer that names its domains, one of those.
 */
function clientOptions(
  { own, ca, peers }: TlsOptions,
  host: string,
  port: number,
  name: string | null
): ConnectionOptions {
  const asked = plainDomain(name ?? host)
  const peer = peers.find(({ hosts }) => hosts.some(other => plainDomain(other) === asked))
  const client = peer?.own ?? own
  const authorities = peer?.ca ?? ca
  const domains = peer !== undefined && peer.domains.length > 0 ? peer.domains : [asked]
  return {
    host,
    port,
    minVersion,
    ...(client === null ? {} : { cert: client.cert, key: client.key }),
    ...(authorities === null ? {} : { ca: authorities }),
    ...(isIP(asked) > 0 ? {} : { servername: asked }),
    checkServerIdentity: (_host, certificate) =>
      proves(certificate, domains)
        ? undefined
        : new Error(`the certificate proves ${listOf(sipIdentities(certificate))}, not ${listOf(domains)}`)
  }
}

const listOf = (names: readonly string[]): string => names.join(', ') || 'no SIP domain'
