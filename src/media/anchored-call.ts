// One call in the embedded anchor: its streams, its transports and the offer/answer exchanges that shape them.
// An offer is staged and changes nothing until it is answered, so it can be abandoned (SDP-10).

import { otherSide, sides } from '../session/model.ts'
import type { MediaStats, Reason, Sdp, Side } from '../session/model.ts'
import type { Anchorage, Anchored, Clock } from '../session/ports.ts'
import type { Logger } from '../log.ts'
import { AnchoredLine, LineEnd } from './anchored-line.ts'
import type { LineKind } from './anchored-line.ts'
import {
  accepted,
  crossing,
  hubCodecs,
  inNumbersOf,
  lineKind,
  nothingInCommon,
  offererOf,
  renumbered
} from './exchange.ts'
import type { Accepted, Exchange, OfferedLine } from './exchange.ts'
import { connectTo, rebundle, sharedTransport } from './bundles.ts'
import type { Codec } from './codecs.ts'
import { factsOf } from './facts.ts'
import type { Direction, MediaFacts } from './facts.ts'
import { printSection } from './media-section.ts'
import type { PortPool } from './port-pool.ts'
import { bundleLine, Origin, protocolOf, rejectedMedia } from './profiles.ts'
import { RtpTransport } from './rtp-transport.ts'
import { parseSdp } from './sdp.ts'
import { lostSides } from './silence.ts'
import type { Hearing } from './silence.ts'
import type { SdpMedia } from './sdp.ts'
import type { MediaTransport, TransportEvents } from './transport.ts'
import { WebrtcTransport } from './webrtc-transport.ts'

export interface CallParts {
  readonly pool: PortPool
  readonly clock: Clock
  readonly log: Logger
  /** Told at most once. */
  readonly lost: (why: string) => void
}

const refused = (reason: Reason): Anchored => ({ anchored: false, reason })
const noPorts: Reason = { cause: 'congestion', text: 'the media anchor has no free port' }

export class AnchoredCall {
  readonly #parts: CallParts
  readonly #slots: Record<Side, (AnchoredLine | MediaFacts)[]> = { caller: [], callee: [] }
  readonly #origins: Record<Side, Origin>
  readonly #lines: AnchoredLine[] = []
  readonly #transports = new Set<MediaTransport>()
  readonly #heardAt: Record<Side, number | null> = { caller: null, callee: null }
  #exchange: Exchange | null = null
  /** How many slots each side had before the exchange that is not agreed yet. */
  #slotsBefore: Readonly<Record<Side, number>> | null = null
  #agreedAt: number | null = null
  #lost = false

  constructor(parts: CallParts, sessionId: number) {
    this.#parts = parts
    this.#origins = { caller: new Origin(sessionId), callee: new Origin(sessionId + 1) }
  }

  async offer(at: Anchorage, side: Side, sdp: Sdp): Promise<Anchored> {
    const parsed = parseSdp(sdp)
    if (!parsed.ok) return refused({ cause: 'incompatible-media', text: parsed.problem })
    return this.#stage(at, side, factsOf(parsed.description), { caller: side !== 'caller', callee: side !== 'callee' })
  }

