import { describe, it } from '@jest/globals'
import { deepEqual as equal, ok } from 'node:assert/strict'
import { parseConfig } from '../../src/config.ts'
import { ownersOf } from '../../src/routing/directory.ts'
import { createRouter, routingLimits } from '../../src/routing/routing.ts'
import type { Routed } from '../../src/session/ports.ts'
import { mulberry32 } from '../support/random.ts'
import { caller } from '../support/sessions.ts'
import { noFacts } from '../../src/session/model.ts'

const { islands, operators } = parseConfig(`
islands:
  - { id: acme, access: sip-ws, domain: acme.example, users: [{ name: alice, password: x, number: "+4930111" }, { name: bob, password: x }] }
  - { id: jabber, access: xmpp, domain: xmpp.example, gateway: phone.xmpp.example, connection: { kind: component, host: 127.0.0.1, secret: x } }
operators:
  - { id: north, address: { host: 127.0.0.1 }, routes: [{ prefix: "+49" }, { prefix: "+4940", priority: 2 }] }
  - { id: south, address: { host: 127.0.0.1 }, routes: [{ prefix: "+49", weight: 3 }], methods: [INFO] }
  - { id: city, address: { host: 127.0.0.1 }, routes: [{ prefix: "+4930" }] }
  - { id: off, address: { host: 127.0.0.1 }, enabled: false, routes: [{ prefix: "+33" }] }
`)
const owners = ownersOf(islands)
const ownerOf = (number: string) => owners.get(number) ?? null
const from = { ...caller, peerId: 'acme' }
const peers = (routed: Routed) => ('targets' in routed ? routed.targets.map(t => t.peerId) : routed.nobody)

describe('routing', () => {
  it('an island user is found by number and by name, and needs an offer', async () => {
    const router = createRouter({ ownerOf, islands, operators })
    for (const called of ['tel:+4930111', 'sip:alice@acme.example', 'sip:Alice@ACME.example']) {
      const routed = await router.route(called, from, 'voice', noFacts)
      ok('targets' in routed)
      equal(
        routed.targets.map(({ access, peerId, uri, needsOffer }) => [access, peerId, uri, needsOffer]),
        [['sip-ws', 'acme', 'sip:alice@acme.example', true]]
      )
    }
  })
  it('the longest prefix comes first, then priority, then weight by chance', async () => {
    const first = createRouter({ ownerOf, islands, operators, random: () => 0.5 })
    equal(peers(await first.route('tel:+4930222', from, 'voice', noFacts)), ['city', 'south', 'north'])
    equal(peers(await first.route('tel:+4940222', from, 'voice', noFacts)), ['north', 'south'])
    const drawn = { north: 0, south: 0 }
    const chance = mulberry32(7)
    const spread = createRouter({ ownerOf, islands, operators, random: () => chance(1e9) / 1e9 })
    for (let i = 0; i < 1_000; i++) {
      const [best] = peers(await spread.route('tel:+4989222', from, 'voice', noFacts)) as ('north' | 'south')[]
      drawn[best!]++
    }
    ok(drawn.south > drawn.north * 2 && drawn.north > 100, JSON.stringify(drawn))
  })
  it('the users of a server of its own need not be known here', async () => {
    const router = createRouter({ ownerOf, islands, operators })
    const routed = await router.route('sip:Romeo@xmpp.example', from, 'voice', noFacts)
    ok('targets' in routed)
    equal(routed.targets[0]?.access, 'xmpp')
    equal(routed.targets[0]?.uri, 'sip:Romeo@xmpp.example')
  })
  it('an operator that is down is left out until it is back; all down is unreachable, with their names', async () => {
    const router = createRouter({ ownerOf, islands, operators })
    router.health('city', false)
    ok(!(peers(await router.route('tel:+4930222', from, 'voice', noFacts)) as string[]).includes('city'))
    router.health('north', false)
    router.health('south', false)
    equal(peers(await router.route('tel:+4930222', from, 'voice', noFacts)), {
      cause: 'unreachable',
      text: 'every operator that serves +4930222 is down: north, south, city'
    })
    router.health('city', true)
    equal(peers(await router.route('tel:+4930222', from, 'voice', noFacts)), ['city'])
  })
  it('nobody there says why, in plain words', async () => {
    const router = createRouter({ ownerOf, islands, operators })
    const why = async (called: string, service: 'voice' | 'message' = 'voice') =>
      (peers(await router.route(called, from, service, noFacts)) as { text: string }).text
    equal(await why('tel:+12025550123'), 'no operator and no island serves +12025550123')
    equal(await why('tel:+33155'), 'off serves +33155 but takes no such traffic')
    equal(await why('sip:carol@acme.example'), 'sip:carol@acme.example is not a user of acme')
    equal(await why('sip:carol@other.example'), 'no island is called other.example')
  })
  it('a call never goes back to the operator it came from, a message never to one that takes none', async () => {
    const router = createRouter({ ownerOf, islands, operators, random: () => 0.5 })
    equal(peers(await router.route('tel:+4989222', { ...caller, peerId: 'south' }, 'voice', noFacts)), ['north'])
    equal(peers(await router.route('tel:+4989222', from, 'message', noFacts)), ['north'])
  })
  it('the number of targets is bounded', async () => {
    const many = Array.from({ length: 20 }, (_, n) => ({ ...operators[0]!, id: `op${n}` }))
    const router = createRouter({ ownerOf, islands, operators: many })
    equal(
      (peers(await router.route('tel:+4989222', from, 'voice', noFacts)) as string[]).length,
      routingLimits.targetsMax
    )
  })
  it('an address of the DNS leads to the island of its domain, a number there only to its own user', async () => {
    const to = (user: string, domain: string) =>
      createRouter({ ownerOf, islands, operators, lookUp: async () => ({ onNet: [{ user, domain }], ported: null }) })
    const first = async (user: string, domain: string) => {
      const routed = await to(user, domain).route('tel:+4989222', { ...caller, peerId: 'x' }, 'voice', noFacts)
      return 'targets' in routed ? routed.targets[0]?.uri : routed
    }
    equal(await first('bob', 'acme.example'), 'sip:bob@acme.example')
    equal(await first('+4930111', 'acme.example'), 'sip:alice@acme.example')
    equal(await first('+4930111', 'xmpp.example'), 'tel:+4989222')
    equal(await first('carol', 'acme.example'), 'tel:+4989222')
  })
  it('an operator that the DNS names is left out while it is down, and is not tried twice', async () => {
    const lookUp = async () => ({ onNet: [{ user: '+4940222', domain: 'north.example' }], ported: null })
    const named = operators.map(one => (one.id === 'north' ? { ...one, domain: 'north.example' } : one))
    const router = createRouter({ ownerOf, islands, operators: named, lookUp })
    equal(peers(await router.route('tel:+4940222', from, 'voice', noFacts)), ['north', 'south'])
    router.health('north', false)
    equal(peers(await router.route('tel:+4940222', from, 'voice', noFacts)), ['south'])
  })
})
