// needs: knot
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { openLookUp } from '../../../src/compose-routing.ts'
import { configSchema } from '../../../src/config.ts'
import { createLog } from '../../../src/log.ts'
import type { LookUp } from '../../../src/routing/enum.ts'
import { startDnsServer } from '../../support/dns-server.ts'
import type { DnsServer } from '../../support/dns-server.ts'
import { freePort } from '../../support/sipp.ts'
import { refuse, startPair, uriOf } from '../../support/nni-pair.ts'
import type { Pair, PairOptions } from '../../support/nni-pair.ts'
import { sdpWith } from '../../support/nni.ts'
import { until } from '../../support/until.ts'

// RFC 6116 and RFC 4769 against a real DNS server, and what calls make of it.

/** Of a tree of ENUM: records by number. */
const records = (suffix: string, numbers: Readonly<Record<string, readonly string[]>>): readonly string[] =>
  Object.entries(numbers).flatMap(([number, lines]) =>
    lines.map(line => `${number.split('').toReversed().join('.')}.${suffix}. NAPTR ${line}`)
  )

const vectors = records('e164.test', {
  // RFC 6116: h323 and mailto lose, whatever comes first on the wire.
  '441632960083': [
    '100 52 "u" "E2U+email:mailto" "!^(.*)$!mailto:info@example.com!" .',
    '100 51 "u" "E2U+h323" "!^(.*)$!h323:operator@example.com!" .',
    String.raw`100 50 "u" "E2U+sip" "!^(\\+441632960083)$!sip:\\1@example.com!" .`
  ],
  // RFC 4769, 4.1.
  '12155550123': ['10 100 "u" "E2U+pstn:tel" "!^.*$!tel:+1-215-555-0123;npdi;rn=+1-215-555-0199!" .'],
  // RFC 4769, 4.2.
  '12155550124': [
    '10 100 "u" "E2U+pstn:sip" "!^.*$!sip:+1-215-555-0124;npdi;rn=+1-215-555-0199@gw.example.com;user=phone!" .'
  ],
  // RFC 4769, 4.5: it was looked up, and is where it always was.
  '12155550125': [String.raw`10 100 "u" "E2U+pstn:tel" "!(^.*)$!tel:\\1;npdi!" .`],
  '4930901820': [
    '10 10 "u" "E2U+pstn:tel" "!^.*$!tel:+4930901820;npdi;rn=+33145!" .',
    '20 10 "u" "E2U+sip" "!^.*$!sip:alice@beta.example!" .'
  ],
  '4930901821': ['10 10 "u" "E2U+pstn:tel" "!^.*$!tel:+4930901821;npdi;rn=+49309000!" .'],
  '4930901822': ['10 10 "u" "E2U+sip" "!^.*$!sip:+4930901899@beta.example;user=phone!" .'],
  '4930901823': ['10 10 "u" "E2U+sip" "!^.*$!sip:+4930901823@elsewhere.example!" .'],
  '4930901824': ['10 10 "u" "E2U+sip" "!^never$!sip:x@beta.example!" .'],
  '4930901825': ['10 10 "" "" "" loop.e164.test.'],
  '33145': ['10 10 "u" "E2U+pstn:tel" "!^.*$!tel:+33145;npdi;rn=+4930!" .']
})
const circle = [
  'loop.e164.test. NAPTR 10 10 "" "" "" pool.e164.test.',
  'pool.e164.test. NAPTR 10 10 "" "" "" loop.e164.test.'
]
const carriers = records('carriers.test', { '498912': ['10 10 "u" "E2U+sip" "!^.*$!sip:+498912@beta.example!" .'] })

let dns: DnsServer
let lookUp: LookUp
const pairs: Pair[] = []

const trees = (...all: readonly object[]): ReturnType<typeof configSchema.parse> =>
  configSchema.parse({ routing: { enum: all } })
const opened = (config: ReturnType<typeof configSchema.parse>, now?: () => number): LookUp =>
  openLookUp(config, createLog('silent'), now)!

beforeAll(async () => {
  dns = await startDnsServer({ 'e164.test': [...vectors, ...circle], 'carriers.test': carriers })
  lookUp = opened(
    trees(
      { suffix: 'e164.test', servers: [dns.address] },
      { prefix: '+4989', suffix: 'carriers.test', servers: [dns.address] }
    )
  )
}, 120_000)
afterAll(async () => {
  await Promise.all(pairs.map(pair => pair.close()))
  await dns.stop()
})

