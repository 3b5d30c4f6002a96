// needs: knot

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createResolver } from '../../src/sip/resolver.ts'
import { startDnsServer } from '../support/dns-server.ts'
import type { DnsServer } from '../support/dns-server.ts'

const records = [
  'border 300 IN A 192.0.2.1',
  'border 300 IN AAAA 2001:db8::1',
  'many 60 IN A 192.0.2.1',
  'many 30 IN A 192.0.2.2',
  '@ IN NAPTR 10 20 "S" "SIP+D2U" "" _sip._udp',
  '_sip._udp IN SRV 10 60 5060 border',
  '_sips._tcp IN SRV 0 0 0 .',
  '1.0.0.0.0 IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.test!" .'
]

let dns: DnsServer
beforeAll(async () => {
  dns = await startDnsServer({ 'example.test': records })
}, 90_000)
afterAll(() => dns.stop())

const quick = { timeoutMs: 300, tries: 1 }

describe('a real DNS server', () => {
  it('is asked for every type', async () => {
    const resolver = createResolver({ servers: [dns.address] })
    expect(await resolver.a('border.example.test')).toEqual(['192.0.2.1'])
    expect(await resolver.aaaa('border.example.test')).toEqual(['2001:db8::1'])
    expect(await resolver.naptr('example.test')).toEqual([
      {
        order: 10,
        preference: 20,
        flags: 's',
        service: 'SIP+D2U',
        regexp: '',
        replacement: '_sip._udp.example.test'
      }
    ])
    expect(await resolver.srv('_sip._udp.example.test')).toEqual([
      { priority: 10, weight: 60, port: 5060, name: 'border.example.test' }
    ])
    expect((await resolver.srv('_sips._tcp.example.test'))[0]?.name).toBe('')
    expect((await resolver.naptr('1.0.0.0.0.example.test'))[0]).toMatchObject({
      flags: 'u',
      service: 'E2U+sip',
      regexp: '!^.*$!sip:info@example.test!'
    })
  })

  it('says no, and that is an answer: of the type and of the name', async () => {
    const resolver = createResolver({ servers: [dns.address] })
    expect(await resolver.srv('border.example.test')).toEqual([])
    expect(await resolver.a('nobody.example.test')).toEqual([])
  })

  it('refuses what is not its business, and that is a failure', async () => {
    const resolver = createResolver({ servers: [dns.address], limits: quick })
    await expect(resolver.a('elsewhere.test')).rejects.toMatchObject({ code: 'HUB_DNS', retryable: true })
  })

  it('knows nothing of the machine’s own names: the system does', async () => {
    expect(await createResolver({ servers: [dns.address] }).system('localhost')).toContain('127.0.0.1')
  })
})

describe('what is remembered', () => {
  it('holds for the shortest time to live of the answer, then is asked again', async () => {
    let now = 0
    const resolver = createResolver({ servers: [dns.address], now: () => now })
    const before = await resolver.a('many.example.test')
    expect(before.toSorted()).toEqual(['192.0.2.1', '192.0.2.2'])
    await dns.change('example.test', [...records.filter(line => !line.startsWith('many')), 'many 30 IN A 192.0.2.9'])
    now = 29_000
    expect(await resolver.a('many.example.test')).toEqual(before)
    now = 31_000
    expect(await resolver.a('many.example.test')).toEqual(['192.0.2.9'])
  }, 90_000)

  it('is asked once at a time, and whatever the case of the name', async () => {
    const resolver = createResolver({ servers: [dns.address] })
    const both = await Promise.all([resolver.a('border.example.test'), resolver.a('BORDER.example.test')])
    expect(both[0]).toBe(both[1])
  })

  it('is bounded: names, records and questions on their way', async () => {
    const limits = { entriesMax: 2, recordsMax: 1, openMax: 3 }
    const resolver = createResolver({ servers: [dns.address], limits })
    for (const name of ['border', 'nobody', '_sip._udp', 'ns']) await resolver.a(`${name}.example.test`)
    expect(resolver.size).toBe(2)
    expect(await resolver.naptr('example.test')).toHaveLength(1)
    const asked = ['a', 'b', 'c', 'd'].map(name => resolver.a(`${name}.example.test`))
    const results = await Promise.allSettled(asked)
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected'])
    const crowded = createResolver({ servers: [dns.address], limits: { waitingMax: 1 } })
    const crowd = await Promise.allSettled([crowded.a('e.example.test'), crowded.a('e.example.test')])
    expect(crowd.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
  })
})

describe('a server that stops', () => {
  it('leaves what was known, for as long as that is worth something, and a failure for the rest', async () => {
    const mortal = await startDnsServer({ 'example.test': records })
    let now = 0
    const limits = { ...quick, staleMs: 1_000_000, failureMs: 5_000 }
    const resolver = createResolver({ servers: [mortal.address], limits, now: () => now })
    expect(await resolver.a('border.example.test')).toEqual(['192.0.2.1'])
    await mortal.stop()
    now = 400_000
    expect(await resolver.a('border.example.test')).toEqual(['192.0.2.1'])
    now = 2_000_000
    await expect(resolver.a('border.example.test')).rejects.toMatchObject({ code: 'HUB_DNS' })
    await expect(resolver.srv('_sip._udp.example.test')).rejects.toMatchObject({ code: 'HUB_DNS' })
  }, 120_000)
})
