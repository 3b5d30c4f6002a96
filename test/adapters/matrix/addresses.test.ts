// User ids and canonical addresses: what a ghost stands for, and what a person may have typed.

import { describe, expect, it } from '@jest/globals'
import {
  anonymousLocal,
  createAddresses,
  escapeLocal,
  parseUserId,
  unescapeLocal
} from '../../../src/adapters/matrix/addresses.ts'
import type { Shown } from '../../../src/session/model.ts'
import { matrixIsland, serverName } from '../../support/matrix-fakes.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

const numberOf = (_: string, user: string): string | null =>
  ({ alice: '+4930111001', carol: '+4930111003' })[user] ?? null
const addresses = createAddresses({ island: matrixIsland(), numberOf })
const from = (uri: string | null, more: Partial<Shown> = {}): Shown => ({
  asserted: [],
  presented: uri,
  display: null,
  privacy: [],
  ...more
})
const ghost = (what: string): string => `@_isthmus_${what}:${serverName}`
const calledBy = (what: string): unknown => addresses.called(ghost(what))

describe('a ghost', () => {
  it('stands for a number by its digits', () => {
    expect(addresses.ghostOf(from('tel:+4989123456'))).toBe(ghost('4989123456'))
    expect(addresses.ghostOf(from('sip:+4989123456@ims.example;user=phone'))).toBe(ghost('4989123456'))
    expect(addresses.ghostOf(from('sip:+49-89-123456;npdi@ims.example:5060'))).toBe(ghost('4989123456'))
    expect(calledBy('4989123456')).toEqual({ called: 'tel:+4989123456' })
    expect(addresses.displayOf(ghost('4989123456'))).toBe('+4989123456')
  })

  it('stands for a user of another island by its address', () => {
    expect(addresses.ghostOf(from('sip:dave@acme.example'))).toBe(ghost('dave=40acme.example'))
    expect(calledBy('dave=40acme.example')).toEqual({ called: 'sip:dave@acme.example' })
    expect(addresses.displayOf(ghost('dave=40acme.example'))).toBe('dave@acme.example')
  })

  it('is what it stands for, there and back, for any number and any address', () => {
    const random = mulberry32(seedFromEnvironment)
    const pick = (from: string): string => from[random(from.length)] ?? ''
    const many = (from: string, most: number): string =>
      Array.from({ length: 1 + random(most) }, () => pick(from)).join('')
    for (let n = 0; n < 500; n++) {
      const number = `tel:+${1 + random(9)}${many('0123456789', 13)}`
      const user = `x${many("abcXYZ0189-_.!~*'()&=+$,", 20)}`
      const address = `sip:${user}@${many('abcxyz', 8)}.example`
      for (const uri of [number, address]) {
        const id = addresses.ghostOf(from(uri))
        expect(parseUserId(id)).not.toBeNull()
        expect(id.slice(1, id.indexOf(':'))).toMatch(/^[a-z0-9._=-]+$/)
        expect([uri, addresses.called(id)]).toEqual([uri, { called: uri }])
      }
    }
  })

  it('survives letters of any alphabet, and no broken escape', () => {
    for (const text of ['Jörg', 'жук', '😀', 'a=b+c', '\u0000']) expect(unescapeLocal(escapeLocal(text))).toBe(text)
    for (const broken of ['=4', '=zz', '=ff', 'a=']) expect(unescapeLocal(broken)).toBeNull()
    expect(calledBy('=ff=fe')).toMatchObject({ refused: { cause: 'not-found' } })
  })

  it('of nobody is one for all, and cannot be called back', () => {
    const one = ghost(anonymousLocal)
    expect(addresses.ghostOf(from(null))).toBe(one)
    expect(addresses.ghostOf(from('sip:anonymous@anonymous.invalid'))).toBe(one)
    expect(addresses.ghostOf(from('sip:+4989123456@ims.example', { privacy: ['id'] }))).toBe(one)
    expect(addresses.ghostOf(from('mailto:somebody@example.org'))).toBe(one)
    expect(addresses.called(one)).toMatchObject({ refused: { cause: 'not-found' } })
    expect(addresses.displayOf(one)).toBe('Anonymous')
  })

  it('is nobody where its user id would be longer than 255 characters', () => {
    const name = 'a'.repeat(255 - ghost('=40x.example').length)
    expect(addresses.ghostOf(from(`sip:${name}@x.example`))).toHaveLength(255)
    expect(addresses.ghostOf(from(`sip:${name}a@x.example`))).toBe(ghost(anonymousLocal))
  })

  it('is shown by what its network vouches for where it presents nothing', () => {
    const seen = from(null, { asserted: ['tel:+4989123456'] })
    expect(addresses.ghostOf(seen)).toBe(ghost('4989123456'))
  })

  it('is told from users, from the users of the service itself and from those of other homeservers', () => {
    expect(addresses.isGhost(ghost('4989123456'))).toBe(true)
    expect(addresses.isGhost(`@alice:${serverName}`)).toBe(false)
    expect(addresses.isGhost(ghost('bot'))).toBe(false)
    expect(addresses.isGhost(ghost('watch'))).toBe(false)
    expect(addresses.isGhost('@_isthmus_49:elsewhere.example')).toBe(false)
    expect(addresses.isGhost('nonsense')).toBe(false)
    expect(addresses.called(`@alice:${serverName}`)).toMatchObject({ refused: { cause: 'not-found' } })
  })
})

