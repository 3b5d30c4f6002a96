// The client API of one homeserver, as any ghost: one request at a time in, its answer or a plain reason out.

import { ConnectionError, MatrixError, MatrixHttpApi, safeGetRetryAfterMs } from 'matrix-js-sdk/lib/http-api/index.js'
import type { Method } from 'matrix-js-sdk/lib/http-api/index.js'
import { TypedEventEmitter } from 'matrix-js-sdk/lib/models/typed-event-emitter.js'
import { messageOf } from '../../errors.ts'
import type { Limits } from './limits.ts'

/** What a homeserver said no with; `down`: it said nothing that counts. */
export class HomeserverError extends Error {
  override readonly name = 'HomeserverError'
  readonly kind: 'down' | 'limited' | 'refused'
  /** 0 where nothing answered. */
  readonly status: number
  /** `M_FORBIDDEN` and its like; empty where none was given. */
  readonly code: string
  /** After a limit: when to come again, ms. */
  readonly retryAfterMs: number | null

  constructor(
    kind: HomeserverError['kind'],
    message: string,
    at: { status: number; code: string; after: number | null }
  ) {
    super(message)
    this.kind = kind
    this.status = at.status
    this.code = at.code
    this.retryAfterMs = at.after
  }
}

export interface Asked {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Behind `/_matrix/client`, its parts escaped: `/v3/join/...`. */
  readonly path: string
  readonly body?: object
  readonly query?: Readonly<Record<string, string>>
  /** As this ghost; null: as the service itself. */
  readonly as: string | null
  /** As that ghost's one device: then a repeated transaction is known even after a restart of the homeserver. */
  readonly onDevice?: boolean
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface Homeserver {
  readonly url: string
  /** The answer's body. Rejects with `HomeserverError` alone. */
  request<T = Readonly<Record<string, unknown>>>(asked: Asked): Promise<T>
  /**
   * Media by its `mxc://server/id`; rejects with `HomeserverError` alone. The body is the caller's to read or cancel.
   */
  media(mxc: string, signal: AbortSignal): Promise<Response>
}

export interface HomeserverParts {
  readonly url: string
  readonly asToken: string
  readonly limits: Limits
}

/** Every ghost has one, where the homeserver lets a service make devices (1.17 of the specification). */
export const deviceId = 'ISTHMUS'

export function createHomeserver({ url, asToken, limits }: HomeserverParts): Homeserver {
  const baseUrl = url.replace(/\/+$/, '')
  const api = new MatrixHttpApi(new TypedEventEmitter(), {
    baseUrl,
    prefix: '/_matrix/client',
    accessToken: asToken,
    onlyData: true
  })
  return {
    url: baseUrl,
    request: async <T>(asked: Asked): Promise<T> => {
      const { method, path, body, query = {}, as, timeoutMs, signal, onDevice = false } = asked
      // Not the library's own time-out: its timer outlives the request and keeps the process alive.
      const late = AbortSignal.timeout(timeoutMs ?? limits.requestMs)
      const abortSignal = signal === undefined ? late : AbortSignal.any([signal, late])
      try {
        const options = { priority: 'auto', abortSignal } as const
        return await api.authedRequest<T>(method as Method, path, { ...query, ...masked(as, onDevice) }, body, options)
      } catch (error) {
        throw homeserverError(error, limits)
      }
    },
    media: async (mxc, signal) => {
      const [, server = '', id = ''] = /^mxc:\/\/([^/]+)\/([A-Za-z0-9_-]+)$/.exec(mxc) ?? []
      if (id === '')
        throw new HomeserverError('refused', 'no address of a file', { status: 400, code: '', after: null })
      const path = `${baseUrl}/_matrix/client/v1/media/download/${encodeURIComponent(server)}/${id}`
      const answer = await fetch(path, { signal, headers: { authorization: `Bearer ${asToken}` } }).catch(error => {
        throw homeserverError(error, limits)
      })
      if (answer.ok) return answer
      await answer.body?.cancel()
      const kind = answer.status >= 500 ? 'down' : 'refused'
      throw new HomeserverError(kind, `the file was answered ${answer.status}`, {
        status: answer.status,
        code: '',
        after: null
      })
    }
  }
}

const masked = (as: string | null, onDevice: boolean): Record<string, string> =>
  as === null ? {} : { user_id: as, ...(onDevice ? { device_id: deviceId } : {}) }

function homeserverError(error: unknown, { limitedMs }: Limits): HomeserverError {
  if (error instanceof HomeserverError) return error
  if (!(error instanceof MatrixError)) {
    // A refused connection, a time-out, an answer that is no JSON: a proxy in front of a dead server.
    const message = error instanceof ConnectionError ? causeOf(error) : messageOf(error)
    return new HomeserverError('down', message, { status: 0, code: '', after: null })
  }
  const status = error.httpStatus ?? 0
  const code = error.errcode ?? ''
  const message = `${status} ${code}: ${error.data.error ?? error.message}`
  if (status === 429 || code === 'M_LIMIT_EXCEEDED') {
    const told = [Number(error.data['retry_after_ms']), safeGetRetryAfterMs(error, limitedMs)]
    const after = told.find(ms => Number.isFinite(ms) && ms > 0) ?? limitedMs
    return new HomeserverError('limited', message, { status, code, after })
  }
  const isDown = status === 0 || status >= 500 || (status === 404 && code === '')
  return new HomeserverError(isDown ? 'down' : 'refused', message, { status, code, after: null })
}

const causeOf = (error: ConnectionError): string => messageOf((error as { readonly cause?: unknown }).cause ?? error)
