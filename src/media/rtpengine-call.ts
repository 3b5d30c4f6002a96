// One call on one rtpengine: its exchanges, what each side was shown, and the way back from an offer that failed.

import { messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import { otherSide } from '../session/model.ts'
import type { MediaStats, Reason, Sdp, Side } from '../session/model.ts'
import type { Anchorage, Anchored, Clock } from '../session/ports.ts'
import { codecLines } from './codecs.ts'
import { hubCodecs } from './exchange.ts'
import { receives, sends } from './facts.ts'
import { Origin } from './profiles.ts'
import { answerFields, deleteFields, offerFields } from './rtpengine-flags.ts'
import type { NgReply } from './rtpengine-client.ts'
import type { RtpengineNode } from './rtpengine-pool.ts'
import { bundledBy, isPrepared, prepareAnswer, prepareOffer, show, standIn } from './rtpengine-sdp.ts'
import type { Prepared, Shown } from './rtpengine-sdp.ts'
import { lastHeard, mediaStats } from './rtpengine-stats.ts'
import { attribute, parseSdp } from './sdp.ts'
import type { SdpDescription } from './sdp.ts'
import { lostSides } from './silence.ts'

interface Offered {
  readonly from: Side
  readonly offer: Prepared
  /** What the answerer was shown. */
  readonly shown: Shown
  /** The hub's own offer: `from` has not spoken yet. */
  readonly made: boolean
}

interface Agreed {
  readonly at: Anchorage
  readonly offered: Offered
  readonly answer: Prepared
}

const refused = (reason: Reason): Anchored => ({ anchored: false, reason })
const internal = (text: string): Anchored => refused({ cause: 'internal', text })

export class RtpengineCall {
  readonly callId: string
  readonly node: RtpengineNode
  readonly #clock: Clock
  readonly #log: Logger
  readonly #origins: Record<Side, Origin>
  #offered: Offered | null = null
  #agreed: Agreed | null = null
  #agreedAt: number | null = null
  /** Whether a side has ever said that it bundles, so that it insists on the group. */
  readonly #bundles: Record<Side, boolean> = { caller: true, callee: true }

  constructor(callId: string, node: RtpengineNode, parts: { clock: Clock; log: Logger; sessionId: number }) {
    this.callId = callId
    this.node = node
    this.#clock = parts.clock
    this.#log = parts.log
    this.#origins = { caller: new Origin(parts.sessionId), callee: new Origin(parts.sessionId + 1) }
  }

  async offer(at: Anchorage, side: Side, sdp: Sdp): Promise<Anchored> {
    const parsed = parseSdp(sdp)
    if (!parsed.ok) return refused({ cause: 'incompatible-media', text: parsed.problem })
    return this.#offer(at, side, parsed.description)
  }

  async #offer(at: Anchorage, side: Side, description: SdpDescription): Promise<Anchored> {
    const prepared = prepareOffer(description, at.profiles[side], this.#mayUse(at, side))
    if (!isPrepared(prepared)) return refused(prepared)
    this.#bundles[side] = bundledBy(prepared.facts)
    const output = await this.#askOffer(at, side, prepared)
    const shown = this.#show(at, otherSide(side), output, this.#mayUse(at, otherSide(side)))
    if (!shown.codecs.some(list => list.length > 0)) {
      return refused({ cause: 'incompatible-media', text: 'the media anchor can make none of the codecs granted' })
    }
    this.#offered = { from: side, offer: prepared, shown, made: false }
    return { anchored: true, sdp: shown.sdp }
  }

  async answer(at: Anchorage, side: Side, sdp: Sdp): Promise<Anchored> {
    const offered = this.#offered
    if (offered === null || offered.from === side) return internal('an answer came where none was awaited')
    const parsed = parseSdp(sdp)
    if (!parsed.ok) return refused({ cause: 'incompatible-media', text: parsed.problem })
    const answer = prepareAnswer(parsed.description, offered.shown.codecs)
    if (!isPrepared(answer)) return refused(answer)
    const output = await this.#askAnswer(at, offered, answer)
    // The answer to the hub's own offer is the offer for whoever has not spoken. rtpengine hears it both ways: the
    // answer binds the side's ports and keys, the offer asks the other one.
    if (offered.made) return this.#offer(at, side, parsed.description)
    this.#agreed = { at, offered, answer }
    this.#agreedAt = this.#clock.now()
    return { anchored: true, sdp: this.#show(at, offered.from, output, null).sdp }
  }

  async makeOffer(at: Anchorage, side: Side): Promise<Anchored> {
    const from = otherSide(side)
    const codecs = hubCodecs(granted(at, side))
    if (codecs.length === 0) return refused({ cause: 'incompatible-media', text: 'no audio codec is granted' })
    const known = this.#agreed === null ? null : this.#saidBy(from, this.#agreed)
    const offer: Prepared = known ?? {
      sdp: standIn(codecs, [...codecLines(codecs, { feedback: false }), attribute('sendrecv')]),
      facts: [],
      codecs: [codecs]
    }
    const output = await this.#askOffer({ ...at, transcode: false }, from, offer)
    const shown = this.#show(at, side, output, granted(at, side))
    this.#offered = { from, offer, shown, made: true }
    return { anchored: true, sdp: shown.sdp }
  }

  /** rtpengine has taken the offer already: what was agreed is said again. */
  async abandon(): Promise<void> {
    const agreed = this.#agreed
    this.#offered = agreed?.offered ?? null
    if (agreed === null) return
    await this.#askOffer(agreed.at, agreed.offered.from, agreed.offered.offer)
    await this.#askAnswer(agreed.at, agreed.offered, agreed.answer)
  }

  /** Null where rtpengine knows nothing of the call any more. Throws where it does not answer. */
  async release(): Promise<MediaStats | null> {
    if (this.#offered === null) return null
    return mediaStats(await this.node.client.ask('delete', deleteFields(this.callId)))
  }

  /** Why the call is lost, or null. Throws HUB_RTPENGINE_TIMEOUT where nobody answers, which says nothing. */
  async watch(silenceMs: number): Promise<string | null> {
    if (this.#agreed === null || this.#agreedAt === null) return null
    const reply = await this.node.client.ask('query', { 'call-id': this.callId })
    const heard = lastHeard(reply)
    const at = (side: Side): number | null => (heard[side] === null ? null : heard[side] * 1_000 + 999)
    const hear = (side: Side): { expected: boolean; heardAt: number | null } => ({
      expected: this.#expected(side),
      heardAt: at(side)
    })
    const lost = lostSides(
      { caller: hear('caller'), callee: hear('callee') },
      this.#agreedAt,
      this.#clock.now(),
      silenceMs
    )
    return lost.length === 0 ? null : `no media from the ${lost.join(' and the ')}`
  }

  /** Whether a side should be sending: not on hold by either. */
  #expected(side: Side): boolean {
    const agreed = this.#agreed
    if (agreed === null) return false
    const [mine, theirs] = [this.#saidBy(side, agreed), this.#saidBy(otherSide(side), agreed)]
    return mine.facts.some((line, index) => {
      const other = theirs.facts[index]
      const live = (agreed.answer.codecs[index] ?? []).length > 0
      return live && other !== undefined && sends(line.direction) && receives(other.direction)
    })
  }

  /** Where codecs are converted, a side also keeps what it has used so far. */
  #mayUse(at: Anchorage, side: Side): readonly string[] {
    if (!at.transcode || this.#agreed === null) return granted(at, side)
    const used = this.#saidBy(side, this.#agreed).codecs.flat()
    return [...new Set([...granted(at, side), ...used.map(({ name }) => name)])]
  }

  #saidBy(side: Side, { offered, answer }: Agreed): Prepared {
    return offered.from === side ? offered.offer : answer
  }

  async #askOffer(at: Anchorage, side: Side, { sdp }: Prepared): Promise<SdpDescription> {
    // A caller that answers may have begun with ICE as an offerer does (XEP-0353, with the callee asked first): both
    // would control, and a client does not give way. Where rtpengine is lite, the caller controls in any case.
    const lite = this.#agreed === null && side === 'callee'
    const transcodeTo = at.transcode ? this.#mayUse(at, otherSide(side)) : null
    return outputOf(
      await this.node.client.ask('offer', offerFields({ ...this.#asked(at, side, sdp), transcodeTo, lite }))
    )
  }

  async #askAnswer(at: Anchorage, offered: Offered, { sdp }: Prepared): Promise<SdpDescription> {
    return outputOf(await this.node.client.ask('answer', answerFields(this.#asked(at, offered.from, sdp))))
  }

  #asked(at: Anchorage, offerer: Side, sdp: string): Parameters<typeof offerFields>[0] {
    return {
      callId: this.callId,
      offerer,
      answerer: otherSide(offerer),
      profiles: at.profiles,
      sdp,
      dscp: at.grant.dscp,
      transcodeTo: null,
      lite: false
    }
  }

  #show(at: Anchorage, to: Side, output: SdpDescription, mayHave: readonly string[] | null): Shown {
    const feedback = at.profiles.caller === 'webrtc' && at.profiles.callee === 'webrtc'
    const side = { profile: at.profiles[to], origin: this.#origins[to], bundled: this.#bundles[to], feedback }
    const shown = show(output, side, mayHave)
    this.#log.debug({ id: at.id, to, lines: shown.codecs.length }, 'media described')
    return shown
  }
}

const granted = ({ grant }: Anchorage, side: Side): readonly string[] =>
  side === 'caller' ? grant.callerCodecs : grant.codecs

/** Throws where the daemon said `ok` without a description, as it does for an empty one. */
function outputOf(reply: NgReply): SdpDescription {
  const sdp = reply['sdp']
  const parsed = parseSdp(typeof sdp === 'string' ? sdp : '')
  if (!parsed.ok) throw new Error(`rtpengine's own description: ${messageOf(parsed.problem)}`)
  return parsed.description
}