describe('what people type behind the prefix', () => {
  it('is a number by the dial plan', () => {
    for (const what of ['4989123456', '+4989123456', '089123456', '004989123456', '0049-89.123456']) {
      expect([what, calledBy(what)]).toEqual([what, { called: 'tel:+4989123456' }])
    }
    expect(calledBy('100')).toEqual({ called: 'tel:+4930100' })
    expect(calledBy('=2b4989123456')).toEqual({ called: 'tel:+4989123456' })
  })

  it('may be for help, which is told where there is no way to it', () => {
    expect(calledBy('112')).toMatchObject({ refused: { cause: 'not-found' }, emergency: true })
    const routed = matrixIsland({ dialPlan: { emergency: [{ dialled: '112', number: '+49112' }] } })
    expect(createAddresses({ island: routed, numberOf }).called(ghost('112'))).toEqual({ called: 'tel:+49112' })
  })

  it('may be nothing', () => {
    expect(calledBy('hello')).toMatchObject({ refused: { cause: 'not-found' } })
    expect(calledBy('')).toMatchObject({ refused: {} })
    expect(calledBy('1')).toMatchObject({ refused: { cause: 'address-incomplete' } })
    expect(calledBy('12345678901234567')).toMatchObject({ refused: { cause: 'address-incomplete' } })
  })

  it('is found by clients that look a number up', () => {
    for (const text of ['+49 89 123456', '(089) 123-456', '0049 89 123456']) {
      expect([text, addresses.ghostOfDialled(text)]).toEqual([text, ghost('4989123456')])
    }
    expect(addresses.ghostOfDialled('100')).toBe(ghost('4930100'))
    expect(addresses.ghostOfDialled('112')).toBeNull()
    expect(addresses.ghostOfDialled('x')).toBeNull()
  })
})

describe('a user', () => {
  it('calls with the number that the provider has given, and is vouched for', () => {
    expect(addresses.caller(`@alice:${serverName}`)).toEqual({
      asserted: ['tel:+4930111001', `sip:alice@${serverName}`],
      presented: 'tel:+4930111001',
      display: 'Alice',
      privacy: [],
      trust: 'network'
    })
    expect(addresses.caller(`@bob:${serverName}`)?.presented).toBe(`sip:bob@${serverName}`)
  })

  it('is none from another homeserver, and no ghost', () => {
    expect(addresses.caller('@alice:elsewhere.example')).toBeNull()
    expect(addresses.caller(ghost('4989123456'))).toBeNull()
    expect(addresses.caller('alice')).toBeNull()
  })

  it('is reached by its address, as the router writes it for numbers of the configuration and of the table', () => {
    expect(addresses.userOf(`sip:alice@${serverName}`)).toBe(`@alice:${serverName}`)
    expect(addresses.userOf(`sip:carol@${serverName.toUpperCase()}`)).toBe(`@carol:${serverName}`)
    expect(addresses.userOf(`sip:a%2Fb@${serverName}`)).toBe(`@a/b:${serverName}`)
  })

  it('is none under another domain, with a broken escape, or with the name of a ghost', () => {
    for (const uri of [
      'sip:alice@elsewhere.example',
      `sip:%ff@${serverName}`,
      `sip:_isthmus_4989@${serverName}`,
      `sip:a%20b@${serverName}`,
      `sip:${'a'.repeat(255)}@${serverName}`,
      'tel:+4930999',
      'nonsense'
    ]) {
      expect([uri, addresses.userOf(uri)]).toEqual([uri, null])
    }
  })
})
