// Where homeservers push to: the Application Service API for every Matrix island, told apart by its token.

import { createHash, timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { HubError, messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Limits } from './limits.ts'

/** What one island does with what its homeserver asks. */
export interface Receiver {
  readonly islandId: string
  /** Resolves once the events are durable. Throws HUB_LIMIT, HUB_DATABASE. */
  transaction(txnId: string, body: Readonly<Record<string, unknown>>): Promise<void>
  /** Whether that user is a ghost of ours; it exists from then on. */
  user(userId: string): Promise<boolean>
  /** Ghosts that stand for a number somebody looks up. */
  lookUp(phone: string): Promise<readonly string[]>
}

export interface EndpointParts {
  readonly listen: {
    readonly host: string
    readonly port: number
    readonly tls: { readonly cert: Buffer; readonly key: Buffer; readonly ca?: Buffer } | null
  }
  /** By the homeserver's token. */
  readonly receivers: readonly { readonly hsToken: string; readonly receiver: Receiver }[]
  /** Downloads and the like, beside the API. */
  readonly routes?: (server: FastifyInstance) => void
  readonly limits: Limits
  readonly log: Logger
}

export interface Endpoint {
  /** `http://host:port` */
  readonly url: string
  close(): Promise<void>
}

/** Throws HUB_LISTEN. */
export async function startEndpoint(parts: EndpointParts): Promise<Endpoint> {
  const { listen, limits, log } = parts
  const server = Fastify({
    bodyLimit: limits.transactionBytesMax,
    // Room aliases and user ids are at most 255 bytes, three times that when escaped.
    routerOptions: { maxParamLength: 1_024 },
    forceCloseConnections: true,
    ...(listen.tls === null ? {} : { https: { ...listen.tls, requestCert: listen.tls.ca !== undefined } })
  }) as unknown as FastifyInstance
  const find = tokens(parts.receivers)
  server.setErrorHandler((error: Error & { readonly statusCode?: number }, _, reply) => {
    const status = error instanceof HubError ? (error.retryable ? 503 : 500) : (error.statusCode ?? 500)
    if (status >= 500) log.warn({ err: error }, 'a request of a homeserver could not be served')
    const code = status === 413 ? 'M_TOO_LARGE' : status < 500 ? 'M_NOT_JSON' : 'M_UNKNOWN'
    void reply.code(status).send({ errcode: code, error: messageOf(error) })
  })
  server.setNotFoundHandler((_, reply) => {
    void reply.code(404).send({ errcode: 'M_UNRECOGNIZED', error: 'nothing is served here' })
  })
  for (const prefix of ['/_matrix/app/v1', '']) serve(server, prefix, find, limits)
  parts.routes?.(server)
  try {
    await server.listen({ host: listen.host, port: listen.port })
  } catch (cause) {
    throw new HubError(
      'HUB_LISTEN',
      `cannot listen for homeservers at ${listen.host}:${listen.port}: ${messageOf(cause)}`,
      {
        cause
      }
    )
  }
  const address = server.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : listen.port
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host
  return {
    url: `${listen.tls === null ? 'http' : 'https'}://${host}:${port}`,
    close: () => server.close()
  }
}

type Find = (request: FastifyRequest) => Receiver | 'none' | 'wrong'

/** Compared by digest: neither content nor length of a token shows in the time it takes. */
function tokens(receivers: EndpointParts['receivers']): Find {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const known = receivers.map(({ hsToken, receiver }) => ({ hash: digest(hsToken), receiver }))
  return request => {
    const [, given = ''] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? []
    // Homeservers from before 1.4 of the specification send it in the query.
    const { access_token: old } = request.query as { readonly access_token?: unknown }
    const token = given === '' && typeof old === 'string' ? old : given
    if (token === '') return 'none'
    const hash = digest(token)
    return known.find(each => timingSafeEqual(each.hash, hash))?.receiver ?? 'wrong'
  }
}

type Serve = (receiver: Receiver, request: FastifyRequest, reply: FastifyReply) => Promise<object>

function serve(server: FastifyInstance, prefix: string, find: Find, limits: Limits): void {
  const guarded =
    (run: Serve) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<object> => {
      const receiver = find(request)
      if (receiver === 'none') return refuse(reply, 401, 'M_UNAUTHORIZED', 'a token is needed')
      if (receiver === 'wrong') return refuse(reply, 403, 'M_FORBIDDEN', 'this token is not known')
      return run(receiver, request, reply)
    }
  const param = (request: FastifyRequest, name: string): string =>
    (request.params as Readonly<Record<string, string>>)[name] ?? ''
  server.put(
    `${prefix}/transactions/:txnId`,
    guarded(async (receiver, request, reply) => {
      const { body } = request
      if (typeof body !== 'object' || body === null) return refuse(reply, 400, 'M_NOT_JSON', 'no JSON object')
      await receiver.transaction(param(request, 'txnId'), body as Readonly<Record<string, unknown>>)
      // An empty or other body counts as a failure with Synapse.
      return {}
    })
  )
  server.get(
    `${prefix}/users/:userId`,
    guarded(async (receiver, request, reply) => {
      const isKnown = await within(receiver.user(param(request, 'userId')), limits.lookUpMs, false)
      return isKnown ? {} : refuse(reply, 404, 'M_NOT_FOUND', 'no such number')
    })
  )
  server.get(
    `${prefix}/rooms/:alias`,
    guarded(async (_, __, reply) => refuse(reply, 404, 'M_NOT_FOUND', 'no rooms by alias'))
  )
  if (prefix === '') return
  server.post(
    `${prefix}/ping`,
    guarded(async () => ({}))
  )
  serveNumbers(server, prefix, guarded, limits)
}

/** `/thirdparty` (Application Service API, "Third-party networks"): the ghost of a number. */
function serveNumbers(
  server: FastifyInstance,
  prefix: string,
  guarded: (run: Serve) => (request: FastifyRequest, reply: FastifyReply) => Promise<object>,
  limits: Limits
): void {
  server.get(
    `${prefix}/thirdparty/protocol/:protocol`,
    guarded(async (_, request, reply) => {
      if ((request.params as { readonly protocol: string }).protocol !== 'm.protocol.pstn') {
        return refuse(reply, 404, 'M_NOT_FOUND', 'no such protocol')
      }
      return {
        user_fields: ['m.id.phone'],
        location_fields: [],
        icon: 'mxc://',
        field_types: { 'm.id.phone': { regexp: '\\+?[0-9 ().-]+', placeholder: '+49 30 123456' } },
        instances: []
      }
    })
  )
  server.get(
    `${prefix}/thirdparty/user/:protocol`,
    guarded(async (receiver, request) => {
      const { 'm.id.phone': phone } = request.query as { readonly 'm.id.phone'?: unknown }
      if (typeof phone !== 'string') return []
      const ghosts = await within(receiver.lookUp(phone), limits.lookUpMs, [])
      return ghosts.map(userid => ({ userid, protocol: 'm.protocol.pstn', fields: { 'm.id.phone': phone } }))
    })
  )
  for (const path of ['location', 'location/:protocol', 'user']) {
    server.get(
      `${prefix}/thirdparty/${path}`,
      guarded(async () => [])
    )
  }
}

function refuse(reply: FastifyReply, status: number, errcode: string, error: string): object {
  void reply.code(status)
  return { errcode, error }
}

/** A homeserver that waits for an answer pushes nothing else meanwhile. */
async function within<T>(work: Promise<T>, ms: number, otherwise: T): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>()
  const timer = setTimeout(() => resolve(otherwise), ms)
  try {
    return await Promise.race([work.catch(() => otherwise), promise])
  } finally {
    clearTimeout(timer)
  }
}
