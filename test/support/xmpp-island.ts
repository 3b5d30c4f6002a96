// The calls of one island on a link that a test writes the other end of: every stanza is seen, every reply scripted.

import { expect } from '@jest/globals'
import parse from '@xmpp/xml/lib/parse.js'
import type { Element } from '@xmpp/xml'
import { createAddresses } from '../../src/adapters/xmpp/addresses.ts'
import type { CallLimits } from '../../src/adapters/xmpp/call-limits.ts'
import { createCalls } from '../../src/adapters/xmpp/calls.ts'
import { parseJingle } from '../../src/adapters/xmpp/jingle.ts'
import type { Jingle, JingleAction } from '../../src/adapters/xmpp/jingle.ts'
import { parseJmi } from '../../src/adapters/xmpp/jmi.ts'
import { IqTimeout, LinkDown } from '../../src/adapters/xmpp/link.ts'
import type { Device, Link } from '../../src/adapters/xmpp/link.ts'
import { errorOf, resultOf } from '../../src/adapters/xmpp/stanza.ts'
import type { Condition } from '../../src/adapters/xmpp/causes.ts'
import { createLog } from '../../src/log.ts'
import type { XmppIslandConfig } from '../../src/config.ts'
import { parseConfig } from '../../src/config.ts'
import { noFacts } from '../../src/session/model.ts'
import type { LegRef, Sdp, SessionId, Shown } from '../../src/session/model.ts'
import type { Clock, Inbox, Invitation } from '../../src/session/ports.ts'
import { FakeInbox } from './inbox.ts'

export const phone = 'user@island.example/phone'
export const tablet = 'user@island.example/tablet'
export const gateway = '+4930123456@gw.island.example'

export function islandConfig(more: Readonly<Record<string, unknown>> = {}): XmppIslandConfig {
  const config = parseConfig(
    JSON.stringify({
      hub: { id: 'isthmus', domain: 'hub.example', dataDir: 'data' },
      islands: [
        {
          id: 'island',
          access: 'xmpp',
          domain: 'island.example',
          gateway: 'gw.island.example',
          connection: { kind: 'component', host: '127.0.0.1', secret: 's' },
          users: [{ name: 'user', number: '+49301' }],
          ...more
        }
      ]
    })
  )
  return config.islands.find(island => island.access === 'xmpp')!
}

/** Time that stands until the test moves it. */
export class ManualClock implements Clock {
  #now = 1_000
  #timers = new Set<{ at: number; run: () => void }>()
  now(): number {
    return this.#now
  }
  get waiting(): number {
    return this.#timers.size
  }
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.run()
      await settle()
    }
    this.#now = end
    await settle()
  }
}

/** Everything that was put off to the end of the turn has happened. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
}

export type Reply =
  | 'ok'
  | 'timeout'
  | 'down'
  | 'never'
  | Condition
  | { readonly condition: Condition; readonly extra: string }

export class ScriptedLink implements Link {
  readonly islandId: string
  readonly gateway: string
  readonly sent: Element[] = []
  connected = true
  /** What the user's device says to a request. */
  reply: (jingle: Jingle) => Reply = () => 'ok'
  #ids = 0

  constructor({ id, gateway }: Pick<XmppIslandConfig, 'id' | 'gateway'>) {
    this.islandId = id
    this.gateway = gateway
  }

  newId(): string {
    this.#ids += 1
    return `id-${this.#ids}`
  }
  send(element: Element): boolean {
    if (!this.connected) return false
    this.#seen(element)
    return true
  }
  async request(element: Element): Promise<Element> {
    if (!this.connected) throw new LinkDown('down')
    this.#seen(element)
    const reply = this.reply(parseJingle(element.getChild('jingle')!)!)
    if (reply === 'ok') return resultOf(element)
    if (reply === 'timeout') throw new IqTimeout('late')
    if (reply === 'down') throw new LinkDown('down')
    if (reply === 'never') return new Promise(() => undefined)
    return typeof reply === 'string'
      ? errorOf(element, reply)
      : errorOf(element, reply.condition, { extra: parse(`<${reply.extra} xmlns='urn:xmpp:jingle:errors:1'/>`) })
  }
  #seen(element: Element): void {
    // What goes out is text and comes in as text: so do these.
    const copy = parse(element.toString())
    expect(copy.attrs['from']!.endsWith(`@${this.gateway}/gw`)).toBe(true)
    expect(copy.attrs['to']).toMatch(/^[^@]+@[a-z]+\.example/)
    this.sent.push(copy)
  }
}

