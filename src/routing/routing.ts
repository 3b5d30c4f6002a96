// Router: a called number or user to ordered targets: island users, then operators by what the DNS knows of the number,
// by longest prefix, priority and weight, leaving out those that keepalives say are down. Nobody there is answered with
// the reason in plain words.

import type { Leg, Ported, ReleaseCause, Service, Target } from '../session/model.ts'
import type { Routed, Router } from '../session/ports.ts'
import { whenKnown } from '../session/soon.ts'
import type { Soon } from '../session/soon.ts'
import type { IslandConfig, OperatorConfig } from '../config.ts'
import type { Directory } from './directory.ts'
import type { LookUp, OnNet } from './enum.ts'

export const routingLimits = { targetsMax: 8 } as const

export interface RoutingParts {
  readonly islands: readonly IslandConfig[]
  readonly operators: readonly OperatorConfig[]
  /** The island user that a number belongs to. */
  readonly ownerOf: Directory['ownerOf']
  /** ENUM; numbers are not looked up unless given. */
  readonly lookUp?: LookUp
  /** 0 <= n < 1, for weights (RFC 2782). */
  readonly random?: () => number
}

export interface HealthyRouter extends Router {
  /** What the keepalives of a peer say (RTE-09). Peers are taken as up until told otherwise. */
  health(peerId: string, up: boolean): void
  readonly down: ReadonlySet<string>
}

interface Candidate {
  readonly operator: OperatorConfig
  readonly prefixLength: number
  readonly priority: number
  readonly weight: number
}

interface Served {
  readonly operator: OperatorConfig
  /** Its routes, the longest prefix first. */
  readonly routes: readonly (Candidate & { readonly prefix: string })[]
}

const nobody = (cause: ReleaseCause, text: string): Routed => ({ nobody: { cause, text } })

export function createRouter({
  islands,
  operators,
  ownerOf,
  lookUp,
  random = Math.random
}: RoutingParts): HealthyRouter {
  const down = new Set<string>()
  const served = operators.map(servedBy)
  const byId = new Map(islands.map(island => [island.id, island]))
  const domains = new Map(islands.map(island => [island.domain.toLowerCase(), island]))
  const registered = new Map(
    islands.flatMap(island => island.users.map(({ name }) => [addressOf(island, name).toLowerCase(), name] as const))
  )

  /** The number where it is at home; by its routing number where it has moved (NUM-05). */
  function toNumber(called: string, caller: Leg, service: Service | 'message', told: Ported): Soon<Routed> {
    const dialled = called.slice('tel:'.length)
    const isKnown = told.npdi || told.rn !== null
    const takes = (operator: OperatorConfig): boolean =>
      operator.enabled && (service !== 'message' || operator.methods.includes('MESSAGE'))
    return whenKnown(isKnown || lookUp === undefined ? null : lookUp(dialled), found => {
      const ported = found?.ported ?? null
      const number = ported?.rn ?? told.rn ?? dialled
      const serving = candidates(number, served, caller.peerId)
      const up = serving.filter(({ operator }) => takes(operator) && !down.has(operator.id))
      if (up.length > 1) up.sort(before(random))
      const targets = found === null ? [] : found.onNet.flatMap(address => toAddress(address, caller, takes))
      for (const { operator } of up) targets.push(toOperator(operator, called))
      if (targets.length === 0) return nowhere(number, serving, takes)
      const best = targets.length === 1 ? targets : unique(targets).slice(0, routingLimits.targetsMax)
      return ported === null ? { targets: best } : { targets: best, ported }
    })
  }

  /** Whose domain stands in an address that the DNS gives for a number. */
  function toAddress({ user, domain }: OnNet, caller: Leg, takes: (one: OperatorConfig) => boolean): Target[] {
    const number = user.startsWith('+')
    const uri = number ? `tel:${user}` : `sip:${user}@${domain}`
    const island = domains.get(domain)
    if (island !== undefined) {
      const owner = number ? ownerOf(user) : null
      const name = owner?.islandId === island.id ? owner.user : registered.get(uri.toLowerCase())
      return name === undefined ? [] : [toUser(island, name)]
    }
    return operators
      .filter(one => one.id !== caller.peerId && takes(one) && !down.has(one.id) && domainOf(one) === domain)
      .map(one => toOperator(one, uri))
  }

  return {
    down,
    health: (peerId, up) => void (up ? down.delete(peerId) : down.add(peerId)),
    route: (called, caller, service, ported): Soon<Routed> => {
      if (called.startsWith('tel:')) {
        const owner = ownerOf(called.slice('tel:'.length))
        const home = owner === null ? undefined : byId.get(owner.islandId)
        if (owner === null || home === undefined) return toNumber(called, caller, service, ported)
        return { targets: [toUser(home, owner.user)] }
      }
      const domain = called.slice(called.lastIndexOf('@') + 1).toLowerCase()
      const island = domains.get(domain)
      if (island === undefined) return nobody('not-found', `no island is called ${domain}`)
      // Who registers here is known here; the users of a server of their own are that server's affair.
      const user = registered.get(called.toLowerCase()) ?? (island.access === 'sip-ws' ? null : userOf(called))
      if (user === null) return nobody('not-found', `${called} is not a user of ${island.id}`)
      return { targets: [toUser(island, user)] }
    }
  }
}

