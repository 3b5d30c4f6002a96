import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { serviceOf } from '../../../src/adapters/sip-ws/caller-leg.ts'
import {
  accountsOf,
  addressOf,
  assertedLine,
  calledOf,
  fromShown,
  partyOf,
  userAddress
} from '../../../src/adapters/sip-ws/identity.ts'
import { sdpOrNull } from '../../../src/adapters/sip-ws/in-call.ts'
import { limits } from '../../../src/adapters/sip-ws/limits.ts'
import { parseConfig } from '../../../src/config.ts'
import type { Shown } from '../../../src/session/model.ts'
import { parseMessage, printNameAddr } from '../../../src/sip/message.ts'
import type { SipRequest } from '../../../src/sip/message.ts'
import { parseUri } from '../../../src/sip/uri.ts'

const fixtures = new URL('fixtures/', import.meta.url)
const read = (name: string): string => readFileSync(new URL(name, fixtures), 'utf8')
const named = (end: string): readonly string[] =>
  readdirSync(fixtures)
    .filter(name => name.endsWith(end))
    .map(name => name.slice(0, -end.length))

const { islands } = parseConfig(`
islands:
  - id: island
    access: sip-ws
    domain: Island.example
    users:
      - { name: alice, password: secret, number: '+493012345601', display: Alice }
      - { name: '1001', password: secret }
  - id: closed
    access: sip-ws
    enabled: false
    domain: closed.example
    users: [{ name: carol, password: secret }]
`)
const accounts = accountsOf(islands)
const home = new Set(['island.example', 'hub.example'])
const alice = accounts.get('sip:alice@island.example')!

function requestOf(name: string): SipRequest {
  const parsed = parseMessage(Buffer.from(read(`${name}.sip`).replaceAll('\n', '\r\n')))
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error(`${name}.sip is no request`)
  return parsed.message
}

describe('an INVITE of an island user in canonical words', () => {
  it.each(named('.sip'))('%s', name => {
    const request = requestOf(name)
    const called = calledOf(request.uri, home, accounts)
    const sdp = sdpOrNull(request, limits)
    const canonical =
      'status' in called
        ? { refused: called.status }
        : { called: called.called, service: serviceOf(sdp), party: partyOf(alice, request.headers) }
    expect(canonical).toEqual(JSON.parse(read(`${name}.canonical.json`)))
  })
})

describe('who is shown to an island user', () => {
  it.each(named('.shown.json'))('%s', name => {
    const { shown, sip } = JSON.parse(read(`${name}.shown.json`)) as { shown: Shown; sip: unknown }
    const from = printNameAddr(fromShown(shown, 'hub.example'))
    expect({ from, asserted: assertedLine(shown, 'hub.example') }).toEqual(sip)
  })
})

describe('addresses', () => {
  it('a disabled island has no accounts', () => {
    expect([...accounts.keys()]).toEqual(['sip:alice@island.example', 'sip:1001@island.example'])
  })
  it('an account is addressed in lower case whatever the configuration writes', () => {
    expect(addressOf(alice)).toBe('sip:alice@island.example')
  })
  it('users compare by name and host alone', () => {
    expect(userAddress(parseUri('sips:alice:pw@ISLAND.example:443;transport=ws'))).toBe('sip:alice@island.example')
    expect(userAddress(parseUri('tel:+491'))).toBeNull()
    expect(userAddress(parseUri('sip:island.example'))).toBeNull()
    expect(userAddress(null)).toBeNull()
  })
  it.each(['%0d%0aX-Evil:%201', 'a%00', 'a%40b', 'a%3e', 'a%22', 'a%20b', 'a%e2%80%a8b'])(
    'nobody is called %s: it would end the address wherever it is written again',
    user => {
      expect(calledOf(`sip:${user}@island.example`, home, accounts)).toMatchObject({ status: 404 })
    }
  )
  it('a display name is cut to its bound', () => {
    const from = fromShown({ asserted: [], presented: 'sip:b@c.example', display: 'x'.repeat(200), privacy: [] }, 'h')
    expect(from.display).toBe('x'.repeat(limits.displayCharactersMax))
  })
})
