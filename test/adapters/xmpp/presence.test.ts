import { describe, expect, it } from '@jest/globals'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { capsElement, capsHash, userInfo } from '../../../src/adapters/xmpp/disco.ts'
import { limits } from '../../../src/adapters/xmpp/limits.ts'
import type { Limits } from '../../../src/adapters/xmpp/limits.ts'
import { Presence } from '../../../src/adapters/xmpp/presence.ts'
import { ns } from '../../../src/adapters/xmpp/stanza.ts'
import { settle } from '../../support/world.ts'

const gateway = 'gw.ott.test'
const number = `+49301@${gateway}`

function presences(more: Partial<Limits> = {}, rosterElsewhere = false) {
  const sent: Element[] = []
  const asked: Element[] = []
  const kept: (readonly string[])[] = []
  let features: readonly string[] = ['a', 'b']
  const presence = new Presence({
    gateway,
    limits: { ...limits, ...more },
    send: stanza => sent.push(stanza) > 0,
    request: async iq => {
      asked.push(iq)
      const identity = xml('identity', { category: 'client', type: 'phone', name: 'x' })
      const children = [identity, ...features.map(name => xml('feature', { var: name }))]
      return xml('iq', { type: 'result' }, xml('query', { xmlns: ns.discoInfo }, ...children))
    },
    stands: jid => jid.startsWith('+'),
    rosterElsewhere,
    keep: (change, { user, contact }) => void kept.push([change, user, contact])
  })
  const heard = (from: string, type?: string, ...children: readonly Element[]): void =>
    presence.heard(xml('presence', { from, to: number, type }, ...children))
  return {
    presence,
    sent,
    asked,
    kept,
    heard,
    told: () => sent.splice(0).map(({ attrs }) => [attrs['type'] ?? 'available', attrs['from'], attrs['to']]),
    answers: (names: readonly string[]) => void (features = names)
  }
}
const caps = (features: readonly string[], more: Readonly<Record<string, string>> = {}): Element => {
  const identities = [{ category: 'client', type: 'phone', lang: '', name: 'x' }]
  return xml('c', { xmlns: ns.caps, hash: 'sha-1', node: 'urn:test', ver: capsHash({ identities, features }), ...more })
}

describe('the caps hash', () => {
  it('is that of the specification', () => {
    const identities = [{ category: 'client', type: 'pc', lang: '', name: 'Exodus 0.9.1' }]
    const features = [ns.caps, ns.discoItems, ns.discoInfo, 'http://jabber.org/protocol/muc']
    // XEP-0115, 5.2.
    expect(capsHash({ identities, features })).toBe('QgayPKawpkPSDYmwT/WM94uAlu0=')
    expect(capsElement().attrs['ver']).toBe(capsHash(userInfo))
  })
})

