import { beforeEach, describe, expect, it } from '@jest/globals'
import type { Answer } from '../../../src/adapters/sip-ws/answer.ts'
import { accountsOf } from '../../../src/adapters/sip-ws/identity.ts'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import { Registrar } from '../../../src/adapters/sip-ws/registrar.ts'
import { parseConfig } from '../../../src/config.ts'
import { makeRequest } from '../../../src/sip/message.ts'
import type { SipRequest } from '../../../src/sip/message.ts'
import type { Flow } from '../../../src/sip/transport/transport.ts'
import { FakeClock } from '../../support/world.ts'

const names = ['alice', 'bob', ...Array.from({ length: limits.usersPerConnectionMax }, (_, n) => `user${n}`)]
const { islands } = parseConfig(
  `islands: [{ id: one, access: sip-ws, domain: one.example, users: [${names.map(name => `{ name: ${name}, password: x }`).join()}] }]`
)
const accounts = accountsOf(islands)
const of = (name: string) => accounts.get(`sip:${name}@one.example`)!
const alice = 'sip:alice@one.example'

const flow = (id: number): Flow => ({
  id,
  transport: 'ws',
  local: { host: '127.0.0.1', port: 80 },
  remote: { host: '127.0.0.1', port: 4_000 + id },
  peerId: null,
  closed: false,
  send: () => {},
  close: () => {}
})
const [first, second] = [flow(1), flow(2)]

let clock: FakeClock
let registrar: Registrar
let cseq: number
beforeEach(() => {
  clock = new FakeClock()
  registrar = new Registrar({ limits, clock })
  cseq = 0
})

interface Register {
  readonly contacts?: readonly string[]
  readonly expires?: string
  readonly callId?: string
  readonly cseq?: number
  readonly supported?: string
}
function request({ contacts = [], expires, callId = 'a', cseq: number = ++cseq, supported }: Register): SipRequest {
  return makeRequest({
    method: 'REGISTER',
    uri: 'sip:one.example',
    headers: [
      ['Call-ID', callId],
      ['CSeq', `${number} REGISTER`],
      ...contacts.map(contact => ['Contact', contact] as const),
      ...(expires === undefined ? [] : [['Expires', expires] as const]),
      ...(supported === undefined ? [] : [['Supported', supported] as const])
    ]
  })
}
const register = (wish: Register, over = first, user = 'alice'): Answer =>
  registrar.register(of(user), request(wish), over)
const contactsOf = ({ headers }: Answer): readonly string[] =>
  headers.filter(({ name }) => name === 'Contact').map(({ value }) => value)
const uris = (address = alice): readonly string[] => registrar.bindings(address).map(({ uri }) => uri)
const device = (n: number, regId = 1): string =>
  `<sip:d${n}@x.invalid;transport=ws>;reg-id=${regId};+sip.instance="<urn:uuid:${n}>"`

describe('registration', () => {
  it('binds the contact to the connection and says for how long', () => {
    const answer = register({ contacts: ['<sip:rnd@x.invalid;transport=ws>;expires=120'] })
    expect(answer.status).toBe(200)
    expect(contactsOf(answer)).toEqual(['<sip:rnd@x.invalid;transport=ws>;expires=120'])
    expect(registrar.bindings(alice)[0]?.flow).toBe(first)
    expect(registrar.isOn(first, of('alice'))).toBe(true)
    expect(registrar.isOn(second, of('alice'))).toBe(false)
  })

  it('expires: the parameter, else the field, else the default, never above the bound', () => {
    const granted = (wish: Register): string | undefined => contactsOf(register({ callId: `${++cseq}`, ...wish }))[0]
    const contact = '<sip:a@x.invalid>'
    expect(granted({ contacts: [`${contact};expires=100`], expires: '200' })).toBe(`${contact};expires=100`)
    expect(granted({ contacts: [contact], expires: '200' })).toBe(`${contact};expires=200`)
    expect(granted({ contacts: [contact] })).toBe(`${contact};expires=${limits.expiresSecondsDefault}`)
    expect(granted({ contacts: [`${contact};expires=soon`] })).toBe(
      `${contact};expires=${limits.expiresSecondsDefault}`
    )
    expect(granted({ contacts: [contact], expires: '999999999' })).toBe(
      `${contact};expires=${limits.expiresSecondsMax}`
    )
  })

  it('too short an interval is refused with the least one', () => {
    expect(register({ contacts: ['<sip:a@x.invalid>;expires=59'] })).toEqual({
      status: 423,
      headers: [{ name: 'Min-Expires', value: String(limits.expiresSecondsMin) }]
    })
    expect(uris()).toEqual([])
  })

  it('a binding is gone once its time is over, and a refresh renews it', async () => {
    register({ contacts: ['<sip:a@x.invalid>;expires=60'] })
    await clock.advance(59_000)
    register({ contacts: ['<sip:a@x.invalid>;expires=60'] })
    await clock.advance(59_999)
    expect(uris()).toEqual(['sip:a@x.invalid'])
    await clock.advance(1)
    expect(uris()).toEqual([])
    expect(registrar.isOn(first, of('alice'))).toBe(false)
  })

  it('without a Contact the bindings are told', () => {
    register({ contacts: ['<sip:a@x.invalid>', '<sip:b@x.invalid>'] })
    expect(contactsOf(register({}))).toHaveLength(2)
  })

  it('a zero expiry unregisters that contact alone', () => {
    register({ contacts: ['<sip:a@x.invalid>', '<sip:b@x.invalid>'] })
    const answer = register({ contacts: ['<sip:a@x.invalid>;expires=0'] })
    expect(answer.status).toBe(200)
    expect(uris()).toEqual(['sip:b@x.invalid'])
  })

  it('a star with Expires 0 unregisters everything, on every connection', () => {
    register({ contacts: ['<sip:a@x.invalid>'] })
    register({ contacts: ['<sip:b@x.invalid>'], callId: 'b' }, second)
    expect(register({ contacts: ['*'], expires: '0', callId: 'c' })).toEqual({ status: 200, headers: [] })
    expect(uris()).toEqual([])
  })

  it.each([
    { contacts: ['*'] },
    { contacts: ['*'], expires: '60' },
    { contacts: ['*', '<sip:a@x.invalid>'], expires: '0' },
    { contacts: ['<tel:+491>'] },
    { contacts: ['<sip:a@x.invalid'] },
    { contacts: ['nonsense'] },
    { contacts: [`<sip:${'a'.repeat(limits.contactBytesMax)}@x.invalid>`] },
    { contacts: Array.from({ length: limits.contactsPerRegisterMax + 1 }, (_, n) => `<sip:a${n}@x.invalid>`) }
  ])('%j is refused with 400 and changes nothing', wish => {
    register({ contacts: ['<sip:known@x.invalid>'] })
    expect(register(wish).status).toBe(400)
    expect(uris()).toEqual(['sip:known@x.invalid'])
  })

  it('one bad contact among good ones changes nothing', () => {
    expect(register({ contacts: ['<sip:a@x.invalid>', '<tel:+491>'] }).status).toBe(400)
    expect(uris()).toEqual([])
  })

  it('a REGISTER that comes out of order is refused', () => {
    register({ contacts: ['<sip:a@x.invalid>'], cseq: 5 })
    expect(register({ contacts: ['<sip:a@x.invalid>;expires=0'], cseq: 5 }).status).toBe(500)
    expect(register({ contacts: ['<sip:a@x.invalid>;expires=0'], cseq: 4 }).status).toBe(500)
    expect(uris()).toEqual(['sip:a@x.invalid'])
  })
})

