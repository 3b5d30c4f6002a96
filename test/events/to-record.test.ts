import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { cdrBody, cdrRecord } from '../../src/events/cdr.ts'
import { chained, genesis, isIntact } from '../../src/events/chain.ts'
import { elapsedLine } from '../../src/events/replay.ts'
import { bodyBytesMax } from '../../src/events/slots.ts'
import { bounded, numberOf, recordLimits, toRecord } from '../../src/events/to-record.ts'
import { uuidv7 } from '../../src/uuid.ts'
import { attestations, noFacts, releaseCauses, verstats } from '../../src/session/model.ts'
import type { Cdr, LegFacts, SessionId } from '../../src/session/model.ts'
import { answeredAt, bodyOf, cdrOf, startOf } from '../support/cdrs.ts'
import { seedFromEnvironment } from '../support/random.ts'

const naming = { cdrId: uuidv7(answeredAt), providerOf: (peer: string) => `${peer}-provider` }

describe('a leg becomes a record', () => {
  it('with every field of the contract', () => {
    const cdr = cdrOf({ leg: 'egress', attempt: 2 })
    expect(cdrBody.parse(toRecord(cdr, naming))).toEqual({
      cdr_id: naming.cdrId,
      call_id: cdr.callId,
      leg: 'egress',
      attempt: 2,
      partial_seq: 1,
      kind: 'final',
      record_type: 'session',
      service: 'voice',
      icid: 'icid-1',
      icid_generated_at: 'hub.example',
      orig_ioi: 'island.example',
      term_ioi: null,
      transit_ioi: [],
      sip_call_id: 'call-1@island',
      session_id_hdr: null,
      direction: 'outbound',
      provider: 'island-1-provider',
      other_provider: 'operator-1-provider',
      trunk: 'island-1',
      access: 'sip-ws',
      neighbour_addr: '127.0.0.1:5060',
      trust: 'user',
      calling_trust: 'network',
      calling: '+4930123456',
      calling_raw: 'sip:alice@island.example',
      orig_cc: '49',
      attest: 'A',
      verstat: null,
      called: '+4989654321',
      called_raw: '089 654321',
      dialled: '+4989654321',
      rn: '+4989000',
      npdi: true,
      dest_code: '+4989',
      dest_name: 'Germany Munich',
      agreement_id: 'sell',
      agreement_version: '3',
      deck_version: '7',
      quality_class: null,
      t_request: answeredAt - 5_000,
      t_alert: answeredAt - 3_000,
      t_answer: answeredAt,
      t_end: answeredAt + 60_000,
      duration_ms: 60_000,
      units: 60,
      unit_type: 'seconds',
      cause: 'normal',
      final_code: 200,
      q850: 16,
      reason: null,
      release_side: 'caller',
      cause_closing: 'service-end',
      partial: false,
      incomplete: false,
      emergency: false,
      fraud_flags: [],
      media: [
        {
          type: 'audio',
          codec: 'PCMA',
          codec_other: null,
          transcoded: false,
          gw_inserted: true,
          pkts_received: 3_000,
          bytes_received: 516_000,
          pkts_sent: 2_990,
          bytes_sent: 514_280,
          pkts_lost: 3,
          jitter_ms: 1.25,
          rtt_ms: 20.5,
          mos: 4.3,
          dscp: 46,
          qci: null,
          auth_kbps: 100
        }
      ]
    })
  })

  it('an attempt that nobody answered has no units, and says why it failed', () => {
    const release = { cause: 'busy', sip: 486, q850: 17, text: 'Busy Here', from: 'callee' } as const
    const record = bodyOf({ answeredAt: null, durationMs: 0, release })
    expect(record).toMatchObject({ units: 0, duration_ms: 0, t_answer: null, cause: 'busy', reason: 'Busy Here' })
  })

  it('begun seconds are units', () => {
    expect(bodyOf({ durationMs: 60_001 }).units).toBe(61)
    expect(bodyOf({ durationMs: 0 }).units).toBe(0)
  })

  it('a message is an event of one unit when it was taken, of none when not', () => {
    const message = { service: 'message', partialSeq: 0, alertedAt: null, durationMs: 0, media: [] } as const
    expect(bodyOf(message)).toMatchObject({ record_type: 'event', unit_type: 'messages', units: 1 })
    expect(bodyOf({ ...message, answeredAt: null })).toMatchObject({ record_type: 'event', units: 0 })
  })

  it.each([
    ['start', true, null, null, null],
    ['interim', true, null, null, 'time-limit'],
    ['final', true, 'normal', 'caller', 'service-end'],
    ['final', true, 'no-credit', 'hub', 'service-end'],
    ['final', true, 'media-lost', 'hub', 'unsuccessful'],
    ['final', true, 'unavailable', 'hub', 'management-intervention'],
    ['final', false, 'unavailable', 'callee', 'unsuccessful'],
    ['final', false, 'busy', 'callee', 'unsuccessful']
  ] as const)(
    'a %s record (answered: %s) of a call ended as %s by %s was closed for %s',
    (kind, is, cause, from, why) => {
      const release = cause === null ? null : { cause, from }
      const record = bodyOf({ kind, release, ...(is ? {} : { answeredAt: null, durationMs: 0 }) })
      expect([record.cause_closing, record.partial]).toEqual([why, kind !== 'final'])
    }
  )

  it('a call that got no target has no other provider', () => {
    expect(bodyOf({ otherPeerId: null }).other_provider).toBeNull()
  })

  it.each([
    ['tel:+4930123456', '+4930123456'],
    ['tel:+49-30-(123).456;phone-context=x', '+4930123456'],
    ['sip:+4930123456@operator.example;user=phone', '+4930123456'],
    ['sips:%2B4930123456;npdi@operator.example', '+4930123456'],
    ['sip:+4930123456:secret@operator.example', 'sip:+4930123456:secret@operator.example'],
    ['tel:112;phone-context=+49', 'tel:112;phone-context=+49'],
    ['sip:alice@island.example', 'sip:alice@island.example'],
    ['sip:%ZZ@island.example', 'sip:%ZZ@island.example'],
    ['tel:+0123', 'tel:+0123'],
    ['urn:service:sos', 'urn:service:sos'],
    ['', '']
  ])('the number of %s is %s', (uri, number) => expect(numberOf(uri)).toBe(number))

  it('an emergency is marked, whatever the called number became', () => {
    expect(bodyOf({ dialled: 'urn:service:sos.police', called: 'tel:+4930110' }).emergency).toBe(true)
    expect(bodyOf({ dialled: 'URN:service:SOS' }).emergency).toBe(true)
    expect(bodyOf({ dialled: 'urn:service:sosumi' }).emergency).toBe(false)
  })
})

