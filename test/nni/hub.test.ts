import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { createLog } from '../../src/log.ts'
import { createNni } from '../../src/nni/nni.ts'
import type { Nni } from '../../src/nni/nni.ts'
import { Hub } from '../../src/session/hub.ts'
import type { Cdr, Grant, Sdp } from '../../src/session/model.ts'
import { createEngine } from '../../src/sip/engine/engine.ts'
import type { Engine } from '../../src/sip/engine/engine.ts'
import { clock, number } from '../support/nni-border.ts'
import { SipPeer } from '../support/nni-peer.ts'
import { hubFace, operator, sdpWith } from '../support/nni.ts'
import { until } from '../support/until.ts'

// The whole core between two operators, media passed through: alpha is trusted and calls, beta is not and is called.

let engine: Engine
let nni: Nni
let alpha: SipPeer
let beta: SipPeer
let hub: Hub
const cdrs: Cdr[] = []
const faults: unknown[] = []
const log = createLog('silent')
const grant: Grant = {
  id: 'g',
  bandwidthKbpsMax: 100,
  dscp: 46,
  codecs: ['PCMA'],
  callerCodecs: ['PCMA'],
  chargingKey: 'k',
  terms: null,
  credit: null
}

beforeAll(async () => {
  alpha = await new SipPeer('alpha').start()
  beta = await new SipPeer('beta').start()
  engine = createEngine({
    control: null,
    listen: [{ transport: 'udp', host: '127.0.0.1', port: 0 }],
    log
  })
  await engine.start()
  alpha.to = beta.to = { transport: 'udp', host: '127.0.0.1', port: engine.listening[0]!.port }
  const peers = [operator('alpha', alpha.port, { trust: 'network', ioi: 'alpha.example' }), operator('beta', beta.port)]
  const config = { hub: hubFace, peers, sessionExpiresSeconds: 1_800 }
  nni = createNni({ config, log, clock, connect: engine, onHealth: () => {} })
  const target = {
    access: 'nni',
    peerId: 'beta',
    uri: 'tel:+4930901820',
    trust: 'user',
    media: 'rtp',
    needsOffer: false
  } as const
  const anchored = async (_: unknown, __: unknown, sdp: Sdp) => ({ anchored: true, sdp }) as const
  hub = new Hub({
    adapters: [nni],
    router: { route: async () => ({ targets: [target] }) },
    policy: {
      decide: async () => ({ admit: true, grant }),
      decideText: async () => ({ admit: true, grant }),
      free: async () => {}
    },
    credit: { reserve: async () => 'no-credit' as const, refresh: async () => 'no-credit', settle: async () => {} },
    media: {
      start: async () => {},
      offer: anchored,
      answer: anchored,
      makeOffer: async () => ({ anchored: true, sdp: sdpWith(60_000) }),
      abandon: async () => {},
      release: async () => null
    },
    cdrs: { admit: () => true, note: () => {}, write: async cdr => void cdrs.push(cdr), release: () => {} },
    chargingHost: 'hub.example',
    sessionsMax: 100,
    clock: { ...clock, elapsed: () => performance.now() },
    onFault: fault => void faults.push(fault)
  })
  await hub.start()
})
afterAll(async () => {
  await nni.close()
  await engine.close()
  await alpha.close()
  await beta.close()
})
afterEach(async () => {
  await until(() => hub.sessionCount === 0 && engine.counts.dialogs === 0)
  expect(faults.splice(0)).toEqual([])
  cdrs.length = 0
  for (const peer of [alpha, beta]) {
    peer.requests.length = 0
    peer.acks.length = 0
    peer.bytes.length = 0
  }
})

const reliable = [['Supported', '100rel, timer'] as const, ['Allow', 'INVITE, PRACK, UPDATE, INFO'] as const] as const

