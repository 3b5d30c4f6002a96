import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { startHubProcess } from '../../support/hub.ts'
import type { HubProcess } from '../../support/hub.ts'
import { sdpWith } from '../../support/nni.ts'
import { SipPeer } from '../../support/nni-peer.ts'
import { eventually } from '../../support/until.ts'

// Transit: the whole hub between operators and nothing else, media passed through. North and south each have an agreement
// with the hub; north and west have one of their own, which the hub only carries out.

let north: SipPeer
let south: SipPeer
let west: SipPeer
let hub: HubProcess

const numbers = { south: '+4930901820', west: '+33145678900', north: '+441632960083' } as const
const rates = (rate: string) => [{ prefix: '+', destination: 'Anywhere', rate }]

const known = (peer: SipPeer, prefix: string, over: Record<string, unknown> = {}) => ({
  id: peer.name,
  address: { host: peer.host, port: peer.port },
  trust: 'network',
  ioi: `${peer.name}.example`,
  charging: { transitIoi: 'hub', origIoi: 'originator' },
  routes: [{ prefix }],
  keepaliveMs: 0,
  ...over
})

beforeAll(async () => {
  north = await new SipPeer('north', '127.0.0.2').start()
  south = await new SipPeer('south', '127.0.0.3').start()
  west = await new SipPeer('west', '127.0.0.4').start()
  hub = await startHubProcess({
    config: {
      hub: { domain: 'hub.example', ioi: 'hub.example' },
      media: { anchor: 'none' },
      operators: [known(north, '+44'), known(south, '+49'), known(west, '+33')],
      agreements: [
        { id: 'north-hub', buyer: 'north', seller: 'hub', rates: rates('60') },
        { id: 'hub-south', buyer: 'hub', seller: 'south', rates: rates('30') },
        { id: 'north-west', buyer: 'north', seller: 'west', rates: rates('12') }
      ]
    }
  })
  for (const peer of [north, south, west]) {
    peer.to = { transport: 'udp', host: '127.0.0.1', port: hub.sipPort('udp') }
  }
}, 120_000)

afterAll(async () => {
  const left = await hub?.stop()
  await Promise.all([north, south, west].map(peer => peer?.close()))
  expect(left).toBe(0)
}, 120_000)

const field = 'P-Charging-Vector'
const vector = (icid: string, transit: string): readonly [string, string] => [
  field,
  `icid-value=${icid};icid-generated-at=north;orig-ioi=north.example;transit-ioi="${transit}"`
]

/** A call of the north that is answered and ended, with the vectors that each side saw. */
async function through(to: SipPeer, number: string, icid: string) {
  const call = north.request('INVITE', `sip:${number}@hub.example;user=phone`, {
    headers: [vector(icid, 'carrierN.1'), ['P-Asserted-Identity', `<sip:${numbers.north}@north.example;user=phone>`]],
    body: sdpWith(4_000)
  })
  const invite = await to.take('INVITE')
  const back = `icid-value=${icid};orig-ioi=north.example;term-ioi=${to.name}.example;transit-ioi="carrierT.1"`
  to.answer(invite, 200, { headers: [[field, back]], body: sdpWith(5_000) })
  const answer = await call.final()
  const dialog = north.callerDialog(call, answer)
  north.ack(dialog, call.cseq)
  await to.takeAck()
  const bye = north.inside(dialog, 'BYE')
  to.answer(await to.take('BYE'), 200)
  expect((await bye.final()).status).toBe(200)
  const records = await eventually('both legs have their records', async () => {
    const found = (await hub.records()).filter(one => one.kind === 'final' && one.icid === icid)
    return found.length >= 2 ? found : null
  })
  return { sent: invite.request.headers.get(field), answered: answer.headers.get(field), records }
}

/** What moved between whom for a call, once it is rated. */
async function money(callId: string, entries: number) {
  const database = await hub.database()
  return eventually('the call is rated', async () => {
    const { rows } = await database.query<{ debit: string; credit: string; amount: string }>(
      `select debit, credit, t.amount_micros::text as amount from transfer t
       join cdr_final f on f.cdr_id = t.cdr_id where f.call_id = $1 order by debit`,
      [callId]
    )
    return rows.length >= entries ? rows : null
  })
}

describe('transit between two operators', () => {
  it('NNI-02 in hub mode each owes the next: who calls pays the hub, the hub pays who is called', async () => {
    const { sent, answered, records } = await through(south, numbers.south, 'icid-hub')
    expect(sent).toBe(
      'icid-value=icid-hub;icid-generated-at=north;orig-ioi=north.example;transit-ioi="carrierN.1, hub.2"'
    )
    expect(answered).toContain('orig-ioi=north.example;term-ioi=hub.example;transit-ioi="carrierT.1, hub.2"')
    const legs = records
      .map(one => [one.leg, one.provider, one.agreement_id, one.orig_ioi, one.transit_ioi])
      .sort((a, b) => String(a).localeCompare(String(b)))
    expect(legs).toEqual([
      ['egress', 'south', 'hub-south', 'north.example', ['carrierT.1']],
      ['ingress', 'north', 'north-hub', 'north.example', ['carrierN.1']]
    ])
    const [cost, revenue] = await money(records[0]!.call_id, 2)
    expect([cost?.debit, cost?.credit]).toEqual(['cost/south', 'unbilled-payable/south'])
    expect([revenue?.debit, revenue?.credit]).toEqual(['unbilled-receivable/north', 'revenue/north'])
    expect(Number(cost?.amount)).toBeGreaterThan(0)
    expect(Number(revenue?.amount)).toBe(2 * Number(cost?.amount))
  }, 60_000)

  it('NNI-02 in bilateral mode the two settle between themselves', async () => {
    const { records } = await through(west, numbers.west, 'icid-bilateral')
    expect(records.map(one => [one.leg, one.agreement_id]).sort((a, b) => String(a).localeCompare(String(b)))).toEqual([
      ['egress', 'north-west'],
      ['ingress', 'north-west']
    ])
    const [only, ...more] = await money(records[0]!.call_id, 1)
    expect([only?.debit, only?.credit, more]).toEqual(['bilateral/north-west/north', 'bilateral/north-west/west', []])
    expect(Number(only?.amount)).toBeGreaterThan(0)
  }, 60_000)

  it('NNI-02 without an agreement for the pair nothing crosses', async () => {
    const call = south.request('INVITE', `sip:${numbers.west}@hub.example;user=phone`, { body: sdpWith(4_000) })
    expect((await call.final()).status).toBe(403)
  }, 60_000)

  it('NNI-02 a call that comes back to the hub is a loop', async () => {
    const headers = [vector('icid-loop', 'carrierN.1')]
    const call = north.request('INVITE', `sip:${numbers.south}@hub.example;user=phone`, {
      headers,
      body: sdpWith(4_000)
    })
    const out = await south.take('INVITE')
    const again = south.request('INVITE', `sip:${numbers.south}@hub.example;user=phone`, {
      headers: [[field, out.request.headers.get(field) ?? '']],
      body: sdpWith(4_000)
    })
    expect((await again.final()).status).toBe(482)
    south.answer(out, 486)
    expect((await call.final()).status).toBe(486)
  }, 60_000)
})
