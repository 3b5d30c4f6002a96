// An XMPP user that nobody here wrote: the stanza client with real WebRTC audio, in a process of its own.
// It has no JMI (XEP-0353): it places and takes Jingle calls by session-initiate.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { shareAt } from '../../src/sandbox/tone.ts'
import { eventually } from './until.ts'

export const stanzaLimits = { waitMs: 60_000, connectMs: 60_000, pollMs: 20, eventsMax: 20_000 } as const

export interface StanzaStats {
  /** Of sound. */
  readonly packetsReceived: number
  readonly packetsSent: number
  readonly video: { readonly packetsReceived: number; readonly packetsSent: number; readonly framesReceived: number }
  /** As its RTP says: `opus`, `PCMA`; null before the first packet. */
  readonly codec: string | null
  readonly connection: string
}

export type ChildCommand =
  | {
      readonly do: 'connect'
      readonly url: string
      readonly jid: string
      readonly password: string
      readonly jingle: boolean
    }
  | { readonly do: 'call'; readonly to: string; readonly hz: number; readonly sid?: string; readonly video?: boolean }
  | { readonly do: 'answer'; readonly sid: string; readonly hz: number; readonly video?: boolean }
  | { readonly do: 'play'; readonly sid: string; readonly hz: number }
  | {
      readonly do: 'ring' | 'hold' | 'resume' | 'restartIce' | 'addVideo' | 'removeVideo' | 'stats' | 'heard'
      readonly sid: string
    }
  | { readonly do: 'end'; readonly sid: string; readonly reason?: string }
  | { readonly do: 'message'; readonly message: Readonly<Record<string, unknown>> }
  | { readonly do: 'presence'; readonly presence: Readonly<Record<string, unknown>> }
  | { readonly do: 'raw'; readonly xml: string }
  | { readonly do: 'disconnect' }
export interface ChildRequest {
  readonly id: number
  readonly command: ChildCommand
}

/** A message as stanza reads it: `body`, `id`, `from`, `receipt`, `chatState`, `marker`, `error` and more. */
export type StanzaMessage = Readonly<Record<string, unknown>>

export type UserEvent =
  | { readonly type: 'incoming'; readonly sid: string; readonly peer: string }
  | { readonly type: CallStep; readonly sid: string }
  | { readonly type: 'terminated'; readonly sid: string; readonly reason: string | null; readonly text: string | null }
  | { readonly type: 'message'; readonly message: StanzaMessage }
  | { readonly type: 'subscribe'; readonly from: string }
  | { readonly type: 'available'; readonly from: string }
  | { readonly type: 'unavailable'; readonly from: string }
  | { readonly type: 'online' }
  | { readonly type: 'disconnected' }
  | { readonly type: 'raw'; readonly direction: 'in' | 'out'; readonly xml: string }
export type ChildEvent =
  | UserEvent
  | { readonly type: 'done'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly why: string }

type CallStep = 'ringing' | 'accepted' | 'hold' | 'resumed' | 'video-accepted' | 'video-rejected'
type EventOf<T extends UserEvent['type']> = Extract<UserEvent, { readonly type: T }>

export interface CallMore {
  /** With a moving picture. */
  readonly video?: boolean
  /** Of a session that messages have announced. */
  readonly sid?: string
}

export interface StanzaCall {
  readonly sid: string
  answer(hz: number, more?: CallMore): Promise<void>
  ring(): Promise<void>
  hold(): Promise<void>
  resume(): Promise<void>
  restartIce(): Promise<void>
  /** A content-add, which waits for `video-accepted` or `video-rejected`; a content-remove. */
  addVideo(): Promise<void>
  removeVideo(): Promise<void>
  /** A digit by session-info (XEP-0181). */
  tone(digit: string): Promise<void>
  /** `success` unless told; before an answer `cancel`, `busy`, `decline` say what they say. */
  end(reason?: string): Promise<void>
  stats(): Promise<StanzaStats>
  /** Whether most of what came in the last half second is this tone. */
  hears(hz: number): Promise<boolean>
  /** Whether what came in the last half second is mostly these two tones together: a digit. */
  hearsBoth(oneHz: number, otherHz: number): Promise<boolean>
  /** Why it ended; waits for it. */
  terminated(ms?: number): Promise<EventOf<'terminated'>>
  wait(type: CallStep, ms?: number): Promise<void>
}

