import { describe, expect, it } from '@jest/globals'
import { assert, constantFrom, property, string } from 'fast-check'
import { createAddresses, dialled, escapeLocal, localOf, unescapeLocal } from '../../../src/adapters/xmpp/addresses.ts'
import { escapeSipUser, unescapeSipUser } from '../../../src/session/dial-plan.ts'
import { gatewayAddress, parseJid } from '../../../src/adapters/xmpp/stanza.ts'
import { parseConfig } from '../../../src/config.ts'
import type { XmppIslandConfig } from '../../../src/config.ts'
import type { Shown } from '../../../src/session/model.ts'

const island = (more: Readonly<Record<string, unknown>> = {}): XmppIslandConfig => {
  const config = parseConfig(
    JSON.stringify({
      islands: [
        {
          id: 'ott',
          access: 'xmpp',
          domain: 'OTT.test',
          gateway: 'gw.ott.test',
          connection: { kind: 'component', host: 'localhost', secret: 'x' },
          users: [{ name: 'Alice', number: '+4930222001', display: 'Alice' }],
          ...more
        }
      ]
    })
  )
  return config.islands[0] as XmppIslandConfig
}
const addressesOf = (more: Readonly<Record<string, unknown>> = {}) =>
  createAddresses({ island: island(more), numberOf: (_id, user) => (user === 'alice' ? '+4930222001' : null) })
const from = (presented: string | null, more: Partial<Shown> = {}): Shown => ({
  asserted: [],
  presented,
  display: null,
  privacy: [],
  ...more
})
const plan = island({
  dialPlan: {
    countryCode: '49',
    short: [{ dialled: '333', number: '+4930333' }],
    emergency: [{ dialled: '112' }, { dialled: '110', number: '+4930110' }]
  }
}).dialPlan

describe('local parts (XEP-0106)', () => {
  it.each([
    ['space cadet', 'space\\20cadet'],
    ['call me "ishmael"', 'call\\20me\\20\\22ishmael\\22'],
    ['at&t guy', 'at\\26t\\20guy'],
    ["d'artagnan", 'd\\27artagnan'],
    ['/.fanboy', '\\2f.fanboy'],
    ['::foo::', '\\3a\\3afoo\\3a\\3a'],
    ['<foo>', '\\3cfoo\\3e'],
    ['user@host', 'user\\40host'],
    ['c:\\net', 'c\\3a\\net'],
    ['c:\\cool stuff', 'c\\3a\\cool\\20stuff'],
    ['c:\\5commas', 'c\\3a\\5c5commas']
  ])('%s is written %s and read back', (plain, escaped) => {
    expect(escapeLocal(plain)).toBe(escaped)
    expect(unescapeLocal(escaped)).toBe(plain)
  })
  it('whatever it was, it comes back', () => {
    assert(
      property(string({ unit: constantFrom(...Array.from('aZ0 "&\'/:<>@\\2045cC7eéж')) }), text => {
        expect(unescapeLocal(escapeLocal(text))).toBe(text.trim())
      })
    )
  })
  it('a SIP user part keeps what RFC 3261 lets it, and comes back', () => {
    expect(escapeSipUser("o'neil")).toBe("o'neil")
    expect(escapeSipUser('a b@c;d?e/f:g')).toBe('a%20b%40c%3Bd%3Fe%2Ff%3Ag')
    expect(escapeSipUser('é')).toBe('%C3%A9')
    expect(unescapeSipUser('%')).toBeNull()
    assert(property(string({ unit: 'grapheme' }), text => expect(unescapeSipUser(escapeSipUser(text))).toBe(text)))
  })
})

describe('what users dial', () => {
  it.each([
    ['+4930123456', 'tel:+4930123456'],
    ['+49-30-123.456', 'tel:+4930123456'],
    ['004930123456', 'tel:+4930123456'],
    ['030123456', 'tel:+4930123456'],
    ['333', 'tel:+4930333'],
    ['110', 'tel:+4930110'],
    ['bob\\40sip.test', 'sip:bob@sip.test'],
    ['d\\27artagnan\\40sip.test', "sip:d'artagnan@sip.test"],
    ['a\\20b\\40Sip.Test', 'sip:a%20b@sip.test']
  ])('%s leads to %s', (local, called) => {
    expect(dialled(local, plan)).toEqual({ called })
  })
  it.each([
    ['anonymous', 'not-found'],
    ['bob', 'not-found'],
    ['49', 'address-incomplete'],
    ['+0123', 'address-incomplete'],
    ['+1234567890123456', 'address-incomplete'],
    ['00', 'address-incomplete'],
    ['bob\\40', 'not-found'],
    ['bob\\40bad\\20domain', 'not-found'],
    ['\\40sip.test', 'not-found']
  ])('%s leads nowhere: %s', (local, cause) => {
    expect(dialled(local, plan)).toMatchObject({ refused: { cause } })
  })
  it('an emergency number without a route is told apart', () => {
    expect(dialled('112', plan)).toMatchObject({ emergency: true, refused: { text: expect.stringContaining('phone') } })
    expect(dialled('333', plan)).not.toHaveProperty('emergency')
  })
  it('without a country national numbers are refused, in words', () => {
    expect(dialled('030123456', island().dialPlan)).toMatchObject({
      refused: { cause: 'address-incomplete', text: expect.stringContaining('+') }
    })
  })
})

