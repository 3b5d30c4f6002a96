import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { chargingFields, chargingOf, withTransit } from '../../../src/nni/charging.ts'
import { peerOf } from '../../../src/nni/peers.ts'
import { createHeaders } from '../../../src/sip/message.ts'
import { numberOf, refuse, startPair, uriOf } from '../../support/nni-pair.ts'
import type { Pair } from '../../support/nni-pair.ts'
import { hubFace, operator, sdpWith, trustedPeer, untrustedPeer } from '../../support/nni.ts'
import { until } from '../../support/until.ts'

// P-Charging-Vector and the inter-operator identifiers (RFC 7315, RFC 7976, TS 32.260).

const field = 'P-Charging-Vector'
const vector = (text: string) => chargingOf(createHeaders([[field, text]]), trustedPeer)
const written = (over: Record<string, unknown>, iois: Partial<Parameters<typeof chargingFields>[1]> = {}) =>
  chargingFields(
    { icid: 'i@h', generatedAt: 'h' },
    { originator: null, transit: [], ...iois },
    peerOf(operator('op', 5060, { trust: 'network', charging: over })),
    hubFace
  )[field]

describe('syntax', () => {
  it('PCV-01 icid-value comes first; icid-generated-at is a host; one instance counts', () => {
    expect(written({})).toBe('icid-value="i@h";icid-generated-at=h;orig-ioi=hub.example')
    const two = createHeaders([
      [field, 'icid-value=first'],
      [field, 'icid-value=second']
    ])
    expect(chargingOf(two, trustedPeer)?.icid).toBe('first')
  })

  it('PCV-09 unknown parameters are read over and never sent on', () => {
    const all = 'icid-value="a b";icid-generated-at=h;orig-ioi=o;term-ioi=t;fe-identifier="x";loopback-indication=1'
    expect(vector(all)).toEqual({ icid: 'a b', generatedAt: 'h', origIoi: 'o', termIoi: 't', transitIoi: [] })
    expect(written({})).not.toMatch(/fe-identifier|loopback/)
  })

  it.each(['orig-ioi=o', 'icid-value=a;;=', `icid-value=${'x'.repeat(256)}`, `icid-value=a;x=${'y'.repeat(1_024)}`])(
    'what is unreadable or too long counts for nothing: %.40s',
    text => {
      expect(vector(text)).toBeNull()
    }
  )

  it('nothing goes to a peer that is not told, and its own counts for nothing', () => {
    const iois = { originator: null, transit: [] }
    expect(chargingFields({ icid: 'i', generatedAt: '' }, iois, untrustedPeer, hubFace)).toEqual({})
    expect(chargingOf(createHeaders([[field, 'icid-value=a']]), untrustedPeer)).toBeNull()
  })
})

describe('networks in between', () => {
  it.each([
    [[], ['hub.1']],
    [['opA.1'], ['opA.1', 'hub.2']],
    [
      ['opA.1', 'void'],
      ['opA.1', 'void', 'hub.3']
    ],
    [
      ['void', 'void'],
      ['void', 'void', 'hub.3']
    ],
    [
      ['a.1', 'void', 'void', 'b.4', 'void'],
      ['a.1', 'void', 'void', 'b.4', 'void', 'hub.6']
    ]
  ])('PCV-08 %j with the hub is %j', (before, after) => {
    expect(withTransit(before, 'hub')).toEqual(after)
  })

  it.each(['hub-ipx.1', 'hub.net.1', '1hub.1', 'void.2', 'hub', 'a.1, b-c.2'])(
    'PCV-08 a list with the malformed entry %s counts for nothing',
    list => {
      expect(vector(`icid-value=a;transit-ioi="${list}"`)?.transitIoi).toEqual([])
    }
  )

  it('PCV-08 a name that the grammar does not take cannot be configured', () => {
    for (const name of ['hub-ipx', 'hub.net', '1hub', ''])
      expect(() => operator('op', 5060, { charging: { transitIoi: name } })).toThrow()
  })

  it('PCV-10 identifiers of type 2 and the list of transit networks are agreed on apart', () => {
    const transit = ['opA.1']
    expect(written({ ioi: false }, { term: 't', transit })).toBe('icid-value="i@h";icid-generated-at=h')
    expect(written({ ioi: false, transitIoi: 'hub' }, { transit })).toBe(
      'icid-value="i@h";icid-generated-at=h;transit-ioi="opA.1, hub.2"'
    )
    expect(written({ transitIoi: 'hub' })).toBe(
      'icid-value="i@h";icid-generated-at=h;orig-ioi=hub.example;transit-ioi="hub.1"'
    )
  })

  it('PCV-06 what the hub emits is of type 2: no prefix', () => {
    expect(written({}, { term: 'hub.example' })).not.toMatch(/Type [13]/)
  })
})

