import { afterEach, describe, expect, it } from '@jest/globals'
import { identityFields } from '../../../src/nni/headers.ts'
import { calledOf, numberUri, portedIn } from '../../../src/nni/numbers.ts'
import { peerOf } from '../../../src/nni/peers.ts'
import { refuse, startPair, uriOf } from '../../support/nni-pair.ts'
import type { Pair, PairOptions } from '../../support/nni-pair.ts'
import { hubFace, operator, sdpWith, trustedPeer } from '../../support/nni.ts'

// Identity, number format, portability (29.165 clause 8.1 and 12, RFC 3966, RFC 4694).

const pairs: Pair[] = []
afterEach(async () => {
  await Promise.all(pairs.splice(0).map(pair => pair.close()))
})
const open = async (options: PairOptions = {}): Promise<Pair> => {
  const pair = await startPair(options)
  pairs.push(pair)
  return pair
}
const peer = (over: Record<string, unknown>) => peerOf(operator('op', 5060, { trust: 'network', ...over }))
const user = {
  asserted: ['sip:alice@island.example'],
  presented: 'sip:alice@island.example',
  display: null,
  privacy: []
}
const asserted = (value: string) => ({ headers: [['P-Asserted-Identity', value] as const], body: sdpWith(40_000) })

describe('numbers in URIs', () => {
  it('NUM-01 a number is a SIP URI with user=phone, a tel URI where that comes first by agreement', () => {
    expect(numberUri('+4930901820', 'op.example', peer({}))).toBe('sip:+4930901820@op.example;user=phone')
    expect(numberUri('+4930901820', 'op.example', peer({ uris: ['tel', 'sip'] }))).toBe('tel:+4930901820')
  })

  it('NUM-01 the agreed form stands in Request-URI, To, From and P-Asserted-Identity', async () => {
    const pair = await open({ beta: { uris: ['tel'] } })
    const { call, tx } = await pair.invite('alpha', asserted('<sip:+441632960083@alpha.example;user=phone>'))
    expect(tx.request.uri).toBe('tel:+4930901820')
    expect(tx.request.headers.get('To')).toBe('<tel:+4930901820>')
    expect(tx.request.headers.get('From')).toMatch(/<tel:\+441632960083>/)
    expect(tx.request.headers.get('P-Asserted-Identity')).toBe('<tel:+441632960083>')
    await refuse(pair, pair.beta, tx, call)
  })

  it('NUM-02 numbers are global: a local one with a context is refused, and none is sent', () => {
    for (const uri of ['tel:0301234;phone-context=+49', 'sip:0301234;phone-context=+49@h;user=phone'])
      expect(calledOf(uri, trustedPeer)).toMatchObject({ ok: false, refused: { status: 404 } })
  })

  it.each([
    ['tel:+49', 484],
    ['tel:+1555', 484],
    ['tel:+1234567890123456', 404],
    ['tel:+0123456789', 404],
    ['tel:+99912345678', 404]
  ])('NUM-07 %s is %i', (uri, status) => {
    expect(calledOf(uri, trustedPeer)).toMatchObject({ ok: false, refused: { status } })
  })
})

describe('who calls', () => {
  it('NUM-03 two asserted identities come in, cpc goes on with the number where both have agreed on it', async () => {
    const both = { numberParameters: ['cpc', 'oli'] }
    const pair = await open({ alpha: both, beta: both })
    const pai = '<sip:+441632960083@alpha.example;user=phone>, <tel:+441632960083;cpc=payphone;oli=27;x=y>'
    const { call, tx } = await pair.invite('alpha', asserted(pai))
    expect(tx.request.headers.all('P-Asserted-Identity')).toEqual(['<tel:+441632960083;cpc=payphone;oli=27>'])
    await refuse(pair, pair.beta, tx, call)
    const one = await open({ alpha: both })
    const plain = await one.invite('alpha', asserted(pai))
    expect(plain.tx.request.headers.all('P-Asserted-Identity')).toEqual(['<sip:+441632960083@hub.example;user=phone>'])
    await refuse(one, one.beta, plain.tx, plain.call)
  })

  it('NUM-08 a caller without a number is unavailable, itself, or a number of a pool: as agreed', () => {
    const fields = (withoutNumber: string) => identityFields(user, peer({ withoutNumber }), hubFace)
    expect(fields('unavailable')).toEqual({ From: '<sip:unavailable@unknown.invalid>' })
    expect(fields('user')).toEqual({
      From: '<sip:alice@island.example>',
      'P-Asserted-Identity': '<sip:alice@island.example>'
    })
    expect(fields('+4930111999')).toEqual({
      From: '<sip:+4930111999@hub.example;user=phone>',
      'P-Asserted-Identity': '<sip:+4930111999@hub.example;user=phone>'
    })
  })

  it('NUM-08 a caller without a number who wants to be nobody is nobody', () => {
    const { From } = identityFields({ ...user, privacy: ['id'] }, peer({ withoutNumber: 'user' }), hubFace)
    expect(From).toBe('"Anonymous" <sip:anonymous@anonymous.invalid>')
  })
})

