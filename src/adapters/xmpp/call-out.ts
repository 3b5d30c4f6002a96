// A call from the core to a user, until it is answered: devices are asked by messages (XEP-0353) or one is called at
// once, then the session is offered. Pure.

import type { Reason } from '../../session/model.ts'
import {
  ack,
  action,
  active,
  announce,
  because,
  calleeRefused,
  ended,
  failed,
  finish,
  outOfOrder,
  refuse,
  released,
  startTimer,
  step,
  stopTimer,
  tell,
  terminate
} from './call-acts.ts'
import {
  arranged,
  asAnswer,
  isVideo,
  ourContents,
  settled,
  theirSdp,
  trickle,
  usable,
  withTrickled
} from './call-media.ts'
import type { Act, Call, CallEvent, CallIn, EventOf, Identity, Media, Step } from './call-model.ts'
import { infoOf } from './jingle.ts'
import type { Jingle } from './jingle.ts'
import { callingReason, crossedReason, tieBreak } from './tie-break.ts'
import type { SdpDescription } from '../../session/sdp.ts'

/** Asks all devices of the user. */
export function propose(id: Identity, offer: SdpDescription): Step {
  const call = { phase: 'proposing', id, offer, alerted: false, bounced: null } as const
  const media = isVideo(offer) ? (['audio', 'video'] as const) : (['audio'] as const)
  return step(call, announce('propose', id.peer, { media }), startTimer('ringing'))
}

/** Calls one device. */
export function initiate(id: Identity, offer: SdpDescription, alerted = false): Step {
  const call = { phase: 'initiating', id, offer, alerted, trickled: new Map() } as const
  return step(
    call,
    action(id, 'session-initiate', { initiator: id.own, ...ourContents(offer, 'initiator') }, 'initiate')
  )
}

export function proposing(call: CallIn<'proposing'>, event: CallEvent): Step {
  const { id, alerted, bounced } = call
  switch (event.type) {
    case 'jmi.ringing':
      return rings({ ...call, bounced: null })
    case 'jmi.proceed': {
      const started = initiate({ ...id, peer: event.from }, call.offer, alerted)
      return step(started.call, stopTimer('ringing'), stopTimer('bounce'), ...started.acts)
    }
    case 'jmi.reject':
      return over(tell({ tell: 'ended', reason: calleeRefused(event.reason) }))
    case 'jmi.crossed': {
      const gone = announce('retract', id.peer, { reason: because(crossedReason), extra: tieBreak() })
      return over(...(event.told ? [] : [gone]), tell({ tell: 'ended', reason: callingReason }))
    }
    case 'jmi.bounced':
      // One device that is gone says nothing about the others, least of all where one rings.
      if (alerted || bounced !== null) return step(call)
      return step({ ...call, bounced: event.reason }, startTimer('bounce'))
    case 'timer':
      if (event.timer === 'ringing') return bounced === null ? rings(call) : step(call)
      if (event.timer !== 'bounce' || bounced === null) return step(call)
      return over(announce('retract', id.peer, { reason: because(bounced) }), tell({ tell: 'ended', reason: bounced }))
    case 'core.end':
      return over(announce('retract', id.peer, { reason: because(event.release) }))
    case 'reply.failed':
      return over(tell({ tell: 'ended', reason: event.reason }))
    case 'core.reoffer':
      return step(call, notYet(event))
    case 'jingle':
      return step(call, outOfOrder)
    default:
      return step(call)
  }
}

const over = (...acts: readonly Act[]): Step => step(ended, stopTimer('ringing'), stopTimer('bounce'), ...acts)

/** The first exchange is still open: the core does not ask before, and is told if it does. */
const notYet = ({ exchange }: EventOf<'core.reoffer'>): Act =>
  tell({ tell: 'reoffer-refused', exchange, why: 'unacceptable' })

function rings(call: CallIn<'proposing'> | CallIn<'initiating' | 'pending'>): Step {
  return call.alerted ? step(call) : step({ ...call, alerted: true }, stopTimer('ringing'), tell({ tell: 'alerting' }))
}