const connect = async () => {
  const call = alpha.request('INVITE', number, { headers: reliable, body: sdpWith(40_000) })
  const invite = await beta.take('INVITE')
  beta.answer(invite, 180)
  await call.response(180)
  const ok = beta.answer(invite, 200, { body: sdpWith(50_000), headers: [['Allow', 'INVITE, INFO']] })
  const answer = await call.response(200)
  expect(answer.body.toString()).toContain('m=audio 50000')
  const caller = alpha.callerDialog(call, answer)
  alpha.ack(caller, 1)
  await beta.takeAck()
  return { caller, callee: beta.calleeDialog(invite, ok), invite }
}
const finals = () => cdrs.filter(({ kind }) => kind === 'final')

describe('a call across the hub', () => {
  it('is answered, held from one side, changed from the other, has tones, and ends with a record a leg', async () => {
    const { caller, callee, invite } = await connect()
    const hold = alpha.inside(caller, 'INVITE', { body: sdpWith(40_000, 'sendonly') })
    beta.answer(await beta.take('INVITE'), 200, { body: sdpWith(50_000, 'recvonly') })
    expect((await hold.final()).body.toString()).toContain('a=recvonly')
    alpha.ack(caller, hold.cseq)
    await beta.takeAck()
    const change = beta.inside(callee, 'UPDATE', { body: sdpWith(50_002) })
    alpha.answer(await alpha.take('INVITE'), 200, { body: sdpWith(40_002) })
    expect((await change.final()).body.toString()).toContain('m=audio 40002')
    await alpha.takeAck()
    const type = ['Content-Type', 'application/dtmf-relay'] as const
    alpha.inside(caller, 'INFO', { headers: [type], body: 'Signal=5\r\nDuration=100\r\n' })
    const info = await beta.take('INFO')
    beta.answer(info, 200)
    expect(info.request.body.toString()).toContain('Signal=5')
    const bye = beta.inside(callee, 'BYE', { headers: [['Reason', 'Q.850;cause=16']] })
    expect((await bye.final()).status).toBe(200)
    alpha.answer(await alpha.take('BYE'), 200)
    await until(() => finals().length === 2)
    expect(finals().map(({ leg, release }) => [leg, release?.cause, release?.from])).toEqual([
      ['ingress', 'normal', 'callee'],
      ['egress', 'normal', 'callee']
    ])
    expect(finals()[1]?.facts).toMatchObject({
      dialogId: invite.request.headers.get('Call-ID'),
      origIoi: 'hub.example'
    })
  })

  it('a re-offer that the other side refuses, crosses or has none of leaves the call as it was', async () => {
    const { caller } = await connect()
    const refused = alpha.inside(caller, 'INVITE', { body: sdpWith(40_010) })
    beta.answer(await beta.take('INVITE'), 488)
    expect((await refused.final()).status).toBe(488)
    const crossed = alpha.inside(caller, 'INVITE', { body: sdpWith(40_012) })
    beta.answer(await beta.take('INVITE'), 491)
    expect((await crossed.final()).status).toBe(491)
    const wanting = alpha.inside(caller, 'INVITE')
    expect((await wanting.final()).body.toString()).toContain('m=audio 60000')
    alpha.ack(caller, wanting.cseq, sdpWith(40_014))
    const told = await beta.take('INVITE')
    expect(told.request.body.toString()).toContain('m=audio 40014')
    beta.answer(told, 200, { body: sdpWith(50_014) })
    await beta.takeAck()
    alpha.inside(caller, 'BYE')
    beta.answer(await beta.take('BYE'), 200)
  })

  it('an invitation without media crosses: offer in the 200s, answer in the ACKs', async () => {
    const call = alpha.request('INVITE', number, { headers: reliable })
    const invite = await beta.take('INVITE')
    expect(invite.request.body).toHaveLength(0)
    const ok = beta.answer(invite, 200, { body: sdpWith(50_000) })
    const answer = await call.response(200)
    expect(answer.body.toString()).toContain('m=audio 50000')
    const caller = alpha.callerDialog(call, answer)
    alpha.ack(caller, 1, sdpWith(40_000))
    expect((await beta.takeAck()).body.toString()).toContain('m=audio 40000')
    beta.inside(beta.calleeDialog(invite, ok), 'BYE')
    alpha.answer(await alpha.take('BYE'), 200)
  })

  it('a reliable early answer is one on both sides, and the 200s have none', async () => {
    const call = alpha.request('INVITE', number, { headers: reliable, body: sdpWith(40_000) })
    const invite = await beta.take('INVITE')
    beta.answer(invite, 183, {
      body: sdpWith(50_000),
      headers: [
        ['Require', '100rel'],
        ['RSeq', '9']
      ]
    })
    beta.answer(await beta.take('PRACK'), 200)
    const early = await call.response(183)
    const caller = alpha.callerDialog(call, early)
    const rack = ['RAck', `${early.headers.get('RSeq')} 1 INVITE`] as const
    expect((await alpha.inside(caller, 'PRACK', { headers: [rack] }).final()).status).toBe(200)
    beta.answer(invite, 200)
    expect((await call.response(200)).body).toHaveLength(0)
    alpha.ack(caller, 1)
    await beta.takeAck()
    alpha.inside(caller, 'BYE')
    beta.answer(await beta.take('BYE'), 200)
  })

  it('giving up and being refused cross with their reasons', async () => {
    const call = alpha.request('INVITE', number, { body: sdpWith(40_000) })
    const invite = await beta.take('INVITE')
    beta.answer(invite, 180)
    await call.response(180)
    let reason: readonly string[] = []
    invite.onCancel = cancel => {
      reason = cancel.headers.all('Reason')
      beta.answer(invite, 487)
    }
    call.tx?.cancel()
    expect((await call.final()).status).toBe(487)
    await until(() => reason.length > 0)
    expect(reason).toEqual(['Q.850;cause=31'])
    const busy = alpha.request('INVITE', number, { body: sdpWith(40_000) })
    beta.answer(await beta.take('INVITE'), 486)
    const refused = await busy.final()
    expect([refused.status, refused.headers.all('Reason')]).toEqual([486, ['Q.850;cause=17']])
  })
})

