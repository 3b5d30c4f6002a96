// Calls for help (RFC 5031): what is one, and what whoever makes one hears where none can be served. Pure.

import type { Reason } from './model.ts'

/** All emergency services, or one of them: `urn:service:sos.police`. */
export const isEmergency = (called: string): boolean =>
  (called.startsWith('u') || called.startsWith('U')) && /^urn:service:sos(\.[a-z0-9-]+)*$/i.test(called)

/** The canonical form of an emergency URN (RFC 5031, 4.1: without case); null for everything else. */
export const emergencyOf = (urn: string): string | null => (isEmergency(urn) ? urn.toLowerCase() : null)

/** What a device does that hears it: TS 24.229, 5.2.10.5. */
export const alternativeServiceStatus = 380

/** Nobody here takes calls for help: the device has to use its phone. */
export const noEmergencyRoute: Reason = {
  cause: 'not-found',
  sip: alternativeServiceStatus,
  text: 'emergency services cannot be reached from here, use a phone to call for help'
}

/** Whether a leg that ends so should be told to use its phone. */
export const isAlternativeService = ({ from, sip }: { readonly from: string; readonly sip?: number }): boolean =>
  from === 'hub' && sip === alternativeServiceStatus
