// Files that users send to phones: a phone gets a link to the hub, which fetches the file as the service; the link
// proves itself and expires. Who has the link has the file: it is as secret as the message that carried it.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { messageOf } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Clock } from '../../session/ports.ts'
import { HomeserverError } from './homeserver.ts'
import type { Homeserver } from './homeserver.ts'
import type { Limits } from './limits.ts'

interface Source {
  readonly homeserver: Homeserver
  /** Of the island: whoever can read it can read the files anyway. */
  readonly secret: string
}

export interface FilesParts {
  readonly sources: ReadonlyMap<string, Source>
  /** Where users reach the hub; asked when a link is made, after the start. */
  readonly publicUrl: () => string
  readonly linkMs: number
  readonly limits: Limits
  readonly clock: Clock
  readonly log: Logger
}

export interface Files {
  /** Null for what is no address of a file. */
  linkTo(islandId: string, mxc: string): string | null
  serve(server: FastifyInstance): void
}

interface Claim {
  readonly islandId: string
  readonly mxc: string
  readonly expires: number
}

const mxcPattern = /^mxc:\/\/([A-Za-z0-9.:[\]-]{1,230})\/([A-Za-z0-9_-]{1,255})$/

export function createFiles({ sources, publicUrl, linkMs, limits, clock, log }: FilesParts): Files {
  let served = 0
  const signed = (text: string, secret: string): Buffer =>
    createHmac('sha256', `file links ${secret}`).update(text).digest()
  const read = (token: string): Claim | null => {
    const [body = '', mac = ''] = token.split('.')
    const [islandId = '', expires = '', server = '', id = ''] = Buffer.from(body, 'base64url')
      .toString('utf8')
      .split(' ')
    const source = sources.get(islandId)
    const given = Buffer.from(mac, 'base64url')
    if (source === undefined || given.length !== 32 || !timingSafeEqual(given, signed(body, source.secret))) return null
    return { islandId, mxc: `mxc://${server}/${id}`, expires: Number(expires) }
  }
  const get = async (token: string, reply: FastifyReply): Promise<unknown> => {
    const claim = read(token)
    const source = claim === null ? undefined : sources.get(claim.islandId)
    if (claim === null || source === undefined) return say(reply, 404, 'There is no such file.')
    if (claim.expires < clock.now()) return say(reply, 410, 'This link has expired.')
    if (served >= limits.filesAtOnceMax) return say(reply, 503, 'Too many files are being fetched. Try again.')
    served += 1
    const stop = new AbortController()
    // The user has the whole file, or has gone.
    reply.raw.once('close', () => {
      served -= 1
      stop.abort()
    })
    try {
      return await send(reply, await source.homeserver.media(claim.mxc, stop.signal), limits.fileBytesMax)
    } catch (error) {
      log.info({ island: claim.islandId, why: messageOf(error) }, 'a file could not be fetched')
      const isGone = error instanceof HomeserverError && error.kind === 'refused'
      return say(reply, isGone ? 404 : 502, isGone ? 'This file is gone.' : 'The file cannot be fetched now.')
    }
  }
  return {
    linkTo: (islandId, mxc) => {
      const source = sources.get(islandId)
      const [, server = '', id = ''] = mxcPattern.exec(mxc) ?? []
      if (source === undefined || id === '') return null
      const text = [islandId, String(clock.now() + linkMs), server, id].join(' ')
      const body = Buffer.from(text).toString('base64url')
      return `${publicUrl()}/files/${body}.${signed(body, source.secret).toString('base64url')}`
    },
    serve: server => {
      server.get('/files/:token', (request, reply) => get((request.params as { readonly token: string }).token, reply))
    }
  }
}

/** Never shown by a browser as a page of the hub's. */
function send(reply: FastifyReply, file: Response, bytesMax: number): FastifyReply {
  // What was compressed on its way has another length here.
  const isAsSent = file.headers.get('content-encoding') === null
  const length = Number((isAsSent ? file.headers.get('content-length') : null) ?? Number.NaN)
  if (length > bytesMax) {
    void file.body?.cancel()
    return say(reply, 413, 'This file is too large to be sent on.')
  }
  void reply
    .header('content-type', 'application/octet-stream')
    .header(
      'content-disposition',
      file.headers.get('content-disposition')?.replace(/^inline/i, 'attachment') ?? 'attachment'
    )
    .header('content-security-policy', "sandbox; default-src 'none'")
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'private, no-store')
    .header('referrer-policy', 'no-referrer')
  if (Number.isFinite(length)) void reply.header('content-length', length)
  return reply.send(file.body === null ? '' : Readable.fromWeb(bounded(file.body, bytesMax)))
}

/** A file without a length is cut off at the bound: the connection breaks, and nobody takes it for whole. */
function bounded(body: ReadableStream<Uint8Array>, bytesMax: number): Parameters<typeof Readable.fromWeb>[0] {
  let bytes = 0
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        bytes += chunk.byteLength
        if (bytes > bytesMax) controller.error(new Error('the file is too large'))
        else controller.enqueue(chunk)
      }
    })
  )
}

function say(reply: FastifyReply, status: number, words: string): FastifyReply {
  return reply.code(status).header('content-type', 'text/plain; charset=utf-8').send(`${words}\n`)
}