export interface StanzaUser {
  /** Its full JID. */
  readonly jid: string
  readonly pid: number
  readonly events: readonly UserEvent[]
  /** Its microphone plays a tone from the start: hertz, 0 for silence. */
  call(to: string, hz: number, more?: CallMore): Promise<StanzaCall>
  /** A proposal by message (XEP-0353), which stanza has no words of its own for; the sid of the session to come. */
  propose(to: string, ...media: readonly ('audio' | 'video')[]): Promise<string>
  /** Waits for a stanza that came in and holds all these texts. */
  stanza(texts: readonly string[], options?: { readonly ms?: number; readonly from?: number }): Promise<string>
  /** The next call that comes in and was not asked for yet. */
  incoming(ms?: number): Promise<StanzaCall & { readonly peer: string }>
  message(message: Readonly<Record<string, unknown>>): Promise<string>
  /** The first message that holds so, at once if it has come already. */
  received(what: string, holds: (message: StanzaMessage) => boolean, ms?: number): Promise<StanzaMessage>
  /** Adds somebody to the roster and waits until it is there; its full JID. */
  subscribe(to: string): Promise<string>
  presence(presence: Readonly<Record<string, unknown>>): Promise<void>
  /** Text onto its stream as it is. */
  raw(xml: string): Promise<void>
  wait<T extends UserEvent['type']>(
    type: T,
    holds?: (event: EventOf<T>) => boolean,
    options?: { readonly ms?: number; readonly from?: number }
  ): Promise<EventOf<T>>
  /** Without a word: the process is killed. */
  vanish(): Promise<void>
  close(): Promise<void>
}

export interface StanzaUserOptions {
  /** WebSocket of its server. */
  readonly url: string
  /** Bare. */
  readonly jid: string
  readonly password: string
  /** False: a client that can chat only. */
  readonly jingle?: boolean
}

