// Router: a called number or user to ordered targets: island users, then operators by longest prefix, priority and
// weight, leaving out those that keepalives say are down. Nobody there is answered with the reason in plain words.

import type { Leg, ReleaseCause, Service, Target } from '../session/model.ts'
import type { Routed, Router } from '../session/ports.ts'
import type { IslandConfig, OperatorConfig } from '../config.ts'

export const routingLimits = { targetsMax: 8 } as const

export interface RoutingParts {
  readonly islands: readonly IslandConfig[]
  readonly operators: readonly OperatorConfig[]
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

export function createRouter({ islands, operators, random = Math.random }: RoutingParts): HealthyRouter {
  const down = new Set<string>()
  const users = new Map<string, Target>()
  const domains = new Map(islands.map(island => [island.domain.toLowerCase(), island]))
  for (const island of islands) {
    for (const user of island.users) {
      const target = toUser(island, user.name)
      users.set(target.uri.toLowerCase(), target)
      if (user.number !== undefined) users.set(`tel:${user.number}`, target)
    }
  }

  function toNumber(called: string, caller: Leg, service: Service | 'message'): Routed {
    const number = called.slice('tel:'.length)
    const serving = candidates(number, operators).filter(({ operator }) => operator.id !== caller.peerId)
    const able = serving.filter(({ operator }) => operator.enabled && (service !== 'message' || operator.messages))
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
      const user = users.get(called.toLowerCase())
      if (user !== undefined) return { targets: [user] }
      if (called.startsWith('tel:')) return toNumber(called, caller, service)
      const domain = called.slice(called.lastIndexOf('@') + 1).toLowerCase()
      const island = domains.get(domain)
      if (island === undefined) return nobody('not-found', `no island is called ${domain}`)
      return nobody('not-found', `${called} is not a user of ${island.id}`)
    }
  }
}

const toUser = ({ id, access, domain, media }: IslandConfig, name: string): Target => ({
  access,
  peerId: id,
  uri: `sip:${name}@${domain}`,
  trust: 'user',
  media,
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
