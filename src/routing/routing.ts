// Router: a called number or user to ordered targets: island users, then operators by longest prefix, priority and
// weight, leaving out those that keepalives say are down. Nobody there is answered with the reason in plain words.

import type { Leg, ReleaseCause, Service, Target } from '../session/model.ts'
import type { Routed, Router } from '../session/ports.ts'
import type { IslandConfig, OperatorConfig } from '../config.ts'
import type { Directory } from './directory.ts'

export const routingLimits = { targetsMax: 8 } as const

export interface RoutingParts {
  readonly islands: readonly IslandConfig[]
  readonly operators: readonly OperatorConfig[]
  /** The island user that a number belongs to. */
  readonly ownerOf: Directory['ownerOf']
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

const nobody = (cause: ReleaseCause, text: string): Routed => ({ nobody: { cause, text } })

export function createRouter({ islands, operators, ownerOf, random = Math.random }: RoutingParts): HealthyRouter {
  const down = new Set<string>()
  const byId = new Map(islands.map(island => [island.id, island]))
  const domains = new Map(islands.map(island => [island.domain.toLowerCase(), island]))
  const registered = new Map(
    islands.flatMap(island => island.users.map(({ name }) => [addressOf(island, name).toLowerCase(), name] as const))
  )

  function toNumber(called: string, caller: Leg, service: Service | 'message'): Routed {
    const number = called.slice('tel:'.length)
    const serving = candidates(number, operators).filter(({ operator }) => operator.id !== caller.peerId)
    const able = serving.filter(
      ({ operator }) => operator.enabled && (service !== 'message' || operator.methods.includes('MESSAGE'))
    )
    const up = able.filter(({ operator }) => !down.has(operator.id))
    if (up.length > 0) {
      const ordered = [...up].sort(before(random)).slice(0, routingLimits.targetsMax)
      return { targets: ordered.map(({ operator }) => toOperator(operator, called)) }
    }
    const names = [...new Set(serving.map(({ operator }) => operator.id))].join(', ')
    if (able.length > 0) return nobody('unreachable', `every operator that serves ${number} is down: ${names}`)
    if (serving.length > 0) return nobody('not-found', `${names} serves ${number} but takes no such traffic`)
    return nobody('not-found', `no operator and no island serves ${number}`)
  }

  return {
    down,
    health: (peerId, up) => void (up ? down.delete(peerId) : down.add(peerId)),
    route: async (called, caller, service) => {
      if (called.startsWith('tel:')) {
        const owner = ownerOf(called.slice('tel:'.length))
        const home = owner === null ? undefined : byId.get(owner.islandId)
        if (owner === null || home === undefined) return toNumber(called, caller, service)
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

/** The longest matching prefix of each operator. */
function candidates(number: string, operators: readonly OperatorConfig[]): readonly Candidate[] {
  return operators.flatMap(operator => {
    const [best] = operator.routes
      .filter(({ prefix }) => number.startsWith(prefix))
      .sort((a, b) => b.prefix.length - a.prefix.length)
    if (best === undefined) return []
    const { prefix, priority, weight } = best
    return [{ operator, prefixLength: prefix.length, priority, weight }]
  })
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
