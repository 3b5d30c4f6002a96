// Every phase of a call meets every event and every Jingle action: the tables are complete by type.

import { describe, expect, it } from '@jest/globals'
import parse from '@xmpp/xml/lib/parse.js'
import { askedBy } from '../../../src/adapters/xmpp/call-accept.ts'
import { active } from '../../../src/adapters/xmpp/call-acts.ts'
import { hubSdp } from '../../../src/adapters/xmpp/call-media.ts'
import { phases } from '../../../src/adapters/xmpp/call-model.ts'
import type { Call, CallEvent, EventType, Identity, Phase, Step } from '../../../src/adapters/xmpp/call-model.ts'
import { stepCall } from '../../../src/adapters/xmpp/call.ts'
import { jingleActions, parseJingle } from '../../../src/adapters/xmpp/jingle.ts'
import type { Jingle, JingleAction } from '../../../src/adapters/xmpp/jingle.ts'
import { contentXml, infoXml, phone, sdp, transportXml } from '../../support/xmpp-island.ts'

const out: Identity = { sid: 's', own: '+49@gw.island.example/gw', peer: phone, role: 'initiator', announced: true }
const inward: Identity = { ...out, role: 'responder' }
const offer = hubSdp(sdp())!
const user = hubSdp(sdp({ ufrag: 'usr1', setup: 'active' }))!
const media = {
  role: 'initiator',
  local: offer,
  remote: user,
  creators: new Map(),
  held: false,
  holding: false,
  version: 1
} as const

const action = (name: JingleAction, body: string): Jingle =>
  parseJingle(parse(`<jingle xmlns="urn:xmpp:jingle:1" action="${name}" sid="s">${body}</jingle>`))!

const calls: Readonly<Record<Phase, Call>> = {
  proposing: { phase: 'proposing', id: { ...out, peer: 'user@island.example' }, offer, alerted: false, bounced: null },
  initiating: { phase: 'initiating', id: out, offer, alerted: false, trickled: new Map() },
  pending: { phase: 'pending', id: out, offer, alerted: false, trickled: new Map() },
  proposed: { phase: 'proposed', id: inward },
  asking: { phase: 'asking', id: inward, alerted: false },
  proceeded: { phase: 'proceeded', id: inward, offer },
  gathering: {
    phase: 'gathering',
    id: inward,
    initiate: action('session-initiate', contentXml({ candidate: false, ufrag: 'usr2' })),
    trickled: new Map()
  },
  offered: {
    phase: 'offered',
    id: inward,
    asked: askedBy(action('session-initiate', contentXml())),
    media: { ...media, role: 'responder', local: user },
    alerted: false,
    early: null
  },
  active: active(out, media),
  ended: { phase: 'ended' }
}

const events: Readonly<Record<Exclude<EventType, 'jingle'>, CallEvent>> = {
  'core.alert': { type: 'core.alert' },
  'core.progress': { type: 'core.progress', sdp: null },
  'core.answer': { type: 'core.answer', sdp: sdp({ setup: 'passive' }) },
  'core.reoffer': { type: 'core.reoffer', exchange: 2, sdp: sdp({ direction: 'sendonly' }) },
  'core.answer-reoffer': { type: 'core.answer-reoffer', sdp: sdp({ setup: 'passive' }) },
  'core.refuse-reoffer': { type: 'core.refuse-reoffer', why: 'glare' },
  'core.tone': { type: 'core.tone', tone: { digit: '1', durationMs: 100 } },
  'core.end': { type: 'core.end', release: { cause: 'cancelled', from: 'caller' } },
  'jmi.ringing': { type: 'jmi.ringing', from: phone },
  'jmi.proceed': { type: 'jmi.proceed', from: phone },
  'jmi.reject': { type: 'jmi.reject', from: phone, reason: null },
  'jmi.retract': { type: 'jmi.retract', from: phone, reason: null },
  'jmi.finish': { type: 'jmi.finish', from: phone, reason: null },
  'jmi.bounced': { type: 'jmi.bounced', reason: { cause: 'unavailable' } },
  'jmi.crossed': { type: 'jmi.crossed', told: false },
  'jmi.replaced': { type: 'jmi.replaced', by: 'other' },
  'reply.done': { type: 'reply.done', tag: 'initiate' },
  'reply.failed': { type: 'reply.failed', tag: 'initiate', why: 'timeout', reason: { cause: 'peer-failed' } },
  timer: { type: 'timer', timer: 'ringing' },
  'peer.gone': { type: 'peer.gone' },
  'peer.back': { type: 'peer.back' }
}
const bodies: Readonly<Record<JingleAction, string>> = {
  'session-initiate': contentXml(),
  'session-accept': contentXml({ setup: 'active' }),
  'session-info': infoXml('hold'),
  'session-terminate': '<reason><success/></reason>',
  'content-add': contentXml({ name: 'new', media: 'video' }),
  'content-accept': contentXml({ name: 'new' }),
  'content-reject': '<content creator="initiator" name="new"/>',
  'content-remove': '<content creator="initiator" name="none"/>',
  'content-modify': '<content creator="initiator" name="0" senders="responder"/>',
  'description-info': contentXml(),
  'security-info': '',
  'transport-info': `<content creator="initiator" name="0">${transportXml('usr2')}</content>`,
  'transport-replace': `<content creator="initiator" name="0">${transportXml('usr2')}</content>`,
  'transport-accept': '<content creator="initiator" name="0"/>',
  'transport-reject': '<content creator="initiator" name="0"/>'
}

