// Calls for help go to the emergency routes, before and beside everything that holds for other calls; where there is
// none, somebody must know.

import type { EmergencyConfig } from '../config/emergency.ts'
import { isEmergency, noEmergencyRoute } from '../session/emergency.ts'
import type { Target } from '../session/model.ts'
import type { Routed, Router } from '../session/ports.ts'
import type { Soon } from '../session/soon.ts'

export interface EmergencyParts {
  readonly routes: EmergencyConfig['routes']
  /** Of operators that are enabled: whether an invitation needs an offer. */
  readonly operators: readonly { readonly id: string; readonly enabled: boolean; readonly allowOfferless: boolean }[]
  /** Operators that keepalives say are down: they are tried last. */
  readonly down: ReadonlySet<string>
  /** An alarm: nobody takes this call. */
  readonly onUnserved: (called: string, peerId: string) => void
}

/** The router with emergency routes before it. */
export function withEmergency(router: Router, parts: EmergencyParts): Router {
  const { routes, operators, down, onUnserved } = parts
  const byId = new Map(operators.filter(({ enabled }) => enabled).map(operator => [operator.id, operator]))

  function serving(called: string, callerId: string): readonly Target[] {
    const below = (service: string): boolean => called === service || called.startsWith(`${service}.`)
    const targets = routes.flatMap(({ operator, service, number }): readonly Target[] => {
      const found = byId.get(operator)
      if (found === undefined || operator === callerId || !below(service)) return []
      const uri = number === undefined ? called : `tel:${number}`
      const { allowOfferless } = found
      return [{ access: 'nni', peerId: operator, uri, trust: 'network', media: 'rtp', needsOffer: !allowOfferless }]
    })
    return [...targets.filter(({ peerId }) => !down.has(peerId)), ...targets.filter(({ peerId }) => down.has(peerId))]
  }

  return {
    route: (called, caller, service, ported): Soon<Routed> => {
      if (!isEmergency(called)) return router.route(called, caller, service, ported)
      const targets = service === 'message' ? [] : serving(called, caller.peerId)
      if (targets.length > 0) return { targets }
      onUnserved(called, caller.peerId)
      return { nobody: noEmergencyRoute }
    }
  }
}