describe('portability', () => {
  const agreed = { numberParameters: ['rn', 'npdi'] }
  const ported = ';npdi;rn=+49301234567'

  it('NUM-04 parameters stay with the number, in the user part of a SIP URI', () => {
    const params = new Map([
      ['npdi', null],
      ['rn', '+12155550199']
    ] as const)
    expect(numberUri('+12155550123', 'gw', peer({}), params)).toBe(
      'sip:+12155550123;npdi;rn=+12155550199@gw;user=phone'
    )
    expect(numberUri('+12155550123', 'gw', peer({ uris: ['tel'] }), params)).toBe(
      'tel:+12155550123;npdi;rn=+12155550199'
    )
  })

  it('NUM-04 numbers are the same whatever separates their digits', () => {
    expect(calledOf('tel:+1-215-555-0123', trustedPeer)).toEqual(
      calledOf('sip:+1(215)555.0123@h;user=phone', trustedPeer)
    )
    expect(portedIn('tel:+1-215-555-0123;npdi;rn=+1-215-555-0199', peer(agreed))).toEqual({
      rn: '+12155550199',
      npdi: true
    })
  })

  it('NUM-05 rn and npdi count and go on by agreement alone', async () => {
    expect(portedIn(uriOf('beta', ported), trustedPeer)).toEqual({ rn: null, npdi: false })
    const pair = await open({ alpha: agreed, beta: agreed })
    const { call, tx } = await pair.invite('alpha', undefined, uriOf('beta', ported))
    expect(tx.request.uri).toBe('sip:+4930901820;npdi;rn=+49301234567@beta.example;user=phone')
    // The called number is what is billed and shown.
    expect(tx.request.headers.get('To')).toBe('<sip:+4930901820@beta.example;user=phone>')
    await refuse(pair, pair.beta, tx, call)
    const finals = pair.cdrs.filter(({ kind }) => kind === 'final')
    expect(finals.map(({ dialled, origin }) => [dialled, origin.rn, origin.npdi])).toEqual([
      ['tel:+4930901820', '+49301234567', true],
      ['tel:+4930901820', '+49301234567', true]
    ])
    const half = await open({ alpha: agreed })
    const without = await half.invite('alpha', undefined, uriOf('beta', ported))
    expect(without.tx.request.uri).toBe('sip:+4930901820@beta.example;user=phone')
    await refuse(half, half.beta, without.tx, without.call)
  })

  it('NUM-05 a routing number that is not global says nothing', () => {
    expect(portedIn('tel:+4930901820;rn=1234;rn-context=+49;npdi', peer(agreed))).toEqual({ rn: null, npdi: true })
  })

  it('NUM-06 isub, cic and premium-rate go on by agreement, else the call goes on without them', async () => {
    const sub = ';isub=17;cic=+16789;premium-rate=yes;other=1'
    const wide = await open({ beta: { numberParameters: ['isub', 'cic', 'premium-rate'] } })
    const { call, tx } = await wide.invite('alpha', undefined, uriOf('beta', sub))
    expect(tx.request.uri).toBe('sip:+4930901820;isub=17;cic=+16789;premium-rate=yes@beta.example;user=phone')
    await refuse(wide, wide.beta, tx, call)
    const narrow = await open()
    const plain = await narrow.invite('alpha', undefined, uriOf('beta', sub))
    expect(plain.tx.request.uri).toBe('sip:+4930901820@beta.example;user=phone')
    await refuse(narrow, narrow.beta, plain.tx, plain.call)
  })
})

describe('supplementary services', () => {
  it('NUM-09 who has answered is told to a trusted caller in the 200, with the restriction that came with it', async () => {
    const pair = await open()
    const { call, tx } = await pair.invite('alpha', {
      headers: [['Supported', 'from-change']],
      body: sdpWith(40_000)
    })
    expect(tx.request.headers.all('Supported')).toContain('from-change')
    pair.beta.answer(tx, 200, {
      headers: [
        ['P-Asserted-Identity', '<tel:+4930901899>'],
        ['Privacy', 'id']
      ],
      body: sdpWith(50_000)
    })
    const ok = await call.response(200)
    expect(ok.headers.get('P-Asserted-Identity')).toBe('<sip:+4930901899@hub.example;user=phone>')
    expect(ok.headers.get('Privacy')).toBe('id')
    const dialog = pair.alpha.callerDialog(call, ok)
    pair.alpha.ack(dialog, 1)
    await pair.beta.takeAck()
    const bye = pair.alpha.inside(dialog, 'BYE')
    pair.beta.answer(await pair.beta.take('BYE'), 200)
    expect((await bye.final()).status).toBe(200)
  })

  it('NUM-09 a caller outside the trust domain does not learn who has answered', async () => {
    const pair = await open({ alpha: { trust: 'user' } })
    const { call, tx } = await pair.invite('alpha')
    pair.beta.answer(tx, 200, { headers: [['P-Asserted-Identity', '<tel:+4930901899>']], body: sdpWith(50_000) })
    const ok = await call.response(200)
    expect(JSON.stringify(ok.headers.lines())).not.toContain('901899')
    const dialog = pair.alpha.callerDialog(call, ok)
    pair.alpha.ack(dialog, 1)
    const bye = pair.alpha.inside(dialog, 'BYE')
    pair.beta.answer(await pair.beta.take('BYE'), 200)
    expect((await bye.final()).status).toBe(200)
  })

  it('NUM-09 an anonymous call that is rejected is 433 to the caller; a diversion is told with its history', async () => {
    const pair = await open()
    const { call, tx } = await pair.invite('alpha')
    const history =
      '<sip:+4930901820@hub.example;user=phone>;index=1, <sip:+4930901821@hub.example;cause=302>;index=1.1;mp=1'
    pair.beta.answer(tx, 181, { headers: [['History-Info', history]] })
    const diverted = await call.response(183)
    expect(diverted.headers.all('History-Info').join(', ')).toBe(history)
    pair.beta.answer(tx, 433)
    expect((await call.final()).status).toBe(433)
  })
})