const addressOf = ({ domain }: IslandConfig, name: string): string => `sip:${name}@${domain}`
/** The user part of `sip:user@domain`, as it is written. */
const userOf = (address: string): string => address.slice('sip:'.length, address.lastIndexOf('@'))

const toUser = (island: IslandConfig, name: string): Target => ({
  access: island.access,
  peerId: island.id,
  uri: addressOf(island, name),
  trust: 'user',
  media: island.media,
  needsOffer: true
})

const toOperator = ({ id, trust, allowOfferless }: OperatorConfig, uri: string): Target => ({
  access: 'nni',
  peerId: id,
  uri,
  trust,
  media: 'rtp',
  needsOffer: !allowOfferless
})

/** The same call to the same peer once. */
const unique = (targets: readonly Target[]): readonly Target[] =>
  targets.filter(({ peerId, uri }, n) => targets.findIndex(one => one.peerId === peerId && one.uri === uri) === n)

/** Why a number leads nowhere: of those that serve it, those that would take the call are down. */
function nowhere(number: string, serving: readonly Candidate[], takes: (operator: OperatorConfig) => boolean): Routed {
  const able = serving.filter(({ operator }) => takes(operator))
  const names = [...new Set(serving.map(({ operator }) => operator.id))].join(', ')
  if (able.length > 0) return nobody('unreachable', `every operator that serves ${number} is down: ${names}`)
  if (serving.length > 0) return nobody('not-found', `${names} serves ${number} but takes no such traffic`)
  return nobody('not-found', `no operator and no island serves ${number}`)
}

const domainOf = ({ domain, address }: OperatorConfig): string => (domain ?? address.host).toLowerCase()

const servedBy = (operator: OperatorConfig): Served => ({
  operator,
  routes: operator.routes
    .map(({ prefix, priority, weight }) => ({ operator, prefix, prefixLength: prefix.length, priority, weight }))
    .sort((a, b) => b.prefixLength - a.prefixLength)
})

/** The longest matching prefix of each operator but the one that calls. */
function candidates(number: string, served: readonly Served[], callerId: string): Candidate[] {
  const found: Candidate[] = []
  for (const { operator, routes } of served) {
    const best = operator.id === callerId ? undefined : routes.find(({ prefix }) => number.startsWith(prefix))
    if (best !== undefined) found.push(best)
  }
  return found
}

/** Longest prefix, then lowest priority number, then chance by weight: each draws once (RFC 2782). */
function before(random: () => number): (a: Candidate, b: Candidate) => number {
  const draws = new Map<Candidate, number>()
  const draw = (c: Candidate): number => {
    const drawn = draws.get(c) ?? -Math.log(1 - random()) / c.weight
    draws.set(c, drawn)
    return drawn
  }
  return (a, b) => b.prefixLength - a.prefixLength || a.priority - b.priority || draw(a) - draw(b)
}