describe('texts in a record', () => {
  it('are cut at their bound, between characters', () => {
    expect(bounded('abc', 3)).toBe('abc')
    expect(bounded('abcd', 3)).toBe('abc')
    expect(bounded('ab€', 4)).toBe('ab')
    expect(bounded('a"b', 3)).toBe('a"')
    expect(bounded('😀😀', 5)).toBe('😀')
  })

  it('have no control characters and no half characters, which a database refuses', () => {
    expect(bounded('a\u0000b\nc\ud800d', 99)).toBe('a b c\ufffdd')
  })
})

const text = fc.oneof(
  fc.string({ maxLength: 900 }),
  fc.string({ unit: 'binary', maxLength: 900 }),
  fc.constant('"'.repeat(900))
)
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null })
const number = fc.oneof(fc.double(), fc.maxSafeInteger())
const anyStreams = fc.array(
  fc.record({
    kind: fc.constantFrom('audio' as const, 'video' as const),
    codec: maybe(text),
    packetsReceived: number,
    bytesReceived: number,
    packetsSent: number,
    bytesSent: number,
    packetsLost: number,
    jitterMs: maybe(number),
    rttMs: maybe(number),
    mos: maybe(number),
    transcoded: fc.boolean()
  }),
  { maxLength: 6 }
)
const anyFacts: fc.Arbitrary<LegFacts> = fc.record({
  dialogId: maybe(text),
  traceId: maybe(text),
  origIoi: maybe(text),
  termIoi: maybe(text),
  transitIoi: fc.array(text, { maxLength: 9 }),
  neighbour: maybe(text),
  calledRaw: maybe(text),
  rn: maybe(text),
  npdi: fc.boolean(),
  attest: maybe(fc.constantFrom(...attestations)),
  originationId: maybe(text),
  verstat: maybe(fc.constantFrom(...verstats)),
  location: fc.constant(null),
  psapCallback: fc.boolean()
})
const anyCdr: fc.Arbitrary<Cdr> = fc.record({
  callId: fc.uuid().map(id => id as SessionId),
  leg: fc.constantFrom('ingress', 'egress'),
  attempt: fc.integer({ min: 1, max: 8 }),
  partialSeq: fc.nat(),
  kind: fc.constantFrom('start', 'interim', 'final'),
  access: fc.constantFrom('nni', 'matrix', 'xmpp', 'sip-ws'),
  peerId: text,
  service: fc.constantFrom('voice', 'video', 'message'),
  calling: maybe(text),
  callingRaw: maybe(text),
  callingTrust: fc.constantFrom('network', 'user'),
  called: text,
  dialled: text,
  trust: fc.constantFrom('network', 'user'),
  chargingKey: maybe(text),
  terms: maybe(
    fc.record({
      agreementId: text,
      agreementVersion: maybe(text),
      deckVersion: maybe(text),
      destCode: maybe(text),
      destName: maybe(text),
      qualityClass: maybe(text)
    })
  ),
  dscp: maybe(number),
  bandwidthKbpsMax: maybe(number),
  requestedAt: number,
  alertedAt: maybe(number),
  answeredAt: maybe(number),
  endedAt: number,
  durationMs: number,
  release: maybe(
    fc.record({
      cause: fc.constantFrom(...releaseCauses),
      sip: fc.maxSafeInteger(),
      q850: fc.maxSafeInteger(),
      text,
      from: fc.constantFrom('caller', 'callee', 'hub')
    })
  ),
  media: anyStreams,
  otherMedia: anyStreams,
  charging: fc.record({ icid: text, generatedAt: text }),
  facts: anyFacts,
  origin: anyFacts,
  otherPeerId: maybe(text)
})

