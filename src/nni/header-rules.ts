// What becomes of every header field of TS 29.165 annex A at the border, and what a peer's trust says of those whose
// crossing is a matter of agreement (table 6.2). A field that is not here never crosses.

import { agreedFields } from '../config/operators.ts'
import type { AgreedField } from '../config/operators.ts'

/**
 * `own`: each leg has its own, written by the hub or its engine. `never`: not on a non-roaming interface. `stays`:
 * about this hop, or about something the hub does not do. `open`: crosses whatever the trust. `trusted`: crosses from a
 * trusted peer to a trusted one. `agreed`: crosses where the profiles of both name it.
 */
export type Rule = 'own' | 'never' | 'stays' | 'open' | 'trusted' | 'agreed'

const named = (rule: Rule, names: string): readonly (readonly [string, Rule])[] =>
  names
    .trim()
    .split(/\s+/)
    .map(name => [name, rule] as const)

/** By name in lower case. */
export const headerRules: ReadonlyMap<string, Rule> = new Map(
  [
    ...named(
      'own',
      `Accept Allow Call-ID Contact Content-Disposition Content-Length Content-Type CSeq From Max-Breadth Max-Forwards
       MIME-Version Min-SE P-Asserted-Identity P-Charging-Vector P-Early-Media Privacy RAck Reason Record-Route Require
       Retry-After Route RSeq Session-Expires Supported To Unsupported User-Agent Via`
    ),
    ...named(
      'never',
      `Authentication-Info Authorization P-Associated-URI P-Called-Party-ID P-Charging-Function-Addresses
       P-Media-Authorization P-Preferred-Identity P-Preferred-Service P-Profile-Key P-Served-User P-User-Database
       P-Visited-Network-ID Path Priority-Share Proxy-Authenticate Proxy-Authorization Relayed-Charge Resource-Share
       Restoration-Info Security-Client Security-Server Security-Verify Service-Route WWW-Authenticate`
    ),
    ...named(
      'stays',
      `Accept-Encoding Accept-Resource-Priority Allow-Events Content-Encoding Content-ID Content-Language Diversion
       Error-Info Event Expires Flow-Timer In-Reply-To Info-Package Join Min-Expires P-Refused-URI-List
       Permission-Missing Policy-Contact Priv-Answer-Mode Proxy-Require Recv-Info Refer-Sub Refer-To Replaces Reply-To
       Server SIP-ETag SIP-If-Match Subscription-State Suppress-If-Match Target-Dialog Timestamp Trigger-Consent
       Warning`
    ),
    ...named(
      'open',
      `Accept-Contact Accept-Language Call-Info Date Geolocation Geolocation-Error Geolocation-Routing Organization
       Reject-Contact Request-Disposition Session-ID Subject User-to-User`
    ),
    ...named(
      'trusted',
      `Additional-Identity Alert-Info Cellular-Network-Info History-Info P-Access-Network-Info Priority Referred-By
       Response-Source`
    ),
    ...named(
      'agreed',
      `Answer-Mode Attestation-Info Feature-Caps Identity Origination-Id P-Answer-State P-Asserted-Service
       P-Private-Network-Indication Resource-Priority Service-Interact-Info`
    )
  ].map(([name, rule]) => [name.toLowerCase(), rule])
)

const ruleOf = (field: AgreedField): Rule => headerRules.get(field.toLowerCase()) ?? 'stays'

/** What crosses from leg to leg, as it is spelled; the rest of the agreed fields the hub writes itself. */
export const crossingFields: readonly AgreedField[] = agreedFields.filter(field => ruleOf(field) !== 'own')

/** Who vouches only inside the trust domain: P-Asserted-Identity and its like; open ones are nobody's word. */
function byTrust(field: AgreedField, trusted: boolean): boolean {
  const rule = ruleOf(field)
  return rule === 'open' || (trusted && rule !== 'agreed')
}

/** The fields that a peer is sent, or that count when it sends them. */
export function agreed(
  trusted: boolean,
  headers: Readonly<Partial<Record<AgreedField, string>>>,
  direction: 'sent' | 'received'
): ReadonlySet<AgreedField> {
  return new Set(
    agreedFields.filter(field => {
      const said = headers[field]
      return said === undefined ? byTrust(field, trusted) : said === 'both' || said === direction
    })
  )
}
