// A call that talks: hold, added and removed media, new ICE credentials, tones, from either side. One change of the
// core's and one of the user's may be open at a time; what the user changes meanwhile follows. Pure.

import {
  ack,
  action,
  announce,
  because,
  contentsAction,
  ended,
  failed,
  finish,
  hungUp,
  refuse,
  released,
  startTimer,
  step,
  stopTimer,
  tell
} from './call-acts.ts'
import { callLimits } from './call-limits.ts'
import {
  added,
  asAnswer,
  asOffer,
  creatorOf,
  hubSdp,
  inPlace,
  isRestart,
  liveNames,
  modified,
  named,
  namesOf,
  ourContents,
  removed,
  retransported,
  answerFor,
  transportsOf,
  turnedContents,
  usable
} from './call-media.ts'
import { changesOf } from './call-offer.ts'
import type { Changes } from './call-offer.ts'
import type { Act, CallEvent, CallIn, EventOf, Media, Step, TheirChange } from './call-model.ts'
import { content, infoOf, otherRole, printInfo, printTone } from './jingle.ts'
import type { Content, Jingle } from './jingle.ts'
import { isIce } from './jingle-sdp.ts'
import { isLive } from '../../session/sdp.ts'
import { late } from './call-out.ts'
import { migratedReason, migratedTo, replacedReason } from './tie-break.ts'

type Active = CallIn<'active'>

export function talking(call: Active, event: CallEvent): Step {
  const { id } = call
  switch (event.type) {
    case 'core.reoffer':
      return reoffer(call, event)
    case 'core.answer-reoffer':
      return answerReoffer(call, event)
    case 'core.refuse-reoffer':
      return refuseReoffer(call, event)
    case 'core.tone':
      return step(call, action(id, 'session-info', { rest: [printTone(event.tone.digit, event.tone.durationMs)] }))
    case 'core.end':
      return closed(released(id, event.release))
    case 'jingle':
      return heard(call, event.jingle)
    case 'jmi.finish':
      return event.from === id.peer ? hangUp(call, event.reason) : step(call)
    case 'jmi.replaced':
      return replaced(call, event.by)
    case 'jmi.proceed':
      return event.from === id.peer ? step(call) : late(call, event.from)
    case 'reply.done':
      return event.tag === 'accept' ? step(call, tell({ tell: 'acknowledged', sdp: null })) : step(call)
    case 'reply.failed':
      return notTaken(call, event)
    case 'timer':
      return fired(call, event)
    case 'peer.gone':
      return step(call, startTimer('gone'))
    case 'peer.back':
      return step(call, stopTimer('gone'))
    default:
      return step(call)
  }
}

/** No timer outlives the call. */
const closed = ({ call, acts }: Step): Step =>
  step(call, stopTimer('change'), stopTimer('crossed'), stopTimer('gone'), ...acts)

function hangUp({ id }: Active, element: Parameters<typeof hungUp>[0], ...first: readonly Act[]): Step {
  const reason = hungUp(element)
  return closed(step(ended, ...first, ...finish(id, reason), tell({ tell: 'ended', reason })))
}

/** The client that calls anew has lost this session, or takes it to another device (XEP-0353, 4.2). */
function replaced({ id }: Active, by: string): Step {
  const reason = because(migratedReason)
  const extra = migratedTo(by)
  return closed(
    step(
      ended,
      action(id, 'session-terminate', { reason }),
      announce('finish', id.peer, { reason, extra }),
      tell({ tell: 'ended', reason: replacedReason })
    )
  )
}

function notTaken(call: Active, { tag, why, reason }: EventOf<'reply.failed'>): Step {
  if (tag === 'accept' || tag === 'agreed') return closed(failed(call.id, reason))
  if (why === 'unknown-session') {
    const lost = { cause: 'peer-failed', text: 'the device has lost the session' } as const
    return closed(step(ended, ...finish(call.id, lost), tell({ tell: 'ended', reason: lost })))
  }
  const { ours } = call
  if (tag !== 'add' || ours === null) return step(call)
  if (why === 'tie-break') return withdrawn(call, 'glare')
  return progressed({ ...call, ours: { ...ours, adding: [] } })
}

