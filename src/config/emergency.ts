// Calls for help: which operators take them, and what users of SIP islands may dial (TS 29.165, 30.2; RFC 5031).

import { z } from 'zod'
import { e164, emergencyService as service, id } from './basics.ts'

export const emergency = z
  .strictObject({
    /** Tried in this order. None: callers are told to use a phone, and an error is logged. */
    routes: z
      .array(
        z.strictObject({
          operator: id,
          /** Only this service and those below it. */
          service: service.default('urn:service:sos'),
          /** Called in place of the URN, where the operator takes none. */
          number: e164.optional()
        })
      )
      .max(16)
      .default([]),
    /** What users of sip-ws islands may dial; those of XMPP and Matrix islands have their dial plan. */
    dialled: z
      .array(
        z.strictObject({ dialled: z.string().regex(/^[0-9*#]{1,16}$/), service: service.default('urn:service:sos') })
      )
      .max(64)
      .default([
        { dialled: '112', service: 'urn:service:sos' },
        { dialled: '911', service: 'urn:service:sos' }
      ])
  })
  .prefault({})

export type EmergencyConfig = z.infer<typeof emergency>

/** What a schema of one key cannot see: every route leads to an operator inside the trust domain (EMG-03). */
export function emergencyContradictions(
  { routes }: EmergencyConfig,
  operators: readonly { readonly id: string; readonly trust: string }[]
): readonly string[] {
  return routes.flatMap(({ operator }) => {
    const found = operators.find(({ id }) => id === operator)
    if (found === undefined) return [`emergency: no operator is called "${operator}"`]
    return found.trust === 'network'
      ? []
      : [`emergency: ${operator} must have trust: network, or callers stay unknown to it`]
  })
}

/** With emergency routes, what islands have in their dial plans and leads to no number leads to those. */
export const withEmergencyRoutes = <I extends { readonly access: string }>(
  islands: readonly I[],
  { routes }: EmergencyConfig
): readonly I[] => (routes.length === 0 ? islands : islands.map(served))

interface Planned {
  readonly dialPlan: {
    readonly emergency: readonly { readonly number?: string | undefined; readonly service?: string | undefined }[]
  }
}
const hasPlan = (island: object): island is Planned => 'dialPlan' in island

function served<I extends { readonly access: string }>(island: I): I {
  if (!hasPlan(island)) return island
  const { dialPlan } = island
  const emergency = dialPlan.emergency.map(entry =>
    entry.number === undefined ? { service: 'urn:service:sos', ...entry } : entry
  )
  return { ...island, dialPlan: { ...dialPlan, emergency } }
}
