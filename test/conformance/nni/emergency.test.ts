import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parseMessage } from '../../../src/sip/message.ts'
import type { HeaderLine, SipRequest } from '../../../src/sip/message.ts'
import type { CallEnd, SipCall } from '../../../src/sip/call.ts'
import { decide } from '../../../src/qos-policy/decide.ts'
import { fromInvite } from '../../../src/nni/invite.ts'
import { peerOf } from '../../../src/nni/peers.ts'
import { startHubProcess } from '../../support/hub.ts'
import type { HubProcess } from '../../support/hub.ts'
import { hubFace, operator, sdpWith } from '../../support/nni.ts'
import { SipPeer } from '../../support/nni-peer.ts'
import { eventually } from '../../support/until.ts'
import { connectUser } from '../../support/ws-user.ts'
import type { WsUser } from '../../support/ws-user.ts'

// Calls for help through the whole hub: from a user of an island and from an operator to an emergency centre, with
// where the caller is, held back and charged by nothing; and what callers hear where nobody takes them.

const pidf =
  '<?xml version="1.0" encoding="UTF-8"?>\r\n<presence entity="pres:alice@acme.example"><tuple id="t"/></presence>'
const located = {
  contentType: 'multipart/mixed;boundary=here',
  body: [
    '--here',
    'Content-Type: application/sdp',
    '',
    `${sdpWith(4_000)}--here`,
    'Content-Type: application/pidf+xml',
    'Content-ID: <place@acme.example>',
    'Content-Disposition: by-reference',
    '',
    pidf,
    '--here--',
    ''
  ].join('\r\n')
}
const geolocation: readonly HeaderLine[] = [
  { name: 'Geolocation', value: '<cid:place@acme.example>' },
  { name: 'Geolocation-Routing', value: 'yes' }
]

let centre: SipPeer
let police: SipPeer
let telco: SipPeer
let hub: HubProcess
let bare: HubProcess
let alice: WsUser

const known = (peer: SipPeer, over: Record<string, unknown> = {}) => ({
  id: peer.name,
  address: { host: peer.host, port: peer.port },
  trust: 'network',
  keepaliveMs: 0,
  ...over
})
const config = (routes: readonly unknown[]) => ({
  hub: { domain: 'hub.example', drainMs: 60_000, sessionsMax: 2 },
  media: { anchor: 'none' },
  emergency: { routes, dialled: [{ dialled: '112' }, { dialled: '110', service: 'urn:service:sos.police' }] },
  islands: [
    {
      id: 'acme',
      access: 'sip-ws',
      domain: 'acme.example',
      origins: ['https://pages.example'],
      media: 'rtp',
      codecs: ['PCMA'],
      limits: { callsMax: 1 },
      users: [{ name: 'alice', password: 'secret', number: '+4930111001' }]
    }
  ],
  // Nobody has an agreement with anybody.
  operators: [known(centre), known(police), known(telco, { enabled: true, limits: { callsMax: 1 } })]
})

beforeAll(async () => {
  centre = await new SipPeer('centre', '127.0.0.2').start()
  police = await new SipPeer('police', '127.0.0.3').start()
  telco = await new SipPeer('telco', '127.0.0.4').start()
  ;[hub, bare] = await Promise.all([
    startHubProcess({
      config: config([{ operator: 'police', service: 'urn:service:sos.police' }, { operator: 'centre' }])
    }),
    startHubProcess({ config: config([]) })
  ])
  telco.to = { transport: 'udp', host: '127.0.0.1', port: hub.sipPort('udp') }
  alice = await user(hub)
}, 120_000)

afterAll(async () => {
  await alice?.close()
  const left = await Promise.all([hub?.stop(), bare?.stop()])
  await Promise.all([centre, police, telco].map(peer => peer?.close()))
  expect(left).toEqual([0, 0])
}, 120_000)

async function user(at: HubProcess): Promise<WsUser> {
  const made = await connectUser({ url: at.where('SIP over WebSocket'), name: 'alice', domain: 'acme.example' })
  expect((await made.register()).status).toBe(200)
  return made
}

interface Placed {
  readonly call: SipCall
  answered: boolean
  end: CallEnd | null
}
function call(from: WsUser, uri: string, parts: Parameters<WsUser['call']>[1] = {}): Placed {
  const placed = { answered: false, end: null as CallEnd | null }
  const made = from.call(uri, {
    body: sdpWith(4_000),
    ...parts,
    on: { answered: () => (placed.answered = true), ended: end => (placed.end = end) }
  })
  return Object.assign(placed, { call: made })
}

