// The Application Service API as a homeserver sees it, by HTTP.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { startEndpoint } from '../../../src/adapters/matrix/endpoint.ts'
import type { Endpoint, Receiver } from '../../../src/adapters/matrix/endpoint.ts'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { HubError } from '../../../src/errors.ts'
import { quiet } from '../../support/matrix-fakes.ts'

class FakeReceiver implements Receiver {
  readonly islandId: string
  readonly taken: (readonly [string, object])[] = []
  fails: Error | null = null
  knows: (userId: string) => Promise<boolean> = async () => true
  finds: (phone: string) => Promise<readonly string[]> = async phone => [`@ghost${phone}:x`]
  constructor(islandId: string) {
    this.islandId = islandId
  }
  async transaction(txnId: string, body: object): Promise<void> {
    if (this.fails !== null) throw this.fails
    this.taken.push([txnId, body])
  }
  user(userId: string): Promise<boolean> {
    return this.knows(userId)
  }
  lookUp(phone: string): Promise<readonly string[]> {
    return this.finds(phone)
  }
}

let endpoint: Endpoint
let one: FakeReceiver
let two: FakeReceiver
const small = { ...limits, transactionBytesMax: 2_000, lookUpMs: 50 }
const receivers = { one: new FakeReceiver('one'), two: new FakeReceiver('two') }

beforeAll(async () => {
  endpoint = await startEndpoint({
    listen: { host: '127.0.0.1', port: 0, tls: null },
    receivers: [
      { hsToken: 'first', receiver: receivers.one },
      { hsToken: 'second', receiver: receivers.two }
    ],
    limits: small,
    log: quiet
  })
})
beforeEach(() => {
  ;({ one, two } = receivers)
  for (const each of [one, two]) Object.assign(each, { fails: null, knows: async () => true }).taken.length = 0
})
afterAll(() => endpoint.close())

async function ask(
  method: string,
  path: string,
  { token = 'first', body }: { token?: string | null; body?: string } = {}
) {
  const answer = await fetch(`${endpoint.url}${path}`, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' })
    },
    ...(body === undefined ? {} : { body })
  })
  return { status: answer.status, body: (await answer.json()) as Readonly<Record<string, unknown>> }
}
const transactions = '/_matrix/app/v1/transactions'

describe('a token', () => {
  it('tells the island, and is wanted everywhere', async () => {
    await ask('PUT', `${transactions}/1`, { token: 'second', body: '{"events":[]}' })
    expect([one.taken, two.taken]).toEqual([[], [['1', { events: [] }]]])
    for (const path of ['/users/@a:x', '/rooms/%23a:x', '/thirdparty/protocol/m.protocol.pstn', '/thirdparty/user']) {
      expect(await ask('GET', `/_matrix/app/v1${path}`, { token: null })).toMatchObject({
        status: 401,
        body: { errcode: 'M_UNAUTHORIZED' }
      })
      expect(await ask('GET', `/_matrix/app/v1${path}`, { token: 'firs' })).toMatchObject({
        status: 403,
        body: { errcode: 'M_FORBIDDEN' }
      })
    }
    expect((await ask('POST', '/_matrix/app/v1/ping', { token: 'x', body: '{}' })).status).toBe(403)
  })

  it('of an old homeserver stands in the query, and its paths are short', async () => {
    expect((await ask('PUT', '/transactions/9?access_token=first', { token: null, body: '{}' })).status).toBe(200)
    expect(one.taken).toEqual([['9', {}]])
    expect((await ask('GET', '/users/@a:x?access_token=second', { token: null })).status).toBe(200)
    expect((await ask('GET', '/users/@a:x?access_token=wrong', { token: null })).status).toBe(403)
  })
})

describe('a transaction', () => {
  it('is answered with an object of JSON once it is taken', async () => {
    expect(await ask('PUT', `${transactions}/a%2Fb`, { body: '{"events":[],"ephemeral":[]}' })).toEqual({
      status: 200,
      body: {}
    })
    expect(one.taken).toEqual([['a/b', { events: [], ephemeral: [] }]])
  })

  it('that is no JSON, no object, or too large is refused', async () => {
    for (const body of ['{', '7', 'null', '"x"', '']) {
      expect([body, (await ask('PUT', `${transactions}/1`, { body })).status]).toEqual([body, 400])
    }
    const body = JSON.stringify({ events: ['x'.repeat(small.transactionBytesMax)] })
    expect(await ask('PUT', `${transactions}/1`, { body })).toMatchObject({
      status: 413,
      body: { errcode: 'M_TOO_LARGE' }
    })
    expect(one.taken).toEqual([])
  })

  it('that cannot be kept is refused, so that it comes again', async () => {
    one.fails = new HubError('HUB_LIMIT', 'full', { retryable: true })
    expect((await ask('PUT', `${transactions}/1`, { body: '{}' })).status).toBe(503)
    one.fails = new Error('a bug')
    expect((await ask('PUT', `${transactions}/1`, { body: '{}' })).status).toBe(500)
  })
})

describe('a question', () => {
  it('after a user is answered by the island, soon or with no', async () => {
    expect(await ask('GET', '/_matrix/app/v1/users/%40_isthmus_49%3Ax')).toEqual({ status: 200, body: {} })
    const noes = [
      async () => false,
      () => new Promise<boolean>(() => undefined),
      () => Promise.reject(new Error('away'))
    ]
    for (const knows of noes) {
      one.knows = knows
      expect((await ask('GET', '/_matrix/app/v1/users/@a:x')).status).toBe(404)
    }
  })

  it('after rooms, other protocols, or anything else finds nothing', async () => {
    expect((await ask('GET', '/_matrix/app/v1/rooms/%23a:x')).status).toBe(404)
    expect((await ask('GET', '/_matrix/app/v1/thirdparty/protocol/irc')).status).toBe(404)
    expect(await ask('GET', '/_matrix/app/v1/thirdparty/location')).toMatchObject({ status: 200, body: [] })
    expect(await ask('GET', '/nothing')).toMatchObject({ status: 404, body: { errcode: 'M_UNRECOGNIZED' } })
  })

  it('after a number finds its ghost', async () => {
    const path = '/_matrix/app/v1/thirdparty'
    const { body } = await ask('GET', `${path}/protocol/m.protocol.pstn`)
    expect(body).toMatchObject({ user_fields: ['m.id.phone'], instances: [] })
    expect((await ask('GET', `${path}/user/m.protocol.pstn?m.id.phone=49`)).body).toEqual([
      { userid: '@ghost49:x', protocol: 'm.protocol.pstn', fields: { 'm.id.phone': '49' } }
    ])
    expect((await ask('GET', `${path}/user/m.protocol.pstn`)).body).toEqual([])
    one.finds = () => new Promise(() => undefined)
    expect((await ask('GET', `${path}/user/m.protocol.pstn?m.id.phone=49`)).body).toEqual([])
  })

  it('whether somebody is here is answered', async () => {
    expect(await ask('POST', '/_matrix/app/v1/ping', { body: '{"transaction_id":"x"}' })).toEqual({
      status: 200,
      body: {}
    })
  })
})

describe('a port that is taken', () => {
  it('is said', async () => {
    const { port } = new URL(endpoint.url)
    const listen = { host: '127.0.0.1', port: Number(port), tls: null }
    await expect(startEndpoint({ listen, receivers: [], limits, log: quiet })).rejects.toMatchObject({
      code: 'HUB_LISTEN'
    })
  })
})
