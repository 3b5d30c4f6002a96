import { beforeEach, describe, expect, it } from '@jest/globals'
import { Authentication } from '../../../src/adapters/sip-ws/authentication.ts'
import type { Proof } from '../../../src/adapters/sip-ws/authentication.ts'
import { Connection } from '../../../src/adapters/sip-ws/connection.ts'
import { accountsOf } from '../../../src/adapters/sip-ws/identity.ts'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import { Registrar } from '../../../src/adapters/sip-ws/registrar.ts'
import { parseConfig, passwordOf } from '../../../src/config.ts'
import { makeRequest } from '../../../src/sip/message.ts'
import type { SipRequest } from '../../../src/sip/message.ts'
import { answerTo } from '../../support/digest.ts'
import { FakeClock } from '../../support/world.ts'

const { islands } = parseConfig(`
islands:
  - { id: one, access: sip-ws, domain: One.example, users: [{ name: alice, password: one }, { name: bob, password: b }] }
  - { id: two, access: sip-ws, domain: two.example, users: [{ name: alice, password: two }] }
`)
const accounts = accountsOf(islands)
const alice = accounts.get('sip:alice@one.example')!

let clock: FakeClock
let registrar: Registrar
let authentication: Authentication
let connection: Connection
let closed: [number, string][]

beforeEach(() => {
  clock = new FakeClock()
  registrar = new Registrar({ limits, clock })
  authentication = new Authentication({ accounts, registrar, limits, clock, passwordOf })
  closed = []
  connection = connect(1)
})

function connect(id: number): Connection {
  const address = { host: '127.0.0.1', port: id }
  const socket = {
    transport: 'ws',
    local: address,
    remote: address,
    domains: new Set(['one.example']),
    send: () => {},
    close: (code: number, why: string) => void closed.push([code, why]),
    trust: () => {}
  } as const
  return new Connection(socket, { ...socket, id, peerId: null, closed: false, close: () => {} })
}

type Line = readonly [string, string]
function request(method: string, from: string, lines: readonly Line[] = [], to = from): SipRequest {
  return makeRequest({
    method,
    uri: 'sip:one.example',
    headers: [['From', `${from};tag=1`], ['To', to], ['Call-ID', 'a'], ['CSeq', `1 ${method}`], ...lines]
  })
}
const from = '<sip:alice@one.example>'
const status = (proof: Proof): number | string => ('status' in proof ? proof.status : proof.account.user.name)

function prove(
  method: 'REGISTER' | 'INVITE',
  as: { name: string; password: string; algorithm?: string },
  who = from
): Proof {
  const ask = (lines: readonly Line[] = []): Proof =>
    method === 'REGISTER'
      ? authentication.registering(request(method, who, lines), connection)
      : authentication.calling(request(method, who, lines), connection)
  const first = ask()
  const credentials =
    'status' in first
      ? answerTo(first, { ...as, method, uri: 'sip:one.example', algorithm: as.algorithm ?? 'MD5' })
      : null
  return credentials === null ? first : ask([credentials])
}
function register(name = 'alice'): void {
  const who = accounts.get(`sip:${name}@one.example`)!
  const wish = request('REGISTER', `<sip:${name}@one.example>`, [['Contact', `<sip:${name}@x.invalid>`]])
  registrar.register(who, wish, connection.flow)
}