  async answer(at: Anchorage, side: Side, sdp: Sdp): Promise<Anchored> {
    const exchange = this.#exchange
    if (exchange === null || exchange.to !== side) {
      return refused({ cause: 'internal', text: 'an answer came where none was awaited' })
    }
    const parsed = parseSdp(sdp)
    if (!parsed.ok) return refused({ cause: 'incompatible-media', text: parsed.problem })
    const answer = factsOf(parsed.description)
    if (exchange.from === 'hub') return this.#passOn(at, exchange, answer)
    const taken = accepted(exchange, answer, at.profiles[side])
    if (taken.size === 0) return refused(nothingInCommon(['the answer takes nothing of what was offered']))
    await this.#commit(at, exchange, taken)
    return { anchored: true, sdp: this.#printAnswer(at, exchange, taken) }
  }

  async makeOffer(at: Anchorage, side: Side): Promise<Anchored> {
    const live = this.#lines.filter(line => line.live)
    const lines: OfferedLine[] = live.map(line => ({ line, facts: null, codecs: line.ends[side]?.codecs ?? [] }))
    const codecs = hubCodecs(at.grant.codecs)
    if (live.length === 0 && codecs.length === 0) return refused(nothingInCommon(['no audio codec is granted']))
    this.#begin()
    if (live.length === 0) {
      const line = this.#newLine('audio')
      for (const each of sides) line.slots[each] = this.#slots[each].push(line) - 1
      lines.push({ line, facts: null, codecs })
    }
    if (!(await this.#open(at, lines))) {
      await this.#rollBack()
      return refused(noPorts)
    }
    this.#exchange = { from: 'hub', to: side, lines, hubOffered: { caller: true, callee: true } }
    return { anchored: true, sdp: this.#printOffer(at, this.#exchange) }
  }

  /** The answer to the hub's own offer is an offer for the other side. */
  #passOn(at: Anchorage, exchange: Exchange, answer: readonly MediaFacts[]): Promise<Anchored> {
    const taken = accepted(exchange, answer, at.profiles[exchange.to])
    const narrowed = answer.map((facts, slot) => {
      const line = exchange.lines.find(each => each.line.slots[exchange.to] === slot)?.line
      const codecs = line === undefined ? undefined : taken.get(line)?.codecs
      return codecs === undefined ? { ...facts, live: false } : { ...facts, codecs }
    })
    return this.#stage(at, exchange.to, narrowed, exchange.hubOffered)
  }

  /** The exchange comes to nothing: what it opened is closed again, what was agreed stays. */
  abandon(): Promise<void> {
    return this.#rollBack()
  }

  async close(): Promise<MediaStats> {
    this.#lost = true
    this.#exchange = null
    await Promise.all([...this.#transports].map(transport => transport.close()))
    this.#transports.clear()
    const stats = (side: Side): MediaStats[Side] =>
      this.#lines
        .map(({ live, meters }) => ({ live, stats: meters[side].read() }))
        .filter(({ live, stats }) => live || stats.packetsReceived + stats.packetsSent > 0)
        .map(({ stats }) => stats)
    return { caller: stats('caller'), callee: stats('callee') }
  }

  /** Asked now and then: nothing heard for too long from whoever should speak (MED-11). */
  watch(silenceMs: number): void {
    const now = this.#parts.clock.now()
    if (this.#agreedAt === null) return
    const hear = (side: Side): Hearing => {
      const expected = this.#lines.some(line => line.flows(side))
      if (!expected && this.#heardAt[side] !== null) this.#heardAt[side] = now
      return { expected, heardAt: this.#heardAt[side] }
    }
    const lost = lostSides({ caller: hear('caller'), callee: hear('callee') }, this.#agreedAt, now, silenceMs)
    if (lost.length > 0) this.#tellLost(`no media from the ${lost.join(' and the ')}`)
  }

  async #stage(
    at: Anchorage,
    side: Side,
    offer: readonly MediaFacts[],
    hubOffered: Exchange['hubOffered']
  ): Promise<Anchored> {
    const to = otherSide(side)
    const judged = offer.map(facts => ({ facts, ...crossing(facts, side, at.profiles, at.grant.codecs) }))
    if (!judged.some(({ codecs }) => codecs.length > 0)) return refused(nothingInCommon(judged.map(({ why }) => why)))
    this.#begin()
    const lines = judged.map(({ facts, codecs }, slot) => ({
      facts,
      codecs,
      line: this.#lineAt(side, slot, facts, codecs)
    }))
    const crossed: OfferedLine[] = lines.flatMap(({ line, ...rest }) => (line === null ? [] : [{ ...rest, line }]))
    // A line that is not repeated is as good as removed.
    const gone = this.#lines.filter(line => !crossed.some(each => each.line === line))
    crossed.push(...gone.map(line => ({ line, facts: null, codecs: [] })))
    for (const { line, codecs } of crossed) {
      if (line.slots[to] === null && codecs.length > 0) line.slots[to] = this.#slots[to].push(line) - 1
    }
    this.#exchange = { from: side, to, lines: crossed, hubOffered }
    await this.#closeUnused()
    if (!(await this.#open(at, crossed, side))) {
      await this.#rollBack()
      return refused(noPorts)
    }
    return { anchored: true, sdp: this.#printOffer(at, this.#exchange) }
  }

  /** Null: a line the other side need never see. */
  #lineAt(side: Side, slot: number, facts: MediaFacts, codecs: readonly Codec[]): AnchoredLine | null {
    const known = this.#slots[side][slot]
    if (known instanceof AnchoredLine && known.kind === facts.kind) return known
    const kind = lineKind(facts)
    if (kind === null || codecs.length === 0) {
      this.#slots[side][slot] = facts
      return null
    }
    const line = this.#newLine(kind)
    line.slots[side] = slot
    this.#slots[side][slot] = line
    return line
  }

  #newLine(kind: LineKind): AnchoredLine {
    const line = new AnchoredLine(kind)
    this.#lines.push(line)
    return line
  }

  /** Undoes what the exchange under way added to either side's description. */
  async #rollBack(): Promise<void> {
    this.#exchange = null
    const before = this.#slotsBefore
    this.#slotsBefore = null
    for (const side of before === null ? [] : sides) {
      const length = before?.[side] ?? 0
      for (const slot of this.#slots[side].splice(length)) if (slot instanceof AnchoredLine) slot.slots[side] = null
    }
    await this.#closeUnused()
    const shown = this.#lines.filter(({ slots }) => slots.caller !== null || slots.callee !== null)
    this.#lines.splice(0, this.#lines.length, ...shown)
  }

  #begin(): void {
    this.#slotsBefore ??= { caller: this.#slots.caller.length, callee: this.#slots.callee.length }
  }

  /** Gives every offered line its two ends. False: out of ports; whatever was opened is closed by the caller. */
  async #open(at: Anchorage, lines: readonly OfferedLine[], offerer: Side | null = null): Promise<boolean> {
    for (const { line, facts, codecs } of lines) {
      if (codecs.length === 0) continue
      for (const side of sides) {
        const bundle = side === offerer ? (facts?.bundle ?? null) : null
        const shared = bundle === null ? null : sharedTransport(lines, side, bundle)
        if (line.ends[side] === null) {
          const transport = shared ?? (await this.#openTransport(at, side))
          if (transport === null) return false
          line.ends[side] = new LineEnd(at.profiles[side], transport, line.meters[side])
        }
        const end = line.ends[side]
        if (end.profile === 'webrtc') {
          end.mid ??= side === offerer ? (facts?.mid ?? null) : this.#freeMid(side)
        }
      }
    }
    return true
  }

  async #openTransport(at: Anchorage, side: Side): Promise<MediaTransport | null> {
    const { pool, log } = this.#parts
    let opened: MediaTransport | null = null
    const events: TransportEvents = {
      rtp: packet => this.#heard(side, opened, packet),
      rtcp: packet => this.#heardRtcp(side, opened, packet),
      lost: why => this.#tellLost(`${side}: ${why}`)
    }
    opened =
      at.profiles[side] === 'rtp'
        ? await RtpTransport.open(pool, events)
        : await WebrtcTransport.open(pool, events, log)
    if (opened !== null) this.#transports.add(opened)
    return opened
  }

  #freeMid(side: Side): string {
    const taken = new Set(this.#lines.map(line => line.ends[side]?.mid))
    for (let mid = 0; ; mid++) if (!taken.has(`${mid}`)) return `${mid}`
  }

  async #commit(at: Anchorage, exchange: Exchange, taken: Accepted): Promise<void> {
    const offerer = offererOf(exchange)
    const { to } = exchange
    const connected = new Set<MediaTransport>()
    const connect = async (transport: MediaTransport, facts: MediaFacts, offerer: boolean): Promise<void> => {
      // A bundle's parameters are those of its first line.
      if (connected.has(transport)) return
      connected.add(transport)
      await connectTo(transport, facts, offerer)
    }
    for (const { line, facts: offered, codecs } of exchange.lines) {
      const answer = taken.get(line)
      const [mine, theirs] = [line.ends[offerer], line.ends[to]]
      if (answer === undefined || offered === null || mine === null || theirs === null) {
        line.live = false
        continue
      }
      const own = inNumbersOf(codecs, answer.codecs)
      mine.agree({ codecs: own, announced: codecs, direction: offered.direction })
      theirs.agree({
        codecs: answer.codecs,
        announced: renumbered(codecs, line, to),
        direction: answer.facts.direction
      })
      rebundle(exchange, taken, line, to)
      await connect(mine.transport, offered, exchange.hubOffered[offerer])
      await connect(theirs.transport, answer.facts, exchange.hubOffered[to])
      line.live = true
    }
    const now = this.#parts.clock.now()
    this.#agreedAt = now
    this.#slotsBefore = null
    for (const side of sides) if (this.#heardAt[side] !== null) this.#heardAt[side] = now
    await this.#closeUnused()
    this.#parts.log.debug({ id: at.id, lines: taken.size }, 'media agreed')
  }

  /** Ends of lines that are neither agreed nor on offer, and transports that no end uses. */
  async #closeUnused(): Promise<void> {
    const offered = new Set(this.#exchange?.lines.filter(({ codecs }) => codecs.length > 0).map(({ line }) => line))
    for (const line of this.#lines) {
      if (line.live || offered.has(line)) continue
      for (const side of sides) line.ends[side] = null
    }
    const used = new Set(this.#lines.flatMap(({ ends }) => [ends.caller?.transport, ends.callee?.transport]))
    const unused = [...this.#transports].filter(transport => !used.has(transport))
    for (const transport of unused) this.#transports.delete(transport)
    await Promise.all(unused.map(transport => transport.close()))
  }

  #printOffer(at: Anchorage, exchange: Exchange): Sdp {
    const { to } = exchange
    const feedback = at.profiles.caller === at.profiles.callee
    return this.#print(at, to, line => {
      const offered = exchange.lines.find(each => each.line === line)
      const end = line.ends[to]
      if (offered === undefined || offered.codecs.length === 0 || end === null) return null
      const codecs = exchange.from === 'hub' ? offered.codecs : renumbered(offered.codecs, line, to)
      const direction: Direction = offered.facts?.direction ?? 'sendrecv'
      return { end, codecs, direction, ptime: offered.facts?.ptime ?? null, answering: null, feedback }
    })
  }

  #printAnswer(at: Anchorage, exchange: Exchange, taken: Accepted): Sdp {
    const offerer = offererOf(exchange)
    return this.#print(at, offerer, line => {
      const answer = taken.get(line)
      const offered = exchange.lines.find(each => each.line === line)?.facts ?? null
      const end = line.ends[offerer]
      if (answer === undefined || end === null) return null
      const { direction, ptime } = answer.facts
      const feedback = at.profiles.caller === at.profiles.callee
      return { end, codecs: end.codecs, direction, ptime, answering: offered?.webrtc ?? null, feedback }
    })
  }

  #print(at: Anchorage, side: Side, show: (line: AnchoredLine) => Shown | null): Sdp {
    const { address } = this.#parts.pool
    const bundled: string[] = []
    const media = this.#slots[side].map((slot): SdpMedia => {
      if (!(slot instanceof AnchoredLine)) return rejectedMedia({ ...slot, formats: formatsOf(slot) }, slot.mid)
      const shown = show(slot)
      const protocol = protocolOf[at.profiles[side]]
      if (shown === null)
        return rejectedMedia({ kind: slot.kind, protocol, formats: ['0'] }, slot.ends[side]?.mid ?? null)
      const { end, ...rest } = shown
      if (end.mid !== null) bundled.push(end.mid)
      return printSection({ kind: slot.kind, transport: end.transport, mid: end.mid, ...rest })
    })
    return this.#origins[side].print(address, bundleLine(bundled), media) as Sdp
  }

  #heard(side: Side, transport: MediaTransport | null, packet: Buffer): void {
    const now = this.#parts.clock.now()
    this.#heardAt[side] = now
    const line = this.#lines.find(each => each.ends[side]?.transport === transport && each.takes(side, packet))
    line?.relay(side, packet, now)
  }

  #heardRtcp(side: Side, transport: MediaTransport | null, packet: Buffer): void {
    this.#heardAt[side] = this.#parts.clock.now()
    const lines = this.#lines.filter(line => line.live && line.ends[side]?.transport === transport)
    const line = lines.find(each => each.knowsSender(side, packet)) ?? lines[0]
    line?.relayRtcp(side, packet)
  }

  #tellLost(why: string): void {
    if (this.#lost) return
    this.#lost = true
    this.#parts.lost(why)
  }
}

interface Shown extends Pick<
  Parameters<typeof printSection>[0],
  'codecs' | 'direction' | 'ptime' | 'answering' | 'feedback'
> {
  readonly end: LineEnd
}

const formatsOf = ({ codecs }: MediaFacts): readonly string[] => [`${codecs[0]?.payloadType ?? 0}`]