describe('a call between two operators', () => {
  let pair: Pair
  beforeAll(async () => {
    pair = await startPair({
      alpha: { charging: { transitIoi: 'hub' } },
      beta: { charging: { transitIoi: 'hub', origIoi: 'originator' } }
    })
  })
  afterAll(() => pair.close())
  const vectorOf = ({ headers }: { headers: { all(name: string): readonly string[] } }): string =>
    headers.all(field).join()
  const charged = (text: string) => ({ headers: [[field, text] as const], body: sdpWith(40_000) })

  it('PCV-04 PCV-07 one icid in all messages; the request has orig-ioi alone, answers both, transit lists of their own', async () => {
    const sent = 'icid-value=icid-9;icid-generated-at=a;orig-ioi=alpha.example;term-ioi=wrong.example;transit-ioi="x.1"'
    const { call, tx } = await pair.invite('alpha', charged(sent))
    const out = 'icid-value=icid-9;icid-generated-at=a;orig-ioi=alpha.example'
    expect(vectorOf(tx.request)).toBe(`${out};transit-ioi="x.1, hub.2"`)
    pair.beta.answer(tx, 180, {
      headers: [[field, 'icid-value=icid-9;orig-ioi=alpha.example;term-ioi=beta.example;transit-ioi="void"']]
    })
    const back = `${out};term-ioi=hub.example`
    // PCV-03: in 18x and 2xx as well as in the INVITE.
    expect(vectorOf(await call.response(180))).toBe(`${back};transit-ioi="void, hub.2"`)
    pair.beta.answer(tx, 200, { body: sdpWith(50_000) })
    const ok = await call.response(200)
    expect(vectorOf(ok)).toMatch(/^icid-value=icid-9;.*;orig-ioi=alpha.example;term-ioi=hub.example/)
    const dialog = pair.alpha.callerDialog(call, ok)
    pair.alpha.ack(dialog, 1)
    await pair.beta.takeAck()
    expect((await pair.alpha.inside(dialog, 'BYE').final()).status).toBe(200)
    const bye = await pair.beta.take('BYE')
    expect(vectorOf(bye.request)).toContain('icid-value=icid-9;')
    expect(vectorOf(bye.request)).not.toContain('term-ioi')
    pair.beta.answer(bye, 200)
    await until(() => pair.hub.sessionCount === 0)
    expect(pair.cdrs.map(({ charging: { icid } }) => icid).every(icid => icid === 'icid-9')).toBe(true)
  })

  it('PCV-05 the hub makes the identifier where the caller brings none, a new one each time', async () => {
    const icids: string[] = []
    for (let count = 0; count < 2; count++) {
      const { call, tx } = await pair.invite('alpha')
      icids.push(/^icid-value=([^;]+);icid-generated-at=hub.example/.exec(vectorOf(tx.request))?.[1] ?? '')
      const refused = await refuse(pair, pair.beta, tx, call)
      expect(vectorOf(refused)).toContain(`icid-value=${icids.at(-1)};`)
    }
    expect(new Set(icids).size).toBe(2)
    expect(icids[0]).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('PCV-02 never in 100, CANCEL, nor in the ACK to a refusal', async () => {
    const { call, tx } = await pair.invite('beta')
    pair.alpha.answer(tx, 180)
    await call.response(180)
    const cancelled = new Promise<string>(resolve => {
      tx.onCancel = request => resolve(vectorOf(request))
    })
    call.tx?.cancel([])
    expect(await cancelled).toBe('')
    pair.alpha.answer(tx, 487)
    await until(() => pair.hub.sessionCount === 0)
    await until(() => pair.alpha.bytes.some(text => text.startsWith('ACK ')))
    for (const text of pair.alpha.bytes.filter(one => /^(ACK|CANCEL) /.test(one))) expect(text).not.toContain(field)
    for (const text of pair.beta.bytes.filter(one => one.startsWith('SIP/2.0 100'))) expect(text).not.toContain(field)
  })

  it('PCV-03 PCV-07 towards a peer that is told of the hub, orig-ioi is the hub', async () => {
    const { call, tx } = await pair.invite('beta', charged('icid-value=icid-10;orig-ioi=beta.example'))
    expect(vectorOf(tx.request)).toBe('icid-value=icid-10;orig-ioi=hub.example;transit-ioi="hub.1"')
    await refuse(pair, pair.alpha, tx, call)
  })

  it('PCV-04 a message has an identifier of its own, in its answer too', async () => {
    const call = pair.alpha.request('MESSAGE', uriOf('beta'), { headers: [['Content-Type', 'text/plain']], body: 'x' })
    const tx = await pair.beta.take('MESSAGE')
    expect(tx.request.uri).toContain(numberOf.beta)
    pair.beta.answer(tx, 200)
    const answered = await call.final()
    const icid = /icid-value=([^;]+)/.exec(vectorOf(tx.request))?.[1] ?? 'none'
    expect(vectorOf(answered)).toContain(`icid-value=${icid};`)
  })
})