describe('REGISTER', () => {
  it('is challenged with SHA-256 first and MD5 last, since browsers take the last and know MD5 alone', () => {
    const proof = authentication.registering(request('REGISTER', from), connection)
    expect(status(proof)).toBe(401)
    const values = 'status' in proof ? proof.headers.map(({ name, value }) => `${name}: ${value}`) : []
    expect(values).toHaveLength(2)
    expect(values[0]).toMatch(/^WWW-Authenticate: Digest realm="one.example".*algorithm=SHA-256/)
    expect(values[1]).toMatch(/algorithm=MD5/)
  })

  it.each(['MD5', 'SHA-256'])('the right password proves the user with %s', algorithm => {
    expect(prove('REGISTER', { name: 'alice', password: 'one', algorithm })).toEqual({ account: alice })
  })

  it('a wrong password, an unknown user and the same user of another island are refused alike', () => {
    const refusal = prove('REGISTER', { name: 'alice', password: 'wrong' })
    expect(status(refusal)).toBe(403)
    expect(prove('REGISTER', { name: 'nobody', password: 'x' }, '<sip:nobody@one.example>')).toEqual(refusal)
    expect(prove('REGISTER', { name: 'alice', password: 'two' })).toEqual(refusal)
  })

  it('an unknown user is challenged like a known one', () => {
    expect(status(authentication.registering(request('REGISTER', '<sip:nobody@one.example>'), connection))).toBe(401)
  })

  it('the password of one user proves no other', () => {
    expect(status(prove('REGISTER', { name: 'bob', password: 'b' }))).toBe(403)
  })

  it('nobody registers for somebody else', () => {
    const third = request('REGISTER', '<sip:bob@one.example>', [], from)
    expect(status(authentication.registering(third, connection))).toBe(403)
    expect(status(authentication.registering(request('REGISTER', '<tel:+491>'), connection))).toBe(403)
  })

  it('an island whose allow-list lacks the page of the connection is closed to it', () => {
    expect(status(prove('REGISTER', { name: 'alice', password: 'two' }, '<sip:alice@two.example>'))).toBe(403)
    expect(status(prove('REGISTER', { name: 'alice', password: 'two' }, '<sip:alice@nowhere.example>'))).toBe(403)
  })

  it('an old nonce is stale: a new challenge says so', async () => {
    const first = authentication.registering(request('REGISTER', from), connection)
    const as = { name: 'alice', password: 'one', method: 'REGISTER', uri: 'sip:one.example', algorithm: 'MD5' }
    const credentials = 'status' in first ? answerTo(first, as) : null
    await clock.advance(301_000)
    const second = authentication.registering(request('REGISTER', from, [credentials!]), connection)
    expect(status(second)).toBe(401)
    expect('status' in second && second.headers.every(({ value }) => value.includes('stale=true'))).toBe(true)
  })

  it('credentials serve once', () => {
    const first = authentication.registering(request('REGISTER', from), connection)
    const as = { name: 'alice', password: 'one', method: 'REGISTER', uri: 'sip:one.example', algorithm: 'MD5' }
    const credentials = 'status' in first ? answerTo(first, as) : null
    const again = (): Proof => authentication.registering(request('REGISTER', from, [credentials!]), connection)
    expect(status(again())).toBe('alice')
    expect(status(again())).toBe(401)
  })

  it('credentials that cannot be read are malformed', () => {
    const bad: Line = ['Authorization', 'Digest realm="one.example", username="alice"']
    expect(status(authentication.registering(request('REGISTER', from, [bad]), connection))).toBe(400)
  })

  it('guessing closes the connection', () => {
    for (let n = 0; n < limits.credentialsWrongMax; n++) {
      expect(closed).toEqual([])
      prove('REGISTER', { name: 'alice', password: `guess ${n}` })
    }
    expect(closed).toEqual([[1008, 'too many wrong passwords']])
  })
})

describe('any other request', () => {
  it('of a connection that is registered as its From needs nothing more', () => {
    register()
    expect(authentication.calling(request('INVITE', from), connection)).toEqual({ account: alice })
  })

  it('of a connection that is not registered is challenged, and the password proves it', () => {
    expect(status(authentication.calling(request('INVITE', from), connection))).toBe(407)
    expect(prove('INVITE', { name: 'alice', password: 'one' })).toEqual({ account: alice })
  })

  it('the registration of one connection does not speak for another', () => {
    register()
    expect(status(authentication.calling(request('INVITE', from), connect(2)))).toBe(407)
  })

  it('with the From of somebody else is refused, known or not', () => {
    register()
    expect(status(authentication.calling(request('INVITE', '<sip:bob@one.example>'), connection))).toBe(403)
    expect(status(authentication.calling(request('INVITE', '<sip:nobody@one.example>'), connection))).toBe(403)
    expect(status(prove('INVITE', { name: 'alice', password: 'one' }, '<sip:bob@one.example>'))).toBe(403)
  })

  it('with a preferred identity of somebody else is refused', () => {
    register()
    const preferring = (who: string): Proof =>
      authentication.calling(request('INVITE', from, [['P-Preferred-Identity', who]]), connection)
    expect(status(preferring('<sip:bob@one.example>'))).toBe(403)
    expect(status(preferring(from))).toBe('alice')
  })

  it('an anonymous From is the user of the connection', () => {
    const nobody = '"Anonymous" <sip:anonymous@anonymous.invalid>'
    expect(status(authentication.calling(request('INVITE', nobody), connection))).toBe(403)
    register()
    expect(status(authentication.calling(request('INVITE', nobody), connection))).toBe('alice')
    register('bob')
    const asBob = request('INVITE', nobody, [['P-Preferred-Identity', '<sip:bob@one.example>']])
    expect(status(authentication.calling(asBob, connection))).toBe('bob')
  })

  it('a registration that has run out speaks for nobody', async () => {
    register()
    await clock.advance(limits.expiresSecondsDefault * 1_000)
    expect(status(authentication.calling(request('INVITE', from), connection))).toBe(407)
  })
})

describe('passwords', () => {
  it('one that is not where the configuration says is told at start', () => {
    const { islands } = parseConfig(
      'islands: [{ id: one, access: sip-ws, domain: one.example, users: [{ name: a, passwordEnv: ISTHMUS_NOT_SET }] }]'
    )
    const parts = { accounts: accountsOf(islands), registrar, limits, clock, passwordOf }
    expect(() => new Authentication(parts)).toThrow(/ISTHMUS_NOT_SET/)
  })
})
