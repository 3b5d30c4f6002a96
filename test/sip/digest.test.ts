// Digest: the vectors of RFC 7616 and RFC 2617, header fields read and written, and what is no credentials.

import { describe, expect, it } from '@jest/globals'
import { digestAlgorithm, digestResponse, parseAuth, printAuth, sameSecret } from '../../src/sip/digest.ts'

const mufasa = {
  username: 'Mufasa',
  realm: 'http-auth@example.org',
  password: 'Circle of Life',
  method: 'GET',
  uri: '/dir/index.html',
  nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
  qop: { nc: '00000001', cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ' }
} as const

describe('digest computation', () => {
  it('gives the MD5 response of RFC 7616, 3.9.1', () => {
    expect(digestResponse({ ...mufasa, algorithm: 'MD5' })).toBe('8ca523f5e9506fed4657c9700eebdbec')
  })

  it('gives the SHA-256 response of RFC 7616, 3.9.1', () => {
    expect(digestResponse({ ...mufasa, algorithm: 'SHA-256' })).toBe(
      '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'
    )
  })

  it('gives the response of RFC 2617, 3.5', () => {
    const nonce = 'dcd98b7102dd2f0e8b11d0f600bfb0c093'
    const input = {
      ...mufasa,
      realm: 'testrealm@host.com',
      password: 'Circle Of Life',
      nonce,
      algorithm: 'MD5'
    } as const
    const qop = { nc: '00000001', cnonce: '0a4f113b' }
    expect(digestResponse({ ...input, qop })).toBe('6629fae49393a05397450978507c4ef1')
  })

  it('gives the response without quality of protection that RFC 2069 (erratum 749) shows', () => {
    const input = {
      ...mufasa,
      realm: 'testrealm@host.com',
      password: 'CircleOfLife',
      qop: null,
      algorithm: 'MD5'
    } as const
    expect(digestResponse({ ...input, nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093' })).toBe(
      '1949323746fe6a43ef61f9606e7febea'
    )
  })

  it('knows SHA-512-256 by its length and its name', () => {
    expect(digestResponse({ ...mufasa, algorithm: 'SHA-512-256' })).toHaveLength(64)
    expect(digestAlgorithm('sha-512-256')).toBe('SHA-512-256')
    expect(digestAlgorithm(undefined)).toBe('MD5')
    expect(digestAlgorithm('MD5-sess')).toBeNull()
  })

  it('compares secrets of different length without throwing', () => {
    expect(sameSecret('abc', 'abcd')).toBe(false)
    expect(sameSecret('abc', 'abc')).toBe(true)
  })
})

describe('digest header fields', () => {
  it('reads quoted and bare values, escapes, odd spacing and any case of names', () => {
    const auth = parseAuth('dIgEsT  Realm = "a \\"b\\", c" ,qop=auth,NONCE="n"')
    expect(auth?.scheme).toBe('digest')
    expect([...(auth?.params ?? [])]).toEqual([
      ['realm', 'a "b", c'],
      ['qop', 'auth'],
      ['nonce', 'n']
    ])
  })

  it('refuses what is no list of parameters', () => {
    for (const text of [
      '',
      'Digest',
      'Digest ',
      'Digest realm',
      'Digest realm=',
      'Digest realm="x',
      'Digest a=1 b=2',
      'Digest a=1,a=2',
      'Digest ,'
    ]) {
      expect(parseAuth(text)).toBeNull()
    }
  })

  it('writes qop quoted in a challenge and bare in credentials', () => {
    expect(
      printAuth(
        [
          ['realm', 'a"b'],
          ['qop', 'auth']
        ],
        ['qop']
      )
    ).toBe('Digest realm="a\\"b", qop="auth"')
    expect(
      printAuth([
        ['nc', '00000001'],
        ['qop', 'auth']
      ])
    ).toBe('Digest nc=00000001, qop=auth')
  })
})
