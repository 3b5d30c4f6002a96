// Audio across the border, both ways: baresip behind Kamailio (TLS towards the hub), rtpengine between, a sandbox phone
// in G.711 and a browser in Opus on the other side; Opus to AMR-WB and AMR, decoded by programs nobody here wrote.
// needs: kamailio openssl rtpengine baresip chromium

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator } from '../../src/sandbox/operator.ts'
import { startBaresip } from '../support/baresip.ts'
import type { Baresip, Recording } from '../support/baresip.ts'
import { openBrowser } from '../support/browser.ts'
import type { BrowserUser, TestBrowser } from '../support/browser.ts'
import { authority } from '../support/certificates.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { startKamailio } from '../support/kamailio.ts'
import type { Kamailio } from '../support/kamailio.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'
import { freePort } from '../support/sipp.ts'

const hubHost = '127.0.0.1'
const border = '127.0.0.12'
const phones = '127.0.0.13'
const south = '127.0.0.14'
const phoneHz = 700
const otherHz = 1_300
const packetsMin = 150
const codecs = ['PCMA', 'AMR-WB', 'AMR'] as const
const number = { PCMA: '+33145678901', 'AMR-WB': '+33145678902', AMR: '+33145678903' } as const
type Codec = keyof typeof number
/** As baresip wants them. */
const spelled = { PCMA: 'PCMA', 'AMR-WB': 'AMR-WB/16000', AMR: 'AMR' } as const satisfies Record<Codec, string>

let folder: string
let browser: TestBrowser
let rtpengine: Rtpengine
let north: Kamailio
const phone = {} as Record<Codec, Baresip>
let southern: Operator
let hub: HubProcess
let user: BrowserUser

const rates = [{ prefix: '+', destination: 'Anywhere', rate: '0.06' }]
const agreements = ['north', 'south', 'acme'].flatMap(id => [
  { id: `${id}-hub`, buyer: id, seller: 'hub', rates },
  { id: `hub-${id}`, buyer: 'hub', seller: id, rates }
])

beforeAll(async () => {
  const ours = authority('The Operators')
  folder = mkdtempSync(join(tmpdir(), 'isthmus-tls-'))
  const { cert, key } = ours.issue('hub.example', 'URI:sip:hub.example', 'DNS:hub.example')
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem'), caFile: join(folder, 'ca.pem') }
  writeFileSync(files.certFile, cert)
  writeFileSync(files.keyFile, key, { mode: 0o600 })
  writeFileSync(files.caFile, ours.cert)
  const [hubPort, southPort] = [await freePort(hubHost), await freePort(south)]
  const ports = { PCMA: await freePort(phones), 'AMR-WB': await freePort(phones), AMR: await freePort(phones) }
  ;[browser, rtpengine, north] = await Promise.all([
    openBrowser(),
    startRtpengine(),
    startKamailio({
      host: border,
      domain: 'north.example',
      authority: ours,
      inside: codecs.map(codec => ({ number: number[codec], host: phones, port: ports[codec] })),
      hub: { host: hubHost, port: hubPort }
    })
  ])
  const proxy = { host: border, port: north.port }
  for (const codec of codecs) {
    const place = { host: phones, port: ports[codec], proxy, toneHz: phoneHz }
    phone[codec] = await startBaresip({ ...place, number: number[codec], codec: spelled[codec] })
  }
  southern = createOperator({ host: south, port: southPort, codecs: ['PCMA'] })
  await southern.start()
  hub = await startHubProcess({
    config: {
      hub: { domain: 'hub.example', ioi: 'hub.example' },
      media: { anchor: 'rtpengine', rtpengine: [{ host: rtpengine.host, port: rtpengine.port }] },
      nni: {
        listen: [
          { transport: 'udp', host: hubHost, port: 0 },
          { transport: 'tls', host: hubHost, port: hubPort, tls: files }
        ]
      },
      islands: [
        {
          id: 'acme',
          access: 'sip-ws',
          domain: 'acme.example',
          origins: [browser.origin],
          codecs: ['opus', 'telephone-event'],
          users: [{ name: 'alice', password: 'secret', number: '+4930111001' }]
        }
      ],
      operators: [
        {
          id: 'north',
          address: { host: border, port: north.tlsPort, transport: 'tls' },
          certificateNames: ['north.example'],
          trust: 'network',
          routes: [{ prefix: '+33' }],
          codecs: ['AMR-WB', 'AMR', 'PCMA', 'telephone-event'],
          keepaliveMs: 0
        },
        {
          id: 'south',
          address: { host: south, port: southPort },
          trust: 'network',
          routes: [{ prefix: '+44' }],
          codecs: ['PCMA', 'telephone-event'],
          keepaliveMs: 0
        }
      ],
      agreements
    }
  })
  user = await browser.user()
  await user.start({ url: hub.where('SIP over WebSocket'), uri: 'sip:alice@acme.example', password: 'secret' })
}, 180_000)

afterAll(async () => {
  await user?.stop()
  await user?.page.context().close()
  const left = await hub?.stop()
  await Promise.all(Object.values(phone).map(one => one.stop()))
  await southern?.close()
  await north?.stop()
  await rtpengine?.stop()
  await browser?.close()
  rmSync(folder, { recursive: true, force: true })
  expect(left).toBe(0)
}, 180_000)

