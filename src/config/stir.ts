// STIR (RFC 8224, ATIS-1000074): what the hub signs calls with, whom it believes, and what was agreed with an operator.

import { z } from 'zod'

const attestation = z.enum(['A', 'B', 'C'])
const url = z.string().regex(/^https?:\/\/[^/\s@<>]+\/\S*$/, 'a URL such as https://certs.example/hub.pem')
const hostPort = z.string().regex(/^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/, 'a host, or host:port')

export const hubStir = z
  .strictObject({
    /** Signs calls: the private key of a P-256 certificate for the hub's numbers, in PEM. */
    keyFile: z.string().optional(),
    /** That certificate and those between it and its authority: the same file that `x5u` leads to. */
    certFile: z.string().optional(),
    /** Where others fetch the certificate. */
    x5u: url.optional(),
    /** How far the hub vouches for an island's number, by the method of its proof; what is not here is B. */
    attest: z.record(z.string().min(1), attestation).default({ configuration: 'A' }),
    /** Authorities that may issue certificates for numbers, in PEM. */
    caFile: z.string().optional(),
    /** The web servers that certificates are fetched from; whoever is not here is not asked. */
    hosts: z.array(hostPort).default([]),
    /** Who vouches for those web servers, where the usual authorities do not. */
    webCaFile: z.string().optional(),
    /** Fetch by http, too. */
    insecure: z.boolean().default(false)
  })
  .prefault({})

export const operatorStir = z
  .strictObject({
    /** `none`: not looked at; `mark`: checked, and told onwards; `refuse`: without a proof there is no call. */
    verify: z.enum(['none', 'mark', 'refuse']).default('none'),
    /** What goes to it unsigned is signed by the hub. */
    sign: z.boolean().default(false)
  })
  .prefault({})

type HubStir = z.infer<typeof hubStir>
type Operator = { readonly id: string; readonly stir: z.infer<typeof operatorStir> }

/** What was agreed with an operator and cannot be kept. */
export function stirContradictions(stir: HubStir, operators: readonly Operator[]): readonly string[] {
  const problems: string[] = []
  const parts = [stir.keyFile, stir.certFile, stir.x5u]
  const some = parts.some(part => part !== undefined)
  if (some && parts.includes(undefined)) problems.push('hub.stir: keyFile, certFile and x5u belong together')
  for (const { id, stir: agreed } of operators) {
    if (agreed.sign && !some) problems.push(`operator ${id}: calls cannot be signed without hub.stir.keyFile`)
    const blind = stir.caFile === undefined || stir.hosts.length === 0
    if (agreed.verify !== 'none' && blind)
      problems.push(`operator ${id}: callers cannot be checked without hub.stir.caFile and hosts`)
  }
  return problems
}
