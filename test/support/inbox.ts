// An inbox that remembers what an adapter told it, for tests of one adapter alone.

import type { LegFacts, LegRef, Party, Reason, Refusal, Sdp, Tone } from '../../src/session/model.ts'
import type { Inbox, Offered, OfferedText, OfferedTyping, TextVerdict } from '../../src/session/ports.ts'
import type { Receipt, TextRef } from '../../src/session/text.ts'
import { until } from './until.ts'

export type Heard =
  | { readonly type: 'offered'; readonly leg: LegRef; readonly call: Offered }
  | { readonly type: 'alerting'; readonly leg: LegRef }
  | { readonly type: 'progressed'; readonly leg: LegRef; readonly sdp: Sdp | null; readonly reliable: boolean }
  | { readonly type: 'answered'; readonly leg: LegRef; readonly sdp: Sdp | null; readonly party: Party | null }
  | { readonly type: 'acknowledged'; readonly leg: LegRef; readonly sdp: Sdp | null }
  | { readonly type: 'reoffered'; readonly leg: LegRef; readonly sdp: Sdp | null }
  | { readonly type: 'reofferAnswered'; readonly leg: LegRef; readonly exchange: number; readonly sdp: Sdp }
  | { readonly type: 'reofferRefused'; readonly leg: LegRef; readonly exchange: number; readonly why: Refusal }
  | { readonly type: 'toned'; readonly leg: LegRef; readonly tone: Tone }
  | { readonly type: 'ended'; readonly leg: LegRef; readonly reason: Reason }
  | { readonly type: 'learned'; readonly leg: LegRef; readonly facts: LegFacts }
  | { readonly type: 'received'; readonly ref: TextRef; readonly receipt: Receipt }

export type HeardOf<T extends Heard['type']> = Extract<Heard, { readonly type: T }>

export class FakeInbox implements Inbox {
  readonly heard: Heard[] = []
  readonly texts: OfferedText[] = []
  readonly typing: OfferedTyping[] = []
  /** What the core says to a message. */
  verdict: (text: OfferedText) => Promise<TextVerdict> = async () => ({ taken: true })

  /** Everything of one kind, of one leg where it is named. */
  all<T extends Heard['type']>(type: T, leg?: LegRef): readonly HeardOf<T>[] {
    return this.heard.filter(
      (item): item is HeardOf<T> => item.type === type && (leg === undefined || ('leg' in item && item.leg === leg))
    )
  }

  /** The nth of its kind, waited for. */
  async wait<T extends Heard['type']>(type: T, leg?: LegRef, nth = 1): Promise<HeardOf<T>> {
    await until(() => this.all(type, leg).length >= nth).catch(() => {
      throw new Error(`never "${type}" (${nth}): ${JSON.stringify(this.heard.map(item => item.type))}`)
    })
    return this.all(type, leg)[nth - 1]!
  }

  offered(call: Offered): void {
    this.heard.push({ type: 'offered', leg: call.leg, call })
  }
  alerting(leg: LegRef): void {
    this.heard.push({ type: 'alerting', leg })
  }
  progressed(leg: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): void {
    this.heard.push({ type: 'progressed', leg, ...early })
  }
  answered(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly party: Party | null }): void {
    this.heard.push({ type: 'answered', leg, ...answer })
  }
  acknowledged(leg: LegRef, sdp: Sdp | null): void {
    this.heard.push({ type: 'acknowledged', leg, sdp })
  }
  reoffered(leg: LegRef, sdp: Sdp | null): void {
    this.heard.push({ type: 'reoffered', leg, sdp })
  }
  reofferAnswered(leg: LegRef, answer: { readonly exchange: number; readonly sdp: Sdp }): void {
    this.heard.push({ type: 'reofferAnswered', leg, ...answer })
  }
  reofferRefused(leg: LegRef, refusal: { readonly exchange: number; readonly why: Refusal }): void {
    this.heard.push({ type: 'reofferRefused', leg, ...refusal })
  }
  toned(leg: LegRef, tone: Tone): void {
    this.heard.push({ type: 'toned', leg, tone })
  }
  ended(leg: LegRef, reason: Reason): void {
    this.heard.push({ type: 'ended', leg, reason })
  }
  learned(leg: LegRef, facts: LegFacts): void {
    this.heard.push({ type: 'learned', leg, facts })
  }
  texted(text: OfferedText): Promise<TextVerdict> {
    this.texts.push(text)
    return this.verdict(text)
  }
  typed(typing: OfferedTyping): void {
    this.typing.push(typing)
  }
  received(ref: TextRef, receipt: Receipt): void {
    this.heard.push({ type: 'received', ref, receipt })
  }
}
