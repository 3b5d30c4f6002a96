// The client API of a homeserver, by HTTP: whom a request is from, and what an answer means.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHomeserver } from '../../../src/adapters/matrix/homeserver.ts'
import type { Homeserver } from '../../../src/adapters/matrix/homeserver.ts'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { phoneGhost } from '../../support/matrix-fakes.ts'

let server: Server
let homeserver: Homeserver
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined
const says =
  (status: number, body: string, headers: Readonly<Record<string, string>> = {}) =>
  (_: IncomingMessage, response: ServerResponse): void =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)

beforeAll(async () => {
  server = createServer((request, response) => answer(request, response))
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  homeserver = createHomeserver({ url, asToken: 'secret', limits })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const get = (more: object = {}) => homeserver.request({ method: 'GET', path: '/v3/x', as: null, ...more })

describe('a request', () => {
  it('is from the service, a ghost, or its device', async () => {
    const seen: (readonly [string | undefined, string | undefined])[] = []
    answer = (request, response) => {
      seen.push([request.url, request.headers.authorization])
      says(200, '{"a":1}')(request, response)
    }
    expect(await get()).toEqual({ a: 1 })
    await get({ as: phoneGhost })
    await get({ as: phoneGhost, onDevice: true, query: { q: '1' } })
    const id = encodeURIComponent(phoneGhost)
    expect(seen).toEqual([
      ['/_matrix/client/v3/x', 'Bearer secret'],
      [`/_matrix/client/v3/x?user_id=${id}`, 'Bearer secret'],
      [`/_matrix/client/v3/x?q=1&user_id=${id}&device_id=ISTHMUS`, 'Bearer secret']
    ])
  })

  it('that nobody answers, or not in JSON, or in time, or that is taken back: the homeserver is down', async () => {
    answer = says(200, '<html>')
    await expect(get()).rejects.toMatchObject({ kind: 'down', status: 0 })
    for (const status of [500, 502, 503, 504]) {
      answer = says(status, '{}')
      await expect(get()).rejects.toMatchObject({ kind: 'down', status })
    }
    answer = says(404, 'proxy: nobody there', { 'content-type': 'text/plain' })
    await expect(get()).rejects.toMatchObject({ kind: 'down' })
    answer = () => undefined
    await expect(get({ timeoutMs: 20 })).rejects.toMatchObject({ kind: 'down' })
    await expect(get({ signal: AbortSignal.abort() })).rejects.toMatchObject({ kind: 'down' })
    answer = request => void request.socket.destroy()
    await expect(get()).rejects.toMatchObject({ kind: 'down' })
    const nobody = createHomeserver({ url: 'http://127.0.0.1:1', asToken: 'x', limits })
    await expect(nobody.request({ method: 'GET', path: '/v3/x', as: null })).rejects.toMatchObject({ kind: 'down' })
  })

  it('that is refused has its status and code', async () => {
    for (const [status, code] of [
      [400, 'M_BAD_JSON'],
      [401, 'M_UNKNOWN_TOKEN'],
      [403, 'M_FORBIDDEN'],
      [404, 'M_NOT_FOUND'],
      [413, 'M_TOO_LARGE']
    ] as const) {
      answer = says(status, JSON.stringify({ errcode: code, error: 'because' }))
      await expect(get()).rejects.toMatchObject({
        kind: 'refused',
        status,
        code,
        message: `${status} ${code}: because`
      })
    }
  })

  it('that is limited has the time it should wait: from the body, the header, or a second', async () => {
    const limited = (more: object): string => JSON.stringify({ errcode: 'M_LIMIT_EXCEEDED', ...more })
    answer = says(429, limited({ retry_after_ms: 672 }), { 'retry-after': '1' })
    await expect(get()).rejects.toMatchObject({ kind: 'limited', retryAfterMs: 672 })
    answer = says(429, limited({}), { 'retry-after': '3' })
    await expect(get()).rejects.toMatchObject({ kind: 'limited', retryAfterMs: 3_000 })
    answer = says(429, limited({ retry_after_ms: -1 }))
    await expect(get()).rejects.toMatchObject({ kind: 'limited', retryAfterMs: limits.limitedMs })
  })
})

describe('media', () => {
  const fetched = (mxc: string): Promise<Response> => homeserver.media(mxc, AbortSignal.timeout(5_000))

  it('is fetched as the service, from the path that wants a token', async () => {
    let seen: unknown[] = []
    answer = (request, response) => {
      seen = [request.url, request.headers.authorization]
      says(200, 'bytes')(request, response)
    }
    expect(await (await fetched('mxc://rooms.example/a_-1')).text()).toBe('bytes')
    expect(seen).toEqual(['/_matrix/client/v1/media/download/rooms.example/a_-1', 'Bearer secret'])
  })

  it('that is not there, or not now, or not to be had is told apart', async () => {
    answer = says(404, '{}')
    await expect(fetched('mxc://x/1')).rejects.toMatchObject({ kind: 'refused' })
    answer = says(502, '{}')
    await expect(fetched('mxc://x/1')).rejects.toMatchObject({ kind: 'down' })
    answer = request => void request.socket.destroy()
    await expect(fetched('mxc://x/1')).rejects.toMatchObject({ kind: 'down' })
    await expect(fetched('mxc://x/../../admin')).rejects.toMatchObject({ kind: 'refused' })
  })
})