/** Logs in, fetches the roster and is available. */
export async function startStanzaUser({ url, jid, password, jingle = true }: StanzaUserOptions): Promise<StanzaUser> {
  const child = spawn(process.execPath, ['--no-warnings', join(import.meta.dirname, 'stanza-child.ts')], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc']
  })
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_000)))
  const events: UserEvent[] = []
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  const left = new Promise<void>(resolve => child.once('exit', () => resolve()))
  let over = false
  child.once('exit', () => {
    over = true
    for (const pending of waiting.values()) pending.reject(new Error(`${jid} is gone: ${errors}`))
  })
  child.on('message', (event: ChildEvent) => {
    if (event.type !== 'done' && event.type !== 'failed') {
      if (events.length < stanzaLimits.eventsMax) events.push(event)
      return
    }
    const asked = waiting.get(event.id)
    waiting.delete(event.id)
    if (event.type === 'done') asked?.resolve(event.value)
    else asked?.reject(new Error(`${jid}: ${event.why}`))
  })
  let last = 0
  const ask = <T>(command: ChildCommand): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (over) return reject(new Error(`${jid} is gone: ${errors}`))
      const id = ++last
      waiting.set(id, { resolve: value => resolve(value as T), reject })
      child.send({ id, command } satisfies ChildRequest)
    })
  const wait: StanzaUser['wait'] = async (type, holds = () => true, { ms = stanzaLimits.waitMs, from = 0 } = {}) => {
    for (const until = Date.now() + ms; ;) {
      for (const event of events.slice(from)) {
        const match = event as EventOf<typeof type>
        if (event.type === type && holds(match)) return match
      }
      if (over) throw new Error(`${jid} is gone: ${errors}`)
      if (Date.now() > until) throw new Error(`${jid}: no "${type}" in ${ms} ms after ${story(events)}`)
      await new Promise(next => setTimeout(next, stanzaLimits.pollMs))
    }
  }
  const taken = new Set<string>()
  const callOf = (sid: string, peer: string): StanzaCall => ({
    sid,
    answer: (hz, { video = false } = {}) => ask({ do: 'answer', sid, hz, video }),
    ring: () => ask({ do: 'ring', sid }),
    hold: () => ask({ do: 'hold', sid }),
    resume: () => ask({ do: 'resume', sid }),
    restartIce: () => ask({ do: 'restartIce', sid }),
    addVideo: () => ask({ do: 'addVideo', sid }),
    removeVideo: () => ask({ do: 'removeVideo', sid }),
    tone: digit => ask({ do: 'raw', xml: toneXml(peer, sid, digit) }),
    end: reason => ask({ do: 'end', sid, ...(reason === undefined ? {} : { reason }) }),
    stats: () => ask({ do: 'stats', sid }),
    hears: async hz => {
      const samples = await ask<readonly number[]>({ do: 'heard', sid })
      return samples.length > 2_000 && shareAt(samples, hz) > 0.5
    },
    hearsBoth: async (oneHz, otherHz) => {
      const samples = (await ask<readonly number[]>({ do: 'heard', sid })).slice(-800)
      return samples.length === 800 && [oneHz, otherHz].every(hz => shareAt(samples, hz) > 0.2)
    },
    terminated: (ms = stanzaLimits.waitMs) => wait('terminated', event => event.sid === sid, { ms }),
    wait: async (type, ms = stanzaLimits.waitMs) =>
      void (await wait<UserEvent['type']>(type, event => 'sid' in event && event.sid === sid, { ms }))
  })
  const fullJid = await withBound(ask<string>({ do: 'connect', url, jid, password, jingle }), `${jid} at ${url}`)
  return {
    jid: fullJid,
    pid: child.pid ?? 0,
    events,
    call: async (to, hz, more = {}) => callOf(await ask<string>({ do: 'call', to, hz, ...more }), to),
    propose: async (to, ...media) => {
      const sid = randomUUID()
      await ask({ do: 'raw', xml: proposal(to, sid, media.length === 0 ? ['audio'] : media) })
      return sid
    },
    stanza: async (texts, options) =>
      (
        await wait(
          'raw',
          ({ direction, xml }) => direction === 'in' && texts.every(text => xml.includes(text)),
          options
        )
      ).xml,
    incoming: async ms => {
      const { sid, peer } = await wait('incoming', event => !taken.has(event.sid), ms === undefined ? {} : { ms })
      taken.add(sid)
      return { ...callOf(sid, peer), peer }
    },
    message: message => ask({ do: 'message', message }),
    received: async (what, holds, ms = stanzaLimits.waitMs) => {
      try {
        return (await wait('message', ({ message }) => holds(message), { ms })).message
      } catch (cause) {
        throw new Error(`${jid} did not get ${what}`, { cause })
      }
    },
    subscribe: async to => {
      await ask({ do: 'presence', presence: { to, type: 'subscribe' } })
      return (await wait('available', ({ from }: { readonly from: string }) => from.split('/')[0] === to)).from
    },
    presence: presence => ask({ do: 'presence', presence }),
    raw: xml => ask({ do: 'raw', xml }),
    wait,
    vanish: async () => {
      child.kill('SIGKILL')
      await left
    },
    close: async () => {
      if (over) return
      await Promise.race([ask({ do: 'disconnect' }).catch(() => undefined), left, pause(2_000)])
      if (child.connected) child.disconnect()
      const guard = setTimeout(() => child.kill('SIGKILL'), 2_000)
      await left
      clearTimeout(guard)
    }
  }
}

const toneXml = (to: string, sid: string, digit: string): string =>
  `<iq xmlns="jabber:client" type="set" id="${randomUUID()}" to="${to}"><jingle xmlns="urn:xmpp:jingle:1" action="session-info" sid="${sid}"><dtmf xmlns="urn:xmpp:jingle:dtmf:0" code="${digit}" duration="200"/></jingle></iq>`
const proposal = (to: string, sid: string, media: readonly string[]): string =>
  `<message xmlns="jabber:client" to="${to}" type="chat" id="${randomUUID()}"><propose xmlns="urn:xmpp:jingle-message:0" id="${sid}">${media
    .map(kind => `<description xmlns="urn:xmpp:jingle:apps:rtp:1" media="${kind}"/>`)
    .join('')}</propose></message>`

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms).unref())

function withBound<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no login of ${what}`)), stanzaLimits.connectMs)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** What happened so far in a few words, for a failure to be read. */
const story = (events: readonly UserEvent[]): string =>
  events
    .slice(-30)
    .map(event => (event.type === 'raw' ? `${event.direction}: ${event.xml.slice(0, 300)}` : event.type))
    .join('\n')

/** Until the user has sent and heard more than `packetsMin` packets and the wanted tone. */
export async function hears(call: StanzaCall, hz: number, packetsMin = 100): Promise<void> {
  await eventually(`${packetsMin} packets each way and ${hz} Hz`, async () => {
    const { packetsReceived, packetsSent } = await call.stats()
    return packetsReceived > packetsMin && packetsSent > packetsMin && (await call.hears(hz))
  })
}