/** The core's change is off, and the session as it was. */
function withdrawn(call: Active, why: 'glare' | 'timeout'): Step {
  const { ours } = call
  if (ours === null) return step(call)
  const refusal = tell({ tell: 'reoffer-refused', exchange: ours.exchange, why })
  return then({ ...call, ours: null }, stopTimer('change'), refusal)
}

function fired(call: Active, { timer }: EventOf<'timer'>): Step {
  const { id, ours, theirs } = call
  if (timer === 'gone') return closed(failed(id, { cause: 'peer-failed', text: 'the device has gone offline' }))
  if (timer === 'crossed') {
    if (theirs === null || !theirs.waiting) return step(call)
    const { media, sdp } = asOffer(call.media)
    return step({ ...call, media, theirs: { ...theirs, waiting: false } }, tell({ tell: 'reoffered', sdp }))
  }
  if (timer !== 'change' || ours === null) return step(call)
  if (ours.adding.length === 0) return withdrawn(call, 'timeout')
  // Nobody has said yes to the new content: it is taken back, and the core goes on without it.
  const back = ours.adding.map(name => content(name, creatorOf(call.media, name)))
  const { call: next, acts } = progressed({ ...call, ours: { ...ours, adding: [], restarting: false } })
  return step(next, contentsAction(id, 'content-remove', back), ...acts)
}

function reoffer(call: Active, { exchange, sdp }: EventOf<'core.reoffer'>): Step {
  const parsed = hubSdp(sdp)
  if (parsed === null || call.ours !== null) {
    return step(call, tell({ tell: 'reoffer-refused', exchange, why: parsed === null ? 'unacceptable' : 'glare' }))
  }
  const { id } = call
  const offered = named(parsed, call.media.local)
  const changes = changesOf(call.media, offered)
  const creators = new Map(call.media.creators)
  for (const name of changes.adding) creators.set(name, id.role)
  const before = inPlace(removed({ ...call.media, creators }, changes.removing), offered)
  const media: Media = { ...before, local: offered, holding: changes.hold ?? before.holding }
  const ours = { exchange, offered, adding: changes.adding, restarting: changes.restarting }
  const acts = signalled(call, media, changes)
  if (changes.adding.length === 0 && !changes.restarting) {
    const { call: next, acts: more } = progressed({ ...call, media, ours })
    return step(next, ...acts, ...more)
  }
  const bound = changes.adding.length > 0 ? callLimits.changeMs : callLimits.restartMs
  return step({ ...call, media, ours }, ...acts, startTimer('change', bound))
}

/** How the user hears of it: hold by session-info, since some clients know no other way. */
function signalled({ id, media: before }: Active, media: Media, changes: Changes): readonly Act[] {
  const { local } = media
  const named = (names: readonly string[]): readonly Content[] =>
    names.map(name => content(name, creatorOf(media, name)))
  const { contents, groups } = ourContents(local, media.role, media.creators)
  const adding = contents.filter(({ name }) => changes.adding.includes(name))
  const removing = changes.removing.filter(name => namesOf(before.local).includes(name))
  return [
    ...(changes.restarting ? [contentsAction(id, 'transport-info', transportsOf(local, media))] : []),
    ...(changes.hold === null
      ? []
      : [action(id, 'session-info', { rest: [printInfo(changes.hold ? 'hold' : 'active')] })]),
    ...(changes.turning.length === 0
      ? []
      : [contentsAction(id, 'content-modify', turnedContents(local, media, changes.turning))]),
    ...(removing.length === 0 ? [] : [contentsAction(id, 'content-remove', named(removing))]),
    ...(adding.length === 0 ? [] : [action(id, 'content-add', { contents: adding, groups }, 'add')])
  ]
}

/** The core's change is complete as soon as nobody is waited for any more. */
function progressed(call: Active): Step {
  const { ours } = call
  if (ours === null || ours.adding.length > 0 || ours.restarting) return step(call)
  const { media, sdp } = asAnswer(call.media, ours.offered)
  const answer = tell({ tell: 'reoffer-answered', exchange: ours.exchange, sdp })
  return then({ ...call, media, ours: null }, stopTimer('change'), answer)
}

