// Records to test with: a call's legs as the session core reports them, and bodies as the journal takes them.

import { noFacts } from '../../src/session/model.ts'
import type { Cdr, SessionId } from '../../src/session/model.ts'
import type { CdrBody } from '../../src/events/cdr.ts'
import { toRecord } from '../../src/events/to-record.ts'
import { uuidv7 } from '../../src/uuid.ts'

export const answeredAt = Date.UTC(2026, 10, 22, 12)

/** An answered call's ingress leg, ended by the caller after a minute. */
export function cdrOf(more: Partial<Cdr> = {}): Cdr {
  return {
    callId: uuidv7(answeredAt) as SessionId,
    leg: 'ingress',
    attempt: 1,
    partialSeq: 1,
    kind: 'final',
    access: 'sip-ws',
    peerId: 'island-1',
    service: 'voice',
    calling: 'tel:+4930123456',
    callingRaw: 'sip:alice@island.example',
    callingTrust: 'network',
    trust: 'user',
    called: 'tel:+4989654321',
    dialled: 'tel:+4989654321',
    chargingKey: 'sell/buy',
    terms: {
      agreementId: 'sell',
      agreementVersion: '3',
      deckVersion: '7',
      destCode: '+4989',
      destName: 'Germany Munich',
      qualityClass: null
    },
    dscp: 46,
    bandwidthKbpsMax: 100,
    requestedAt: answeredAt - 5_000,
    alertedAt: answeredAt - 3_000,
    answeredAt,
    endedAt: answeredAt + 60_000,
    durationMs: 60_000,
    release: { cause: 'normal', sip: 200, q850: 16, from: 'caller' },
    media: [
      {
        kind: 'audio',
        codec: 'PCMA',
        packetsReceived: 3_000,
        bytesReceived: 516_000,
        packetsSent: 2_990,
        bytesSent: 514_280,
        packetsLost: 3,
        jitterMs: 1.25,
        rttMs: 20.5,
        mos: 4.3,
        transcoded: false
      }
    ],
    otherMedia: [],
    charging: { icid: 'icid-1', generatedAt: 'hub.example' },
    facts: { ...noFacts, dialogId: 'call-1@island', origIoi: 'island.example', neighbour: '127.0.0.1:5060' },
    origin: { ...noFacts, calledRaw: '089 654321', rn: '+4989000', npdi: true, attest: 'A' },
    otherPeerId: 'operator-1',
    ...more
  }
}

/** What the core writes at the answer. */
export const startOf = (more: Partial<Cdr> = {}): Cdr =>
  cdrOf({ kind: 'start', partialSeq: 0, endedAt: answeredAt, durationMs: 0, release: null, media: [], ...more })

export const bodyOf = (more: Partial<Cdr> = {}): CdrBody =>
  toRecord(cdrOf(more), { cdrId: uuidv7(answeredAt), providerOf: peer => `${peer}-provider` })
