import { describe, expect, it } from '@jest/globals'
import { createLog } from '../../src/log.ts'
import { addressIn, applyRegexp, createLookUp, enumLimits, enumName, kindOf, portedIn } from '../../src/routing/enum.ts'
import type { Naptr } from '../../src/routing/enum.ts'

// ENUM on records of the test's own; the DNS itself: test/conformance/nni/enum.test.ts.

const number = '+441632960083'
const record = (over: Partial<Naptr>): Naptr => ({
  order: 100,
  preference: 10,
  flags: 'u',
  service: 'E2U+sip',
  regexp: '!^.*$!sip:x@example.com!',
  replacement: '',
  ...over
})
const sip = (user: string, over: Partial<Naptr> = {}): Naptr =>
  record({ regexp: `!^.*$!sip:${user}@example.com!`, ...over })

/** A DNS with these names, and what it was asked. */
const dns = (names: Readonly<Record<string, readonly Naptr[]>>) => {
  const asked: string[] = []
  const naptr = async (name: string): Promise<readonly Naptr[]> => (asked.push(name), names[name] ?? [])
  return { asked, lookUp: createLookUp([{ prefix: '+', suffix: 'e164.test', naptr }], createLog('silent')) }
}
const own = enumName(number, 'e164.test')
const users = async (...records: readonly Naptr[]) =>
  (await dns({ [own]: records }).lookUp(number))?.onNet.map(({ user }) => user) ?? null

describe('the substitution of a record', () => {
  it.each([
    ['!^(\\+441632960083)$!sip:\\1@example.com!', 'sip:+441632960083@example.com'],
    ['!(^.*)$!tel:\\1;npdi!', 'tel:+441632960083;npdi'],
    ['!^.*$!sip:fixed@example.com!', 'sip:fixed@example.com'],
    ['|^\\+44(.*)$|sip:\\1!x@a|', 'sip:1632960083!x@a'],
    ['!^\\+44(16)(32)(.*)$!sip:\\3\\2\\1@a!i', 'sip:9600833216@a'],
    ['!^.*$!sip:a\\!b@c!', 'sip:a!b@c'],
    ['!^(.)(x)?.*$!\\1\\2\\3!', '+'],
    ['!^.*$!a\\\\b!', 'a\\b']
  ])('%s gives %s', (text, expected) => {
    expect(applyRegexp(text, number)).toBe(expected)
  })

  it.each([
    '',
    '!',
    '!^.*$!',
    '!^.*$!x',
    '!^.*$!x!!',
    '!^.*$!x!g',
    '!^441632!x!',
    '!^[!x!',
    '1^.*$1x1',
    'i^.*$ixi',
    '\\^.*$\\x\\',
    '!^.*$!\\0!',
    '!^.*$!\\!',
    `!^.*$!${'x'.repeat(enumLimits.resultBytesMax + 1)}!`
  ])('%s gives nothing', text => {
    expect(applyRegexp(text, number)).toBeNull()
  })
})

describe('what records mean', () => {
  it('services are told apart, in any case', () => {
    expect(['E2U+sip', 'e2u+SIP', 'E2U+voice:tel+sip', 'E2U+pstn:tel', 'E2U+pstn:sip'].map(kindOf)).toEqual([
      'sip',
      'sip',
      'sip',
      'pstn',
      'pstn'
    ])
    expect(['E2U+h323', 'E2U+email:mailto', 'sip+E2U', '', 'E2U', 'SIP+D2U', 'E2U+pstn'].map(kindOf)).toEqual(
      Array.from({ length: 7 }, () => null)
    )
  })

  it('an address is somebody at a domain', () => {
    expect(addressIn('sip:+44-1632-960083@Example.com;user=phone')).toEqual({ user: number, domain: 'example.com' })
    expect(addressIn(`sips:${number};npdi@example.com:5061`)).toEqual({ user: number, domain: 'example.com' })
    expect(addressIn('sip:alice@example.com')).toEqual({ user: 'alice', domain: 'example.com' })
    for (const odd of [
      'sip:example.com',
      'tel:+1',
      'sip:a b@c',
      'sip:a@c>',
      'sip:a@[::1]',
      'sip:a@b\r\nX: y',
      'sip:a@b?X=y'
    ]) {
      expect([odd, addressIn(odd)]).toEqual([odd, null])
    }
  })

  it('a tel URI says where the number was ported to', () => {
    expect(portedIn('tel:+1-215-555-0123;npdi;rn=+1-215-555-0199')).toEqual({ rn: '+12155550199', npdi: true })
    expect(portedIn('sip:+12155550123;npdi;rn=+12155550199@gw.example;user=phone')).toEqual({
      rn: '+12155550199',
      npdi: true
    })
    expect(portedIn('tel:+12155550123;npdi')).toEqual({ rn: null, npdi: true })
    expect(portedIn('tel:+12155550123')).toEqual({ rn: null, npdi: false })
    for (const odd of ['tel:123', 'mailto:a@b', 'sip:alice@b', '']) expect(portedIn(odd)).toBeNull()
  })
})

