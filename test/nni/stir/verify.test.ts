import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import type { Certificates, Certified } from '../../../src/nni/stir/certificates.ts'
import { stirLimits } from '../../../src/nni/stir/limits.ts'
import { printIdentity, signPassport } from '../../../src/nni/stir/passport.ts'
import type { Claims } from '../../../src/nni/stir/passport.ts'
import { verifyIdentities } from '../../../src/nni/stir/verify.ts'
import type { Claimed } from '../../../src/nni/stir/verify.ts'

// The verification service of RFC 8224, 6.2; certificates are the test's own.

const file = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const x5u = 'https://certs.example/op.pem'
const now = Date.UTC(2026, 10, 22, 12)
const origid = '7e2ad5a0-5c5b-5d1c-8f0c-3a8f5a2b1c4d'
const [a, b, c, d] = ['441632960083', '4930901820', '4930901821', '4930901822'] as const

const credential = (key: KeyObject, covers = (_number: string) => true): Certified => ({
  ok: true,
  credential: { key, validFrom: Date.UTC(2015), validTo: Date.UTC(2030), covers }
})
const known = (certified: Certified = credential(publicKey)): Certificates => ({ at: async () => certified })

const token = (over: Partial<Claims> = {}, ppt: 'shaken' | 'div' = 'shaken', key = privateKey, info = x5u): string => {
  const claims = { orig: a, dest: [b], iat: now / 1_000, attest: 'B', origid, div: null, ...over } as const
  return printIdentity(signPassport({ ppt, x5u, claims }, key), info, ppt)
}
const diverted = (div: string, dest: string, over: Partial<Claims> = {}): string =>
  token({ div, dest: [dest], ...over }, 'div')

const verify = async (identities: readonly string[], over: Partial<Claimed> = {}, certificates = known()) => {
  const claimed = { identities, orig: a, dest: [b], date: null, at: now, ...over }
  const { verstat, attest, originationId, failure } = await verifyIdentities(claimed, certificates)
  return failure === null ? [verstat, attest, originationId] : [verstat, failure.status, failure.why]
}
const passed = ['TN-Validation-Passed', 'B', origid]
const stale = ['TN-Validation-Failed', 403, 'the token is not of now']

describe('the tokens of RFC 8946', () => {
  const [div = '', , plain = '', both = ''] = file('rfc8946_tok.txt').trim().split('\n')
  const key = credential(createPublicKey(file('rfc8946_key.pem')))
  const field = (text: string): string => `${text};info=<https://www.example.com/cert.cer>`
  const at = 1_443_208_345_000
  const then = { orig: '12155551212', dest: ['12155551213'], at }

  it('STIR-04 prove the number at their own time, and are 403 Stale Date today', async () => {
    expect(await verify([field(plain)], then, known(key))).toEqual(['TN-Validation-Passed', null, null])
    expect(await verify([field(plain)], { ...then, at: now }, known(key))).toEqual(stale)
    expect(await verify([field(plain)], { ...then, at: at + stirLimits.freshMs + 1 }, known(key))).toEqual(stale)
  })

  it('of a diversion do not lead from one to the other, by a slip of the document: 438', async () => {
    const called = { ...then, dest: ['12155551214'] }
    const wrong = ['TN-Validation-Failed', 438, 'it is signed for another called number']
    expect(await verify([field(plain), field(div)], called, known(key))).toEqual(wrong)
  })

  it('of a kind that is not taken are as if they were not there', async () => {
    const none = ['No-TN-Validation', 428, 'no Identity of a known kind']
    expect(await verify([field(both)], then, known(key))).toEqual(none)
    expect(await verify([field(both), field(plain)], then, known(key))).toEqual(['TN-Validation-Passed', null, null])
  })
})

