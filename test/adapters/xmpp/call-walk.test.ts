// Random walks over a call's machine: whatever comes in whatever order, it keeps its promises. SEED=7 replays one.

import { describe, expect, it } from '@jest/globals'
import parse from '@xmpp/xml/lib/parse.js'
import { askFirst, takeInitiate, takeProposal } from '../../../src/adapters/xmpp/call-in.ts'
import { hubSdp } from '../../../src/adapters/xmpp/call-media.ts'
import { phases, timers } from '../../../src/adapters/xmpp/call-model.ts'
import type { Act, CallEvent, Identity, Phase, Step, Timer } from '../../../src/adapters/xmpp/call-model.ts'
import { initiate, propose } from '../../../src/adapters/xmpp/call-out.ts'
import { stepCall } from '../../../src/adapters/xmpp/call.ts'
import { jingleActions, parseJingle } from '../../../src/adapters/xmpp/jingle.ts'
import type { Jingle } from '../../../src/adapters/xmpp/jingle.ts'
import { parseSdp } from '../../../src/session/sdp.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'
import { bundleXml, contentXml, infoXml, phone, sdp, shape, tablet, transportXml } from '../../support/xmpp-island.ts'

const walks = 1_000
const stepsMax = 40
const id: Identity = { sid: 's', own: '+49@gw.island.example/gw', peer: phone, role: 'initiator', announced: true }

describe('a call on a random walk', () => {
  it('answers every action once, ends once and for good, tells the core in order, and reaches every phase', () => {
    // So that a failure can be seen again.
    console.log(`SEED=${seedFromEnvironment}`)
    const reached = new Map<Phase, number>()
    for (let walk = 0; walk < walks; walk += 1) walkOnce(seedFromEnvironment * 1_000_003 + walk, reached)
    for (const phase of phases) expect([phase, (reached.get(phase) ?? 0) > 50]).toEqual([phase, true])
  })
})

function walkOnce(seed: number, reached: Map<Phase, number>): void {
  const random = mulberry32(seed)
  const pick = <T>(items: readonly T[]): T => items[random(items.length)]!
  const direction = (): string => pick(['sendrecv', 'sendonly', 'recvonly', 'inactive'])
  const media = (): readonly ('audio' | 'video' | 'no-video')[] =>
    pick([['audio'], ['audio', 'video'], ['audio', 'no-video']] as const)
  const say = (setup = pick(['actpass', 'active', 'passive'])) =>
    sdp({ media: media(), direction: direction(), setup, ufrag: pick(['h1', 'h2']) })
  const content = (): string => {
    const name = pick(['0', '1', 'x'])
    const kind = name === '0' ? 'audio' : pick(['audio', 'video'])
    return contentXml({
      name,
      media: kind,
      creator: pick(['initiator', 'responder']),
      senders: pick(['both', 'none', 'initiator', 'responder']),
      setup: pick(['actpass', 'active']),
      ufrag: pick(['u1', 'u2']),
      candidate: random(2) === 0
    })
  }
  const body = (): string =>
    pick([
      content,
      () => contentXml(),
      () => contentXml({ setup: 'active' }),
      () => `${bundleXml('0', '1')}${contentXml()}${contentXml({ name: '1', media: 'video' })}`,
      () => infoXml(pick(['hold', 'unhold', 'active', 'ringing', 'mute'])),
      () => '<reason><busy/></reason>',
      () => `<content creator="initiator" name="0">${transportXml(pick(['u1', 'u2', 'u3']))}</content>`,
      () => '<content creator="initiator" name="1" senders="none"/>',
      () => '<dtmf xmlns="urn:xmpp:jingle:dtmf:0" code="1"/>',
      () => ''
    ])()
  const jingle = (action = pick(jingleActions)): Jingle | null =>
    parseJingle(parse(`<jingle xmlns="urn:xmpp:jingle:1" action="${action}" sid="s">${body()}</jingle>`))
  const outward = { ...id, peer: 'user@island.example' }
  const inward: Identity = { ...id, role: 'responder', announced: random(2) === 0 }
  let now: Step = pick([
    () => propose(outward, hubSdp(say())!),
    () => initiate({ ...id, announced: false }, hubSdp(say())!),
    () => takeProposal(inward),
    () => askFirst(inward, ['audio']),
    () =>
      takeInitiate(
        inward,
        parseJingle(parse(`<jingle xmlns="urn:xmpp:jingle:1" action="session-initiate" sid="s">${content()}</jingle>`))!
      )
  ])()
  const from = pick([phone, phone, phone, tablet])
  const next = (): CallEvent | null => {
    const likely: readonly (() => CallEvent | null)[] = [
      () => ({ type: 'core.alert' }),
      () => ({ type: 'core.progress', sdp: random(2) === 0 ? null : say() }),
      () => ({ type: 'core.answer', sdp: random(8) === 0 ? null : say() }),
      () => ({ type: 'core.reoffer', exchange: random(99), sdp: say() }),
      () => ({ type: 'core.answer-reoffer', sdp: say() }),
      () => ({ type: 'core.refuse-reoffer', why: pick(['glare', 'unacceptable', 'timeout']) }),
      () => ({ type: 'core.tone', tone: { digit: '1', durationMs: 100 } }),
      () => (random(8) === 0 ? { type: 'core.end', release: { cause: 'normal', from: 'caller' } } : null),
      () => ({ type: 'jmi.ringing', from }),
      () => ({ type: 'jmi.proceed', from }),
      () =>
        random(6) === 0
          ? { type: pick(['jmi.reject', 'jmi.retract', 'jmi.finish'] as const), from, reason: null }
          : null,
      () => ({ type: 'jmi.bounced', reason: { cause: 'unavailable' } }),
      () =>
        random(6) === 0
          ? pick<CallEvent>([
              { type: 'jmi.crossed', told: random(2) === 0 },
              { type: 'jmi.replaced', by: 'other' }
            ])
          : null,
      () => ({ type: 'reply.done', tag: pick(['initiate', 'accept', 'add', 'other']) }),
      () =>
        random(6) === 0
          ? {
              type: 'reply.failed',
              tag: pick(['initiate', 'accept', 'add', 'other']),
              why: pick(['error', 'tie-break', 'unknown-session', 'timeout', 'down']),
              reason: { cause: 'peer-failed' }
            }
          : null,
      () => ({ type: 'timer', timer: pick(timers) }),
      () => (random(5) === 0 ? { type: 'peer.gone' } : { type: 'peer.back' }),
      ...Array.from(
        { length: 6 },
        () => () => hears(jingle(random(3) === 0 ? pick(['session-initiate', 'session-accept'] as const) : undefined))
      )
    ]
    return pick(likely)()
  }
  const hears = (said: Jingle | null): CallEvent | null =>
    said === null || (said.action === 'session-terminate' && random(4) > 0)
      ? null
      : { type: 'jingle', from: phone, jingle: said }

  const promises = new Promises(seed)
  promises.hold(now, null)
  for (let count = 0; count < stepsMax; count += 1) {
    reached.set(now.call.phase, (reached.get(now.call.phase) ?? 0) + 1)
    const event = next()
    if (event === null || (event.type === 'timer' && !promises.timers.has(event.timer))) continue
    if (event.type === 'timer') promises.timers.delete(event.timer)
    now = stepCall(now.call, event)
    promises.hold(now, event)
  }
}

