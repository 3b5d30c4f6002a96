// Headless Chromium with JsSIP in it: a user of an island that nobody here wrote.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import type { Page } from 'playwright-core'

/** Loopback media needs the flag where `lo` is the only interface; candidates shall show addresses, not mDNS names. */
const flags = [
  '--no-sandbox',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-gpu',
  '--disable-background-networking',
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns'
]

export interface PhoneEvent {
  readonly type: string
  readonly at: number
  readonly [fact: string]: unknown
}

/** `device`: the fake microphone of the browser; a number: a pure tone in hertz. */
export type Microphone = 'device' | number

export interface BrowserStats {
  readonly packetsSent: number
  readonly packetsReceived: number
  readonly packetsLost: number
  readonly codec: string | null
  readonly video: { readonly packetsSent: number; readonly packetsReceived: number; readonly framesReceived: number }
}

export interface BrowserUser {
  readonly page: Page
  /** Connects and registers. Rejects with the cause of the refusal. */
  start(as: {
    url: string
    uri: string
    password: string
    displayName?: string
    expires?: number
    /** `max-bundle` unless given; `balanced` gives each medium a transport of its own where it must have one. */
    bundlePolicy?: 'balanced'
  }): Promise<void>
  call(target: string, microphone?: Microphone, options?: { readonly video?: boolean }): Promise<void>
  answer(microphone?: Microphone, options?: { readonly video?: boolean }): Promise<void>
  /** A picture more in a call that talks. */
  addVideo(): Promise<void>
  reject(status?: number): Promise<void>
  hangUp(): Promise<void>
  hold(): Promise<void>
  resume(): Promise<void>
  /** By INFO (`application/dtmf-relay`) or as telephone-event in RTP. */
  sendTone(digits: string, transport?: 'INFO' | 'RFC2833'): Promise<void>
  message(target: string, text: string): Promise<{ status: number | null; reason: string | null }>
  stop(): Promise<void>
  events(): Promise<readonly PhoneEvent[]>
  /** The first event of that type, at once if it has happened already. `nth` counts from 1. */
  wait(type: string, options?: { nth?: number; ms?: number }): Promise<PhoneEvent>
  heard(): Promise<{ hz: number; decibels: number }>
  stats(): Promise<BrowserStats>
}

export interface TestBrowser {
  /** What the page sends as Origin: put it in the island's `origins`. */
  readonly origin: string
  user(): Promise<BrowserUser>
  /** A page with the script, for another kind of phone. */
  page(): Promise<Page>
  close(): Promise<void>
}

/**
 * Starts Chromium and a page server on loopback. One browser serves many users, each in a context of its own. `entry`:
 * the page's script, in `page/`.
 */
export async function openBrowser(entry = 'phone.js'): Promise<TestBrowser> {
  const script = await bundle(entry)
  const server = createServer((request, response) => {
    const isScript = request.url === '/phone.js'
    response.writeHead(200, { 'content-type': `${isScript ? 'text/javascript' : 'text/html'}; charset=utf-8` })
    response.end(isScript ? script : '<!doctype html><title>phone</title><script src="/phone.js"></script>')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags })
  const page = async (): Promise<Page> => {
    const context = await browser.newContext({ permissions: ['microphone', 'camera'] })
    const made = await context.newPage()
    await made.goto(origin)
    return made
  }
  return {
    origin,
    user: async () => userOf(await page()),
    page,
    async close() {
      await browser.close()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }
}

async function bundle(name: string): Promise<string> {
  const entry = fileURLToPath(new URL(`page/${name}`, import.meta.url))
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    define: { global: 'globalThis' },
    logLevel: 'error'
  })
  return outputFiles[0]!.text
}

function userOf(page: Page): BrowserUser {
  const ask = <T>(method: string, argument: unknown = {}): Promise<T> =>
    page.evaluate(`phone[${JSON.stringify(method)}](${JSON.stringify(argument)})`) as Promise<T>
  const tell = async (method: string, argument: unknown = {}): Promise<void> => {
    // What the page's methods return is not serialisable everywhere: only that they have ended counts.
    await page.evaluate(
      `Promise.resolve(phone[${JSON.stringify(method)}](${JSON.stringify(argument)})).then(() => null)`
    )
  }
  const events = (): Promise<readonly PhoneEvent[]> => ask('events')
  return {
    page,
    start: as => tell('start', as),
    call: (target, microphone = 'device', options = {}) => tell('call', { target, microphone, ...options }),
    answer: (microphone = 'device', options = {}) => tell('answer', { microphone, ...options }),
    addVideo: () => tell('addVideo'),
    reject: (status = 486) => tell('reject', { status }),
    hangUp: () => tell('hangUp'),
    hold: () => tell('hold'),
    resume: () => tell('resume'),
    sendTone: (digits, transport = 'INFO') => tell('sendTone', { digits, transport }),
    message: (target, text) => ask('message', { target, text }),
    stop: () => tell('stop'),
    events,
    async wait(type, { nth = 1, ms = 10_000 } = {}) {
      const until = Date.now() + ms
      for (;;) {
        const seen = await events()
        const found = seen.filter(event => event.type === type)[nth - 1]
        if (found !== undefined) return found
        if (Date.now() > until) throw new Error(`no "${type}" within ${ms} ms; seen: ${JSON.stringify(seen)}`)
        await new Promise(resolve => setTimeout(resolve, 25))
      }
    },
    heard: () => ask('heard'),
    stats: () => ask('stats')
  }
}
