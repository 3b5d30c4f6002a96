// The digest server against the digest client: who gets in, who does not, and how often a nonce may be used.

import { describe, expect, it } from '@jest/globals'
import { createDigestClient } from '../../src/sip/digest-client.ts'
import { createDigestServer } from '../../src/sip/digest-server.ts'
import type { Challenge, DigestServerOptions } from '../../src/sip/digest-server.ts'
import { makeRequest, makeResponse } from '../../src/sip/message.ts'
import type { HeaderLine, SipRequest, SipResponse } from '../../src/sip/message.ts'

const uri = 'sip:island.example'
const passwordOf = (name: string): string | null => (name === 'alice' ? 'secret' : null)

const register = (lines: readonly HeaderLine[] = [], to = uri): SipRequest =>
  makeRequest({
    method: 'REGISTER',
    uri: to,
    headers: [['To', '<sip:alice@island.example>'], ['From', '<sip:alice@island.example>;tag=1'], ...pairs(lines)]
  })
const pairs = (lines: readonly HeaderLine[]): readonly (readonly [string, string])[] =>
  lines.map(({ name, value }) => [name, value] as const)

const answer = (request: SipRequest, { status, name, values }: Challenge): SipResponse =>
  makeResponse(request, status, { headers: values.map(value => [name, value] as const) })

function setUp(options: Partial<DigestServerOptions> = {}, password = 'secret', username = 'alice') {
  const time = { now: 1_000_000 }
  const server = createDigestServer({ realm: 'island.example', now: () => time.now, ...options })
  const client = createDigestClient({ username, password })
  const meet = (): boolean => client.challenged(answer(register(), server.challenge()), register())
  return { time, server, client, meet }
}

describe('digest server', () => {
  it('sends SHA-256 first and MD5 last, one line each, with qop auth', () => {
    const { status, name, values } = setUp().server.challenge()
    expect([status, name]).toEqual([401, 'WWW-Authenticate'])
    expect(values.map(value => /algorithm=([^,]+)/.exec(value)?.[1])).toEqual(['SHA-256', 'MD5'])
    for (const value of values) expect(value).toContain('qop="auth"')
  })

  it('challenges as a proxy with 407', () => {
    const { status, name } = setUp({ role: 'proxy' }).server.challenge()
    expect([status, name]).toEqual([407, 'Proxy-Authenticate'])
  })

  it('lets the right password in, with the first algorithm of the challenge', () => {
    const { server, client, meet } = setUp()
    expect(meet()).toBe(true)
    const verdict = server.verify(register(client.authorize('REGISTER', uri)), passwordOf)
    expect(verdict).toEqual({ ok: true, username: 'alice', algorithm: 'SHA-256' })
  })

  it('lets in a client that knows MD5 only and takes the last challenge', () => {
    const { server, client } = setUp()
    const { values, ...rest } = server.challenge()
    client.challenged(answer(register(), { ...rest, values: values.slice(-1) }), register())
    const verdict = server.verify(register(client.authorize('REGISTER', uri)), passwordOf)
    expect(verdict).toMatchObject({ ok: true, algorithm: 'MD5' })
  })

  it('asks again where there are no credentials, none for this realm, or none it signed', () => {
    const { server } = setUp()
    expect(server.verify(register(), passwordOf)).toMatchObject({ ok: false, why: 'missing' })
    const other = setUp({ realm: 'elsewhere' })
    other.meet()
    expect(server.verify(register(other.client.authorize('REGISTER', uri)), passwordOf)).toMatchObject({
      why: 'missing'
    })
    const stranger = setUp()
    stranger.meet()
    const lines = stranger.client.authorize('REGISTER', uri)
    expect(server.verify(register(lines), passwordOf)).toMatchObject({ ok: false, why: 'missing' })
  })

  it.each([
    ['a wrong password', 'guess', 'alice'],
    ['an unknown user', 'secret', 'mallory']
  ])('refuses %s with a new challenge that is not stale', (_, password, username) => {
    const { server, client, meet } = setUp({}, password, username)
    meet()
    const verdict = server.verify(register(client.authorize('REGISTER', uri)), passwordOf)
    expect(verdict).toMatchObject({ ok: false, why: 'wrong' })
    expect(JSON.stringify(verdict)).not.toContain('stale=')
  })

  it('refuses credentials made for another method', () => {
    const { server, client, meet } = setUp()
    meet()
    expect(server.verify(register(client.authorize('INVITE', uri)), passwordOf)).toMatchObject({ why: 'wrong' })
  })

  it('calls credentials for another target or with missing parts malformed', () => {
    const { server, client, meet } = setUp()
    meet()
    const elsewhere = register(client.authorize('REGISTER', 'sip:other.example'))
    expect(server.verify(elsewhere, passwordOf)).toEqual({ ok: false, why: 'malformed', challenge: null })
    const bare = register([{ name: 'Authorization', value: 'Digest realm="island.example", username="alice"' }])
    expect(server.verify(bare, passwordOf)).toMatchObject({ why: 'malformed' })
  })

  it('accepts a digest URI that differs from the Request-URI in parameters only', () => {
    const { server, client, meet } = setUp()
    meet()
    const verdict = server.verify(register(client.authorize('REGISTER', `${uri};transport=ws`)), passwordOf)
    expect(verdict).toMatchObject({ ok: true })
  })

  it('counts the uses of a nonce: each next one is good, a replay is stale', () => {
    const { server, client, meet } = setUp()
    meet()
    const first = register(client.authorize('REGISTER', uri))
    expect(server.verify(first, passwordOf)).toMatchObject({ ok: true })
    expect(server.verify(register(client.authorize('REGISTER', uri)), passwordOf)).toMatchObject({ ok: true })
    expect(server.verify(first, passwordOf)).toMatchObject({ ok: false, why: 'stale' })
  })

  it('calls a nonce stale once it is too old, and the client goes on without asking for a password', () => {
    const { server, client, meet, time } = setUp({ limits: { nonceMs: 1_000 } })
    meet()
    time.now += 1_001
    const request = register(client.authorize('REGISTER', uri))
    const verdict = server.verify(request, passwordOf)
    if (verdict.ok || verdict.challenge === null) throw new Error('was let in')
    expect(verdict.why).toBe('stale')
    expect(client.challenged(answer(request, verdict.challenge), request)).toBe(true)
    expect(server.verify(register(client.authorize('REGISTER', uri)), passwordOf)).toMatchObject({ ok: true })
  })

  it('remembers a bounded number of nonces and calls a forgotten one stale', () => {
    const { server, time } = setUp({ limits: { noncesMax: 2 } })
    const clients = [1, 2, 3].map(() => {
      const client = createDigestClient({ username: 'alice', password: 'secret' })
      client.challenged(answer(register(), server.challenge()), register())
      time.now += 1
      return client
    })
    const verdicts = clients.map(client => server.verify(register(client.authorize('REGISTER', uri)), passwordOf).ok)
    expect(verdicts).toEqual([true, true, true])
    const again = clients.map(client => server.verify(register(client.authorize('REGISTER', uri)), passwordOf).ok)
    expect(again).toEqual([false, true, true])
  })

  it('shares nonces between processes that share the secret', () => {
    const secret = Buffer.alloc(32, 7)
    const one = setUp({ secret })
    const two = setUp({ secret })
    one.meet()
    expect(two.server.verify(register(one.client.authorize('REGISTER', uri)), passwordOf)).toMatchObject({ ok: true })
  })
})

