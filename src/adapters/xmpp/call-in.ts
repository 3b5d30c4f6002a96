// A call from a user to the core, until it is answered: proposed by message or initiated at once, the core asked with
// the user's media (start A) or before it (start B). Pure.

import type { Sdp } from '../../session/model.ts'
import {
  ack,
  action,
  active,
  announce,
  because,
  callerGaveUp,
  contentsAction,
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
import { acceptContents, askedBy } from './call-accept.ts'
import { callLimits } from './call-limits.ts'
import { matched } from './call-match.ts'
import {
  asAnswer,
  asOffer,
  hubSdp,
  isGathered,
  isVideo,
  named,
  answerFor,
  theirSdp,
  trickle,
  usable,
  withTrickled
} from './call-media.ts'
import type { Act, CallEvent, CallIn, EventOf, Identity, Media, Step, Trickled } from './call-model.ts'
import { infoOf, printInfo } from './jingle.ts'
import type { Jingle } from './jingle.ts'
import type { MediaKind } from './jmi.ts'

/** Start A: the device may begin; the core hears of the call once its media is known. */
export const takeProposal = (id: Identity): Step =>
  step({ phase: 'proposed', id }, announce('proceed', id.peer), startTimer('initiate'))

/** Start B: the core is asked first. */
export const askFirst = (id: Identity, media: readonly MediaKind[]): Step =>
  step(
    { phase: 'asking', id, alerted: false },
    tell({ tell: 'offered', service: media.includes('video') ? 'video' : 'voice', sdp: null })
  )

/** A session-initiate, announced or not. `early`: what came before it. */
export function takeInitiate(id: Identity, initiate: Jingle, early: Trickled = new Map()): Step {
  const contents = withTrickled(initiate.contents, early)
  const whole = { ...initiate, contents }
  if (!isGathered(contents) && typeof usable(contents) !== 'string') {
    return step({ phase: 'gathering', id, initiate: whole, trickled: new Map() }, ack, startTimer('candidates'))
  }
  const { call, acts } = offer(id, whole)
  return step(call, ack, ...acts)
}

function offer(id: Identity, initiate: Jingle): Step {
  const contents = usable(initiate.contents)
  if (typeof contents === 'string') return step(ended, ...terminate(id, unusable[contents]))
  const remote = theirSdp(contents, initiate.groups, 'initiator')
  // The hub has said nothing yet: its side has the user's shape.
  const first: Media = {
    role: 'responder',
    local: remote,
    remote,
    creators: new Map(),
    held: false,
    holding: false,
    version: 0
  }
  const { media, sdp } = asOffer(first)
  const service = isVideo(remote) ? 'video' : 'voice'
  return step(
    { phase: 'offered', id, asked: askedBy(initiate), media, alerted: false, early: null },
    tell({ tell: 'offered', service, sdp })
  )
}

const unusable = {
  description: { cause: 'incompatible-media', sip: 501, text: 'only sound and pictures over RTP can be called with' },
  transport: { cause: 'incompatible-media', text: 'only ICE over UDP leads here' },
  security: { cause: 'incompatible-media', text: 'calls must be encrypted by DTLS-SRTP (XEP-0320)' }
} as const

export function proposed(call: CallIn<'proposed'>, event: CallEvent): Step {
  const { id } = call
  switch (event.type) {
    case 'jingle':
      return begun(id, event)
    case 'jmi.retract':
    case 'jmi.reject':
    case 'jmi.finish':
      return step(ended, stopTimer('initiate'))
    case 'timer':
      if (event.timer !== 'initiate') return step(call)
      return step(ended, ...finish(id, { cause: 'expired' }))
    default:
      return step(call)
  }
}

function begun(id: Identity, { jingle, from }: EventOf<'jingle'>): Step {
  if (jingle.action !== 'session-initiate') return step({ phase: 'proposed', id }, outOfOrder)
  const { call, acts } = takeInitiate({ ...id, peer: from }, jingle)
  return step(call, stopTimer('initiate'), ...acts)
}

export function gathering(call: CallIn<'gathering'>, event: CallEvent): Step {
  const { id } = call
  switch (event.type) {
    case 'timer':
      return event.timer === 'candidates' ? offer(id, gathered(call)) : step(call)
    case 'jingle':
      return gatherFrom(call, event)
    case 'jmi.retract':
    case 'jmi.finish':
    case 'peer.gone':
      return step(ended, stopTimer('candidates'))
    default:
      return step(call)
  }
}

const gathered = ({ initiate, trickled }: CallIn<'gathering'>): Jingle => ({
  ...initiate,
  contents: withTrickled(initiate.contents, trickled)
})

function gatherFrom(call: CallIn<'gathering'>, { jingle }: EventOf<'jingle'>): Step {
  switch (jingle.action) {
    case 'transport-info': {
      const more = { ...call, trickled: trickle(call.trickled, jingle) }
      if (!isGathered(gathered(more).contents)) return step(more, ack)
      const { call: next, acts } = offer(call.id, gathered(more))
      return step(next, ack, stopTimer('candidates'), ...acts)
    }
    case 'session-terminate':
      return step(ended, ack, stopTimer('candidates'))
    default:
      return common(call, jingle)
  }
}

export function offered(call: CallIn<'offered'>, event: CallEvent): Step {
  const { id } = call
  switch (event.type) {
    case 'core.alert': {
      const { call: next, acts } = rings(call)
      return step(next, ...acts)
    }
    case 'core.progress': {
      // There is no early media here (XEP-0269 is implemented by nobody): the caller's client plays its own tone.
      const { call: next, acts } = rings(call)
      return step(event.sdp === null ? next : { ...next, early: event.sdp }, ...acts)
    }
    case 'core.answer':
      return answer(call, event.sdp ?? call.early)
    case 'core.reoffer': {
      // Before the answer nothing can be changed by signalling, and nothing needs to: the user's media stays.
      const local = hubSdp(event.sdp)
      if (local === null) return step(call, refusedReoffer(event))
      const { media, sdp } = asAnswer({ ...call.media, local: named(local, call.media.remote) }, local)
      return step(
        { ...call, media, early: event.sdp },
        tell({ tell: 'reoffer-answered', exchange: event.exchange, sdp })
      )
    }
    case 'core.end':
      return released(id, event.release)
    case 'jmi.retract':
    case 'jmi.finish':
      return step(ended, tell({ tell: 'ended', reason: callerGaveUp(event.reason) }))
    case 'peer.gone':
      return step(ended, tell({ tell: 'ended', reason: { cause: 'cancelled', text: 'the device has gone offline' } }))
    case 'jingle':
      if (event.jingle.action === 'session-terminate') {
        const reason = callerGaveUp(event.jingle.reason)
        return step(ended, ack, ...finish(id, reason), tell({ tell: 'ended', reason }))
      }
      return event.jingle.action === 'transport-info' ? step(call, ack) : common(call, event.jingle)
    default:
      return step(call)
  }
}

const refusedReoffer = ({ exchange }: EventOf<'core.reoffer'>): Act =>
  tell({ tell: 'reoffer-refused', exchange, why: 'unacceptable' })

/** In every phase before the answer: what comes twice is taken once, the rest is out of order. */
function common(call: CallIn<'gathering' | 'offered'>, jingle: Jingle): Step {
  switch (jingle.action) {
    case 'session-initiate':
    case 'description-info':
      return step(call, ack)
    case 'session-info':
      return step(call, infoOf(jingle).kind === 'unknown' ? refuse('feature-not-implemented', 'unsupported-info') : ack)
    case 'security-info':
      return step(call, refuse('feature-not-implemented', 'unsupported-info'))
    default:
      return step(call, outOfOrder)
  }
}

function rings(call: CallIn<'offered'>): { readonly call: CallIn<'offered'>; readonly acts: readonly Act[] } {
  if (call.alerted) return { call, acts: [] }
  return { call: { ...call, alerted: true }, acts: [action(call.id, 'session-info', { rest: [printInfo('ringing')] })] }
}

function answer(call: CallIn<'offered'>, sdp: Sdp | null): Step {
  const { id, asked, media } = call
  const parsed = sdp === null ? null : hubSdp(sdp)
  if (parsed === null) return failed(id, { cause: 'internal', text: 'answered without media' })
  const local = answerFor(named(parsed, media.remote))
  const { contents, groups, refused } = acceptContents(asked, local)
  if (contents.length === 0) return failed(id, { cause: 'incompatible-media', text: 'no media was accepted' })
  return step(
    active(id, { ...media, local }),
    ...(refused.length === 0 ? [] : [contentsAction(id, 'content-remove', refused)]),
    action(id, 'session-accept', { responder: id.own, contents, groups }, 'accept')
  )
}

/** Start B: the core is being asked; the user has not said anything about its media. */
export function asking(call: CallIn<'asking'>, event: CallEvent): Step {
  const { id, alerted } = call
  switch (event.type) {
    case 'core.alert':
    case 'core.progress':
      return alerted ? step(call) : step({ ...call, alerted: true }, announce('ringing', id.peer))
    case 'core.answer': {
      const hub = event.sdp === null ? null : hubSdp(event.sdp)
      const reason = { cause: 'internal', text: 'answered without an offer' } as const
      if (hub === null) return step(ended, rejects(id, reason), tell({ tell: 'ended', reason }))
      return step({ phase: 'proceeded', id, offer: hub }, announce('proceed', id.peer), startTimer('initiate'))
    }
    case 'core.reoffer':
      return step(call, refusedReoffer(event))
    case 'core.end':
      return step(ended, rejects(id, event.release))
    case 'jmi.retract':
    case 'jmi.finish':
    case 'jmi.reject':
      return step(ended, tell({ tell: 'ended', reason: callerGaveUp(event.reason) }))
    case 'peer.gone':
      return step(ended, tell({ tell: 'ended', reason: { cause: 'cancelled', text: 'the device has gone offline' } }))
    case 'jingle':
      return step(call, outOfOrder)
    default:
      return step(call)
  }
}

const rejects = ({ peer }: Identity, reason: Parameters<typeof because>[0]): Act =>
  announce('reject', peer, { reason: because(reason) })

/** Start B: somebody has answered; the user's session-initiate is its answer to the hub's offer. */
export function proceeded(call: CallIn<'proceeded'>, event: CallEvent): Step {
  const { id } = call
  switch (event.type) {
    case 'jingle':
      return event.jingle.action === 'session-initiate' ? met(call, event) : step(call, outOfOrder)
    case 'core.reoffer':
      return step(call, refusedReoffer(event))
    case 'core.end':
      return step(ended, stopTimer('initiate'), ...finish(id, event.release))
    case 'jmi.retract':
    case 'jmi.finish':
    case 'jmi.reject':
      return step(ended, stopTimer('initiate'), tell({ tell: 'ended', reason: callerGaveUp(event.reason) }))
    case 'timer': {
      if (event.timer !== 'initiate') return step(call)
      const reason = { cause: 'peer-failed', text: `no session within ${callLimits.initiateMs} ms` } as const
      return step(ended, ...finish(id, reason), tell({ tell: 'ended', reason }))
    }
    default:
      return step(call)
  }
}

function met({ id, offer: hub }: CallIn<'proceeded'>, { jingle, from }: EventOf<'jingle'>): Step {
  const device = { ...id, peer: from }
  const contents = usable(jingle.contents)
  const reason = { cause: 'incompatible-media', text: 'no media in common' } as const
  const pair = typeof contents === 'string' ? null : matched(hub, theirSdp(contents, jingle.groups, 'initiator'))
  if (pair === null || typeof contents === 'string') {
    return step(ended, ack, stopTimer('initiate'), ...terminate(device, reason), tell({ tell: 'ended', reason }))
  }
  const { contents: own, groups } = acceptContents(askedBy(jingle), pair.toUser)
  const media: Media = {
    role: 'responder',
    local: pair.toUser,
    remote: pair.remote,
    creators: new Map(),
    held: false,
    holding: false,
    version: 1
  }
  return step(
    active(device, media),
    ack,
    stopTimer('initiate'),
    action(device, 'session-accept', { responder: device.own, contents: own, groups }, 'agreed'),
    tell({ tell: 'acknowledged', sdp: pair.toHub })
  )
}