/** The INVITE as the centre has it, answered; then the caller hangs up. */
async function helped(placed: Placed, by: SipPeer): Promise<SipRequest> {
  const invite = await by.take('INVITE')
  by.answer(invite, 200, { body: sdpWith(5_000) })
  await eventually('the call is answered', () => placed.answered)
  placed.call.bye()
  by.answer(await by.take('BYE'), 200)
  return invite.request
}

/** What the border makes of an INVITE. */
function factsOf(text: string, trust = 'network') {
  const parsed = parseMessage(Buffer.from(text))
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error('no request')
  const peer = peerOf(operator('a', 5060, { trust }))
  const understood = fromInvite(parsed.message, { peer, hub: hubFace, neighbour: 'x', sessionExpiresSeconds: 1_800 })
  return understood.ok ? understood.value.facts : null
}

describe('a call for help', () => {
  it('EMG-01 goes to the emergency route by its URN, by what is dialled, and by its service', async () => {
    const general = await helped(call(alice, 'urn:service:sos'), centre)
    expect([general.uri, general.headers.get('To')]).toEqual(['urn:service:sos', '<urn:service:sos>'])
    expect((await helped(call(alice, 'sip:112@acme.example'), centre)).uri).toBe('urn:service:sos')
    expect((await helped(call(alice, 'tel:110'), police)).uri).toBe('urn:service:sos.police')
    expect((await helped(call(alice, 'urn:service:sos.fire'), centre)).uri).toBe('urn:service:sos.fire')
  }, 60_000)

  it('EMG-01 tries the next emergency route where one fails', async () => {
    const placed = call(alice, 'urn:service:sos.police')
    police.answer(await police.take('INVITE'), 500)
    expect((await helped(placed, centre)).uri).toBe('urn:service:sos.police')
  }, 60_000)

  it('EMG-02 brings along where its caller is, and who', async () => {
    const { headers, body } = await helped(call(alice, 'urn:service:sos', { ...located, headers: geolocation }), centre)
    expect(['Geolocation', 'Geolocation-Routing'].map(name => headers.get(name))).toEqual([
      '<cid:place@acme.example>',
      'yes'
    ])
    expect(headers.get('P-Asserted-Identity')).toContain('+4930111001')
    expect(headers.get('Content-Type')).toMatch(/^multipart\/mixed;\s*boundary=/)
    const text = body.toString()
    expect(text).toContain('Content-Type: application/sdp\r\n\r\nv=0\r\n')
    expect(text).toContain(`Content-ID: <place@acme.example>\r\n`)
    expect(text).toContain(`\r\n\r\n${pidf}\r\n--`)
  }, 60_000)

  it('EMG-02 of an operator does so too, and an answer that misses the location says so', async () => {
    const call = telco.request('INVITE', 'urn:service:sos', {
      headers: [
        ['Content-Type', located.contentType],
        ['Geolocation', '<cid:place@acme.example>'],
        ['P-Asserted-Identity', '<sip:+441632960083@telco.example;user=phone>']
      ],
      body: located.body
    })
    const invite = await centre.take('INVITE')
    expect(invite.request.body.toString()).toContain(pidf)
    expect(invite.request.headers.get('Geolocation')).toBe('<cid:place@acme.example>')
    centre.answer(invite, 424, { headers: [['Geolocation-Error', '200;code="Permission"']] })
    const refused = await call.final()
    expect([refused.status, refused.headers.has('Geolocation-Error')]).toEqual([424, true])
  }, 60_000)

  it('EMG-02 where somebody is stays out of every other call', () => {
    const text = (uri: string): string =>
      [
        `INVITE ${uri} SIP/2.0`,
        'Via: SIP/2.0/UDP x;branch=z9hG4bK1',
        'From: <sip:+441632960083@x>;tag=1',
        'To: <sip:x@h>',
        'Call-ID: c',
        'CSeq: 1 INVITE',
        `Content-Type: ${located.contentType}`,
        'Geolocation: <cid:place@acme.example>',
        '',
        located.body
      ].join('\r\n')
    expect(factsOf(text('urn:service:sos'))?.location?.bodies.map(({ id }) => id)).toEqual(['place@acme.example'])
    expect(factsOf(text('sip:+4930111001@h'))?.location).toBeNull()
  })

  it('EMG-03 needs no agreement, counts against no limit, and is recorded and never charged', async () => {
    const both = [call(alice, 'urn:service:sos'), call(alice, 'urn:service:sos'), call(alice, 'urn:service:sos')]
    const invites = [await centre.take('INVITE'), await centre.take('INVITE'), await centre.take('INVITE')]
    for (const invite of invites) centre.answer(invite, 200, { body: sdpWith(5_000) })
    await eventually('all are answered', () => both.every(({ answered }) => answered))
    for (const { call } of both) call.bye()
    for (const _ of both) centre.answer(await centre.take('BYE'), 200)
    const finals = await eventually('their records', async () => {
      const found = (await hub.records()).filter(({ kind, called }) => kind === 'final' && called.startsWith('urn:'))
      return found.length >= 16 ? found : null
    })
    expect(new Set(finals.map(({ emergency, agreement_id: agreement }) => `${emergency} ${agreement}`))).toEqual(
      new Set(['true null'])
    )
    const database = await hub.database()
    const charged = await eventually('what they cost', async () => {
      const { rows } = await database.query<{ rule: string; amount: string; count: string }>(
        `select rule, amount_micros::text as amount, count(*)::text as count from charge group by 1, 2 order by 1`
      )
      return rows.some(({ rule, count }) => rule === 'emergency' && Number(count) >= 16) ? rows : null
    })
    expect(charged.filter(({ rule }) => rule === 'emergency').map(({ amount }) => amount)).toEqual(['0'])
  }, 60_000)

  it('EMG-03 is taken while the hub shuts down', async () => {
    const first = call(alice, 'urn:service:sos')
    centre.answer(await centre.take('INVITE'), 200, { body: sdpWith(5_000) })
    await eventually('it is answered', () => first.answered)
    hub.signal('SIGTERM')
    await eventually('other calls are refused', async () => {
      const other = call(alice, 'sip:+4930123456@acme.example')
      await eventually('an answer', () => other.end)
      return other.end?.message?.kind === 'response' && other.end.message.status === 503
    })
    expect((await helped(call(alice, 'urn:service:sos'), centre)).uri).toBe('urn:service:sos')
    first.call.bye()
    centre.answer(await centre.take('BYE'), 200)
    expect(await hub.left).toBe(0)
  }, 60_000)
})