describe('who watches whom', () => {
  it('a subscription is granted, asked for in turn and shown to be there', () => {
    const { heard, told, presence } = presences()
    heard('alice@ott.test', 'subscribe')
    expect(told()).toEqual([
      ['subscribed', number, 'alice@ott.test'],
      ['subscribe', number, 'alice@ott.test'],
      ['available', `${number}/gw`, 'alice@ott.test']
    ])
    expect(presence.watches('alice@ott.test', '+49301')).toBe(true)
    heard('alice@ott.test', 'unsubscribe')
    expect(told().map(([type]) => type)).toEqual(['unavailable', 'unsubscribed'])
    expect(presence.watches('alice@ott.test', '+49301')).toBe(false)
  })
  it('a probe is answered to the device that asks, and teaches who watches', () => {
    const { heard, told, presence } = presences()
    heard('alice@ott.test/phone', 'probe')
    expect(told()).toEqual([['available', `${number}/gw`, 'alice@ott.test/phone']])
    presence.up([])
    expect(told()).toEqual([
      ['available', `${number}/gw`, 'alice@ott.test'],
      ['probe', number, 'alice@ott.test']
    ])
    heard('alice@ott.test', 'unsubscribed')
    presence.up([])
    expect(told()).toEqual([])
  })
  it('what changes is kept, once; who watched in the last life is told as soon as the link is up', () => {
    const { heard, kept, presence, told } = presences()
    presence.remember([
      { user: 'bob@ott.test', contact: '+49301' },
      { user: 'bob@ott.test', contact: 'nobody' }
    ])
    presence.up([])
    expect(told()).toEqual([
      ['available', `${number}/gw`, 'bob@ott.test'],
      ['probe', number, 'bob@ott.test']
    ])
    for (const type of ['subscribe', 'probe', 'subscribe', 'unsubscribe', 'unsubscribe']) heard('alice@ott.test', type)
    heard('bob@ott.test', 'probe')
    heard('bob@ott.test', 'unsubscribed')
    expect(kept).toEqual([
      ['add', 'alice@ott.test', '+49301'],
      ['remove', 'alice@ott.test', '+49301'],
      ['remove', 'bob@ott.test', '+49301']
    ])
  })
  it('nobody watches what cannot be called, and there are bounds', () => {
    const { presence, told } = presences({ watchersMax: 1, contactsPerWatcherMax: 1 })
    const subscribe = (from: string, to: string): void =>
      presence.heard(xml('presence', { from, to, type: 'subscribe' }))
    subscribe('alice@ott.test', `nobody@${gateway}`)
    subscribe('alice@ott.test', gateway)
    presence.heard(xml('presence', { from: 'alice@ott.test', to: `nobody@${gateway}`, type: 'probe' }))
    expect(told().map(([type]) => type)).toEqual(['unsubscribed', 'unsubscribed', 'unsubscribed'])
    subscribe('alice@ott.test', number)
    told()
    subscribe('alice@ott.test', `+49302@${gateway}`)
    subscribe('bob@ott.test', number)
    expect(told().map(([type]) => type)).toEqual(['unsubscribed', 'unsubscribed'])
    expect(presence.watcherCount).toBe(1)
  })
  it('an account tells its own server that it is there, and leaves the roster to it', () => {
    const { presence, told, heard } = presences({}, true)
    presence.up(['+49301'])
    expect(told()).toEqual([['available', `${number}/gw`, undefined]])
    heard('alice@ott.test', 'subscribe')
    expect(told().map(([type]) => type)).toEqual(['subscribed', 'subscribe'])
  })
})

describe('devices', () => {
  it('are known with what they can do, best first, until they go', async () => {
    const { presence, heard } = presences()
    heard('alice@ott.test/a', undefined, caps(['a', 'b']))
    heard('alice@ott.test/b', undefined, xml('priority', {}, '5'))
    await settle()
    const seen = presence.devices('alice@ott.test')
    expect(seen.map(({ jid, priority }) => [jid, priority])).toEqual([
      ['alice@ott.test/b', 5],
      ['alice@ott.test/a', 0]
    ])
    expect(seen.map(({ features }) => features && [...features])).toEqual([null, ['a', 'b']])
    heard('alice@ott.test/b', 'unavailable')
    expect(presence.devices('alice@ott.test/any')).toHaveLength(1)
    heard('alice@ott.test', 'unavailable')
    expect(presence.devices('alice@ott.test')).toEqual([])
  })
  it('that show the same hash are asked once; a hash that is wrong is believed of nobody else', async () => {
    const { presence, heard, asked, answers } = presences()
    heard('alice@ott.test/a', undefined, caps(['a', 'b']))
    heard('bob@ott.test/b', undefined, caps(['a', 'b']))
    await settle()
    expect(asked).toHaveLength(1)
    answers(['forged'])
    heard('eve@ott.test/e', undefined, caps(['c', 'd']))
    await settle()
    answers(['c', 'd'])
    heard('carol@ott.test/c', undefined, caps(['c', 'd']))
    await settle()
    expect(asked).toHaveLength(3)
    const of = (user: string) => [...(presence.devices(user)[0]?.features ?? [])]
    expect([of('eve@ott.test'), of('carol@ott.test'), of('bob@ott.test')]).toEqual([['forged'], ['c', 'd'], ['a', 'b']])
  })
  it('are bounded for each user and in all; the oldest go first', () => {
    const { presence, heard } = presences({ devicesPerUserMax: 2, watchersMax: 2 })
    for (const device of ['a', 'b', 'c']) heard(`alice@ott.test/${device}`)
    expect(presence.devices('alice@ott.test').map(({ jid }) => jid)).toEqual(['alice@ott.test/b', 'alice@ott.test/c'])
    heard('bob@ott.test/a')
    heard('carol@ott.test/a')
    expect(presence.devices('alice@ott.test')).toEqual([])
    expect(presence.devices('carol@ott.test')).toHaveLength(1)
  })
  it('after a break nobody is taken to be there still', () => {
    const { presence, heard } = presences()
    heard('alice@ott.test/a')
    presence.up([])
    expect(presence.devices('alice@ott.test')).toEqual([])
  })
})
