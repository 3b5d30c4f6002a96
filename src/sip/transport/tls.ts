// SIP over TLS: what differs from TCP (certificates both ways, the names in them).

import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect, createServer, TLSSocket } from 'node:tls'
import { HubError } from '../../errors.ts'
import { splitList, unquote } from '../message.ts'
import type { StreamKind } from './tcp.ts'
import type { TlsMaterial } from './transport.ts'

/** Our own certificate for outgoing connections too (mutual TLS); `serverCa` vouches for those of others. */
export function tlsKind(own: TlsMaterial | null, serverCa: string | Buffer | null, handshakeMs: number): StreamKind {
  const client = own === null ? {} : { cert: own.cert, key: own.key }
  const authorities = serverCa === null ? {} : { ca: serverCa }
  return {
    transport: 'tls',
    listen: ({ tls }, accept) => {
      if (tls === undefined) throw new HubError('HUB_LISTEN', 'a TLS listener needs a certificate and its key')
      const { cert, key, ca } = tls
      const ask = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }
      const server = createServer({ cert, key, minVersion: 'TLSv1.2', handshakeTimeout: handshakeMs, ...ask }, accept)
      // A handshake that takes too long leaves its socket open.
      return server.on('tlsClientError', (_error, socket) => socket.destroy())
    },
    connect: ({ host, port }, serverName) => {
      const name = serverName === null || isIP(serverName) > 0 ? {} : { servername: serverName }
      return connect({ host, port, minVersion: 'TLSv1.2', ...client, ...authorities, ...name })
    },
    ready: 'secureConnect',
    names: certificateNames
  }
}

/** Subject alternative names and common name of a verified certificate; none of any other. */
function certificateNames(socket: Socket): readonly string[] {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return []
  const { subject, subjectaltname } = socket.getPeerCertificate()
  const names = splitList(subjectaltname ?? '').map(name => unquote(name.slice(name.indexOf(':') + 1)))
  const common = subject?.CN
  return common === undefined ? names : [...names, ...(Array.isArray(common) ? common : [common])]
}