/** Session-initiate is sent (`initiating`), then taken (`pending`). */
export function initiated(call: CallIn<'initiating' | 'pending'>, event: CallEvent): Step {
  const { id } = call
  switch (event.type) {
    case 'reply.done':
      if (event.tag !== 'initiate' || call.phase === 'pending') return step(call)
      return step({ ...call, phase: 'pending' }, ...(call.alerted ? [] : [startTimer('ringing')]))
    case 'reply.failed':
      if (event.tag !== 'initiate') return step(call)
      return step(
        ended,
        stopTimer('ringing'),
        ...finish(id, event.reason),
        tell({ tell: 'ended', reason: event.reason })
      )
    case 'jingle':
      return heard(call, event)
    case 'jmi.reject':
    case 'jmi.finish':
      // Another device that does not want it says nothing about the one that does.
      if (event.from !== id.peer) return step(call)
      return ends(id, calleeRefused(event.reason))
    case 'timer':
      return event.timer === 'ringing' ? rings(call) : step(call)
    case 'jmi.ringing':
      return rings(call)
    case 'jmi.proceed':
      return event.from === id.peer ? step(call) : late(call, event.from)
    case 'peer.gone':
      return ends(id, { cause: 'unavailable', text: 'the device has gone offline' })
    case 'core.end': {
      const { call: next, acts } = released(id, event.release)
      return step(next, stopTimer('ringing'), ...acts)
    }
    case 'core.reoffer':
      return step(call, notYet(event))
    default:
      return step(call)
  }
}

/** A second device of the same user has accepted: the first has the call (XEP-0353, 3.3). */
export const late = (call: Call, device: string): Step =>
  step(call, announce('retract', device, { reason: because({ cause: 'answered-elsewhere' }) }))

function ends(id: Identity, reason: Reason): Step {
  const { call, acts } = failed(id, reason)
  return step(call, stopTimer('ringing'), ...acts)
}

function heard(call: CallIn<'initiating' | 'pending'>, { jingle }: EventOf<'jingle'>): Step {
  const { id } = call
  switch (jingle.action) {
    case 'session-accept':
      return accepted(call, jingle)
    case 'session-terminate': {
      const reason = calleeRefused(jingle.reason)
      return step(ended, ack, stopTimer('ringing'), ...finish(id, reason), tell({ tell: 'ended', reason }))
    }
    case 'transport-info':
      return step({ ...call, trickled: trickle(call.trickled, jingle) }, ack)
    case 'session-info': {
      const info = infoOf(jingle)
      if (info.kind === 'unknown') return step(call, refuse('feature-not-implemented', 'unsupported-info'))
      const rung = info.kind === 'ringing' ? rings(call) : step(call)
      return step(rung.call, ack, ...rung.acts)
    }
    case 'description-info':
      return step(call, ack)
    case 'security-info':
      return step(call, refuse('feature-not-implemented', 'unsupported-info'))
    default:
      return step(call, outOfOrder)
  }
}

function accepted(call: CallIn<'initiating' | 'pending'>, jingle: Jingle): Step {
  const { id, offer } = call
  const contents = usable(withTrickled(jingle.contents, call.trickled))
  if (typeof contents === 'string') {
    const reason = { cause: 'incompatible-media', text: `the answer has no usable ${contents}` } as const
    return step(ended, ack, stopTimer('ringing'), ...terminate(id, reason), tell({ tell: 'ended', reason }))
  }
  // Whoever says `actpass` in an answer waits for the other side to begin.
  const remote = settled(arranged(theirSdp(contents, jingle.groups, 'responder'), offer), 'passive')
  const start: Media = {
    role: 'initiator',
    local: offer,
    remote,
    creators: new Map(),
    held: false,
    holding: false,
    version: 0
  }
  const { media, sdp } = asAnswer(start, offer)
  return step(active(id, media), ack, stopTimer('ringing'), tell({ tell: 'answered', sdp }))
}
