import { describe, it } from '@jest/globals'
import { deepEqual as equal, ok, rejects } from 'node:assert/strict'
import { createPolicy } from '../../src/qos-policy/policy.ts'
import type { PolicyPeer } from '../../src/qos-policy/decide.ts'
import type { PolicyDecision, SessionId } from '../../src/session/model.ts'
import type { Admission, Reserved, Terms } from '../../src/session/ports.ts'
import { caller, target } from '../support/sessions.ts'

const terms: Terms = {
  ingressAgreementId: 'in',
  egressAgreementId: 'out',
  legs: null,
  prepaid: false,
  onCreditSilence: 'continue'
}
const peer = (id: string, changes: Partial<PolicyPeer> = {}): PolicyPeer => ({
  id,
  enabled: true,
  codecs: ['PCMA', 'opus', 'telephone-event'],
  callsMax: 2,
  callsPerSecondMax: 3,
  ...changes
})

interface SetUp {
  readonly peers?: readonly PolicyPeer[]
  readonly credit?: () => Promise<Reserved>
  readonly agreed?: Terms | 'no-agreement' | 'no-rate'
}

function policy({ peers = [peer('op-a'), peer('a')], agreed = terms, credit }: SetUp = {}) {
  const clock = { at: 0, now: () => clock.at }
  const asked = credit === undefined ? {} : { credit: { reserve: credit } }
  return { clock, ...createPolicy({ peers, agreements: { terms: async () => agreed }, ...asked, clock }) }
}
let n = 0
const admission = (changes: Partial<Admission> = {}): Admission => ({
  id: `s${n++}` as SessionId,
  attempt: 1,
  caller,
  target: target('a'),
  called: 'tel:+491',
  rn: null,
  urgent: false,
  service: 'voice',
  offer: null,
  transcode: false,
  at: 0,
  ...changes
})
const why = (decision: PolicyDecision) => (decision.admit ? 'admitted' : [decision.reason.cause, decision.reason.text])

describe('policy', () => {
  it('admits with the codecs both peers have, in the order of the called side', async () => {
    const peers = [peer('op-a', { codecs: ['opus', 'PCMA'] }), peer('a', { codecs: ['PCMU', 'PCMA', 'opus'] })]
    const decision = await policy({ peers }).decide(admission())
    ok(decision.admit)
    equal([decision.grant.codecs, decision.grant.chargingKey], [['PCMA', 'opus'], 'in/out'])
    const transcoded = await policy({ peers }).decide(admission({ transcode: true }))
    ok(transcoded.admit)
    equal(
      [transcoded.grant.codecs, transcoded.grant.callerCodecs],
      [
        ['PCMU', 'PCMA', 'opus'],
        ['opus', 'PCMA']
      ]
    )
  })
  it('no codec in common is said so, and a transcoder helps', async () => {
    const peers = [
      peer('op-a', { codecs: ['opus', 'telephone-event'] }),
      peer('a', { codecs: ['PCMA', 'telephone-event'] })
    ]
    const p = policy({ peers })
    equal(why(await p.decide(admission())), ['incompatible-media', 'op-a and a have no codec in common'])
    equal(why(await p.decide(admission({ transcode: true }))), 'admitted')
  })
  it('a peer that is unknown or disabled is refused', async () => {
    equal(why(await policy({ peers: [peer('a')] }).decide(admission())), [
      'forbidden',
      'a peer of this call is not known'
    ])
    const peers = [peer('op-a'), peer('a', { enabled: false })]
    equal(why(await policy({ peers }).decide(admission())), ['forbidden', 'a is disabled'])
  })
  it('no agreement and no rate are refused before anything rings, never free', async () => {
    equal(why(await policy({ agreed: 'no-agreement' }).decide(admission())), [
      'no-agreement',
      'no agreement covers traffic from op-a to a'
    ])
    equal(why(await policy({ agreed: 'no-rate' }).decide(admission())), [
      'no-rate',
      'no rate from op-a to a covers tel:+491'
    ])
  })
  it('calls at once are bounded by either peer; a freed grant makes room, once', async () => {
    const p = policy()
    const first = await p.decide(admission())
    equal(why(await p.decide(admission())), 'admitted')
    const third = why(await p.decide(admission()))
    equal(third, ['limit-reached', 'op-a has 2 calls, as many as it may have at once'])
    ok(first.admit)
    await p.free(first.grant.id)
    await p.free(first.grant.id)
    equal(why(await p.decide(admission())), 'admitted')
    equal(why(await p.decide(admission())), third)
  })
  it('calls a second are bounded, and the next second starts anew', async () => {
    const p = policy({ peers: [peer('op-a', { callsMax: 100 }), peer('a', { callsMax: 100 })] })
    for (let i = 0; i < 3; i++) equal(why(await p.decide(admission())), 'admitted')
    equal(why(await p.decide(admission())), ['limit-reached', 'op-a may start 3 calls a second'])
    p.clock.at = 1_000
    equal(why(await p.decide(admission())), 'admitted')
  })
  it('a message needs no codec, counts in its second and holds no call', async () => {
    const p = policy({ peers: [peer('op-a', { codecs: [] }), peer('a', { callsMax: 1, callsPerSecondMax: 2 })] })
    for (let i = 0; i < 2; i++) equal(why(await p.decideText(admission())), 'admitted')
    equal(why(await p.decideText(admission())), ['limit-reached', 'a may start 2 calls a second'])
    p.clock.at = 5_000
    equal(why(await p.decideText(admission())), 'admitted')
  })
  it('what credit holds stands in the grant of a call; a message is paid at once', async () => {
    const reserved = { reservationId: 'r', reservedMs: 60_000, onSilence: 'end' } as const
    const p = policy({ credit: async () => reserved })
    const [call, text] = [await p.decide(admission()), await p.decideText(admission())]
    ok(call.admit && text.admit)
    equal([call.grant.credit, text.grant.credit], [reserved, null])
    const none = await policy({ credit: async () => null }).decide(admission())
    ok(none.admit && none.grant.credit === null)
  })
  it('without credit, or where it cannot be asked, a call is refused and told why, and counts no more', async () => {
    let verdict: Reserved = 'no-credit'
    const peers = [peer('op-a', { callsMax: 1, callsPerSecondMax: 100 }), peer('a')]
    const p = policy({ peers, credit: async () => verdict })
    equal(why(await p.decide(admission())), ['no-credit', 'there is no credit left'])
    verdict = 'unavailable'
    equal(why(await p.decide(admission())), ['congestion', 'credit cannot be asked at the moment'])
    verdict = null
    p.clock.at = 1_000
    equal(why(await p.decide(admission())), 'admitted')
    const broken = policy({
      peers,
      credit: () => Promise.reject(new Error('broken'))
    })
    for (let n = 0; n < 2; n++) await rejects(async () => broken.decide(admission()), { message: 'broken' })
  })
  it('a call for help, and one back from where it was taken, never waits for money', async () => {
    const p = policy({ credit: () => Promise.reject(new Error('asked')) })
    equal(why(await p.decide(admission({ called: 'urn:service:sos' }))), 'admitted')
    equal(why(await p.decide(admission({ urgent: true }))), 'admitted')
  })
})
