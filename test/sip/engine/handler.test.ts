import { describe, expect, it } from '@jest/globals'
import { createHandler, decisionIn, questionOf } from '../../../src/sip/engine/handler.ts'
import { makeRequest } from '../../../src/sip/message.ts'

const request = (uri: string) =>
  makeRequest({
    method: 'INVITE',
    uri,
    headers: [
      ['From', '"A" <sip:anna@op.example>;tag=1'],
      ['To', '<tel:+49-30-1234>'],
      ['Content-Type', 'application/sdp']
    ]
  })
const flow = { transport: 'tcp', remote: { host: '192.0.2.1', port: 5060 } } as const

describe('who takes new requests', () => {
  it.each([
    ['tcp://127.0.0.1:9000', { host: '127.0.0.1', port: 9000, tls: false }],
    ['tls://apps.example:9001', { host: 'apps.example', port: 9001, tls: true }],
    ['tcp://[::1]:9000', { host: '::1', port: 9000, tls: false }]
  ])('%s is an application', async (url, place) => {
    expect(await createHandler({ url })(request('sip:b@c'), flow as never)).toEqual({ kind: 'dial', place })
  })

  it.each(['', 'nonsense', 'tcp://host', 'udp://host:1', 'tcp://host:0', '127.0.0.1:9000'])('"%s" is none', url => {
    expect(() => createHandler({ url })).toThrow('is no handler')
  })
})

describe('the question', () => {
  it('names what drachtio-server names, and the parameters of the Request-URI', () => {
    expect(questionOf(request('sip:+4930@hub.example;user=phone;x'), flow)).toEqual([
      ['method', 'INVITE'],
      ['domain', 'hub.example'],
      ['protocol', 'tcp'],
      ['source_address', '192.0.2.1'],
      ['fromUser', 'anna'],
      ['toUser', '+49301234'],
      ['uriUser', '+4930'],
      ['contentType', 'application/sdp'],
      ['uri', 'sip:+4930@hub.example;user=phone;x'],
      ['user', 'phone'],
      ['x', '']
    ])
    const urn = Object.fromEntries(questionOf(request('urn:service:sos'), flow))
    expect([urn['domain'], urn['uriUser'], urn['uri']]).toEqual(['', '', 'urn:service:sos'])
  })
})

describe('the answer', () => {
  const status = (text: string): number | string => {
    const decision = decisionIn(text)
    return decision.kind === 'answer' ? decision.status : decision.kind
  }

  it('refuses, redirects, routes, or names a tag', () => {
    expect(decisionIn('{"action":"reject","data":{"status":486,"reason":"Busy"}}')).toMatchObject({
      status: 486,
      reason: 'Busy',
      fault: null
    })
    expect(decisionIn('{"action":"redirect","data":{"contact":"<sip:a@b>"}}')).toMatchObject({
      status: 302,
      contacts: ['<sip:a@b>']
    })
    expect(decisionIn('{"action":"redirect","data":{"contact":["sip:a@b","sip:c@d"]}}')).toMatchObject({
      contacts: ['sip:a@b', 'sip:c@d']
    })
    expect(decisionIn('{"action":"route","data":{"uri":"h:1;transport=tls"}}')).toEqual({
      kind: 'dial',
      place: { host: 'h', port: 1, tls: true }
    })
    expect(decisionIn('{"tag":"blue"}')).toEqual({ kind: 'tag', tag: 'blue' })
  })

  it.each([
    'no json',
    'null',
    '[]',
    '{}',
    '{"action":"reject"}',
    '{"action":"reject","data":{"status":200}}',
    '{"action":"reject","data":{"status":"486"}}',
    '{"action":"redirect","data":{"contact":["<broken"]}}',
    `{"action":"redirect","data":{"contact":${JSON.stringify(Array.from({ length: 17 }, () => 'sip:a@b'))}}}`,
    '{"action":"route","data":{"uri":"host"}}',
    '{"action":"route","data":{"uri":"a@h:1"}}',
    '{"action":"route","data":{"uri":"h:1;transport=udp"}}',
    '{"action":"proxy","data":{"destination":"sip:a@b"}}'
  ])('%s is 500', text => {
    expect(status(text)).toBe(500)
  })
})