describe('a caller who withholds the number', () => {
  it('is nobody to a peer outside the trust domain, and has a number in the record', async () => {
    const headers = [
      ['From', '"Ann" <sip:anonymous@anonymous.invalid>;tag=1'],
      ['P-Asserted-Identity', '<sip:+441632960083@alpha.example;user=phone>'],
      ['Privacy', 'id']
    ] as const
    const call = alpha.request('INVITE', number, { headers, body: sdpWith(40_000) })
    const invite = await beta.take('INVITE')
    beta.answer(invite, 486)
    await call.final()
    await until(() => finals().length === 2)
    // Of this call: an ACK of the one before may come late.
    const ours = beta.bytes.filter(text => text.includes(invite.request.headers.get('Call-ID')!))
    expect(ours.length).toBeGreaterThan(0)
    expect(ours.join('')).not.toMatch(/1632960083|Ann|alpha/)
    expect(finals().map(({ calling }) => calling)).toEqual(['tel:+441632960083', 'tel:+441632960083'])
  })
})

describe('a message across the hub', () => {
  it('is taken or refused by the other side, and its sender hears which', async () => {
    const send = () => alpha.request('MESSAGE', number, { headers: [['Content-Type', 'text/plain']], body: 'Grüße' })
    const taken = send()
    const message = await beta.take('MESSAGE')
    expect(message.request.body.toString()).toBe('Grüße')
    beta.answer(message, 200)
    expect((await taken.final()).status).toBe(200)
    const refused = send()
    beta.answer(await beta.take('MESSAGE'), 404)
    expect((await refused.final()).status).toBe(404)
  })
})