describe('whatever a peer sends', () => {
  const place = {
    hubId: 'h'.repeat(63),
    nodeId: `${'節'.repeat(64)}/01234567`,
    seq: Number.MAX_SAFE_INTEGER,
    previous: genesis
  }

  it(`the record keeps to the contract and fits a slot (seed ${seedFromEnvironment})`, () => {
    fc.assert(
      fc.property(anyCdr, cdr => {
        const { record, json } = chained(toRecord(cdr, naming), place)
        expect(isIntact(record)).toBe(true)
        expect(JSON.parse(json.toString())).toEqual(record)
        expect(cdrRecord.safeParse(record).error).toBeUndefined()
        expect(json.length + elapsedLine(place.seq).length).toBeLessThanOrEqual(bodyBytesMax)
      }),
      { seed: seedFromEnvironment, numRuns: 300, endOnFailure: true }
    )
  })

  it('the largest record there can be fits a slot', () => {
    const long = 'x'.repeat(5_000)
    const huge = Number.MAX_SAFE_INTEGER
    const stream = {
      kind: 'audio',
      codec: long,
      packetsReceived: huge,
      bytesReceived: huge,
      packetsSent: huge,
      bytesSent: huge,
      packetsLost: huge,
      jitterMs: 1_234_567.8901,
      rttMs: 1_234_567.8901,
      mos: 4.3219,
      transcoded: false
    } as const
    const full: LegFacts = {
      ...noFacts,
      dialogId: long,
      traceId: long,
      origIoi: long,
      termIoi: long,
      neighbour: long,
      transitIoi: Array.from({ length: 20 }, () => long),
      calledRaw: long,
      rn: long,
      attest: 'A',
      originationId: long,
      verstat: 'TN-Validation-Passed'
    }
    const release = { cause: 'answered-elsewhere', sip: huge, q850: huge, text: long, from: 'callee' } as const
    const cdr = cdrOf({
      kind: 'interim',
      attempt: huge,
      partialSeq: huge,
      peerId: long,
      otherPeerId: long,
      service: 'message',
      release,
      calling: long,
      callingRaw: long,
      called: long,
      dialled: long,
      charging: { icid: long, generatedAt: long },
      requestedAt: huge,
      alertedAt: huge,
      answeredAt: huge,
      endedAt: huge,
      durationMs: huge,
      media: Array.from({ length: 9 }, () => stream),
      otherMedia: Array.from({ length: 9 }, () => stream),
      chargingKey: long,
      terms: {
        agreementId: long,
        agreementVersion: long,
        deckVersion: long,
        destCode: long,
        destName: long,
        qualityClass: long
      },
      dscp: 63,
      bandwidthKbpsMax: huge,
      facts: full,
      origin: full
    })
    const body = toRecord(cdr, { ...naming, providerOf: () => long })
    expect(body.reason).toHaveLength(recordLimits.reason)
    const bytes = chained(body, place, elapsedLine(place.seq)).stored.length
    expect(bytes).toBeLessThanOrEqual(bodyBytesMax)
    expect(bytes).toBeGreaterThan(bodyBytesMax * 0.75)
  })

  it('a start record says no more than it knows', () => {
    expect(toRecord(startOf(), naming)).toMatchObject({ kind: 'start', cause: null, release_side: null, units: 0 })
  })
})
