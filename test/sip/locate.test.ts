import { describe, expect, it } from '@jest/globals'
import { locate, locateLimits, namedTransport, orderSrv } from '../../src/sip/locate.ts'
import type { Reach } from '../../src/sip/locate.ts'
import type { DnsResolver, NaptrRecord, SrvRecord } from '../../src/sip/resolver.ts'
import { parseUri } from '../../src/sip/uri.ts'
import type { SipUri } from '../../src/sip/uri.ts'

interface Known {
  readonly naptr?: readonly NaptrRecord[]
  readonly srv?: readonly SrvRecord[]
  readonly a?: readonly string[]
  readonly aaaa?: readonly string[]
  readonly system?: readonly string[]
}

/** A DNS with these names; what was asked is kept. `fails` makes every question of that type fail. */
function dns(names: Readonly<Record<string, Known>>, fails: readonly (keyof DnsResolver)[] = []) {
  const asked: string[] = []
  const ask =
    (type: keyof DnsResolver) =>
    async (name: string): Promise<never> => {
      asked.push(`${type} ${name}`)
      if (fails.includes(type)) throw new Error('SERVFAIL')
      return (names[name]?.[type] ?? []) as never
    }
  const resolver: DnsResolver = {
    naptr: ask('naptr'),
    srv: ask('srv'),
    a: ask('a'),
    aaaa: ask('aaaa'),
    system: ask('system')
  }
  return { resolver, asked }
}

const everything: Reach = { transports: ['udp', 'tcp', 'tls'], ipv4: true, ipv6: true }
const sip = (text: string): SipUri => parseUri(text) as SipUri

async function placesOf(
  uri: string,
  names: Readonly<Record<string, Known>>,
  reach: Reach = everything,
  fails: readonly (keyof DnsResolver)[] = []
): Promise<readonly string[]> {
  const found = await locate(sip(uri), { resolver: dns(names, fails).resolver, reach, random: () => 0 })
  return found.map(({ transport, host, port }) => `${transport} ${host} ${port}`)
}

const naptr = (order: number, preference: number, service: string, replacement: string, flags = 's'): NaptrRecord => ({
  order,
  preference,
  flags,
  service,
  regexp: '',
  replacement
})
const srv = (name: string, port = 5060, priority = 1, weight = 0): SrvRecord => ({ priority, weight, port, name })

describe('an address (RFC 3263, 4.1 and 4.2)', () => {
  it.each([
    ['sip:192.0.2.1', 'udp 192.0.2.1 5060'],
    ['sip:192.0.2.1:5070', 'udp 192.0.2.1 5070'],
    ['sip:192.0.2.1;transport=tcp', 'tcp 192.0.2.1 5060'],
    ['sip:192.0.2.1;transport=tls', 'tls 192.0.2.1 5061'],
    ['sips:192.0.2.1', 'tls 192.0.2.1 5061'],
    ['sips:192.0.2.1;transport=tcp', 'tls 192.0.2.1 5061'],
    ['sip:[2001:db8::1]', 'udp 2001:db8::1 5060'],
    ['sip:example.com;maddr=192.0.2.9', 'udp 192.0.2.9 5060']
  ])('%s is %s, and nothing is asked', async (uri, place) => {
    expect(await placesOf(uri, {})).toEqual([place])
  })

  it('of a transport that this side has not leads nowhere', async () => {
    const udpOnly: Reach = { transports: ['udp'], ipv4: true, ipv6: false }
    expect(await placesOf('sip:192.0.2.1;transport=tcp', {}, udpOnly)).toEqual([])
    expect(await placesOf('sips:192.0.2.1', {}, udpOnly)).toEqual([])
    expect(await placesOf('sip:192.0.2.1;transport=sctp', {}, everything)).toEqual([])
    expect(namedTransport(sip('sip:h;transport=ws'))).toBe('other')
    expect(namedTransport(sip('sips:h;transport=udp'))).toBe('other')
  })
})