/** What the user has changed meanwhile goes to the core now. */
function then(call: Active, ...acts: readonly Act[]): Step {
  if (!call.changed || call.ours !== null || call.theirs !== null) return step(call, ...acts)
  const { call: next, acts: more } = offer({ ...call, changed: false }, nothing)
  return step(next, ...acts, ...more)
}
const nothing: TheirChange = { adding: [], restarting: false, replacing: [], crossed: 0, waiting: false }

function offer(call: Active, change: TheirChange): Step {
  if (call.ours !== null || call.theirs !== null) return step({ ...call, changed: true })
  const { media, sdp } = asOffer(call.media)
  return step({ ...call, media, theirs: change }, tell({ tell: 'reoffered', sdp }))
}

function answerReoffer(call: Active, { sdp }: EventOf<'core.answer-reoffer'>): Step {
  const { id, theirs } = call
  const parsed = hubSdp(sdp)
  if (theirs === null || parsed === null) return step(call)
  const local = answerFor(named(parsed, call.media.remote))
  const media: Media = { ...call.media, local }
  const { contents, groups } = ourContents(local, media.role, media.creators)
  const accepted = contents.filter(({ name }) => theirs.adding.includes(name))
  const refused = theirs.adding.filter(name => !accepted.some(each => each.name === name))
  const transports = transportsOf(local, media)
  const replaced = transports.filter(({ name }) => theirs.replacing.includes(name))
  return then(
    { ...call, media: removed(media, refused), theirs: null },
    ...(accepted.length === 0 ? [] : [action(id, 'content-accept', { contents: accepted, groups })]),
    ...rejection(call, refused),
    ...(replaced.length === 0 ? [] : [contentsAction(id, 'transport-accept', replaced)]),
    ...(theirs.restarting ? [contentsAction(id, 'transport-info', transports)] : [])
  )
}

function rejection({ id, media }: Active, names: readonly string[]): readonly Act[] {
  if (names.length === 0) return []
  return [
    contentsAction(
      id,
      'content-reject',
      names.map(name => content(name, creatorOf(media, name)))
    )
  ]
}

/** Crossing: once more a little later. Otherwise new contents are rejected; hold and credentials stay as they are. */
function refuseReoffer(call: Active, { why }: EventOf<'core.refuse-reoffer'>): Step {
  const { id, theirs } = call
  if (theirs === null) return step(call)
  if (why === 'glare' && theirs.crossed < callLimits.crossedMax) {
    return step({ ...call, theirs: { ...theirs, crossed: theirs.crossed + 1, waiting: true } }, startTimer('crossed'))
  }
  const replaced = transportsOf(call.media.local, call.media).filter(({ name }) => theirs.replacing.includes(name))
  return then(
    { ...call, media: removed(call.media, theirs.adding), theirs: null },
    ...rejection(call, theirs.adding),
    ...(replaced.length === 0 ? [] : [contentsAction(id, 'transport-reject', replaced)])
  )
}

function heard(call: Active, jingle: Jingle): Step {
  switch (jingle.action) {
    case 'session-terminate':
      return hangUp(call, jingle.reason, ack)
    case 'session-info':
      return info(call, jingle)
    case 'content-add':
      return contentAdd(call, jingle)
    case 'content-accept':
    case 'content-reject':
      return answered(call, jingle)
    case 'content-remove':
      return contentRemove(call, jingle)
    case 'content-modify':
      return changed(call, modified(call.media, jingle))
    case 'transport-info':
      return transportInfo(call, jingle)
    case 'transport-replace':
      return transportReplace(call, jingle)
    case 'security-info':
      return step(call, refuse('feature-not-implemented', 'unsupported-info'))
    case 'session-initiate':
    case 'session-accept':
    case 'description-info':
    case 'transport-accept':
    case 'transport-reject':
      return step(call, ack)
  }
}

/** The user's media is another now. Nothing new: nothing to say. */
function changed(call: Active, media: Media, change: TheirChange = nothing): Step {
  const before = JSON.stringify([call.media.remote, call.media.held])
  if (before === JSON.stringify([media.remote, media.held])) return step(call, ack)
  const { call: next, acts } = offer({ ...call, media }, change)
  return step(next, ack, ...acts)
}

