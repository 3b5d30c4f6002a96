// JsSIP in headless Chromium against the SIP-over-WebSocket adapter: registration, calls and messages of a real client.
// The place of the core is taken by the shortest of bridges, so media goes from browser to browser.
// needs: chromium

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createSipWs } from '../../src/adapters/sip-ws/sip-ws.ts'
import type { SipWs } from '../../src/adapters/sip-ws/sip-ws.ts'
import { parseConfig, passwordOf } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { noFacts } from '../../src/session/model.ts'
import type { LegRef, Reason, Refusal, Sdp, SessionId, Tone } from '../../src/session/model.ts'
import type { Offered, OfferedText, TextVerdict } from '../../src/session/ports.ts'
import { openBrowser } from '../support/browser.ts'
import type { BrowserUser, TestBrowser } from '../support/browser.ts'
import { FakeInbox } from '../support/inbox.ts'
import { until } from '../support/until.ts'
import { systemClock } from '../support/ws-island.ts'

const charging = { icid: 'icid', generatedAt: 'hub' }
const shown = ({ party }: Offered['caller']) => ({ ...party, privacy: party.privacy })
const target = (uri: string) =>
  ({ access: 'sip-ws', peerId: 'island', uri, trust: 'user', media: 'webrtc', needsOffer: false }) as const

/** Joins two legs of the same adapter and passes everything on as it is. */
class Bridge extends FakeInbox {
  adapter: SipWs | null = null
  readonly #other = new Map<LegRef, LegRef>()
  /** Ends calls to numbers at once with this. */
  refusal: Reason | null = null

