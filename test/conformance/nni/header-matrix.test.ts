import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { agreedFields, crossings } from '../../../src/config/operators.ts'
import type { AgreedField } from '../../../src/config/operators.ts'
import { headerRules } from '../../../src/nni/header-rules.ts'
import { fromInvite, toInvite } from '../../../src/nni/invite.ts'
import { peerOf } from '../../../src/nni/peers.ts'
import type { Peer } from '../../../src/nni/peers.ts'
import { shownTo } from '../../../src/session/privacy.ts'
import type { SessionId } from '../../../src/session/model.ts'
import { makeRequest } from '../../../src/sip/message.ts'
import { fieldsOf, numberOf, startPair, uriOf } from '../../support/nni-pair.ts'
import type { Pair } from '../../support/nni-pair.ts'
import { hubFace, operator, sdpWith } from '../../support/nni.ts'
import { until } from '../../support/until.ts'

// The header action matrix of the profile, over every row of TS 29.165 annex A: complete sets of fields, in and out.

interface Row {
  readonly header: string
  readonly nonRoaming: string
}
const rows = JSON.parse(
  readFileSync(new URL('./ts29165-annexA-headers.json', import.meta.url), 'utf8')
) as readonly Row[]

/** A value that its grammar takes and that names nobody's hosts; others are smuggled words. */
const samples: Readonly<Record<string, string>> = {
  'accept-contact': '*;audio',
  'additional-identity': '<sip:+441632960084@hub.example;user=phone>',
  'alert-info': '<urn:alert:service:call-waiting>',
  'attestation-info': 'A',
  'call-info': '<https://cards.example/ann.jpg>;purpose=icon',
  date: 'Sat, 13 Nov 2010 23:29:00 GMT',
  geolocation: '<https://location.example/ann>',
  'history-info': '<sip:+4930901821@hub.example;user=phone;cause=302>;index=1',
  'origination-id': '7e2ad5a0-5c5b-5d1c-8f0c-3a8f5a2b1c4d',
  'p-access-network-info': '3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=234151D0FCE11',
  'p-asserted-service': 'urn:urn-7:3gpp-service.ims.icsi.mmtel',
  'p-preferred-identity': '<sip:smuggled-word@nowhere.invalid>',
  path: '<sip:smuggled-word@nowhere.invalid>',
  'referred-by': '<sip:+4930901821@hub.example>',
  'resource-priority': 'ets.0',
  'session-id': 'ab30317f1a784dc48ff824d0d3715d86',
  'user-to-user': '56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui'
}
const sampleOf = (name: string): string => samples[name.toLowerCase()] ?? 'smuggled-word'

const known = [...headerRules].map(([name]) => name)
const named = rows.map(({ header }) => header.toLowerCase())
/** Identity crosses byte by byte, in as many lines as it came: stir.test.ts. */
const crossing = known.filter(
  name => ['open', 'trusted', 'agreed'].includes(headerRules.get(name) ?? '') && name !== 'identity'
)
const foreign = known.filter(name => headerRules.get(name) !== 'own' && !['expires'].includes(name))

const trusts = ['network', 'user'] as const
const pairs = trusts.flatMap(from => trusts.map(to => [from, to] as const))
const peer = (
  id: string,
  trust: string,
  headers: Partial<Record<AgreedField, (typeof crossings)[number]>> = {}
): Peer => peerOf(operator(id, 5060, { trust, headers }))