describe('who a caller is towards an island', () => {
  it.each([
    ['tel:+4930123456', '+4930123456'],
    ['sip:+4930123456@hub.test;user=phone', '+4930123456'],
    ['sip:+49-30-123456@hub.test', '+4930123456'],
    ['sip:bob@Sip.test', 'bob\\40sip.test'],
    ['sip:bob@sip.test:5061;transport=tcp', 'bob\\40sip.test'],
    ["sip:d'artagnan%20x@sip.test", 'd\\27artagnan\\20x\\40sip.test'],
    ['sip:anonymous@anonymous.invalid', 'anonymous'],
    ['sip:%@sip.test', 'anonymous'],
    ['http://x', 'anonymous']
  ])('%s is %s', (presented, local) => {
    expect(localOf(from(presented))).toBe(local)
    expect(parseJid(`${local}@gw.ott.test`)).not.toBeNull()
  })
  it('nobody is anonymous, and so is who wants to be, whatever is asserted', () => {
    expect(localOf(from(null))).toBe('anonymous')
    expect(localOf(from('tel:+4930123456', { asserted: ['tel:+4930123456'], privacy: ['id'] }))).toBe('anonymous')
    expect(localOf(from(null, { asserted: ['tel:+4930123456'] }))).toBe('+4930123456')
  })
  it('a caller can be called back: the way back leads to the same address', () => {
    for (const uri of ['tel:+4930123456', 'sip:bob@sip.test', "sip:d'artagnan%20x@sip.test"]) {
      expect(dialled(localOf(from(uri)), plan)).toEqual({ called: uri })
    }
  })
  it('no local part leaves the domain of the gateway', () => {
    assert(
      property(string({ unit: 'grapheme' }), local => {
        const address = parseJid(gatewayAddress('gw.ott.test', local))
        expect(address?.domain).toBe('gw.ott.test')
      })
    )
    expect(gatewayAddress('gw.ott.test', 'a@evil.test/')).toBe('gw.ott.test')
    expect(gatewayAddress('gw.ott.test', null)).toBe('gw.ott.test')
  })
})

describe('an island', () => {
  it('vouches for its users by the number and the name', () => {
    const addresses = addressesOf()
    expect(addresses.caller('Alice@ott.test/phone')).toEqual({
      asserted: ['tel:+4930222001', 'sip:alice@ott.test'],
      presented: 'tel:+4930222001',
      display: 'Alice',
      privacy: [],
      trust: 'network'
    })
    expect(addresses.caller('d\\27artagnan@ott.test')).toMatchObject({ asserted: ["sip:d'artagnan@ott.test"] })
    for (const stranger of ['alice@evil.test', 'alice@sub.ott.test', 'ott.test', '@', 'alice@evilott.test']) {
      expect(addresses.caller(stranger)).toBeNull()
    }
  })
  it('finds its users by address and number, and nobody else', () => {
    const addresses = addressesOf()
    expect(addresses.userJid('sip:alice@ott.test')).toBe('alice@ott.test')
    expect(addresses.userJid("sip:d'artagnan%20x@OTT.test")).toBe('d\\27artagnan\\20x@ott.test')
    expect(addresses.userJid('tel:+4930222001')).toBe('alice@ott.test')
    for (const uri of ['sip:alice@other.test', 'tel:+4930999', 'sip:@ott.test', 'sip:%@ott.test', 'alice@ott.test']) {
      expect(addresses.userJid(uri)).toBeNull()
    }
  })
  it('its gateway answers at full addresses of its own domain alone', () => {
    const addresses = addressesOf()
    expect(addresses.gatewayJid(from('tel:+4930123456'))).toBe('+4930123456@gw.ott.test/gw')
    expect(addresses.answering('+4930123456@gw.ott.test')).toBe('+4930123456@gw.ott.test/gw')
    expect(addresses.answering('+4930123456@other.test')).toBeNull()
    expect(addresses.answering('gw.ott.test')).toBeNull()
    expect(addresses.called('gw.ott.test')).toMatchObject({ refused: { cause: 'not-found' } })
    expect(addresses.isOfIsland('sub.ott.test')).toBe(true)
    expect(addresses.isOfIsland('evilott.test')).toBe(false)
  })
  it('with accounts each stands for one number, and no other caller can be shown', () => {
    const addresses = addressesOf({
      gateway: 'ott.test',
      connection: {
        kind: 'accounts',
        service: 'wss://ott.test',
        accounts: [{ name: 'Line', secret: 'x', number: '+4930999' }]
      }
    })
    expect(addresses.called('line@ott.test/gw')).toEqual({ called: 'tel:+4930999' })
    expect(addresses.called('+4930123@ott.test')).toMatchObject({ refused: { cause: 'not-found' } })
    expect(addresses.gatewayJid(from('tel:+4930999'))).toBe('line@ott.test/gw')
    expect(addresses.gatewayJid(from('tel:+4930123'))).toBe('anonymous@ott.test/gw')
  })
})
