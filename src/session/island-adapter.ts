// What the adapters of islands have in common: a leg belongs to one island, and that island's calls do what is asked.

import type { Access, LegRef, Refusal, Release, Sdp, Shown, Tone } from './model.ts'
import type { Inbox, Invitation, OutgoingText, SignallingAdapter, TextOutcome } from './ports.ts'
import type { Receipt, TextRef } from './text.ts'

/** The calls of one island: what the adapter's own methods of these names do for its legs. None throws. */
export interface IslandCalls {
  invite(invitation: Invitation): LegRef
  alert(leg: LegRef): void
  progress(leg: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): void
  answer(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): void
  acknowledge(leg: LegRef, sdp: Sdp): void
  reoffer(leg: LegRef, offer: { readonly exchange: number; readonly sdp: Sdp }): void
  answerReoffer(leg: LegRef, sdp: Sdp): void
  refuseReoffer(leg: LegRef, why: Refusal): void
  sendTone(leg: LegRef, tone: Tone): void
  end(leg: LegRef, release: Release): void
  /** Takes no new calls; live ones stay. */
  drain(): void
}

/** What is said to a leg that its island no longer knows is said to nobody. */
export abstract class IslandAdapter implements SignallingAdapter {
  abstract readonly access: Access
  protected abstract callsOf(leg: LegRef): IslandCalls | undefined
  protected abstract allCalls(): Iterable<IslandCalls>
  abstract start(inbox: Inbox): Promise<void>
  abstract invite(invitation: Invitation): LegRef
  abstract sendText(text: OutgoingText): Promise<TextOutcome>
  abstract sendReceipt(ref: TextRef, receipt: Receipt): Promise<void>

  async drain(): Promise<void> {
    for (const calls of this.allCalls()) calls.drain()
  }

  async alert(leg: LegRef): Promise<void> {
    this.callsOf(leg)?.alert(leg)
  }

  async progress(leg: LegRef, early: { readonly sdp: Sdp | null; readonly reliable: boolean }): Promise<void> {
    this.callsOf(leg)?.progress(leg, early)
  }

  async answer(leg: LegRef, answer: { readonly sdp: Sdp | null; readonly connected: Shown | null }): Promise<void> {
    this.callsOf(leg)?.answer(leg, answer)
  }

  async acknowledge(leg: LegRef, sdp: Sdp): Promise<void> {
    this.callsOf(leg)?.acknowledge(leg, sdp)
  }

  async reoffer(leg: LegRef, offer: { readonly exchange: number; readonly sdp: Sdp }): Promise<void> {
    this.callsOf(leg)?.reoffer(leg, offer)
  }

  async answerReoffer(leg: LegRef, sdp: Sdp): Promise<void> {
    this.callsOf(leg)?.answerReoffer(leg, sdp)
  }

  async refuseReoffer(leg: LegRef, why: Refusal): Promise<void> {
    this.callsOf(leg)?.refuseReoffer(leg, why)
  }

  async sendTone(leg: LegRef, tone: Tone): Promise<void> {
    this.callsOf(leg)?.sendTone(leg, tone)
  }

  async end(leg: LegRef, release: Release): Promise<void> {
    this.callsOf(leg)?.end(leg, release)
  }
}

/** Names of legs and messages are `<access> <island> ...`: the island. */
export const islandIn = (name: string): string => name.split(' ', 2)[1] ?? ''