  override offered(call: Offered): void {
    super.offered(call)
    const adapter = this.adapter!
    if (this.refusal !== null) return void adapter.end(call.leg, { ...this.refusal, from: 'hub' })
    const { caller, called, service, sdp } = call
    const id = 'session' as SessionId
    const from = shown(caller)
    const leg = adapter.invite({
      id,
      attempt: 1,
      charging,
      from,
      target: target(called),
      origin: noFacts,
      service,
      sdp
    })
    this.#other.set(leg, call.leg).set(call.leg, leg)
  }
  override alerting(leg: LegRef): void {
    super.alerting(leg)
    void this.adapter!.alert(this.#other.get(leg)!)
  }
  override answered(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly party: null }): void {
    super.answered(leg, answer)
    void this.adapter!.answer(this.#other.get(leg)!, { sdp: answer.sdp, connected: null })
  }
  override reoffered(leg: LegRef, sdp: Sdp | null): void {
    super.reoffered(leg, sdp)
    void this.adapter!.reoffer(this.#other.get(leg)!, { exchange: 1, sdp: sdp! })
  }
  override reofferAnswered(leg: LegRef, answer: { readonly exchange: number; readonly sdp: Sdp }): void {
    super.reofferAnswered(leg, answer)
    void this.adapter!.answerReoffer(this.#other.get(leg)!, answer.sdp)
  }
  override reofferRefused(leg: LegRef, refusal: { readonly exchange: number; readonly why: Refusal }): void {
    super.reofferRefused(leg, refusal)
    void this.adapter!.refuseReoffer(this.#other.get(leg)!, refusal.why)
  }
  override toned(leg: LegRef, tone: Tone): void {
    super.toned(leg, tone)
    void this.adapter!.sendTone(this.#other.get(leg)!, tone)
  }
  override ended(leg: LegRef, reason: Reason): void {
    super.ended(leg, reason)
    const other = this.#other.get(leg)
    if (other !== undefined) void this.adapter!.end(other, { ...reason, from: 'caller' })
  }
  override async texted(text: OfferedText): Promise<TextVerdict> {
    this.texts.push(text)
    const { caller, called, body } = text
    const id = 'session' as SessionId
    const sent = await this.adapter!.sendText({
      id,
      attempt: 1,
      charging,
      from: shown(caller),
      target: target(called),
      origin: noFacts,
      body
    })
    return sent.taken ? { taken: true } : { taken: false, release: { ...sent.reason, from: 'callee' } }
  }
}

let browser: TestBrowser
let adapter: SipWs
let inbox: Bridge
const users: BrowserUser[] = []

beforeAll(async () => {
  browser = await openBrowser()
}, 60_000)
afterAll(() => browser.close())

beforeEach(async () => {
  const config = parseConfig(`
hub: { domain: hub.example }
sipWs: { port: 0 }
islands:
  - id: island
    access: sip-ws
    domain: island.example
    origins: ['${browser.origin}']
    users:
      - { name: alice, password: secret, number: '+493012345601', display: Alice }
      - { name: bob, password: secret }
  - { id: closed, access: sip-ws, domain: closed.example, origins: ['https://pages.example'], users: [{ name: eve, password: x }] }
`)
  inbox = new Bridge()
  adapter = createSipWs({ config, log: createLog('silent'), clock: systemClock, passwordOf })
  inbox.adapter = adapter
  await adapter.start(inbox)
})
afterEach(async () => {
  for (const { page } of users.splice(0)) await page.context().close()
  await adapter.close()
})

async function page(): Promise<BrowserUser> {
  const user = await browser.user()
  users.push(user)
  return user
}
async function registered(name: string): Promise<BrowserUser> {
  const user = await page()
  await user.start({ url: adapter.url, uri: `sip:${name}@island.example`, password: 'secret' })
  return user
}

describe('a browser registers', () => {
  it('with its password, over MD5 which is all it knows, and unregisters when it stops', async () => {
    const alice = await registered('alice')
    expect(adapter.registered('island', 'alice')).toBe(1)
    await alice.stop()
    await until(() => adapter.registered('island', 'alice') === 0)
  })

  it('not with a wrong password', async () => {
    const alice = await page()
    const as = { url: adapter.url, uri: 'sip:alice@island.example', password: 'guess' }
    await expect(alice.start(as)).rejects.toThrow(/registration failed: .* 403/)
  })

  it('not with an island that does not list its page', async () => {
    const eve = await page()
    const as = { url: adapter.url, uri: 'sip:eve@closed.example', password: 'x' }
    await expect(eve.start(as)).rejects.toThrow(/registration failed: .* 403/)
  })

  it('a page that is closed is gone at once', async () => {
    const alice = await registered('alice')
    await alice.page.context().close()
    await until(() => adapter.registered('island', 'alice') === 0)
  })
})

describe('a browser calls a browser', () => {
  it('both hear the tone of the other until one hangs up', async () => {
    const [alice, bob] = [await registered('alice'), await registered('bob')]
    await alice.call('sip:bob@island.example', 440)
    const ringing = await bob.wait('session')
    expect(ringing['from']).toBe('sip:+493012345601@hub.example;user=phone')
    await alice.wait('progress')
    await bob.answer(1_000)
    await Promise.all([alice.wait('confirmed'), bob.wait('confirmed')])
    await hears(bob, 440)
    await hears(alice, 1_000)
    await bob.hangUp()
    const ended = await alice.wait('ended')
    expect(ended).toMatchObject({ originator: 'remote', cause: 'Terminated' })
    expect(inbox.all('ended').map(({ reason }) => reason)).toEqual([{ cause: 'normal' }])
  })

  it('who is busy says so, and the caller sees why', async () => {
    const [alice, bob] = [await registered('alice'), await registered('bob')]
    await alice.call('sip:bob@island.example', 440)
    await bob.wait('session')
    await bob.reject(486)
    expect(await alice.wait('failed')).toMatchObject({ cause: 'Busy', status: 486 })
    expect((await inbox.wait('ended')).reason).toMatchObject({ cause: 'busy', sip: 486 })
  })

  it('who gives up stops the ringing', async () => {
    const [alice, bob] = [await registered('alice'), await registered('bob')]
    await alice.call('sip:bob@island.example', 440)
    await bob.wait('session')
    await alice.wait('progress')
    await alice.hangUp()
    expect(await bob.wait('failed')).toMatchObject({ cause: 'Canceled', originator: 'remote' })
  })

  it('two pages of one user ring, and the one that is not answered hears why it stops', async () => {
    const [alice, bob, desk] = [await registered('alice'), await registered('bob'), await registered('bob')]
    await alice.call('sip:bob@island.example', 440)
    await Promise.all([bob.wait('session'), desk.wait('session')])
    await desk.answer(1_000)
    await alice.wait('confirmed')
    expect(await bob.wait('failed')).toMatchObject({
      cause: 'Canceled',
      reason: 'SIP;cause=200;text="Call completed elsewhere"'
    })
    await hears(alice, 1_000)
  })

  it('holds and resumes, and sends tones', async () => {
    const [alice, bob] = [await registered('alice'), await registered('bob')]
    await alice.call('sip:bob@island.example', 440)
    await bob.wait('session')
    await bob.answer(1_000)
    await alice.wait('confirmed')
    await alice.hold()
    await Promise.all([bob.wait('hold'), alice.wait('hold')])
    await inbox.wait('reofferAnswered')
    await alice.resume()
    await bob.wait('unhold')
    await alice.sendTone('7#', 'INFO')
    await bob.wait('tone', { nth: 2 })
    expect(inbox.all('toned').map(({ tone }) => tone.digit)).toEqual(['7', '#'])
    await hears(bob, 440)
  })

  it('a call the hub refuses fails with the words of the hub', async () => {
    const alice = await registered('alice')
    inbox.refusal = { cause: 'no-agreement' }
    await alice.call('sip:+4930900100@island.example', 440)
    expect(await alice.wait('failed')).toMatchObject({
      status: 403,
      reason: 'SIP;cause=403;text="there is no agreement with the provider of the called party"'
    })
  })
})

describe('a browser writes to a browser', () => {
  it('and the text arrives as it was written', async () => {
    const [alice, bob] = [await registered('alice'), await registered('bob')]
    expect(await alice.message('sip:bob@island.example', 'Grüße 👋\n"x"')).toEqual({ status: 200, reason: null })
    expect(await bob.wait('message')).toMatchObject({ text: 'Grüße 👋\n"x"' })
  })

  it('and hears why it did not arrive', async () => {
    const alice = await registered('alice')
    expect(await alice.message('sip:bob@island.example', 'hello?')).toEqual({
      status: 480,
      reason: 'SIP;cause=480;text="no device of the user is connected"'
    })
  })
})

async function hears(user: BrowserUser, hz: number): Promise<void> {
  const end = Date.now() + 15_000
  for (;;) {
    const heard = await user.heard()
    if (Math.abs(heard.hz - hz) < 20 && heard.decibels > -60) return
    if (Date.now() > end) throw new Error(`never heard ${hz} Hz but ${JSON.stringify(heard)}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