describe('looking a number up', () => {
  it('goes by order, then by preference, whatever the DNS says first', async () => {
    const shuffled = [sip('c', { order: 200 }), sip('b', { preference: 20 }), sip('a')]
    expect(await users(...shuffled)).toEqual(['a', 'b', 'c'])
  })

  it('passes over what is not known, malformed, or of another number', async () => {
    const odd = [
      record({ order: 1, service: 'E2U+h323', regexp: '!^.*$!h323:x@y!' }),
      record({ order: 2, flags: 's' }),
      record({ order: 3, regexp: '!^\\+49.*$!sip:other@example.com!' }),
      record({ order: 4, regexp: '!^[!sip:broken@example.com!' }),
      record({ order: 5, regexp: '!^.*$!mailto:x@y!' })
    ]
    expect(await users(...odd, sip('good', { order: 6 }))).toEqual(['good'])
    expect(await users(...odd)).toBeNull()
  })

  it('follows records without flags, never in a circle, never for long', async () => {
    const to = (replacement: string): Naptr => record({ flags: '', service: '', regexp: '', replacement })
    const { lookUp, asked } = dns({
      [own]: [to('one.test')],
      'one.test': [to(own), to('one.test'), to('two.test.')],
      'two.test': [sip('found')]
    })
    expect((await lookUp(number))?.onNet.map(({ user }) => user)).toEqual(['found'])
    expect(asked).toEqual([own, 'one.test', 'two.test'])
    const chain = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`n${n}.test`, [to(`n${n + 1}.test`)]]))
    const long = dns({ ...chain, [own]: [to('n0.test')] })
    expect(await long.lookUp(number)).toBeNull()
    expect(long.asked.length).toBe(enumLimits.stepsMax)
    const wide = dns({ [own]: Array.from({ length: 64 }, (_, n) => to(`w${n}.test`)) })
    expect(await wide.lookUp(number)).toBeNull()
    expect(wide.asked.length).toBeLessThanOrEqual(enumLimits.recordsMax)
  })

  it('gives no more addresses than can be tried', async () => {
    const many = Array.from({ length: 30 }, (_, n) => sip(`u${n}`, { preference: n }))
    expect((await users(...many))?.length).toBe(enumLimits.onNetMax)
  })

  it('asks in the tree of the longest prefix, and nobody where there is none', async () => {
    const asked: string[] = []
    const tree = (prefix: string, suffix: string) => ({
      prefix,
      suffix,
      naptr: async (name: string) => (asked.push(name), [])
    })
    const lookUp = createLookUp([tree('+4', 'wide.test'), tree('+44', 'near.test')], createLog('silent'))
    await lookUp('+441')
    await lookUp('+491')
    await lookUp('+1')
    expect(asked).toEqual(['1.4.4.near.test', '1.9.4.wide.test'])
  })

  it('knows nothing where the DNS fails', async () => {
    const naptr = async (): Promise<never> => Promise.reject(new Error('no answer'))
    expect(await createLookUp([{ prefix: '+', suffix: 'x', naptr }], createLog('silent'))(number)).toBeNull()
  })
})