function info(call: Active, jingle: Jingle): Step {
  const said = infoOf(jingle)
  switch (said.kind) {
    case 'hold':
      return changed(call, { ...call.media, held: true })
    case 'unhold':
    case 'active':
      return changed(call, { ...call.media, held: false })
    case 'dtmf': {
      const durationMs = Math.min(
        Math.max(said.durationMs ?? callLimits.toneMs, callLimits.toneMsMin),
        callLimits.toneMsMax
      )
      return step(call, ack, tell({ tell: 'toned', tone: { digit: said.digit, durationMs } }))
    }
    case 'unknown':
      return step(call, refuse('feature-not-implemented', 'unsupported-info'))
    default:
      return step(call, ack)
  }
}

function contentAdd(call: Active, jingle: Jingle): Step {
  const { id, media, ours, theirs } = call
  // Both add at the same time: the initiator's stands (XEP-0166, 7.2.3 and 10).
  if (id.role === 'initiator' && ours !== null && ours.adding.length > 0)
    return step(call, refuse('conflict', 'tie-break'))
  const peer = otherRole(id.role)
  const live = new Set(liveNames(media.remote))
  const fresh = jingle.contents.filter(({ name }) => !live.has(name))
  if (fresh.length === 0) return step(call, jingle.contents.length === 0 ? refuse('bad-request') : ack)
  const contents = usable(fresh)
  const busy = ours !== null || theirs !== null
  const room = media.remote.sections.length + fresh.length <= 16
  if (typeof contents === 'string' || busy || !room) {
    const back = fresh.map(({ name, creator }) => content(name, creator))
    return step(call, ack, contentsAction(id, 'content-reject', back))
  }
  const names = contents.map(({ name }) => name)
  return changed(call, added(media, contents, jingle.groups, peer), { ...nothing, adding: names })
}

/** The user's word on contents that the core wanted to add. */
function answered(call: Active, jingle: Jingle): Step {
  const { id, ours, media } = call
  if (ours === null) return step(call, ack)
  // One client (stanza) names nothing in its rejection: it takes none of what was added.
  const all = jingle.action === 'content-reject' && jingle.contents.length === 0
  const said = all ? ours.adding.map(name => content(name, id.role)) : jingle.contents
  const mine = said.filter(({ name }) => ours.adding.includes(name))
  const adding = ours.adding.filter(name => !mine.some(each => each.name === name))
  const contents = jingle.action === 'content-accept' ? usable(mine) : 'description'
  const more = typeof contents === 'string' ? media : added(media, contents, jingle.groups, id.role)
  const { call: next, acts } = progressed({ ...call, media: more, ours: { ...ours, adding } })
  return step(next, ack, ...acts)
}

function contentRemove(call: Active, jingle: Jingle): Step {
  const names = jingle.contents.map(({ name }) => name)
  const media = removed(call.media, names)
  const { theirs } = call
  if (!media.remote.sections.some(isLive)) {
    const { call: next, acts } = failed(call.id, { cause: 'normal', text: 'the last content was removed' })
    return closed(step(next, ack, ...acts))
  }
  const left = theirs === null ? null : { ...theirs, adding: theirs.adding.filter(name => !names.includes(name)) }
  return changed({ ...call, theirs: left }, media)
}

function transportInfo(call: Active, jingle: Jingle): Step {
  const { media, ours } = call
  // More candidates concern the anchor's checks alone, which learns them from the packets themselves.
  if (!isRestart(media, jingle)) return step(call, ack)
  const moved = retransported(media, jingle)
  if (ours?.restarting !== true) return changed(call, moved, { ...nothing, restarting: true })
  const { call: next, acts } = progressed({ ...call, media: moved, ours: { ...ours, restarting: false } })
  return step(next, ack, ...acts)
}

function transportReplace(call: Active, jingle: Jingle): Step {
  const { media, ours, theirs } = call
  const good = jingle.contents.filter(({ transport }) => transport !== null && isIce(transport))
  if (good.length < jingle.contents.length || good.length === 0 || ours !== null || theirs !== null) {
    return step(call, ack, contentsAction(call.id, 'transport-reject', jingle.contents))
  }
  const moved = retransported(media, jingle)
  return changed(call, moved, { ...nothing, replacing: good.map(({ name }) => name) })
}
