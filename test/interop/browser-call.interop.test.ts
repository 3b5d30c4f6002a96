// A browser with JsSIP as the island's user, calling and called by a phone through the whole hub, with audio both ways:
// Chromium's own WebRTC against rtpengine and against the embedded anchor.
// needs: chromium rtpengine

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import type { CdrRecord } from '../../src/events/cdr.ts'
import { createOperator } from '../../src/sandbox/operator.ts'
import type { Operator } from '../../src/sandbox/operator.ts'
import type { PhoneCall } from '../../src/sandbox/phone-call.ts'
import { openBrowser } from '../support/browser.ts'
import type { BrowserUser, TestBrowser } from '../support/browser.ts'
import { eventually, startHubProcess } from '../support/hub.ts'
import type { HubProcess } from '../support/hub.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import type { Rtpengine } from '../support/rtpengine.ts'

const packetsMin = 200
const browserHz = 800
const phoneHz = 1_300

let browser: TestBrowser
let rtpengine: Rtpengine

beforeAll(async () => {
  browser = await openBrowser()
  rtpengine = await startRtpengine()
}, 60_000)

afterAll(async () => {
  await browser.close()
  await rtpengine.stop()
}, 60_000)

interface Scene {
  readonly hub: HubProcess
  readonly operator: Operator
  readonly user: BrowserUser
}

const rates = (rate: string) => [{ prefix: '+', destination: 'Anywhere', rate }]

async function scene(anchor: 'rtpengine' | 'embedded', islandCodecs: readonly string[]): Promise<Scene> {
  const operator = createOperator({ transports: ['udp'], codecs: ['PCMA'] })
  await operator.start()
  const hub = await startHubProcess({
    config: {
      media: {
        anchor,
        portMin: 42_000,
        portMax: 42_999,
        ...(anchor === 'rtpengine' ? { rtpengine: [{ host: rtpengine.host, port: rtpengine.port }] } : {})
      },
      islands: [
        {
          id: 'acme',
          access: 'sip-ws',
          domain: 'acme.example',
          origins: [browser.origin],
          codecs: islandCodecs,
          users: [{ name: 'alice', password: 'secret', number: '+4930111001', display: 'Alice' }]
        }
      ],
      operators: [
        {
          id: 'telco',
          address: { host: '127.0.0.1', port: operator.listening[0]?.port },
          trust: 'network',
          routes: [{ prefix: '+49' }],
          codecs: ['PCMA', 'telephone-event'],
          keepaliveMs: 0
        }
      ],
      agreements: [
        { id: 'a', buyer: 'acme', seller: 'hub', rates: rates('0.06') },
        { id: 'b', buyer: 'hub', seller: 'telco', rates: rates('0.03') },
        { id: 'c', buyer: 'telco', seller: 'hub', rates: rates('0.02') },
        { id: 'd', buyer: 'hub', seller: 'acme', rates: rates('0.01') }
      ]
    }
  })
  const user = await browser.user()
  await user.start({ url: hub.where('SIP over WebSocket'), uri: 'sip:alice@acme.example', password: 'secret' })
  return { hub, operator, user }
}

async function leave({ hub, operator, user }: Scene): Promise<void> {
  await user.stop()
  await user.page.context().close()
  await operator.close()
  equal(await hub.stop(), 0)
}

/** Until both have more than `packetsMin`; what each heard. */
async function talk(user: BrowserUser, phone: PhoneCall) {
  const stats = await eventually('enough packets both ways', async () => {
    const browserSide = await user.stats()
    const { packetsReceived, packetsSent } = phone.media.heard
    const counts = [browserSide.packetsReceived, browserSide.packetsSent, packetsReceived, packetsSent]
    return counts.every(count => count > packetsMin) ? browserSide : null
  })
  return { stats, hz: (await user.heard()).hz }
}

const near = (heard: number, wanted: number): void => ok(Math.abs(heard - wanted) < 30, `${heard} Hz, not ${wanted}`)

async function finals(hub: HubProcess): Promise<readonly CdrRecord[]> {
  const records = await eventually('a final record of each leg', async () => {
    const found = (await hub.records()).filter(({ kind, t_answer }) => kind === 'final' && t_answer !== null)
    return found.length >= 2 ? found : null
  })
  return [...records].sort((a, b) => b.leg.localeCompare(a.leg))
}

function checkRecords(records: readonly CdrRecord[], codecs: readonly [string, string]): void {
  equal(
    records.map(({ media }) => media.map(({ codec, transcoded }) => [codec, transcoded])),
    codecs.map(codec => [[codec, codecs[0] !== codecs[1]]])
  )
  for (const { media } of records) {
    for (const stream of media)
      ok(stream.pkts_received > packetsMin && stream.pkts_sent > packetsMin, JSON.stringify(stream))
  }
}

const cases = [
  { name: 'rtpengine, PCMA passed through', anchor: 'rtpengine', island: ['PCMA'], codecs: ['PCMA', 'PCMA'] },
  { name: 'rtpengine, Opus transcoded to PCMA', anchor: 'rtpengine', island: ['opus'], codecs: ['opus', 'PCMA'] },
  { name: 'the embedded anchor, PCMA passed through', anchor: 'embedded', island: ['PCMA'], codecs: ['PCMA', 'PCMA'] }
] as const

for (const { name, anchor, island, codecs } of cases) {
  describe(`a browser and a phone over ${name}`, () => {
    let at: Scene
    beforeAll(async () => {
      at = await scene(anchor, [...island, 'telephone-event'])
    }, 60_000)
    afterAll(() => leave(at), 60_000)

    it('the browser calls: both hear each other, each leg is recorded with its packets and codec', async () => {
      const { hub, operator, user } = at
      await user.call('sip:+4930123456@acme.example', browserHz)
      await user.wait('confirmed')
      const phone = operator.calls.at(-1)!
      // The phone echoes: what the browser hears is its own tone.
      const { stats, hz } = await talk(user, phone)
      near(hz, browserHz)
      equal(stats.codec?.toLowerCase().includes(codecs[0].toLowerCase()), true)
      await user.hangUp()
      await phone.ended
      checkRecords(await finals(hub), codecs)
    }, 60_000)

    it('the phone calls: the browser hears its tone and the phone hears the browser', async () => {
      const { hub, operator, user } = at
      const [host, port] = ['127.0.0.1', hub.sipPort('udp')]
      const phone = await operator.call('+4930111001', {
        to: { host, port, transport: 'udp' },
        from: '+4930123456',
        toneHz: phoneHz
      })
      await user.wait('session', { nth: 2 })
      await user.answer(browserHz)
      equal(await phone.answered, true)
      const { hz } = await talk(user, phone)
      near(hz, phoneHz)
      ok(phone.media.hears(browserHz))
      phone.hangUp()
      await user.wait('ended', { nth: 2 })
      await eventually('its records', async () => (await hub.records()).filter(r => r.kind === 'final').length >= 4)
    }, 60_000)
  })
}
