// A Matrix user as Element Web calls: matrix-js-sdk's MatrixCall in headless Chromium, driven from a test.

import type { PhoneEvent, TestBrowser } from './browser.ts'
import { eventually } from './hub.ts'
import type { MatrixAccount } from './synapse.ts'

export interface MatrixPhone {
  readonly userId: string
  /** A new direct room with that ghost, which has joined. */
  room(ghost: string): Promise<string>
  call(roomId: string, hz: number, options?: { readonly video?: boolean }): Promise<void>
  answer(hz: number, options?: { readonly video?: boolean }): Promise<void>
  reject(): Promise<void>
  hangUp(): Promise<void>
  hold(on: boolean): Promise<void>
  mute(on: boolean): Promise<void>
  video(on: boolean): Promise<void>
  /** Adds its camera to a voice call. */
  upgrade(): Promise<void>
  /** New ICE credentials. */
  restartIce(): Promise<void>
  /** The hub's ICE credentials. */
  remoteUfrag(): Promise<string | null>
  /** Returns the event's id. */
  send(roomId: string, body: string): Promise<string>
  typing(roomId: string, on: boolean): Promise<void>
  read(roomId: string, eventId: string): Promise<void>
  events(): Promise<readonly PhoneEvent[]>
  /** The nth event of that type, at once if it has happened already. */
  wait(type: string, nth?: number): Promise<PhoneEvent>
  /** Until a message with these words is there. */
  message(words: string | RegExp): Promise<PhoneEvent>
  /** Until more than so many packets went each way and that tone is heard. */
  talks(hz: number, packetsMin?: number): Promise<void>
  stats(): Promise<{ packetsSent: number; packetsReceived: number; framesReceived: number; codec: string | null }>
  stop(): Promise<void>
}

const waitMs = 40_000
const toneTolerance = 30

/** The browser was opened with `matrix-phone.js`. */
export async function startMatrixPhone(
  browser: TestBrowser,
  url: string,
  account: MatrixAccount
): Promise<MatrixPhone> {
  const page = await browser.page()
  const ask = <T>(method: string, argument: object = {}): Promise<T> =>
    page.evaluate(`phone.${method}(${JSON.stringify(argument)})`) as Promise<T>
  const tell = async (method: string, argument: object = {}): Promise<void> => {
    await page.evaluate(`Promise.resolve(phone.${method}(${JSON.stringify(argument)})).then(() => null)`)
  }
  const { userId, token: accessToken, deviceId } = account
  await tell('start', { baseUrl: url, userId, accessToken, deviceId })
  const events = (): Promise<readonly PhoneEvent[]> => ask('events')
  const stats: MatrixPhone['stats'] = () => ask('stats')
  const find = async (
    what: string,
    look: (seen: readonly PhoneEvent[]) => PhoneEvent | undefined
  ): Promise<PhoneEvent> => {
    let seen: readonly PhoneEvent[] = []
    return eventually(what, async () => look((seen = await events())), waitMs).catch(() => {
      throw new Error(`never ${what}; seen: ${JSON.stringify(seen)}`)
    })
  }
  return {
    userId,
    room: async ghost => {
      const roomId = await ask<string>('room', { userId: ghost })
      await eventually('the ghost has joined', () => ask<boolean>('knows', { roomId, userId: ghost }), waitMs)
      return roomId
    },
    call: (roomId, hz, options = {}) => tell('call', { roomId, hz, ...options }),
    answer: (hz, options = {}) => tell('answer', { hz, ...options }),
    reject: () => tell('reject'),
    hangUp: () => tell('hangUp'),
    hold: on => tell('hold', { on }),
    mute: on => tell('mute', { on }),
    video: on => tell('video', { on }),
    upgrade: () => tell('upgrade'),
    restartIce: () => tell('restartIce'),
    remoteUfrag: () => ask('remoteUfrag'),
    send: (roomId, body) => ask('send', { roomId, body }),
    typing: (roomId, on) => tell('typing', { roomId, on }),
    read: (roomId, eventId) => tell('read', { roomId, eventId }),
    events,
    wait: (type, nth = 1) => find(`"${type}"`, seen => seen.filter(event => event.type === type)[nth - 1]),
    message: words =>
      find(`a message ${String(words)}`, seen =>
        seen.find(({ type, body }) => {
          if (type !== 'message' || typeof body !== 'string') return false
          return typeof words === 'string' ? body === words : words.test(body)
        })
      ),
    talks: async (hz, packetsMin = 100) => {
      let last: object = {}
      await eventually(
        `${packetsMin} packets each way and ${hz} Hz`,
        async () => {
          const { packetsReceived, packetsSent } = await stats()
          const heard = await ask<{ hz: number; decibels: number }>('heard')
          last = { packetsReceived, packetsSent, ...heard }
          const isTone = Math.abs(heard.hz - hz) < toneTolerance && heard.decibels > -60
          return packetsReceived > packetsMin && packetsSent > packetsMin && isTone
        },
        waitMs
      ).catch(() => {
        throw new Error(`no talk at ${hz} Hz: ${JSON.stringify(last)}`)
      })
    },
    stats,
    stop: async () => {
      await tell('hangUp').catch(() => undefined)
      await tell('stop').catch(() => undefined)
      await page.context().close()
    }
  }
}