/** What holds after every step of every walk. */
class Promises {
  readonly timers = new Set<Timer>()
  readonly #seed: number
  #told: string[] = []
  #ended = false
  #open = false

  constructor(seed: number) {
    this.#seed = seed
  }

  hold({ call, acts }: Step, event: CallEvent | null): void {
    const say = (what: string): string => `${what} (SEED walk ${this.#seed}, ${JSON.stringify(event)?.slice(0, 300)})`
    const check = (good: boolean, what: string): void => {
      if (!good) throw new Error(say(what))
    }
    if (event?.type === 'jingle')
      check(
        acts.some(act => act.act === 'reply'),
        'an action without an answer'
      )
    if (this.#ended) check(acts.every(act => act.act === 'reply') && call.phase === 'ended', 'an end that is none')
    for (const act of acts) this.#one(act, check)
    if (call.phase === 'ended') {
      this.#ended = true
      if (event?.type === 'core.end') check(!acts.some(act => act.act === 'tell'), 'an end told to whom asked for it')
      this.timers.clear()
    }
    if (call.phase === 'active') {
      const { local, remote } = call.media
      check(remote.sections.length >= 1 && local.sections.length >= 1, 'media without a line')
      check((call.ours === null) !== this.timers.has('change'), 'a change without an end, or a timer without a change')
    }
  }

  #one(act: Act, check: (good: boolean, what: string) => void): void {
    if (act.act === 'timer') {
      if (act.ms === null) this.timers.delete(act.timer)
      else this.timers.add(act.timer)
      return
    }
    if (act.act !== 'tell') return
    const once = ['offered', 'alerting', 'answered', 'ended']
    if (once.includes(act.tell)) check(!this.#told.includes(act.tell), `${act.tell} told twice`)
    check(!this.#told.includes('ended'), `${act.tell} told after the end`)
    this.#told.push(act.tell)
    if (act.tell === 'reoffered') {
      check(!this.#open || act.sdp !== '', 'an empty re-offer')
      this.#open = true
    }
    if ('sdp' in act && act.sdp !== null) {
      check(parseSdp(act.sdp) !== null && shape(act.sdp).length > 0, 'SDP that cannot be read')
      if (act.tell === 'answered' || act.tell === 'reoffer-answered')
        check(!act.sdp.includes('setup:actpass'), 'an answer that leaves DTLS open')
    }
  }
}
