// needs: openssl
import { describe, expect, it } from '@jest/globals'
import { certificatesIn, credentialOf, parseTnAuthList } from '../../../src/nni/stir/certificate.ts'
import { elementAt, elementsOf, integerOf, oidOf } from '../../../src/nni/stir/der.ts'
import { anyNumber, numberAuthority, oneNumber } from '../../support/stir-ca.ts'
import type { Signer, SignerOptions } from '../../support/stir-ca.ts'

// RFC 8226 on certificates that openssl has made.

const root = numberAuthority()
const between = root.issue('Between', { authority: { pathLength: 0 } })
const chainOf = (signer: Signer) => certificatesIn(Buffer.from(signer.chain)) ?? []
const whyNot = (signer: Signer, roots = [root]): string => {
  const found = credentialOf(
    chainOf(signer),
    roots.map(({ certificate }) => certificate)
  )
  return found.ok ? 'trusted' : found.why
}
const covers = (options: SignerOptions, ...numbers: readonly string[]): readonly boolean[] => {
  const found = credentialOf(chainOf(root.issue('signer', options)), [root.certificate])
  if (!found.ok) throw new Error(found.why)
  return numbers.map(number => found.value.covers(number))
}

describe('a certificate', () => {
  it('speaks for its numbers: of a provider any, one, or a range', () => {
    expect(covers({ list: anyNumber }, '1', '441632960083')).toEqual([true, true])
    expect(covers({ list: oneNumber('441632960083') }, '441632960083', '441632960084')).toEqual([true, false])
    const hundred = ['441632960000', '441632960099', '441632960100', '441632959999', '4416329600', 'sip:a@x']
    expect(covers({ list: ['EXP:1,SEQUENCE:hundred'] }, ...hundred)).toEqual([true, true, false, false, false, false])
    expect(covers({ list: ['EXP:1,SEQUENCE:hundred', 'EXP:2,IA5STRING:49301'] }, '49301', '441632960001')).toEqual([
      true,
      true
    ])
  })

  it('counts from a root, over the authorities that come with it, in any order', () => {
    const signer = between.issue('signer')
    expect(whyNot(root.issue('signer'))).toBe('trusted')
    expect(whyNot(signer)).toBe('trusted')
    const [leaf, middle] = chainOf(signer)
    const unrelated = numberAuthority('Unrelated')
    const mixed = [leaf!, unrelated.certificate, middle!]
    expect(credentialOf(mixed, [root.certificate]).ok).toBe(true)
    expect(credentialOf([leaf!], [root.certificate])).toMatchObject({
      why: 'nobody trusted has issued the certificate'
    })
  })

  it('does not count from a stranger, from itself, from who is no authority, or too far below one', () => {
    const no = 'nobody trusted has issued the certificate'
    expect(whyNot(root.issue('signer'), [numberAuthority('Number CA')])).toBe(no)
    expect(whyNot(root)).toBe('an authority signs no calls')
    expect(whyNot(root.issue('signer').issue('customer'))).toBe(no)
    expect(whyNot(between.issue('Below', { authority: { pathLength: 0 } }).issue('signer'))).toBe(no)
  })

  it.each([
    ['names no numbers', { list: null }, 'the certificate names no numbers (TNAuthList)'],
    ['has another curve', { curve: 'secp384r1' }, 'the key of the certificate is no P-256'],
    ['may not sign', { extensions: ['keyUsage=critical,keyAgreement'] }, 'the certificate may not sign'],
    [
      'demands what nobody here knows',
      { extensions: ['1.2.3.4=critical,ASN1:UTF8String:x'] },
      'the certificate demands what is not understood'
    ]
  ])('that %s is not taken', (_what, options, why) => {
    expect(whyNot(root.issue('signer', options))).toBe(why)
  })

  it('with the uses and names that are usual is taken; its validity is that of its whole path', () => {
    const usual = ['keyUsage=critical,digitalSignature', 'subjectAltName=critical,DNS:op.example']
    const found = credentialOf(chainOf(between.issue('signer', { extensions: usual })), [root.certificate])
    if (!found.ok) throw new Error(found.why)
    const { validFrom, validTo } = found.value
    expect(validTo - validFrom).toBeLessThanOrEqual(2 * 86_400_000)
    expect(validTo).toBe(root.certificate.validToDate.getTime())
  })

  it('comes in PEM or in DER', () => {
    const signer = root.issue('signer')
    expect(certificatesIn(signer.certificate.raw)?.[0]?.fingerprint256).toBe(signer.certificate.fingerprint256)
    expect(certificatesIn(Buffer.from('<html>'))).toBeNull()
    expect(certificatesIn(Buffer.from('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'))).toBeNull()
    expect(certificatesIn(Buffer.from(signer.cert.repeat(20)))?.length).toBe(6)
  })
})

describe('DER that is no such thing', () => {
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

  it.each(['', '30', '30 05 00', '30 80 00 00', '30 84 00 00 00 01 00', '1f 81 00 00', '30 82 ff'])(
    '%s is null',
    text => {
      expect(elementAt(hex(text))).toBeNull()
    }
  )

  it.each([
    '30 00',
    '31 08 a0 06 16 04 31 32 33 34',
    '30 04 a0 02 16 01',
    '30 03 a0 01 16',
    '30 08 a0 06 0c 04 31 32 33 34',
    '30 08 a3 06 16 04 31 32 33 34',
    '30 07 a1 05 30 03 16 01 31',
    '30 0a a1 08 30 06 16 01 31 02 01 ff'
  ])('no TNAuthList: %s', text => {
    expect(parseTnAuthList(hex(text))).toBeNull()
  })

  it('is bounded in how much of it is read', () => {
    expect(elementsOf(Buffer.alloc(600), 256)).toBeNull()
    expect(elementsOf(Buffer.alloc(4))?.length).toBe(2)
    expect(integerOf({ tag: 2, content: Buffer.alloc(7), end: 0 })).toBeNull()
    expect(oidOf(hex('2b 06 01 05 05 07 01 1a'))).toBe('1.3.6.1.5.5.7.1.26')
  })

  it('of a real list is read', () => {
    expect(parseTnAuthList(hex('30 08 a0 06 16 04 37 30 39 4a'))?.('12155551212')).toBe(true)
  })
})
