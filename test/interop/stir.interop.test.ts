// needs: openssl secsipidx knot
// STIR through the whole hub, with somebody else's tool at both ends: it checks what the hub signs, and signs what the
// hub checks. An island's user and two operators, and a number that the DNS leads to another one (ENUM).

import { createPublicKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { isSigned, parseIdentity, parsePassport } from '../../src/nni/stir/passport.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { startDnsServer } from '../support/dns-server.ts'
import type { DnsServer } from '../support/dns-server.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { hosts, numbers, operators, refusal, sdpAt, startPhone } from '../support/operators.ts'
import type { Phone, Placed } from '../support/operators.ts'
import { checkBySecsipidx, signBySecsipidx } from '../support/secsipidx.ts'
import { numberAuthority, serveCertificates } from '../support/stir-ca.ts'
import type { CertificateServer } from '../support/stir-ca.ts'
import { connectUser } from '../support/ws-user.ts'

const root = numberAuthority()
const own = root.issue('hub')
const norths = root.issue('north', { list: [`EXP:2,IA5STRING:${numbers.north.slice(1)}`] })
const alice = '+4930111001'
/** The DNS says: call south's number instead. */
const led = '+4930555000'
const origid = '7e2ad5a0-5c5b-5d1c-8f0c-3a8f5a2b1c4d'

let folder: string
let server: CertificateServer
let dns: DnsServer
let hub: HubProcess
let north: Phone
let south: Phone

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'isthmus-stir-'))
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  server = await serveCertificates({ '/hub.pem': own.chain, '/north.pem': norths.chain })
  const busy: Parameters<typeof startPhone>[0]['incoming'] = call => call.refuse(486)
  north = await startPhone({ host: hosts.north, incoming: busy })
  south = await startPhone({ host: hosts.south, incoming: busy })
  const base = operators({
    ports: { north: north.port, south: south.port },
    north: { stir: { verify: 'refuse' }, headers: { Identity: 'both' } },
    south: { stir: { sign: true }, headers: { Identity: 'both' }, numberParameters: ['verstat'] }
  })
  const rate = { prefix: '+', destination: 'Anywhere', rate: '0.06' }
  const name = led.slice(1).split('').toReversed().join('.')
  const leads = `${name}.e164.test. NAPTR 10 10 "u" "E2U+sip" "!^.*$!sip:${numbers.south}@${hosts.south};user=phone!" .`
  dns = await startDnsServer({ 'e164.test': [leads] })
  hub = await startHubProcess({
    config: {
      ...base,
      routing: { enum: [{ suffix: 'e164.test', servers: [dns.address] }] },
      hub: {
        domain: 'hub.example',
        stir: {
          keyFile: file('hub.key', own.key),
          certFile: file('hub.pem', own.chain),
          x5u: server.url('/hub.pem'),
          caFile: file('ca.pem', root.cert),
          hosts: [server.host],
          insecure: true
        }
      },
      islands: [
        {
          id: 'acme',
          access: 'sip-ws',
          domain: 'acme.example',
          origins: ['https://pages.example'],
          media: 'rtp',
          codecs: ['PCMA', 'telephone-event'],
          users: [{ name: 'alice', password: 'secret', number: alice }]
        }
      ],
      agreements: [
        ...(base['agreements'] as readonly object[]),
        { id: 'acme-hub', buyer: 'acme', seller: 'hub', rates: [rate] }
      ]
    }
  })
}, 120_000)

afterAll(async () => {
  expect(await hub.stop()).toBe(0)
  await Promise.all([north.close(), south.close(), server.close(), dns.stop()])
  rmSync(folder, { recursive: true })
}, 120_000)

/** North calls, with these Identity fields. */
const call = (identities: readonly string[], called: string = numbers.south): Placed => {
  const placed: Placed = { call: null as never, statuses: [], answered: null, ended: null }
  const port = hub.sipPort('udp')
  const from = `<sip:${numbers.north}@${north.host};user=phone>`
  north.agent.place({
    uri: `sip:${called}@127.0.0.1:${port};user=phone`,
    to: { transport: 'udp', host: '127.0.0.1', port },
    from,
    headers: [{ name: 'P-Asserted-Identity', value: from }, ...identities.map(value => ({ name: 'Identity', value }))],
    body: sdpAt(north.host),
    on: { ended: end => void (placed.ended = end) }
  })
  return placed
}
const invites = (): readonly SipRequest[] =>
  south.heard.filter((one): one is SipRequest => one.kind === 'request' && one.method === 'INVITE')
const finals = async (calling: string) =>
  eventually('its records', async () => {
    const found = (await hub.records()).filter(one => one.kind === 'final' && one.calling?.includes(calling) === true)
    return found.length >= 2 ? found : null
  })
