// The XMPP adapter for tests: one or more islands on real or pretended servers, calls that never are, a remembered log.

import { linkSecretOf, parseConfig } from '../../src/config.ts'
import { createXmpp } from '../../src/adapters/xmpp/xmpp.ts'
import type { Xmpp, XmppParts } from '../../src/adapters/xmpp/xmpp.ts'
import { createLog } from '../../src/log.ts'
import type { Logger } from '../../src/log.ts'
import { systemClock } from '../../src/compose.ts'
import { noFacts } from '../../src/session/model.ts'
import type { Party, SessionId, Shown } from '../../src/session/model.ts'
import type { OutgoingText } from '../../src/session/ports.ts'
import { FakeInbox } from './inbox.ts'
import { until } from './until.ts'
import { FakeCalls } from './xmpp-fake-calls.ts'

export interface Told {
  readonly level: 'info' | 'warn' | 'error'
  readonly facts: Readonly<Record<string, unknown>>
  readonly text: string
}

export interface AdapterUnderTest {
  readonly xmpp: Xmpp
  readonly inbox: FakeInbox
  readonly told: readonly Told[]
  /** The calls of an island. */
  calls(islandId: string): FakeCalls
  ready(islandId: string): Promise<void>
  close(): Promise<void>
}

/** `islands`: as in the configuration file. */
export async function startAdapter(
  islands: readonly Readonly<Record<string, unknown>>[],
  parts: Partial<XmppParts> = {}
): Promise<AdapterUnderTest> {
  const config = parseConfig(JSON.stringify({ islands: islands.map(island => ({ access: 'xmpp', ...island })) }))
  const told: Told[] = []
  const calls = new Map<string, FakeCalls>()
  const inbox = new FakeInbox()
  const xmpp = createXmpp({
    config: { islands: config.islands, hub: { domain: 'hub.test', version: '1.2.3' } },
    log: remembering(told),
    clock: systemClock,
    secretOf: linkSecretOf,
    createCalls: made => {
      const fake = new FakeCalls(made)
      calls.set(made.island.id, fake)
      return fake
    },
    random: () => 0,
    ...parts
  })
  await xmpp.start(inbox)
  return {
    xmpp,
    inbox,
    told,
    calls: id => {
      const found = calls.get(id)
      if (found === undefined) throw new Error(`no island ${id}`)
      return found
    },
    ready: id => until(() => xmpp.ready(id), 20_000),
    close: () => xmpp.close()
  }
}

function remembering(told: Told[]): Logger {
  const log = createLog('silent')
  const remember =
    (level: Told['level']) =>
    (facts: Record<string, unknown>, text: string): void =>
      void told.push({ level, facts, text })
  return Object.assign(log, { info: remember('info'), warn: remember('warn'), error: remember('error') })
}

let made = 0

/** A message of the core to a user of an island. */
export function outgoing(islandId: string, uri: string, text: string, from: Partial<Shown> = {}): OutgoingText {
  made += 1
  return {
    id: `0b5c1d0e-0000-4000-8000-${String(made).padStart(12, '0')}` as SessionId,
    attempt: 1,
    charging: { icid: 'icid', generatedAt: 'hub.test' },
    from: { asserted: [], presented: 'tel:+4930123456', display: null, privacy: [], ...from },
    target: { access: 'xmpp', peerId: islandId, uri, trust: 'user', media: 'webrtc', needsOffer: true },
    origin: noFacts,
    body: { type: 'text/plain', text }
  }
}

export const assertedBy = (party: Party): readonly string[] => party.asserted
