// Links to files: they prove themselves, expire, and fetch from the homeserver within bounds.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { createFiles } from '../../../src/adapters/matrix/files.ts'
import type { Files } from '../../../src/adapters/matrix/files.ts'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { FakeHomeserver, no, quiet } from '../../support/matrix-fakes.ts'
import { FakeClock } from '../../support/world.ts'

const mxc = 'mxc://rooms.example/abcDEF_-1'
const linkMs = 3_600_000
let server: FastifyInstance
let files: Files
let clock: FakeClock
let url = ''
const rooms = new FakeHomeserver()
const other = new FakeHomeserver()

beforeAll(async () => {
  clock = new FakeClock()
  files = createFiles({
    sources: new Map([
      ['rooms', { homeserver: rooms, secret: 'one' }],
      ['other', { homeserver: other, secret: 'two' }]
    ]),
    publicUrl: () => url,
    linkMs,
    limits: { ...limits, filesAtOnceMax: 1, fileBytesMax: 1_000 },
    clock,
    log: quiet
  })
  server = Fastify({
    routerOptions: { maxParamLength: 1_024 },
    forceCloseConnections: true
  })
  files.serve(server)
  url = await server.listen({ host: '127.0.0.1', port: 0 })
})
beforeEach(() => {
  rooms.download = () => new Response('a cat', { headers: { 'content-type': 'text/html', 'content-length': '5' } })
})
afterAll(() => server.close())

const linkTo = (island = 'rooms'): string => files.linkTo(island, mxc) ?? ''

describe('a link', () => {
  it('leads to the file, which no browser takes for a page of the hub', async () => {
    let asked = ''
    rooms.download = which => {
      asked = which
      return new Response('a cat', { headers: { 'content-disposition': 'inline; filename=cat.png' } })
    }
    const answer = await fetch(linkTo())
    expect([answer.status, await answer.text(), asked]).toEqual([200, 'a cat', mxc])
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment; filename=cat.png',
      'content-security-policy': "sandbox; default-src 'none'",
      'x-content-type-options': 'nosniff',
      'cache-control': 'private, no-store'
    })
  })

  it('is none for what is no address of a file, or no island', () => {
    for (const odd of ['https://x/y', 'mxc://x', 'mxc://x/../y', 'mxc://x y/z', `mxc://x/${'a'.repeat(256)}`]) {
      expect(files.linkTo('rooms', odd)).toBeNull()
    }
    expect(files.linkTo('third', mxc)).toBeNull()
  })

  it('expires', async () => {
    const link = linkTo()
    await clock.advance(linkMs)
    expect((await fetch(link)).status).toBe(200)
    await clock.advance(1)
    expect((await fetch(link)).status).toBe(410)
  })

  it('that somebody has made up, changed or signed for another island leads nowhere', async () => {
    const [, token = ''] = linkTo().split('/files/')
    const [body = '', mac = ''] = token.split('.')
    const text = Buffer.from(body, 'base64url').toString()
    const renewed = Buffer.from(text.replace(/[0-9]+/, '9999999999999')).toString('base64url')
    const elsewhere = Buffer.from(text.replace('rooms', 'other')).toString('base64url')
    const unknown = Buffer.from(text.replace('rooms', 'third')).toString('base64url')
    const forged = [
      `${renewed}.${mac}`,
      `${elsewhere}.${mac}`,
      `${unknown}.${mac}`,
      body,
      `${body}.`,
      `${body}.AAAA`,
      'x.y',
      '%00'
    ]
    for (const each of forged) {
      expect([each, (await fetch(`${url}/files/${each}`)).status]).toEqual([each, 404])
    }
  })
})

describe('a file', () => {
  it('that is gone, or cannot be had, is said', async () => {
    rooms.download = () => no(404, 'M_NOT_FOUND')
    expect((await fetch(linkTo())).status).toBe(404)
    rooms.download = () => no(502)
    expect((await fetch(linkTo())).status).toBe(502)
    rooms.download = () => new Error('a bug')
    expect((await fetch(linkTo())).status).toBe(502)
  })

  it('that is too large is refused, or breaks off where nobody said how large it is', async () => {
    rooms.download = () => new Response('x', { headers: { 'content-length': '1001' } })
    expect((await fetch(linkTo())).status).toBe(413)
    rooms.download = () =>
      new Response(
        new ReadableStream({
          pull: controller => controller.enqueue(new Uint8Array(400))
        })
      )
    const answer = await fetch(linkTo())
    await expect(answer.arrayBuffer()).rejects.toThrow()
    rooms.download = () => new Response(new Uint8Array(1_000))
    expect((await (await fetch(linkTo())).arrayBuffer()).byteLength).toBe(1_000)
  })

  it('that was compressed on its way has the length that it has', async () => {
    rooms.download = () => new Response('whole', { headers: { 'content-length': '3', 'content-encoding': 'gzip' } })
    expect(await (await fetch(linkTo())).text()).toBe('whole')
  })

  it('waits for others beyond the bound, and is let go when its reader has left', async () => {
    let cancelled = false
    rooms.download = () =>
      new Response(
        new ReadableStream({
          start: controller => controller.enqueue(new Uint8Array(1)),
          cancel: () => {
            cancelled = true
          }
        })
      )
    const reader = new AbortController()
    const first = await fetch(linkTo(), { signal: reader.signal })
    expect(first.status).toBe(200)
    expect((await fetch(linkTo())).status).toBe(503)
    reader.abort()
    await first.body?.cancel().catch(() => undefined)
    rooms.download = () => new Response('next')
    let status = 503
    for (let n = 0; n < 1_000 && status === 503; n++) status = (await fetch(linkTo())).status
    expect([status, cancelled]).toEqual([200, true])
  })
})