describe('without an emergency route', () => {
  it('EMG-04 devices and operators are told to use their own network, and an alarm is logged', async () => {
    const here = await user(bare)
    const placed = call(here, 'sip:112@acme.example')
    await eventually('the call is refused', () => placed.end)
    telco.to = { transport: 'udp', host: '127.0.0.1', port: bare.sipPort('udp') }
    const there = await telco.request('INVITE', 'urn:service:sos', { body: sdpWith(4_000) }).final()
    const answers = [placed.end?.message, there]
    for (const answer of answers) {
      if (answer?.kind !== 'response') throw new Error('no answer')
      expect([answer.status, answer.headers.get('Content-Type')]).toEqual([380, 'application/3gpp-ims+xml;sv="1"'])
      expect(answer.body.toString()).toMatch(
        /<alternative-service>\s*<type>emergency<\/type>\s*<reason>.*phone.*<\/reason>/
      )
    }
    const alarms = await eventually('the alarms are logged', () => {
      const found = bare.logged().filter(({ alarm }) => alarm === 'emergency-unserved')
      return found.length >= 2 ? found : null
    })
    expect(alarms.map(({ called, peerId, level }) => [called, peerId, level])).toEqual([
      ['urn:service:sos', 'acme', 50],
      ['urn:service:sos', 'telco', 50]
    ])
    const records = await eventually('they leave records', async () => {
      const found = (await bare.records()).filter(({ kind }) => kind === 'final')
      return found.length >= 2 ? found : null
    })
    expect(records.map(({ emergency, t_answer }) => [emergency, t_answer])).toEqual([
      [true, null],
      [true, null]
    ])
    await here.close()
  }, 60_000)
})

describe('an emergency centre that calls back', () => {
  const text = [
    'INVITE sip:+4930111001@h SIP/2.0',
    'Via: SIP/2.0/UDP x;branch=z9hG4bK1',
    'From: <sip:+49112@x>;tag=1',
    'To: <sip:+4930111001@h>',
    'Call-ID: c',
    'CSeq: 1 INVITE',
    'Priority: psap-callback',
    '',
    ''
  ].join('\r\n')

  it('EMG-05 is believed only of a trusted peer, and then held back by no limit', () => {
    expect(factsOf(text)?.psapCallback).toBe(true)
    expect(factsOf(text, 'user')?.psapCallback).toBe(false)
    const peer = { id: 'a', enabled: true, codecs: ['PCMA'], callsMax: 1, callsPerSecondMax: 1 }
    const busy = { calls: 1, startedThisSecond: 1 }
    const terms = {
      ingressAgreementId: 'i',
      egressAgreementId: 'e',
      legs: null,
      prepaid: false,
      onCreditSilence: 'end'
    } as const
    const decided = (urgent: boolean): boolean =>
      decide({
        from: peer,
        to: peer,
        usage: { from: busy, to: busy },
        terms,
        called: 'tel:+4930111001',
        urgent,
        media: { transcode: false },
        grantId: 'g'
      }).admit
    expect([decided(true), decided(false)]).toEqual([true, false])
  })
})