describe('the DNS', () => {
  it('ENUM-01 is asked for the digits backwards, in the tree of the longest prefix', async () => {
    expect(await lookUp('+498912')).toEqual({ onNet: [{ user: '+498912', domain: 'beta.example' }], ported: null })
    expect(await opened(trees({ suffix: 'carriers.test', servers: [dns.address] }))('+498912')).not.toBeNull()
    expect(await opened(trees({ suffix: 'e164.test', servers: [dns.address] }))('+498912')).toBeNull()
  })

  it('ENUM-02 ENUM-03 has its expression applied to the number with its +; sip wins over h323 and mailto', async () => {
    const found = await lookUp('+441632960083')
    expect(found).toEqual({ onNet: [{ user: '+441632960083', domain: 'example.com' }], ported: null })
  })

  it('ENUM-04 says where a number was ported to, and that it was not', async () => {
    const moved = { onNet: [], ported: { rn: '+12155550199', npdi: true } }
    expect(await lookUp('+12155550123')).toEqual(moved)
    expect(await lookUp('+12155550124')).toMatchObject({ ported: moved.ported })
    expect(await lookUp('+12155550125')).toEqual({ onNet: [], ported: { rn: null, npdi: true } })
  })

  it('ENUM-05 knows nothing: no such name, no matching expression, a circle, a server that says nothing or no', async () => {
    for (const number of ['+4930000000', '+4930901824', '+4930901825']) expect(await lookUp(number)).toBeNull()
    const refused = opened(trees({ suffix: 'unknown.test', servers: [dns.address], timeoutMs: 100, tries: 1 }))
    expect(await refused('+49')).toBeNull()
    const silent = opened(
      trees({ suffix: 'e164.test', servers: [`127.0.0.1:${await freePort('127.0.0.1')}`], timeoutMs: 100, tries: 2 })
    )
    expect(await silent('+4930901820')).toBeNull()
  })

  it('ENUM-05 is asked once while its answer is kept, be it that there is none', async () => {
    const zone = await startDnsServer({
      'kept.test': records('kept.test', { '491': ['1 1 "u" "E2U+sip" "!^.*$!sip:a@x!" .'] })
    })
    let now = 0
    const kept = opened(
      trees({ suffix: 'kept.test', servers: [zone.address], keptMs: 30_000, unknownMs: 10_000 }),
      () => now
    )
    const user = async (number: string) => (await kept(number))?.onNet[0]?.user ?? null
    expect([await user('+491'), await user('+492')]).toEqual(['a', null])
    const both = { '491': ['1 1 "u" "E2U+sip" "!^.*$!sip:b@x!" .'], '492': ['1 1 "u" "E2U+sip" "!^.*$!sip:c@x!" .'] }
    await zone.change('kept.test', records('kept.test', both))
    now = 9_999
    expect([await user('+491'), await user('+492')]).toEqual(['a', null])
    now = 10_001
    expect([await user('+491'), await user('+492')]).toEqual(['a', 'c'])
    now = 30_001
    expect(await user('+491')).toBe('b')
    await zone.stop()
    // Who does not answer any more has said enough.
    now = 100_000
    expect(await user('+491')).toBe('b')
  }, 120_000)
})

describe('a call to a number', () => {
  const agreed = { numberParameters: ['rn', 'npdi'] }
  const pair = async (options: PairOptions = {}): Promise<Pair> => {
    const started = await startPair({ enumeration: lookUp, ...options })
    pairs.push(started)
    return started
  }
  const calls = async (to: Pair, number: string) => {
    const { call, tx } = await to.invite('alpha', { body: sdpWith(40_000) }, `sip:${number}@hub.example;user=phone`)
    await refuse(to, to.beta, tx, call)
    await until(() => to.cdrs.some(({ leg, kind }) => leg === 'ingress' && kind === 'final'))
    const { called, facts } = to.cdrs.findLast(({ leg }) => leg === 'ingress')!
    return { uri: tx.request.uri, called, rn: facts.rn, npdi: facts.npdi }
  }

  it('RTE-01 ENUM-06 goes to the operator of the domain that the DNS names, on-net before off-net', async () => {
    const one = await pair()
    expect((await calls(one, '+4930901820')).uri).toBe('sip:alice@beta.example')
    expect((await calls(one, '+4930901822')).uri).toBe('sip:+4930901899@beta.example;user=phone')
  })

  it('RTE-01 ENUM-04 goes by its routing number, which stands in the URI and in the record; the number is billed', async () => {
    const elsewhere = await pair({ beta: { ...agreed, routes: [{ prefix: '+49309' }] } })
    const moved = await calls(elsewhere, '+4930901821')
    expect(moved).toEqual({
      uri: 'sip:+4930901821;npdi;rn=+49309000@beta.example;user=phone',
      called: expect.stringContaining('+4930901821'),
      rn: '+49309000',
      npdi: true
    })
  })

  it('ENUM-04 with npdi is not looked up again, and one with rn goes by that', async () => {
    const asked: string[] = []
    const counting: LookUp = async number => (asked.push(number), null)
    const one = await pair({ enumeration: counting, alpha: agreed, beta: { ...agreed, routes: [{ prefix: '+4930' }] } })
    await calls(one, '+4930901820;npdi')
    await calls(one, '+33145678900;rn=+4930901820;npdi')
    expect(asked).toEqual([])
    await calls(one, '+4930901820')
    expect(asked).toEqual(['+4930901820'])
  })

  it('RTE-01 ENUM-05 whose domain is nobody’s, and one that the DNS does not know, goes by prefix', async () => {
    const one = await pair()
    expect((await calls(one, '+4930901823')).uri).toBe('sip:+4930901823@beta.example;user=phone')
    expect((await calls(one, '+4930000000')).uri).toBe('sip:+4930000000@beta.example;user=phone')
  })

  it('ENUM-04 of whose routing number nobody knows says so', async () => {
    const one = await pair({ beta: { routes: [{ prefix: '+4930901821' }] } })
    const call = one.alpha.request('INVITE', 'sip:+4930901821@hub.example;user=phone', { body: sdpWith(40_000) })
    expect((await call.final()).status).toBe(404)
    expect(uriOf('beta')).toContain('+4930901820')
  })
})