/** What the call sounded like at its phone, once it has ended there. */
const recording = (codec: Codec, nth: number): Promise<Recording> =>
  eventually('the phone has written what it heard', () => {
    const heard = phone[codec].recordings()[nth - 1]
    return heard !== undefined && heard.samples.length > 8_000 ? heard : null
  })

/** The share of a tone in the second half of what was heard, when everything had settled. */
function shareOf({ samples, sampleRate }: Recording, hz: number): number {
  const part = samples.slice(samples.length / 2)
  const turn = (2 * Math.PI * hz) / sampleRate
  let [real, imaginary, power] = [0, 0, 0]
  for (const [at, sample] of part.entries()) {
    real += sample * Math.cos(turn * at)
    imaginary += sample * Math.sin(turn * at)
    power += sample * sample
  }
  return power < part.length * 10_000 ? 0 : (2 * (real * real + imaginary * imaginary)) / (part.length * power)
}

/** Of the last call that was answered, leg by leg. */
const codecsRecorded = async (count: number): Promise<readonly unknown[]> => {
  const records = await eventually('the records of both legs', async () => {
    // Attempts that had no codec in common came before.
    const finals = (await hub.records()).filter(({ kind, t_answer }) => kind === 'final' && t_answer !== null)
    return finals.length >= count ? finals.slice(count - 2) : null
  })
  return records
    .map(({ provider, media }) => [provider, media.map(({ codec, transcoded }) => [codec, transcoded])])
    .toSorted((a, b) => String(a).localeCompare(String(b)))
}
let calls = 0

describe('baresip behind Kamailio', () => {
  it('is called by an operator in G.711: both hear the tone of the other', async () => {
    const to = { host: hubHost, port: hub.sipPort('udp'), transport: 'udp' } as const
    const call = await southern.call(number.PCMA, { to, from: '+441632960083', toneHz: otherHz })
    expect(await call.answered).toBe(true)
    await eventually('the sandbox hears the phone', () => call.media.hears(phoneHz))
    await eventually('enough packets', () => call.media.heard.packetsReceived > packetsMin)
    call.hangUp()
    const heard = await recording('PCMA', 1)
    expect(heard.sampleRate).toBe(8_000)
    expect(shareOf(heard, otherHz)).toBeGreaterThan(0.9)
    expect(await codecsRecorded((calls += 2))).toEqual([
      ['north', [['PCMA', false]]],
      ['south', [['PCMA', false]]]
    ])
  }, 90_000)

  it('calls an operator in G.711, which echoes: it hears its own tone', async () => {
    await phone.PCMA.dial(`sip:+441632960083@${border}`)
    const call = await eventually('the call is there', () => southern.calls.at(-1))
    expect(await call.answered).toBe(true)
    await eventually('enough packets', () => call.media.heard.packetsReceived > packetsMin)
    expect(call.media.hears(phoneHz)).toBe(true)
    call.hangUp()
    expect(shareOf(await recording('PCMA', 2), phoneHz)).toBeGreaterThan(0.9)
    await codecsRecorded((calls += 2))
  }, 90_000)
})

const mobile = [
  { codec: 'AMR-WB', sampleRate: 16_000 },
  { codec: 'AMR', sampleRate: 8_000 }
] as const satisfies readonly { readonly codec: Codec; readonly sampleRate: number }[]

let sessions = 0
const talk = async (): Promise<number> => {
  await eventually('enough packets both ways', async () => {
    const { packetsReceived, packetsSent } = await user.stats()
    return packetsReceived > packetsMin && packetsSent > packetsMin
  })
  return (await user.heard()).hz
}

describe.each(mobile)('SDP-09 a browser in Opus and a phone in $codec', ({ codec, sampleRate }) => {
  const transcoded = [
    ['acme', [['opus', true]]],
    ['north', [[codec, true]]]
  ]

  it('the browser calls: each hears the tone of the other', async () => {
    await user.call(`sip:${number[codec]}@acme.example`, otherHz)
    sessions += 1
    await user.wait('confirmed', { nth: sessions })
    const hz = await talk()
    expect(Math.abs(hz - phoneHz)).toBeLessThan(30)
    await user.hangUp()
    const heard = await recording(codec, 1)
    expect(heard.sampleRate).toBe(sampleRate)
    expect(shareOf(heard, otherHz)).toBeGreaterThan(0.8)
    expect(await codecsRecorded((calls += 2))).toEqual(transcoded)
  }, 90_000)

  it('the phone calls: each hears the tone of the other', async () => {
    await phone[codec].dial(`sip:+4930111001@${border}`)
    sessions += 1
    await user.wait('session', { nth: sessions })
    await user.answer(otherHz)
    await user.wait('confirmed', { nth: sessions })
    const hz = await talk()
    expect(Math.abs(hz - phoneHz)).toBeLessThan(30)
    await user.hangUp()
    const heard = await recording(codec, 2)
    expect(heard.sampleRate).toBe(sampleRate)
    expect(shareOf(heard, otherHz)).toBeGreaterThan(0.8)
    expect(await codecsRecorded((calls += 2))).toEqual(transcoded)
  }, 90_000)
})