export interface Island {
  readonly calls: ReturnType<typeof createCalls>
  readonly link: ScriptedLink
  readonly inbox: FakeInbox
  readonly clock: ManualClock
  devices: readonly Device[]
  /** What was sent since the last look, in short: `propose`, `session-accept` ... */
  said(): readonly string[]
  /** The last Jingle action of that name that was sent. */
  jingle(action: JingleAction): Jingle
  /** One IQ from a device; the reply in short: `result`, or condition and Jingle condition. */
  iq(action: JingleAction, more?: { sid?: string; from?: string; body?: string; attrs?: string; to?: string }): string
  message(payload: string, more?: { from?: string; to?: string; attrs?: string }): boolean
  invite(more?: Partial<Invitation>): LegRef
}

export interface IslandOptions {
  readonly config?: Readonly<Record<string, unknown>>
  readonly inbox?: Inbox
  readonly limits?: Partial<CallLimits>
  readonly sid?: string
}

export function openIsland({ config = {}, inbox, limits = {}, sid = 'sid-1' }: IslandOptions = {}): Island {
  const heard = new FakeInbox()
  const clock = new ManualClock()
  const island = islandConfig(config)
  const link = new ScriptedLink(island)
  let legs = 0
  let sids = 0
  let looked = 0
  const presences = { devices: () => self.devices }
  const calls = createCalls({
    island,
    link,
    addresses: createAddresses({ island, numberOf: (_, user) => (user === 'user' ? '+49301' : null) }),
    presences,
    inbox: inbox ?? heard,
    clock,
    log: createLog('silent'),
    newLeg: () => `xmpp ${island.id} ${(legs += 1)}` as LegRef,
    neighbour: '127.0.0.1:5347',
    callLimits: limits,
    newSid: () => ((sids += 1) === 1 ? sid : `${sid}-${sids}`)
  })
  const self: Island = {
    calls,
    link,
    inbox: heard,
    clock,
    devices: [],
    said: () => {
      const news = link.sent.slice(looked)
      looked = link.sent.length
      return news.map(nameOf)
    },
    jingle: action => {
      const found = link.sent.findLast(each => each.getChild('jingle')?.attrs['action'] === action)
      if (found === undefined) throw new Error(`no ${action} among ${link.sent.map(nameOf).join(', ')}`)
      return parseJingle(found.getChild('jingle')!)!
    },
    iq: (action, { sid: of = sid, from = phone, body = '', attrs = '', to = `${gateway}/gw` } = {}) => {
      const text = `<iq type="set" id="i" from="${from}" to="${to}"><jingle xmlns="urn:xmpp:jingle:1" action="${action}" sid="${of}" ${attrs}>${body}</jingle></iq>`
      return replied(calls.onIq(parse(text)) as Element | null)
    },
    message: (payload, { from = phone, to = gateway, attrs = 'type="chat"' } = {}) =>
      calls.onMessage(parse(`<message from="${from}" to="${to}" id="m" ${attrs}>${payload}</message>`)),
    invite: (more = {}) => calls.invite({ ...invitation(), ...more })
  }
  return self
}

export function replied(reply: Element | null): string {
  if (reply === null) return 'nothing'
  const copy = parse(reply.toString())
  if (copy.attrs['type'] === 'result') return 'result'
  const children = copy.getChild('error')!.getChildElements()
  return children
    .filter(child => child.getName() !== 'text')
    .map(child => child.getName())
    .join(' ')
}

function nameOf(stanza: Element): string {
  const jmi = parseJmi(stanza)
  if (jmi !== null) return `${jmi.kind}${reasonIn(jmi.reason)}`
  const jingle = parseJingle(stanza.getChild('jingle')!)!
  const info = jingle.action === 'session-info' ? ` ${jingle.rest[0]!.getName()}` : ''
  return `${jingle.action}${info}${reasonIn(jingle.reason)}`
}
const reasonIn = (reason: Element | null): string =>
  reason === null ? '' : `(${reason.getChildElements()[0]!.getName()})`

const nobody: Shown = { asserted: [], presented: null, display: null, privacy: [] }
export const shown: Shown = { ...nobody, asserted: ['tel:+4930123456'], presented: 'tel:+4930123456' }

export const invitation = (): Invitation => ({
  id: 'session' as SessionId,
  attempt: 1,
  charging: { icid: 'icid', generatedAt: 'hub' },
  origin: noFacts,
  from: shown,
  target: {
    access: 'xmpp',
    peerId: 'island',
    uri: 'sip:user@island.example',
    trust: 'user',
    media: 'webrtc',
    needsOffer: true
  },
  service: 'voice',
  sdp: sdp()
})

