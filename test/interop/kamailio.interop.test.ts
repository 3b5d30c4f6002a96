// Kamailio as an operator's border, mutual TLS towards the hub: calls both ways, the probes, certificates that fail.
// needs: kamailio openssl sipp

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { checkPeer, probes } from '../../src/nni/check/check.ts'
import type { CheckOptions } from '../../src/nni/check/check.ts'
import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator } from '../../src/sandbox/operator.ts'
import { authority } from '../support/certificates.ts'
import type { Authority } from '../support/certificates.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { startKamailio } from '../support/kamailio.ts'
import type { Kamailio, KamailioOptions } from '../support/kamailio.ts'
import { freePort, startSipp } from '../support/sipp.ts'

const hubHost = '127.0.0.1'
const border = '127.0.0.2'
const phones = '127.0.0.3'
const south = '127.0.0.4'

let ours: Authority
let others: Authority
let folder: string
let north: Kamailio
let hub: HubProcess
let southern: Operator
/** Where the phones of the north are: SIPp, or the sandbox. */
let phonePort: number
let hubPort: number
let southPort: number
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const kamailio = (over: Partial<KamailioOptions> = {}): Promise<Kamailio> =>
  startKamailio({
    host: border,
    domain: 'north.example',
    authority: ours,
    inside: [{ host: phones, port: phonePort }],
    hub: { host: hubHost, port: hubPort },
    ...over
  })