describe('several devices', () => {
  it('all of them are rung, the newest first', () => {
    register({ contacts: [device(1)], callId: 'a' })
    register({ contacts: [device(2)], callId: 'b' }, second)
    expect(registrar.devices(alice).map(({ instance }) => instance)).toEqual(['<urn:uuid:2>', '<urn:uuid:1>'])
  })

  it('the same device over a new connection replaces the old one', () => {
    register({ contacts: [device(1)], callId: 'a' })
    register({ contacts: ['<sip:new@x.invalid>;reg-id=1;+sip.instance="<urn:uuid:1>"'], callId: 'b' }, second)
    expect(uris()).toEqual(['sip:new@x.invalid'])
    registrar.lost(first)
    expect(uris()).toEqual(['sip:new@x.invalid'])
  })

  it('two flows of one device are two bindings but one device to ring', () => {
    register({ contacts: [device(1, 1)], callId: 'a' })
    register({ contacts: ['<sip:d1b@x.invalid>;reg-id=2;+sip.instance="<urn:uuid:1>"'], callId: 'b' }, second)
    expect(registrar.bindings(alice)).toHaveLength(2)
    expect(registrar.devices(alice).map(({ uri }) => uri)).toEqual(['sip:d1b@x.invalid'])
  })

  it('the instance is told back, and outbound is confirmed to who supports it (RFC 5626, 6)', () => {
    const answer = register({ contacts: [device(1)], supported: 'path, outbound' })
    expect(contactsOf(answer)).toEqual([
      `<sip:d1@x.invalid;transport=ws>;+sip.instance="<urn:uuid:1>";reg-id=1;expires=${limits.expiresSecondsDefault}`
    ])
    expect(answer.headers).toContainEqual({ name: 'Require', value: 'outbound' })
    expect(register({ contacts: [device(1)] }).headers.map(({ name }) => name)).toEqual(['Contact'])
  })

  it('one device too many is refused and the others stay', () => {
    for (let n = 0; n < limits.bindingsPerUserMax; n++) register({ contacts: [device(n)], callId: `${n}` })
    expect(register({ contacts: [device(99)], callId: 'x' }).status).toBe(403)
    expect(register({ contacts: [device(0)], callId: '0', cseq: 1_000 }).status).toBe(200)
    expect(registrar.bindings(alice)).toHaveLength(limits.bindingsPerUserMax)
  })

  it('a lost connection takes its bindings of every user along, and no others', () => {
    register({ contacts: ['<sip:a@x.invalid>'] })
    register({ contacts: ['<sip:b@x.invalid>'], callId: 'b' }, first, 'bob')
    register({ contacts: ['<sip:c@x.invalid>'], callId: 'c' }, second)
    expect(registrar.accountsOn(first).map(({ user }) => user.name)).toEqual(['alice', 'bob'])
    registrar.lost(first)
    expect(uris()).toEqual(['sip:c@x.invalid'])
    expect(uris('sip:bob@one.example')).toEqual([])
    expect(registrar.accountsOn(first)).toEqual([])
  })

  it('a closed flow counts as gone before anybody says so', () => {
    const closing = { ...flow(3), closed: false }
    register({ contacts: ['<sip:a@x.invalid>'] }, closing)
    closing.closed = true
    expect(uris()).toEqual([])
  })

  it('one connection serves so many users and no more', () => {
    for (let n = 0; n < limits.usersPerConnectionMax; n++) {
      expect(register({ contacts: [`<sip:u${n}@x.invalid>`] }, first, `user${n}`).status).toBe(200)
    }
    expect(register({ contacts: ['<sip:b@x.invalid>'] }, first, 'bob').status).toBe(403)
    expect(register({ contacts: ['<sip:b@x.invalid>'] }, second, 'bob').status).toBe(200)
  })
})
