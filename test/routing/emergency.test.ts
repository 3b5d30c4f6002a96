import { describe, expect, it } from '@jest/globals'
import { parseConfig } from '../../src/config.ts'
import { withEmergency } from '../../src/routing/emergency.ts'
import { noEmergencyRoute } from '../../src/session/emergency.ts'
import { dialledNumber } from '../../src/session/dial-plan.ts'
import { noFacts } from '../../src/session/model.ts'
import type { Leg } from '../../src/session/model.ts'

// Calls for help: which operator takes them, in which order, and who is told where nobody does.

const caller: Leg = {
  access: 'sip-ws',
  peerId: 'acme',
  party: { asserted: [], presented: null, display: null, privacy: [], trust: 'network' },
  media: 'webrtc'
}
const operators = ['one', 'two', 'off'].map(id => ({ id, enabled: id !== 'off', allowOfferless: id === 'two' }))
const general = (operator: string, number?: string) => ({
  operator,
  service: 'urn:service:sos',
  ...(number === undefined ? {} : { number })
})

function router(routes: Parameters<typeof withEmergency>[1]['routes'], down: readonly string[] = []) {
  const alarms: string[] = []
  const emergency = withEmergency(
    { route: async () => ({ nobody: { cause: 'not-found', text: 'the usual router' } }) },
    { routes, operators, down: new Set(down), onUnserved: (called, peerId) => void alarms.push(`${called} ${peerId}`) }
  )
  const where = async (called: string, from = caller, service: 'voice' | 'message' = 'voice') => {
    const routed = await emergency.route(called, from, service, noFacts)
    return 'nobody' in routed ? routed.nobody : routed.targets.map(({ peerId, uri }) => `${peerId} ${uri}`)
  }
  return { where, alarms, emergency }
}

describe('emergency routes', () => {
  it('are tried in their order, those that are down last, and only for their service', async () => {
    const police = { operator: 'one', service: 'urn:service:sos.police' }
    const { where } = router([police, general('two', '+49301112'), general('off')])
    expect(await where('urn:service:sos.police')).toEqual(['one urn:service:sos.police', 'two tel:+49301112'])
    expect(await where('urn:service:sos.policewoman')).toEqual(['two tel:+49301112'])
    expect(await router([general('one'), general('two')], ['one']).where('urn:service:sos')).toEqual([
      'two urn:service:sos',
      'one urn:service:sos'
    ])
  })

  it('lead nowhere where nobody serves: an alarm, and words for the caller', async () => {
    const { where, alarms } = router([general('one')])
    expect(await where('urn:service:sos', { ...caller, access: 'nni', peerId: 'one' })).toEqual(noEmergencyRoute)
    expect(await where('urn:service:sos', caller, 'message')).toEqual(noEmergencyRoute)
    expect(alarms).toEqual(['urn:service:sos one', 'urn:service:sos acme'])
    expect(await where('tel:+4930')).toMatchObject({ text: 'the usual router' })
  })

  it('are inside the trust domain', async () => {
    const { emergency } = router([general('two')])
    expect(await emergency.route('urn:service:sos', caller, 'voice', noFacts)).toMatchObject({
      targets: [{ trust: 'network', needsOffer: false }]
    })
  })
})

describe('the configuration of calls for help', () => {
  const xmpp = `
islands:
  - { id: chat, access: xmpp, domain: chat.example, gateway: tel.chat.example,
      connection: { kind: component, host: 127.0.0.1, secret: s },
      dialPlan: { emergency: [{ dialled: '112' }, { dialled: '110', service: urn:service:sos.police },
        { dialled: '116', number: '+49116117' }] } }
`
  const planOf = (text: string) => {
    const [island] = parseConfig(text).islands
    if (island?.access !== 'xmpp') throw new Error('no XMPP island')
    return ['112', '110', '116'].map(digits => dialledNumber(digits, island.dialPlan))
  }
  const telco =
    'operators: [{ id: telco, address: { host: 127.0.0.1 }, trust: network }]\nemergency: { routes: [{ operator: telco }] }'

  it('sends what an island dials for help to the emergency routes, once there are some', () => {
    expect(planOf(`${telco}\n${xmpp}`)).toEqual([
      { called: 'urn:service:sos' },
      { called: 'urn:service:sos.police' },
      { called: 'tel:+49116117' }
    ])
    expect(planOf(xmpp)[0]).toMatchObject({ emergency: true, refused: { cause: 'not-found' } })
  })

  it('names operators that are there, and trusted', () => {
    expect(() => parseConfig('emergency: { routes: [{ operator: telco }] }')).toThrow(/no operator is called "telco"/)
    expect(() => parseConfig(telco.replace(', trust: network', ''))).toThrow(/telco must have trust: network/)
    expect(() => parseConfig('emergency: { dialled: [{ dialled: "112", service: urn:service:help }] }')).toThrow(/sos/)
  })
})