/** Names and values of what goes out to `to` when `from` sends an INVITE with these fields. */
function sent(from: Peer, to: Peer, fields: readonly (readonly [string, string])[]): Readonly<Record<string, string>> {
  const understood = fromInvite(
    makeRequest({
      method: 'INVITE',
      uri: uriOf('beta'),
      headers: [
        ['Via', 'SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1'],
        ['From', '<sip:+441632960083@op.example>;tag=1'],
        ['To', '<sip:x@y>'],
        ['Call-ID', 'private-call-id@inside.example'],
        ['Content-Type', 'application/sdp'],
        ...fields
      ],
      body: sdpWith(4_000)
    }),
    { peer: from, hub: hubFace, neighbour: '192.0.2.1:5060', sessionExpiresSeconds: 1_800 }
  )
  if (!understood.ok) throw new Error(`refused with ${understood.refused.status}`)
  const { caller, charging, service, facts, crossing: carried } = understood.value
  const { headers } = toInvite(
    {
      id: 's' as SessionId,
      attempt: 1,
      charging: charging ?? { icid: 'own', generatedAt: 'hub.example' },
      from: shownTo(to.trusted ? 'network' : 'user', caller.party),
      target: {
        access: 'nni',
        peerId: to.id,
        uri: `tel:${numberOf.beta}`,
        trust: to.trusted ? 'network' : 'user',
        media: 'rtp',
        needsOffer: false
      },
      origin: facts,
      service,
      sdp: sdpWith(4_000)
    },
    sdpWith(4_000),
    { callId: 'c', fromTag: 't', maxForwards: 70 },
    { peer: to, hub: hubFace, sessionExpiresSeconds: 1_800 },
    carried
  )
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

describe('the table of rules', () => {
  it('knows every row of annex A and no row twice', () => {
    expect(named.filter(name => !headerRules.has(name))).toEqual([])
    expect(new Set(named).size).toBe(named.length)
    expect(named.length).toBeGreaterThan(110)
  })

  it('keeps off the wire exactly what is not applicable on a non-roaming interface (NNI-01)', () => {
    const never = rows.filter(({ nonRoaming }) => nonRoaming === 'n/a').map(({ header }) => header.toLowerCase())
    expect(known.filter(name => headerRules.get(name) === 'never').sort()).toEqual([...never].sort())
  })
})

describe.each(pairs)('from a peer of trust %s to one of trust %s', (from, to) => {
  const base = sent(peer('a', from), peer('b', to), [])

  it.each(foreign)('NNI-11 %s: the complete set of fields is what the rule says', name => {
    const value = sampleOf(name)
    const out = sent(peer('a', from), peer('b', to), [[name, value]])
    const rule = headerRules.get(name)
    const crosses = rule === 'open' || (rule === 'trusted' && from === 'network' && to === 'network')
    expect(out).toEqual(crosses ? { ...base, [name]: value } : base)
  })

  it('NNI-09 nothing that is not applicable crosses, all of it at once, and nothing unheard of', () => {
    const never = [...known.filter(name => headerRules.get(name) === 'never'), 'x-own-thing', 'p-something-new']
    expect(
      sent(
        peer('a', from),
        peer('b', to),
        never.map(name => [name, sampleOf(name)])
      )
    ).toEqual(base)
  })
})

describe('what two peers agree on', () => {
  it.each(crossing)('NNI-11 %s crosses where both have agreed on it, one way where one way was agreed', name => {
    const field = crossingName(name)
    const at = (from: (typeof crossings)[number], to: (typeof crossings)[number]) =>
      sent(peer('a', 'user', { [field]: from }), peer('b', 'user', { [field]: to }), [[name, sampleOf(name)]])[name]
    for (const from of crossings) {
      for (const to of crossings) {
        const crosses = (from === 'both' || from === 'received') && (to === 'both' || to === 'sent')
        expect([from, to, at(from, to)]).toEqual([from, to, crosses ? sampleOf(name) : undefined])
      }
    }
  })

  const crossingName = (name: string): AgreedField => {
    const found = agreedFields.find(field => field.toLowerCase() === name)
    if (found === undefined) throw new Error(`${name} cannot be agreed on`)
    return found
  }
})

describe('who is behind the hub (SEC-06)', () => {
  const trusted = peer('a', 'network')
  const cross = (name: string, value: string) => sent(trusted, peer('b', 'network'), [[name, value]])[name]

  it('SEC-06 a history keeps its numbers and loses its hosts', () => {
    expect(
      cross(
        'history-info',
        '<sip:+4930901821@10.1.2.3:5062;user=phone?Reason=SIP%3Bcause%3D302>;index=1, <sip:+49@x.ims.example>;index=1.1'
      )
    ).toBe('<sip:+4930901821@hub.example;user=phone?Reason=SIP%3Bcause%3D302>;index=1, <sip:+49@hub.example>;index=1.1')
  })

  it.each([
    '<http://10.0.0.1/x>;purpose=info',
    '<http://[fd00::1]/x>;purpose=info',
    '<http://a.example/x>;purpose=info',
    '<http://inside.example/x>',
    '<http://192.0.2.7/x>',
    '<cid:part@somewhere>'
  ])('SEC-04 a value that names a place of the other side stays there: %s', value => {
    expect(cross('call-info', value)).toBeUndefined()
  })

  it('a caller who wants to be nobody sends no subject, no organisation, no card, no history', () => {
    const withheld = sent(trusted, peer('b', 'network'), [
      ['Privacy', 'id'],
      ...['call-info', 'organization', 'subject', 'referred-by', 'history-info', 'additional-identity'].map(
        name => [name, sampleOf(name)] as const
      )
    ])
    expect(Object.keys(withheld)).toEqual(
      expect.not.arrayContaining(['call-info', 'organization', 'subject', 'referred-by', 'history-info'])
    )
    expect(withheld['additional-identity']).toBeUndefined()
  })

  it('what is too much is left out, the rest crosses', () => {
    const out = sent(trusted, peer('b', 'network'), [
      ['Organization', 'o'.repeat(4_097)],
      ['Subject', 'kept']
    ])
    expect([out['organization'], out['subject']]).toEqual([undefined, 'kept'])
  })
})

describe('on the wire', () => {
  /** What the engine and the hub write into every INVITE. */
  const own = `accept allow call-id contact content-length content-type cseq from max-forwards min-se session-expires
    supported to user-agent via`
  const setOf = (...texts: string[]): readonly string[] =>
    [...new Set(texts.flatMap(text => text.split(/\s+/).filter(word => word !== '')))].sort()
  const open = crossing.filter(name => headerRules.get(name) === 'open')
  const within = crossing.filter(name => headerRules.get(name) === 'trusted')
  const everything = foreign
    .filter(name => !/^(content-|info-package|event|identity|join|replaces|target-dialog|proxy-require)/.test(name))
    .map(name => [name, sampleOf(name)] as const)

  describe.each(pairs)('trust %s calls trust %s', (from, to) => {
    let pair: Pair
    beforeAll(async () => {
      pair = await startPair({ alpha: { trust: from }, beta: { trust: to } })
    })
    afterAll(() => pair.close())
    const both = from === 'network' && to === 'network'

    const told = to === 'network' ? 'p-charging-vector' : ''
    const back = [...open, ...(both ? within : [])]
    const charged = from === 'network' ? 'p-charging-vector' : ''

    it('NNI-11 INVITE, 180, 200, ACK and BYE bring complete sets of fields across, and back', async () => {
      const headers = [['P-Asserted-Identity', `<tel:${numberOf.alpha}>`] as const, ...everything]
      const { call, tx } = await pair.invite('alpha', { headers, body: sdpWith(40_000) }, uriOf('beta'))
      const asserted = both ? 'p-asserted-identity' : ''
      expect(fieldsOf(tx.request)).toEqual(setOf(own, told, told && 'p-early-media', asserted, ...back))
      pair.beta.answer(tx, 180, { headers: everything })
      const ringing = await call.response(180)
      const answer = 'allow call-id content-length cseq from to via'
      expect(fieldsOf(ringing)).toEqual(setOf(answer, charged, ...back))
      pair.beta.answer(tx, 200, { headers: everything, body: sdpWith(50_000) })
      const answered = await call.response(200)
      expect(fieldsOf(answered)).toEqual(
        setOf(answer, charged, 'contact content-type session-expires supported', ...back)
      )
      const caller = pair.alpha.callerDialog(call, answered)
      pair.alpha.ack(caller, 1)
      const dialog = 'call-id content-length cseq from max-forwards to via'
      expect(fieldsOf(await pair.beta.takeAck())).toEqual(setOf(dialog))
      const bye = pair.alpha.inside(caller, 'BYE', { headers: everything })
      expect((await bye.final()).status).toBe(200)
      const gone = await pair.beta.take('BYE')
      expect(fieldsOf(gone.request)).toEqual(setOf(dialog, 'reason session-id', told))
      pair.beta.answer(gone, 200)
      await until(() => pair.hub.sessionCount === 0)
    })

    it('NNI-11 a refusal brings a complete set of fields back', async () => {
      const { call, tx } = await pair.invite('alpha', undefined, uriOf('beta'))
      pair.beta.answer(tx, 486, { headers: [...everything, ['Reason', 'Q.850;cause=17']] })
      const refused = await call.final()
      expect(fieldsOf(refused)).toEqual(
        setOf('call-id content-length cseq from to via', charged && 'p-charging-vector reason', ...back)
      )
      await until(() => pair.hub.sessionCount === 0)
    })

    it('NNI-11 MESSAGE brings a complete set of fields across', async () => {
      // As much as a datagram takes.
      const some = everything.filter(([name]) => /^(call-info|history-info|session-id|p-user|relayed|path)/.test(name))
      const sending = { headers: [...some, ['Content-Type', 'text/plain'] as const], body: 'hello' }
      const call = pair.alpha.request('MESSAGE', uriOf('beta'), sending)
      const tx = await pair.beta.take('MESSAGE')
      const crossed = some.map(([name]) => name).filter(name => back.includes(name))
      const own = 'call-id content-length content-type cseq from max-forwards to user-agent via'
      expect(fieldsOf(tx.request)).toEqual(setOf(own, told, ...crossed))
      pair.beta.answer(tx, 200)
      expect((await call.final()).status).toBe(200)
    })
  })
})