describe('digest client', () => {
  it('gives up where the same realm refuses it twice', () => {
    const { server, client, meet } = setUp({}, 'guess')
    meet()
    const request = register(client.authorize('REGISTER', uri))
    expect(client.challenged(answer(request, server.challenge()), request)).toBe(false)
  })

  it('skips challenges it cannot answer and says so where there is no other', () => {
    const { client } = setUp()
    const values = [
      'Bearer realm="x"',
      'Digest realm="r", nonce="n", algorithm=MD5-sess',
      'Digest realm="r"',
      'Digest realm="r", nonce="n", qop="auth-int"'
    ]
    const response = makeResponse(register(), 401, {
      headers: values.map(value => ['WWW-Authenticate', value] as const)
    })
    expect(client.challenged(response, register())).toBe(false)
    expect(client.authorize('REGISTER', uri)).toEqual([])
  })

  it('answers the registrar and a proxy in one request, counts uses and echoes opaque', () => {
    const { client } = setUp()
    const ask = (status: number, name: string, value: string): boolean =>
      client.challenged(makeResponse(register(), status, { headers: [[name, value]] }), register())
    ask(401, 'WWW-Authenticate', 'Digest realm="r", nonce="n", qop="auth,auth-int", opaque="o"')
    ask(407, 'Proxy-Authenticate', 'Digest realm="p", nonce="m"')
    client.authorize('REGISTER', uri)
    const [www, proxy] = client.authorize('REGISTER', uri)
    expect(www?.name).toBe('Authorization')
    expect(www?.value).toContain('nc=00000002')
    expect(www?.value).toContain('opaque="o"')
    expect(www?.value).not.toContain('algorithm')
    expect(proxy?.name).toBe('Proxy-Authorization')
    expect(proxy?.value).not.toContain('qop')
  })

  it('keeps a bounded number of realms', () => {
    const { client } = setUp()
    const values = Array.from({ length: 20 }, (_, index) => `Digest realm="r${index}", nonce="n"`)
    client.challenged(
      makeResponse(register(), 401, { headers: values.map(value => ['WWW-Authenticate', value] as const) }),
      register()
    )
    expect(client.authorize('REGISTER', uri)).toHaveLength(8)
  })
})