const passportIn = (value = '') => {
  const read = parsePassport(parseIdentity(value)?.token ?? '')
  if (!read.ok) throw new Error(read.why)
  return read.value
}

describe('secsipidx', () => {
  it('STIR-03 checks what the hub signs for an island’s user: A, by the number of the configuration', async () => {
    const user = await connectUser({ url: hub.where('SIP over WebSocket'), name: 'alice', domain: 'acme.example' })
    expect((await user.register()).status).toBe(200)
    const headers = [
      ['Contact', `<${user.contact}>`],
      ['Content-Type', 'application/sdp'],
      ['Max-Forwards', '70']
    ] as const
    const uri = `sip:${numbers.south}@acme.example`
    expect((await user.request('INVITE', uri, { headers, body: sdpAt('127.0.0.1') })).status).toBe(486)
    await user.close()
    const [identity, ...more] = invites().at(-1)?.headers.all('Identity') ?? []
    expect(more).toEqual([])
    expect(passportIn(identity).claims).toMatchObject({
      orig: alice.slice(1),
      dest: [numbers.south.slice(1)],
      attest: 'A'
    })
    const publicKey = createPublicKey(own.key).export({ type: 'spki', format: 'pem' }).toString()
    expect(checkBySecsipidx(identity ?? '', publicKey)).toBe('ok')
    const others = createPublicKey(norths.key).export({ type: 'spki', format: 'pem' }).toString()
    expect(checkBySecsipidx(identity ?? '', others)).toMatch(/^error message.*not-ok/s)
    const egress = (await finals(alice)).find(({ leg }) => leg === 'egress')
    expect(egress?.attest).toBe('A')
  }, 60_000)

  it('STIR-04 signs what the hub takes: the call goes on with its token, verified, and the record says so', async () => {
    const identity = signBySecsipidx({
      orig: numbers.north.slice(1),
      dest: numbers.south.slice(1),
      attest: 'B',
      origid,
      x5u: server.url('/north.pem'),
      key: norths.key
    })
    expect((await refusal(call([identity]))).status).toBe(486)
    const invite = invites().at(-1)
    expect(invite?.headers.all('Identity')).toEqual([identity])
    expect(invite?.headers.get('P-Asserted-Identity')).toContain(`${numbers.north};verstat=TN-Validation-Passed@`)
    const records = await finals(numbers.north)
    expect(records.map(({ attest, verstat }) => [attest, verstat])).toEqual([
      ['B', 'TN-Validation-Passed'],
      ['B', 'TN-Validation-Passed']
    ])
  }, 60_000)

  it('STIR-07 RTE-01 a number that ENUM leads to another keeps its token and gets a div of the hub', async () => {
    const dest = led.slice(1)
    const signed = { orig: numbers.north.slice(1), dest, attest: 'A', origid } as const
    const identity = signBySecsipidx({ ...signed, x5u: server.url('/north.pem'), key: norths.key })
    expect((await refusal(call([identity], led))).status).toBe(486)
    const invite = invites().at(-1)
    expect(invite?.uri).toBe(`sip:${numbers.south}@${hosts.south};user=phone`)
    const [first, second = '', ...more] = invite?.headers.all('Identity') ?? []
    expect([first, more]).toEqual([identity, []])
    expect(passportIn(second).claims).toMatchObject({ div: dest, dest: [numbers.south.slice(1)], orig: signed.orig })
    // secsipidx knows no other kind than shaken.
    expect(isSigned(passportIn(second), createPublicKey(own.key))).toBe(true)
  }, 60_000)

  it.each([
    ['nothing', 428, () => []],
    [
      'a key that is not that of its certificate',
      438,
      () => [
        signBySecsipidx({
          orig: numbers.north.slice(1),
          dest: numbers.south.slice(1),
          attest: 'A',
          origid,
          x5u: server.url('/north.pem'),
          key: own.key
        })
      ]
    ],
    [
      'the number of somebody else',
      438,
      () => [
        signBySecsipidx({
          orig: '33999999999',
          dest: numbers.south.slice(1),
          attest: 'A',
          origid,
          x5u: server.url('/hub.pem'),
          key: own.key
        })
      ]
    ]
  ])('STIR-04 with %s the call is refused, and nobody rings', async (_what, status, identities) => {
    const before = invites().length
    expect((await refusal(call(identities()))).status).toBe(status)
    expect(invites().length).toBe(before)
    await eventually('the log says why', () =>
      hub.logged().some(({ peerId, status: told }) => peerId === 'north' && told === status)
    )
  })
})
