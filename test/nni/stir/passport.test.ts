import { generateKeyPairSync, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import {
  digitsOf,
  isSigned,
  parseIdentity,
  parsePassport,
  printIdentity,
  signPassport
} from '../../../src/nni/stir/passport.ts'
import type { Passport } from '../../../src/nni/stir/passport.ts'

// RFC 8225, RFC 8588, RFC 8946; the tokens of RFC 8946 are of 2015.

const file = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')
const vectors = file('rfc8946_tok.txt').trim().split('\n')
const vectorKey = createPublicKey(file('rfc8946_key.pem'))
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const x5u = 'https://certs.example/hub.pem'
const claims = {
  orig: '4930111001',
  dest: ['441632960083'],
  iat: 1_795_000_000,
  attest: 'A',
  origid: '7e2ad5a0-5c5b-5d1c-8f0c-3a8f5a2b1c4d',
  div: null
} as const

const read = (token: string): Passport => {
  const parsed = parsePassport(token)
  if (!parsed.ok) throw new Error(parsed.why)
  return parsed.value
}
const why = (token: string): string => {
  const parsed = parsePassport(token)
  return parsed.ok ? 'read' : parsed.why
}
const json = (part: string | undefined): string => Buffer.from(part ?? '', 'base64url').toString()
const token = (header: object, payload: object): string =>
  `${[header, payload].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.${'A'.repeat(86)}`
const header = { alg: 'ES256', ppt: 'shaken', typ: 'passport', x5u }
const payload = { attest: 'A', dest: { tn: ['1'] }, iat: 1, orig: { tn: '2' }, origid: claims.origid }

describe('the tokens of RFC 8946', () => {
  it('are three, and each is signed by the key that comes with them', () => {
    expect(new Set(vectors).size).toBe(3)
    for (const vector of vectors) expect(isSigned(read(vector), vectorKey)).toBe(true)
    for (const vector of vectors) expect(isSigned(read(vector), publicKey)).toBe(false)
  })

  it('say who calls, who is called, who has diverted, and when', () => {
    const [div, , plain, both] = vectors.map(read)
    expect(plain).toMatchObject({ ppt: null, claims: { orig: '12155551212', dest: ['12155551213'], div: null } })
    expect(div).toMatchObject({
      ppt: 'div',
      x5u: 'https://www.example.com/cert.cer',
      // One 5 more than the number that was called: a slip of the document, so that its own two do not chain.
      claims: { orig: '12155551212', dest: ['12155551214'], div: '121555551213', iat: 1_443_208_345 }
    })
    expect(both?.ppt).toBe('div-o')
    expect(read(both?.original ?? '').claims).toEqual(plain?.claims)
  })
})

describe('a token of the hub', () => {
  it('STIR-03 has its keys in order and no space, numbers without +, iat as a number', () => {
    const [head, body, signature] = signPassport({ ppt: 'shaken', x5u, claims }, privateKey).split('.')
    expect(json(head)).toBe(`{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"${x5u}"}`)
    expect(json(body)).toBe(
      `{"attest":"A","dest":{"tn":["441632960083"]},"iat":1795000000,"orig":{"tn":"4930111001"},"origid":"${claims.origid}"}`
    )
    expect(Buffer.from(signature ?? '', 'base64url').length).toBe(64)
  })

  it('is read again, and is signed by no other key', () => {
    const made = read(signPassport({ ppt: 'shaken', x5u, claims }, privateKey))
    expect(made.claims).toEqual(claims)
    expect(isSigned(made, publicKey)).toBe(true)
    expect(isSigned(made, vectorKey)).toBe(false)
    const [head, , signature] = signPassport({ ppt: 'shaken', x5u, claims }, privateKey).split('.')
    const other = Buffer.from(JSON.stringify({ ...payload })).toString('base64url')
    expect(isSigned(read(`${head}.${other}.${signature}`), publicKey)).toBe(false)
  })

  it('STIR-07 of a diversion says who has diverted, and attests nothing', () => {
    const div = { ...claims, attest: null, origid: null, div: '49301' }
    const [, body] = signPassport({ ppt: 'div', x5u, claims: div }, privateKey).split('.')
    expect(json(body)).toBe(
      '{"dest":{"tn":["441632960083"]},"div":{"tn":"49301"},"iat":1795000000,"orig":{"tn":"4930111001"}}'
    )
  })
})

describe('what is no token', () => {
  it.each([
    ['', 'it is no token'],
    ['a.b', 'it is no token'],
    ['a.b.c.d', 'it is no token'],
    ['a.b!.c', 'it is no token'],
    ['..c', 'the full form is needed'],
    ['YQ..c', 'the full form is needed'],
    ['YQ.YQ.c', 'it holds no JSON'],
    [token({ ...header, alg: 'none' }, payload), 'alg the algorithm is not ES256'],
    [token({ ...header, alg: 'HS256' }, payload), 'alg the algorithm is not ES256'],
    [token({ ...header, typ: 'JWT' }, payload), 'typ it is no PASSporT'],
    [token(header, { ...payload, iat: '1' }), 'iat iat is no number'],
    [token(header, { ...payload, iat: 1.5 }), /^iat/],
    [token(header, { ...payload, dest: {} }), 'dest dest is empty'],
    [token(header, { ...payload, dest: { tn: Array.from({ length: 17 }, () => '1') } }), /^dest/],
    [token(header, { ...payload, orig: { tn: 'alice' } }), /^orig/],
    [token(header, { ...payload, orig: undefined }), /^orig/],
    [token(header, { ...payload, attest: 'D' }), /^attest/],
    [token(header, { ...payload, attest: undefined }), 'attest and origid are missing'],
    [token(header, { ...payload, origid: 'somebody' }), /^origid/],
    [token({ ...header, ppt: 'div' }, payload), 'div is missing'],
    [token(header, payload).slice(0, -4), 'the signature is no ES256']
  ])('%#', (text, expected) => {
    expect(why(text)).toMatch(expected)
  })

  it('one that is well formed is read, URIs and several called numbers too', () => {
    const said = read(
      token(
        { alg: 'ES256', typ: 'passport', x5u },
        { ...payload, dest: { tn: ['+49-30-1', '2'], uri: ['sip:b@x'] }, orig: { uri: 'sip:a@x' }, extra: 1 }
      )
    )
    expect(said.claims).toMatchObject({ orig: 'sip:a@x', dest: ['49301', '2', 'sip:b@x'] })
  })
})

describe('an Identity header field', () => {
  it('is a token, where its certificate is, and what kind it is', () => {
    const text = printIdentity('a.b.c', x5u, 'shaken')
    expect(text).toBe(`a.b.c;info=<${x5u}>;alg=ES256;ppt=shaken`)
    expect(parseIdentity(text)).toEqual({ token: 'a.b.c', info: x5u })
    expect(parseIdentity(`a.b.c ; info = <${x5u}> ; ppt="div"`)).toEqual({ token: 'a.b.c', info: x5u })
  })

  it.each(['', 'a.b', 'a b c', '"sYuS"', `<sip:x@y>;info=<${x5u}>`, 'a.b.c, d.e.f'])('is not %s', text => {
    expect(parseIdentity(text)).toBeNull()
  })

  it.each(['a.b.c', 'a.b.c;alg=ES256', 'a.b.c;info=https://x', 'a.b.c;info=<>'])('without info: %s', text => {
    expect(parseIdentity(text)).toEqual({ token: 'a.b.c', info: null })
  })
})

it('numbers are compared as digits', () => {
  expect(['+49(30)1', '+49-30.1', '49301'].map(digitsOf)).toEqual(['49301', '49301', '49301'])
})
