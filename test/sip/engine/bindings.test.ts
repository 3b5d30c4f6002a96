import { describe, expect, it } from '@jest/globals'
import { Bindings } from '../../../src/sip/engine/bindings.ts'
import { createHeaders, makeRequest, makeResponse } from '../../../src/sip/message.ts'
import type { Flow } from '../../../src/sip/transport/transport.ts'

const address = { host: '192.0.2.1', port: 40_000 }
const flow = (transport: Flow['transport'] = 'tcp'): Flow & { closed: boolean } => ({
  id: 1,
  transport,
  local: address,
  remote: address,
  peerId: null,
  closed: false,
  send: () => undefined,
  close: () => undefined
})

const register = (contact: string, expires?: string) => {
  const request = makeRequest({
    method: 'REGISTER',
    uri: 'sip:example.org',
    headers: createHeaders([
      ['From', '<sip:a@example.org>;tag=1'],
      ['To', '<sip:a@example.org>'],
      ['Contact', contact],
      ...(expires === undefined ? [] : [['Expires', expires] as const])
    ])
  })
  return { request, response: makeResponse(request, 200) }
}

describe('registered connections', () => {
  it('a Contact leads to the connection that registered it until it expires', () => {
    const bindings = new Bindings(10)
    const connection = flow()
    const { request, response } = register('<sip:a@x.invalid;transport=ws>', '60')
    bindings.learn(request, response, connection, 1_000)
    expect(bindings.find('INVITE', 'sip:a@x.invalid', 60_999)).toBe(connection)
    expect(bindings.find('BYE', 'sip:a@x.invalid', 2_000)).toBeNull()
    expect(bindings.find('INVITE', 'sip:b@x.invalid', 2_000)).toBeNull()
    expect(bindings.find('INVITE', 'sip:a@x.invalid', 61_001)).toBeNull()
    expect(bindings.size).toBe(0)
  })

  it('what the answer grants counts before what was asked', () => {
    const bindings = new Bindings(10)
    const { request, response } = register('<sip:a@host>;expires=600')
    response.headers.add('Contact', '<sip:a@host>;expires=30')
    bindings.learn(request, response, flow(), 0)
    expect(bindings.find('OPTIONS', 'sip:a@host', 29_000)).not.toBeNull()
    expect(bindings.find('OPTIONS', 'sip:a@host', 31_000)).toBeNull()
  })

  it('zero seconds, a closed connection and UDP lead nowhere', () => {
    const bindings = new Bindings(10)
    const connection = flow()
    const twice = register('<sip:a@host>')
    bindings.learn(twice.request, twice.response, connection, 0)
    const off = register('<sip:a@host>', '0')
    bindings.learn(off.request, off.response, connection, 0)
    expect(bindings.size).toBe(0)
    bindings.learn(twice.request, twice.response, connection, 0)
    connection.closed = true
    expect(bindings.find('MESSAGE', 'sip:a@host', 1)).toBeNull()
    bindings.learn(twice.request, twice.response, flow('udp'), 0)
    expect(bindings.size).toBe(0)
  })

  it('tel, urn and * Contacts are left alone', () => {
    const bindings = new Bindings(10)
    for (const contact of ['<tel:+49>', '<urn:service:sos>', '*']) {
      const { request, response } = register(contact)
      bindings.learn(request, response, flow(), 0)
    }
    expect(bindings.size).toBe(0)
    expect(bindings.find('INVITE', 'tel:+49', 0)).toBeNull()
  })

  it('remembers no more than its bound, the oldest goes', () => {
    const bindings = new Bindings(2)
    for (const user of ['a', 'b', 'c']) {
      const { request, response } = register(`<sip:${user}@host>`)
      bindings.learn(request, response, flow(), 0)
    }
    expect(bindings.size).toBe(2)
    expect(bindings.find('INVITE', 'sip:a@host', 1)).toBeNull()
    expect(bindings.find('INVITE', 'sip:c@host', 1)).not.toBeNull()
  })
})