describe('a caller', () => {
  it('is proven by a token of its number for the called one', async () => {
    expect(await verify([token()])).toEqual(passed)
  })

  it.each([
    ['no Identity', [], {}, 'No-TN-Validation', 428],
    ['no number of its own', [token()], { orig: null }, 'No-TN-Validation', 438],
    ['another number', [token()], { orig: c }, 'TN-Validation-Failed', 438],
    ['another called number', [token()], { dest: [c] }, 'TN-Validation-Failed', 438],
    ['an old token', [token({ iat: now / 1_000 - 61 })], {}, 'TN-Validation-Failed', 403],
    ['a token of the future', [token({ iat: now / 1_000 + 61 })], {}, 'TN-Validation-Failed', 403],
    ['an old Date', [token()], { date: now - 60_001 }, 'TN-Validation-Failed', 403],
    ['a Date that is none', [token()], { date: Number.NaN }, 'TN-Validation-Failed', 403],
    ['something else', ['hello'], {}, 'TN-Validation-Failed', 438],
    ['half a token', [token().replace(/\.[^.]*\./, '..')], {}, 'TN-Validation-Failed', 438],
    ['no info', [token().split(';')[0] ?? ''], {}, 'No-TN-Validation', 436],
    ['another info', [token({}, 'shaken', privateKey, 'https://certs.example/other.pem')], {}, 'No-TN-Validation', 436],
    ['a wrong signature', [token().replace(/.{8};info/, 'AAAAAAAA;info')], {}, 'TN-Validation-Failed', 438],
    ['a huge field', [`${token()};x=${'y'.repeat(8_192)}`], {}, 'TN-Validation-Failed', 438],
    ['too many fields', Array.from({ length: 9 }, () => token()), {}, 'TN-Validation-Failed', 438],
    ['a diversion alone', [diverted(c, b)], {}, 'TN-Validation-Failed', 438]
  ] as const)('STIR-04 with %s is not', async (_what, identities, over, verstat, status) => {
    expect((await verify(identities, over)).slice(0, 2)).toEqual([verstat, status])
  })

  it.each([
    ['cannot be had', { ok: false, status: 436, why: 'x' } as const, 'No-TN-Validation', 436],
    ['may not be used', { ok: false, status: 437, why: 'x' } as const, 'TN-Validation-Failed', 437],
    ['is of another number', credential(publicKey, number => number !== a), 'TN-Validation-Failed', 437],
    [
      'is of another key',
      credential(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey),
      'TN-Validation-Failed',
      438
    ]
  ])('STIR-04 whose certificate %s is not', async (_what, certified, verstat, status) => {
    expect((await verify([token()], {}, known(certified))).slice(0, 2)).toEqual([verstat, status])
  })

  it('STIR-04 whose certificate is over, or not yet, is not', async () => {
    for (const at of [Date.UTC(2031), Date.UTC(2014)]) {
      const found = await verify([token({ iat: at / 1_000 })], { at })
      expect(found.slice(0, 2)).toEqual(['TN-Validation-Failed', 437])
    }
  })

  it('STIR-04 is proven by one good token among five, in any order, whatever the others are', async () => {
    const others = [token({ orig: c }), 'hello', token({}, 'shaken', privateKey, 'https://x'), token({ dest: [d] })]
    expect(await verify([...others, token()])).toEqual(passed)
    expect(await verify([token(), ...others])).toEqual(passed)
  })

  it('is proven by To or by the Request-URI, and for one of several called numbers', async () => {
    expect(await verify([token()], { dest: [c, b] })).toEqual(passed)
    expect(await verify([token({ dest: [d, b] })])).toEqual(passed)
  })

  it('is not asked for twice as many certificates as it has tokens of a known kind', async () => {
    const asked: string[] = []
    const counting: Certificates = { at: async url => (asked.push(url), credential(publicKey)) }
    await verify([token(), token().replace('.', '!'), token()], {}, counting)
    expect(asked.length).toBe(2)
  })
})

describe('a call that was diverted', () => {
  it('STIR-07 is proven over one diversion, and over two in any order', async () => {
    expect(await verify([token({ dest: [c] }), diverted(c, b)])).toEqual(passed)
    expect(await verify([diverted(d, b), diverted(c, d), token({ dest: [c] })])).toEqual(passed)
  })

  it('STIR-07 rang elsewhere first: the first token may be older than the last, within bounds', async () => {
    const first = (age: number) => token({ dest: [c], iat: now / 1_000 - age })
    expect(await verify([first(290), diverted(c, b)])).toEqual(passed)
    expect(await verify([first(301), diverted(c, b)])).toEqual(stale)
    expect(await verify([first(10), diverted(c, b, { iat: now / 1_000 - 61 })])).toEqual(stale)
  })

  it.each([
    ['by a number that was not called', [token({ dest: [c] }), diverted(d, b)]],
    ['by nobody', [token({ dest: [c] })]],
    ['in a circle', [token({ dest: [c] }), diverted(c, d), diverted(d, c)]],
    ['from another caller', [token({ dest: [c] }), diverted(c, b, { orig: d })]]
  ])('STIR-07 is not, %s', async (_what, identities) => {
    expect((await verify(identities)).slice(0, 2)).toEqual(['TN-Validation-Failed', 438])
  })

  it('STIR-07 is not, where the certificate is not that of who diverted', async () => {
    const only = known(credential(publicKey, number => number === a))
    const found = await verify([token({ dest: [c] }), diverted(c, b)], {}, only)
    expect(found.slice(0, 2)).toEqual(['TN-Validation-Failed', 437])
  })
})