/** A step in short: the phase it leads to (where it leads anywhere) and what it does, timers left out. */
function short(before: Call, { call, acts }: Step): string {
  const done = acts.flatMap(act => {
    switch (act.act) {
      case 'reply':
        return [act.refusal === null ? 'ack' : (act.refusal.jingle ?? act.refusal.condition)]
      case 'jingle':
        return [act.jingle.action]
      case 'jmi':
        return [act.kind]
      case 'tell':
        return [`:${act.tell}`]
      case 'timer':
        return []
    }
  })
  return [...(call.phase === before.phase ? [] : [`> ${call.phase}`]), ...done].join(' ')
}

const nothing = ''
const gone = '> ended'
type Row = Readonly<Record<Exclude<EventType, 'jingle'>, string>>
/** What is not named does nothing. */
const row = (named: Partial<Row>): Row => {
  const all = Object.keys(events).map(name => [name, nothing])
  return { ...(Object.fromEntries(all) as Row), ...named }
}
const initiated: Partial<Row> = {
  'core.reoffer': ':reoffer-refused',
  'core.end': '> ended session-terminate finish',
  'jmi.ringing': ':alerting',
  'jmi.reject': '> ended session-terminate finish :ended',
  'jmi.finish': '> ended session-terminate finish :ended',
  'reply.failed': '> ended finish :ended',
  timer: ':alerting',
  'peer.gone': '> ended session-terminate finish :ended'
}
const table: Readonly<Record<Phase, Row>> = {
  proposing: row({
    'core.reoffer': ':reoffer-refused',
    'core.end': '> ended retract',
    'jmi.ringing': ':alerting',
    'jmi.proceed': '> initiating session-initiate',
    'jmi.reject': '> ended :ended',
    'jmi.crossed': '> ended retract :ended',
    'reply.failed': '> ended :ended',
    timer: ':alerting'
  }),
  initiating: row({ ...initiated, 'reply.done': '> pending' }),
  pending: row(initiated),
  proposed: row({
    'jmi.reject': gone,
    'jmi.retract': gone,
    'jmi.finish': gone
  }),
  asking: row({
    'core.alert': 'ringing',
    'core.progress': 'ringing',
    'core.answer': '> proceeded proceed',
    'core.reoffer': ':reoffer-refused',
    'core.end': '> ended reject',
    'jmi.reject': '> ended :ended',
    'jmi.retract': '> ended :ended',
    'jmi.finish': '> ended :ended',
    'peer.gone': '> ended :ended'
  }),
  proceeded: row({
    'core.reoffer': ':reoffer-refused',
    'core.end': '> ended finish',
    'jmi.reject': '> ended :ended',
    'jmi.retract': '> ended :ended',
    'jmi.finish': '> ended :ended'
  }),
  gathering: row({
    'jmi.retract': gone,
    'jmi.finish': gone,
    'peer.gone': gone
  }),
  offered: row({
    'core.alert': 'session-info',
    'core.progress': 'session-info',
    'core.answer': '> active session-accept',
    'core.reoffer': ':reoffer-answered',
    'core.end': '> ended session-terminate finish',
    'jmi.retract': '> ended :ended',
    'jmi.finish': '> ended :ended',
    'peer.gone': '> ended :ended'
  }),
  active: row({
    'core.reoffer': 'session-info :reoffer-answered',
    'core.tone': 'session-info',
    'core.end': '> ended session-terminate finish',
    'jmi.finish': '> ended finish :ended',
    'jmi.replaced': '> ended session-terminate finish :ended'
  }),
  ended: row({})
}

const order = 'out-of-order'
const info = 'unsupported-info'
/** Every action out of order. */
const all = (answer: string): Record<JingleAction, string> =>
  Object.fromEntries(jingleActions.map(name => [name, answer])) as Record<JingleAction, string>
const early = {
  ...all(order),
  'session-info': 'ack',
  'description-info': 'ack',
  'security-info': info
}
const taken: Readonly<Record<JingleAction, string>> = {
  ...early,
  'session-accept': '> active ack :answered',
  'session-terminate': '> ended ack finish :ended',
  'transport-info': 'ack'
}
const actionTable: Readonly<Record<Phase, Readonly<Record<JingleAction, string>>>> = {
  proposing: all(order),
  initiating: taken,
  pending: taken,
  proposed: { ...all(order), 'session-initiate': '> offered ack :offered' },
  asking: all(order),
  proceeded: { ...all(order), 'session-initiate': '> active ack session-accept :acknowledged' },
  gathering: {
    ...early,
    'session-initiate': 'ack',
    'transport-info': '> offered ack :offered',
    'session-terminate': '> ended ack'
  },
  offered: {
    ...early,
    'session-initiate': 'ack',
    'transport-info': 'ack',
    'session-terminate': '> ended ack finish :ended'
  },
  active: {
    ...all('ack'),
    'session-info': 'ack :reoffered',
    'session-terminate': '> ended ack finish :ended',
    'content-add': 'ack :reoffered',
    'content-modify': 'ack :reoffered',
    'security-info': info,
    'transport-info': 'ack :reoffered',
    'transport-replace': 'ack :reoffered'
  },
  ended: all('unknown-session')
}

describe('a call, phase by phase', () => {
  it.each(phases)('%s meets every event', phase => {
    const before = calls[phase]
    const found = Object.fromEntries(
      Object.entries(events).map(([name, event]) => [name, short(before, stepCall(before, event))])
    )
    expect(found).toEqual(table[phase])
  })

  it.each(phases)('%s meets every Jingle action, and answers each', phase => {
    const before = calls[phase]
    const found = Object.fromEntries(
      jingleActions.map(name => [
        name,
        short(before, stepCall(before, { type: 'jingle', from: phone, jingle: action(name, bodies[name]) }))
      ])
    )
    expect(found).toEqual(actionTable[phase])
  })
})
