// The registration file, as a homeserver reads it.

import { describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'
import { publicUrlOf, registrationOf } from '../../../src/adapters/matrix/registration.ts'
import { registrationText } from '../../../src/cli/matrix.ts'
import { parseConfig } from '../../../src/config.ts'

const matrix = { id: 'rooms', access: 'matrix', domain: 'rooms.example', homeserver: 'https://hs.example' }
const island = { ...matrix, asToken: { secret: 'as: "odd"' }, hsToken: { secret: 'hs' } }
const config = (more: object = {}) =>
  parseConfig(JSON.stringify({ matrix: { publicUrl: 'https://hub.example/' }, islands: [island], ...more }))

describe('the registration', () => {
  it('has all that a homeserver needs, quoted as YAML wants it', () => {
    expect(parse(registrationText(config(), undefined))).toEqual({
      id: 'isthmus-rooms',
      url: 'https://hub.example',
      as_token: 'as: "odd"',
      hs_token: 'hs',
      sender_localpart: '_isthmus_bot',
      rate_limited: false,
      receive_ephemeral: true,
      'de.sorunome.msc2409.push_ephemeral': true,
      namespaces: {
        users: [{ exclusive: true, regex: '@_isthmus_.*:rooms\\.example' }],
        aliases: [],
        rooms: []
      },
      protocols: ['m.protocol.pstn']
    })
  })

  it('claims the ghosts of that homeserver and nobody else', () => {
    const text = registrationOf({
      islandId: 'a',
      domain: 'x.y-z.example',
      ghostPrefix: '_pstn.gw_',
      url: 'http://hub',
      asToken: 'a',
      hsToken: 'b'
    })
    const { namespaces } = parse(text) as { readonly namespaces: { readonly users: readonly { regex: string }[] } }
    const pattern = new RegExp(`^${namespaces.users[0]!.regex}$`)
    expect(pattern.test('@_pstn.gw_4989:x.y-z.example')).toBe(true)
    for (const other of ['@_pstnxgw_4989:x.y-z.example', '@alice:x.y-z.example', '@_pstn.gw_4989:xay-z.example']) {
      expect([other, pattern.test(other)]).toEqual([other, false])
    }
  })

  it('is asked for by island where there are several, and refused where there is none', () => {
    const two = config({ islands: [island, { ...island, id: 'other', domain: 'other.example' }] })
    expect(() => registrationText(two, undefined)).toThrow(/say which island: rooms, other/)
    expect(registrationText(two, 'other')).toMatch(/isthmus-other/)
    expect(() => registrationText(two, 'third')).toThrow(/no Matrix island is called third/)
    expect(() => registrationText(parseConfig(''), undefined)).toThrow(/no island with access: matrix/)
  })

  it('cannot be made where the homeserver could not find the hub', () => {
    expect(() => registrationText(config({ matrix: { port: 0 } }), undefined)).toThrow(/matrix\.port is 0/)
  })

  it('names the address that is bound where no public one is configured', () => {
    const at = (more: object) => parseConfig(JSON.stringify({ matrix: more })).matrix
    expect(publicUrlOf(at({ host: '127.0.0.1' }), 9_000)).toBe('http://127.0.0.1:9000')
    expect(publicUrlOf(at({ host: '::1' }), 9_000)).toBe('http://[::1]:9000')
    expect(publicUrlOf(at({ host: '::1', tls: { certFile: 'a', keyFile: 'b' } }), 1)).toBe('https://[::1]:1')
  })
})