describe('a name', () => {
  it('with NAPTR: services by order and preference, each through its SRV', async () => {
    const names = {
      'op.example': {
        naptr: [
          naptr(20, 10, 'SIP+D2U', '_sip._udp.op.example'),
          naptr(10, 20, 'SIP+D2T', '_sip._tcp.op.example'),
          naptr(10, 10, 'SIPS+D2T', '_sips._tcp.op.example'),
          naptr(5, 1, 'SIP+D2S', '_sip._sctp.op.example'),
          naptr(5, 1, 'E2U+sip', '', 'u')
        ]
      },
      '_sips._tcp.op.example': { srv: [srv('s.op.example', 5061)] },
      '_sip._tcp.op.example': { srv: [srv('t.op.example', 5080)] },
      '_sip._udp.op.example': { srv: [srv('u.op.example', 5060)] },
      's.op.example': { a: ['192.0.2.1'] },
      't.op.example': { a: ['192.0.2.2'] },
      'u.op.example': { a: ['192.0.2.3'], aaaa: ['2001:db8::3'] }
    }
    expect(await placesOf('sip:op.example', names)).toEqual([
      'tls 192.0.2.1 5061',
      'tcp 192.0.2.2 5080',
      'udp 2001:db8::3 5060',
      'udp 192.0.2.3 5060'
    ])
    // Without TLS here the service that needs it is not there.
    expect(await placesOf('sip:op.example', names, { transports: ['udp', 'tcp'], ipv4: true, ipv6: false })).toEqual([
      'tcp 192.0.2.2 5080',
      'udp 192.0.2.3 5060'
    ])
  })

  it('without NAPTR: the first transport of ours that has SRV', async () => {
    const names = {
      '_sip._tcp.op.example': { srv: [srv('t.op.example', 5080)] },
      't.op.example': { a: ['192.0.2.2'] }
    }
    expect(await placesOf('sip:op.example', names)).toEqual(['tcp 192.0.2.2 5080'])
  })

  it('with neither: its addresses at the usual port', async () => {
    expect(await placesOf('sip:op.example', { 'op.example': { a: ['192.0.2.1', '192.0.2.2'] } })).toEqual([
      'udp 192.0.2.1 5060',
      'udp 192.0.2.2 5060'
    ])
  })

  it('and a transport: SRV of that transport, no NAPTR; sips is TLS', async () => {
    const names = {
      '_sip._tcp.op.example': { srv: [srv('t.op.example', 5080)] },
      '_sips._tcp.op.example': { srv: [srv('t.op.example', 5081)] },
      't.op.example': { a: ['192.0.2.2'] }
    }
    expect(await placesOf('sip:op.example;transport=tcp', names)).toEqual(['tcp 192.0.2.2 5080'])
    expect(await placesOf('sips:op.example', names)).toEqual(['tls 192.0.2.2 5081'])
    const { resolver, asked } = dns(names)
    await locate(sip('sip:op.example;transport=tcp'), { resolver, reach: everything, random: () => 0 })
    expect(asked).toEqual(['srv _sip._tcp.op.example', 'aaaa t.op.example', 'a t.op.example'])
  })

  it('and a port: addresses alone', async () => {
    const { resolver, asked } = dns({ 'op.example': { a: ['192.0.2.1'] } })
    const found = await locate(sip('sip:op.example:5080'), { resolver, reach: everything, random: () => 0 })
    expect(found).toEqual([{ transport: 'udp', host: '192.0.2.1', port: 5080, name: 'op.example' }])
    expect(asked).toEqual(['aaaa op.example', 'a op.example'])
  })

  it('names the domain that a certificate has to prove, whatever SRV made of it (RFC 5922)', async () => {
    const { resolver } = dns({
      '_sips._tcp.op.example': { srv: [srv('host7.provider.example', 5061)] },
      'host7.provider.example': { a: ['192.0.2.7'] }
    })
    const [first] = await locate(sip('sips:op.example'), { resolver, reach: everything, random: () => 0 })
    expect(first).toEqual({ transport: 'tls', host: '192.0.2.7', port: 5061, name: 'op.example' })
  })

  it('whose service is declared absent has none (RFC 2782: a target of ".")', async () => {
    expect(await placesOf('sip:op.example;transport=tcp', { '_sip._tcp.op.example': { srv: [srv('')] } })).toEqual([])
  })

  it('that the DNS does not know is asked of the system; one without a dot at once', async () => {
    expect(await placesOf('sip:op.example:5080', { 'op.example': { system: ['192.0.2.8'] } })).toEqual([
      'udp 192.0.2.8 5080'
    ])
    const { resolver, asked } = dns({ kamailio: { system: ['192.0.2.9', '2001:db8::9'] } })
    const found = await locate(sip('sip:kamailio'), {
      resolver,
      reach: { transports: ['udp'], ipv4: true, ipv6: false },
      random: () => 0
    })
    expect(found.map(({ host }) => host)).toEqual(['192.0.2.9'])
    expect(asked).toEqual(['system kamailio'])
  })

  it('whose SRV cannot be had is taken by its address; where nobody can say at all, that is an error', async () => {
    const names = { 'op.example': { a: ['192.0.2.1'] } }
    expect(await placesOf('sip:op.example', names, everything, ['naptr', 'srv'])).toEqual(['udp 192.0.2.1 5060'])
    await expect(
      placesOf('sip:op.example', names, everything, ['naptr', 'srv', 'a', 'aaaa', 'system'])
    ).rejects.toThrow()
  })

  it('with more places than the bound gives the first ones, none twice', async () => {
    const many = Array.from({ length: 40 }, (_, n) => `192.0.2.${n % 20}`)
    const found = await placesOf('sip:op.example:5060', { 'op.example': { a: many } })
    expect(found.length).toBe(locateLimits.targetsMax)
    expect(new Set(found).size).toBe(found.length)
  })
})

describe('SRV records (RFC 2782)', () => {
  it('go by priority, then by weight as chance has it', () => {
    const records = [srv('backup', 1, 20, 100), srv('small', 1, 10, 1), srv('large', 1, 10, 3), srv('none', 1, 10, 0)]
    const names = (random: number): readonly string[] => orderSrv(records, () => random).map(({ name }) => name)
    expect(names(0)).toEqual(['none', 'small', 'large', 'backup'])
    expect(names(0.99)).toEqual(['large', 'small', 'none', 'backup'])
  })

  it('share as their weights say', () => {
    const records = [srv('one', 1, 1, 1), srv('three', 1, 1, 3)]
    let state = 42
    const random = (): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648
    const firsts = Array.from({ length: 4_000 }, () => orderSrv(records, random)[0]?.name)
    const share = firsts.filter(name => name === 'three').length / firsts.length
    expect(share).toBeGreaterThan(0.7)
    expect(share).toBeLessThan(0.8)
  })
})
