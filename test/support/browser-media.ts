// A bare RTCPeerConnection in the page of a test browser: speaks a pure tone, listens for one, tells its counters.

import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import type { Sdp } from '../../src/session/model.ts'

export interface BrowserPeer {
  /** With all its candidates. */
  offer(): Promise<Sdp>
  accept(answer: string): Promise<void>
  answer(offer: string): Promise<Sdp>
  /** Packets and codec of the audio, pictures decoded of the video. */
  counters(): Promise<{ sent: number; received: number; codec: string | null; frames: number; state: string }>
  /** The loudest frequency heard now, in hertz, and its level in decibels. */
  heard(): Promise<{ hz: number; decibels: number }>
  /** As an event in RTP (RFC 4733). */
  digit(digit: string): Promise<void>
  close(): Promise<void>
}

export interface PeerOptions {
  readonly hz: number
  readonly bundlePolicy?: 'balanced' | 'max-bundle'
  readonly video?: boolean
  /** Names of codecs to offer, best first; everything unless named. */
  readonly codecs?: readonly string[]
}

let peers = 0

/** Several peers may live in one page. */
export async function openBrowserPeer(page: Page, options: PeerOptions): Promise<BrowserPeer> {
  const name = `peer${++peers}`
  await page.addScriptTag({ path: fileURLToPath(new URL('page/peer.js', import.meta.url)) })
  await page.evaluate(`openPeer(${JSON.stringify({ name, ...options })})`)
  const ask = <T>(method: string, argument: unknown = null): Promise<T> =>
    page.evaluate(`${name}.${method}(${JSON.stringify(argument)})`) as Promise<T>
  return {
    offer: () => ask('offer'),
    accept: sdp => ask('accept', sdp),
    answer: sdp => ask('answer', sdp),
    counters: () => ask('counters'),
    heard: () => ask('heard'),
    digit: digit => ask('digit', digit),
    close: () => ask('close')
  }
}