export interface SdpParts {
  readonly media?: readonly ('audio' | 'video' | 'no-audio' | 'no-video')[]
  readonly direction?: string
  readonly video?: string
  readonly setup?: string
  readonly ufrag?: string
  readonly codec?: string
}

/** What a browser or the anchor would say. */
export function sdp({
  media = ['audio'],
  direction = 'sendrecv',
  video,
  setup = 'actpass',
  ufrag = 'hub1',
  codec = '111 opus/48000/2'
}: SdpParts = {}): Sdp {
  const names = media.map((_, at) => `${at}`).filter((_, at) => !media[at]!.startsWith('no-'))
  const rows = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${names.join(' ')}`]
  media.forEach((kind, at) => {
    const [format, map] = kind.endsWith('audio') ? codec.split(' ') : ['96', 'VP8/90000']
    if (kind.startsWith('no-')) {
      rows.push(`m=${kind.slice(3)} 0 UDP/TLS/RTP/SAVPF ${format}`, `a=mid:${at}`)
      return
    }
    rows.push(`m=${kind} 4000 UDP/TLS/RTP/SAVPF ${format}`, 'c=IN IP4 127.0.0.1', `a=mid:${at}`)
    rows.push(`a=rtpmap:${format} ${map}`, `a=${kind === 'video' ? (video ?? direction) : direction}`, 'a=rtcp-mux')
    rows.push(
      `a=ice-ufrag:${ufrag}`,
      'a=ice-pwd:hubPasswordOfTwentyTwoCh',
      'a=fingerprint:sha-256 AA:BB',
      `a=setup:${setup}`
    )
    rows.push('a=candidate:1 1 udp 1 127.0.0.1 4000 typ host')
  })
  return `${rows.join('\r\n')}\r\n` as Sdp
}

export interface ContentParts {
  readonly name?: string
  readonly media?: string
  readonly creator?: string
  readonly senders?: string
  readonly setup?: string
  readonly ufrag?: string
  readonly candidate?: boolean
  readonly codec?: string
}

/** A content as a user's client sends it. */
export function contentXml({
  name = '0',
  media = 'audio',
  creator = 'initiator',
  senders = 'both',
  setup = 'actpass',
  ufrag = 'usr1',
  candidate = true,
  codec
}: ContentParts = {}): string {
  const payload =
    codec ??
    (media === 'audio' ? 'id="111" name="opus" clockrate="48000" channels="2"' : 'id="96" name="VP8" clockrate="90000"')
  return `<content creator="${creator}" name="${name}" senders="${senders}"><description xmlns="urn:xmpp:jingle:apps:rtp:1" media="${media}"><payload-type ${payload}/><rtcp-mux/></description>${transportXml(ufrag, setup, candidate)}</content>`
}
export const transportXml = (ufrag = 'usr1', setup = 'actpass', candidate = true): string =>
  `<transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="${ufrag}" pwd="userPasswordOfTwentyTwo"><fingerprint xmlns="urn:xmpp:jingle:apps:dtls:0" hash="sha-256" setup="${setup}">CC:DD</fingerprint>${candidate ? candidateXml : ''}</transport>`
export const candidateXml =
  '<candidate component="1" foundation="1" generation="0" id="u1" ip="192.0.2.9" network="0" port="5000" priority="9" protocol="udp" type="host"/>'
export const bundleXml = (...names: readonly string[]): string =>
  `<group xmlns="urn:xmpp:jingle:apps:grouping:0" semantics="BUNDLE">${names.map(name => `<content name="${name}"/>`).join('')}</group>`
export const infoXml = (word: string): string => `<${word} xmlns="urn:xmpp:jingle:apps:rtp:info:1"/>`
export const reasonXml = (word: string): string => `<reason><${word}/></reason>`
export const jmiXml = (kind: string, sid = 'sid-1', body = ''): string =>
  `<${kind} xmlns="urn:xmpp:jingle-message:0" id="${sid}">${body}</${kind}>`
export const proposeXml = (sid = 'sid-1', ...media: readonly string[]): string =>
  jmiXml(
    'propose',
    sid,
    (media.length === 0 ? ['audio'] : media)
      .map(kind => `<description xmlns="urn:xmpp:jingle:apps:rtp:1" media="${kind}"/>`)
      .join('')
  )

/** The media lines of an SDP in short: `audio sendrecv`, `video rejected`. */
export const shape = (text: Sdp | string | null): readonly string[] =>
  (text ?? '')
    .split(/^m=/m)
    .slice(1)
    .map(section => {
      const [kind, port] = section.split(' ')
      const direction = /^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m.exec(section)?.[1]
      return `${kind} ${port === '0' ? 'rejected' : direction}`
    })
