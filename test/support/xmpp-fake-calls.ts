// Calls that never are: for tests of an island's link, messages and discovery alone.

import type { Element } from '@xmpp/xml'
import type { Calls, CallsParts } from '../../src/adapters/xmpp/calls-port.ts'
import type { LegRef } from '../../src/session/model.ts'

export class FakeCalls implements Calls {
  readonly parts: CallsParts
  readonly told: string[] = []
  readonly iqs: Element[] = []
  readonly count = 0
  /** What it says to an IQ; null: not its own. */
  reply: (iq: Element) => Element | Promise<Element> | null = () => null

  constructor(parts: CallsParts) {
    this.parts = parts
  }

  onIq(iq: Element): Element | Promise<Element> | null {
    this.iqs.push(iq)
    return this.reply(iq)
  }
  onMessage(message: Element): boolean {
    return message.getChildElements().some(child => child.getNS() === 'urn:xmpp:jingle-message:0')
  }
  onPresence(): void {}
  onUp(): void {
    this.told.push('up')
  }
  onDown(why: string): void {
    this.told.push(`down: ${why}`)
  }
  invite(): LegRef {
    return this.parts.newLeg()
  }
  alert(): void {}
  progress(): void {}
  answer(): void {}
  acknowledge(): void {}
  reoffer(): void {}
  answerReoffer(): void {}
  refuseReoffer(): void {}
  sendTone(): void {}
  end(): void {}
  drain(): void {}
}