const operatorNorth = (id: string, port: number, prefix: string) => ({
  id,
  address: { host: border, port, transport: 'tls' },
  domain: 'north.example',
  certificateNames: ['north.example'],
  trust: 'network',
  ioi: 'north.example',
  routes: [{ prefix }],
  keepaliveMs: 0,
  tls: { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem'), caFile: join(folder, 'ca.pem') }
})

beforeAll(async () => {
  ours = authority('The Operators')
  others = authority('Somebody Else')
  folder = mkdtempSync(join(tmpdir(), 'isthmus-tls-'))
  const { cert, key } = ours.issue('hub.example', 'URI:sip:hub.example', 'DNS:hub.example')
  writeFileSync(join(folder, 'cert.pem'), cert)
  writeFileSync(join(folder, 'key.pem'), key, { mode: 0o600 })
  writeFileSync(join(folder, 'ca.pem'), ours.cert)
  phonePort = await freePort(phones)
  hubPort = await freePort(hubHost)
  southPort = await freePort(south)
  north = await kamailio()
  southern = createOperator({ host: south, port: southPort })
  await southern.start()
  const { tls, ...known } = operatorNorth('north', north.tlsPort, '+33')
  const anywhere = [{ prefix: '+', destination: 'Anywhere', rate: '0.06' }]
  hub = await startHubProcess({
    config: {
      hub: { domain: 'hub.example', ioi: 'hub.example' },
      nni: {
        listen: [
          { transport: 'udp', host: hubHost, port: 0 },
          { transport: 'tcp', host: hubHost, port: 0 },
          { transport: 'tls', host: hubHost, port: hubPort, tls }
        ]
      },
      operators: [
        { ...known, tls },
        {
          id: 'south',
          address: { host: south, port: southPort },
          trust: 'network',
          ioi: 'south.example',
          routes: [{ prefix: '+49' }],
          keepaliveMs: 0
        }
      ],
      agreements: [
        { id: 'north-hub', buyer: 'north', seller: 'hub', rates: anywhere },
        { id: 'hub-south', buyer: 'hub', seller: 'south', rates: anywhere },
        { id: 'south-hub', buyer: 'south', seller: 'hub', rates: anywhere },
        { id: 'hub-north', buyer: 'hub', seller: 'north', rates: anywhere }
      ]
    }
  })
}, 180_000)

afterAll(async () => {
  const left = await hub?.stop()
  await southern?.close()
  await north?.stop()
  rmSync(folder, { recursive: true, force: true })
  expect(left).toBe(0)
}, 120_000)

const finals = async (before: number) =>
  eventually('both legs have their records', async () => {
    const fresh = (await hub.records()).filter(({ kind }) => kind === 'final').slice(before)
    return fresh.length >= 2 ? fresh : null
  })
const finalCount = async (): Promise<number> => (await hub.records()).filter(({ kind }) => kind === 'final').length

describe('calls through a border of Kamailio with mutual TLS', () => {
  it('reach the phones behind it', async () => {
    const before = await finalCount()
    const phone = await startSipp({ scenario: 'ims-uas.xml', host: phones, port: phonePort, calls: 1 })
    closing.push(() => phone.stop())
    const to = { host: hubHost, port: hub.sipPort('udp'), transport: 'udp' } as const
    const call = await southern.call('+33145678900', { to, from: '+4930123456' })
    expect(await call.answered).toBe(true)
    call.hangUp()
    expect(await call.ended).toMatchObject({ how: 'bye' })
    const { successful, failed, errors } = await phone.done
    expect([successful, failed, errors]).toEqual([1, 0, ''])
    const records = await finals(before)
    expect(
      records
        .map(({ leg, provider, cause, neighbour_addr }) => [leg, provider, cause, neighbour_addr])
        .sort((a, b) => String(a).localeCompare(String(b)))
    ).toEqual([
      ['egress', 'north', 'normal', `${border}:${north.tlsPort}`],
      ['ingress', 'south', 'normal', `${south}:${southPort}`]
    ])
  }, 90_000)

  it('come from the phones behind it, and in-dialog requests find their way back', async () => {
    const before = await finalCount()
    const caller = await startSipp({
      scenario: 'ims-uac-bye-in.xml',
      host: phones,
      remote: { host: border, port: north.port },
      service: '+4930123299',
      keys: { caller: '+33145678900' },
      calls: 1
    })
    const { successful, failed, errors } = await caller.done
    expect([successful, failed, errors]).toEqual([1, 0, ''])
    const records = await finals(before)
    expect(
      records
        .map(({ leg, provider, release_side }) => [leg, provider, release_side])
        .sort((a, b) => String(a).localeCompare(String(b)))
    ).toEqual([
      ['egress', 'south', 'callee'],
      ['ingress', 'north', 'callee']
    ])
    expect(southern.history.at(-1)).toMatchObject({ number: '+4930123299' })
  }, 90_000)

  it('pass the probes of `isthmus nni check`', async () => {
    const phone = createOperator({ host: phones, port: phonePort })
    await phone.start()
    closing.push(() => phone.close())
    const report = await checkPeer({ ...(await towards(border, north.tlsPort, 'north.example')), waitMs: 15_000 })
    expect(report.results.filter(({ verdict }) => verdict === 'fail')).toEqual([])
    expect(report.counts.pass).toBeGreaterThan(probes.length - 3)
  }, 120_000)
})

describe('certificates', () => {
  const keepalives: CheckOptions['only'] = ({ item }) => item === 'RTE-09'
  const said = async (port: number, host: string, domain: string) => {
    const options = { ...(await towards(host, port, domain)), waitMs: 10_000, only: keepalives }
    return new Set((await checkPeer(options)).results.map(one => one.said.replace(/ after .*/, '')))
  }

  it('of the right authority for the right domain: answered; for another domain: no path', async () => {
    expect(await said(north.tlsPort, border, 'north.example')).toEqual(new Set(['200 OK', '483 Too Many Hops']))
    expect(await said(north.tlsPort, border, 'south.example')).toEqual(new Set(['no path to the peer']))
  }, 60_000)

  it('of another authority: no path, and its phones do not get into the hub', async () => {
    const stranger = await kamailio({ host: '127.0.0.5', authority: others, trusts: ours })
    closing.push(() => stranger.stop())
    expect(await said(stranger.tlsPort, '127.0.0.5', 'north.example')).toEqual(new Set(['no path to the peer']))
    const before = southern.history.length
    const caller = await startSipp({
      scenario: 'ims-uac.xml',
      host: phones,
      remote: { host: '127.0.0.5', port: stranger.port },
      service: '+4930123456',
      keys: { caller: '+33145678900' },
      calls: 1,
      runMs: 30_000
    })
    const { successful, failed } = await caller.done
    expect([successful, failed, southern.history.length]).toEqual([0, 1, before])
  }, 120_000)
})

const fileText = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')

/** As the hub would go there, with its certificate. */
async function towards(host: string, port: number, domain: string): Promise<CheckOptions> {
  const tls = { cert: await fileText('cert.pem'), key: await fileText('key.pem'), ca: ours.cert }
  const codecs = [{ payloadType: 8, rtpmap: 'PCMA/8000' }]
  return {
    target: {
      name: 'north',
      nextHop: `sip:${host}:${port};transport=tls`,
      domain,
      numbers: { from: '+4930123456', answers: '+33145678', rings: '+33145180', early: '+33145183' },
      agreed: { message: true, info: true, telUri: null, ioi: null, codecs }
    },
    agent: {
      listen: [{ transport: 'tls', host: hubHost, port: 0, tls }],
      tlsPeers: [{ hosts: [host], own: null, ca: ours.cert, domains: [domain] }]
    },
    mediaHost: hubHost,
    domain: 'hub.example'
  }
}
