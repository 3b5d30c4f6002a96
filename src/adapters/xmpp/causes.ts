// Why a call or a message failed: the canonical causes, stanza errors (RFC 6120, RFC 7247) and Jingle reasons
// (XEP-0166 7.4, XEP-0353), both ways. Complete by type.

import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import type { Reason, ReleaseCause } from '../../session/model.ts'
import { wordsOf } from '../../session/words.ts'
import { limits } from './limits.ts'

/** Stanza error conditions and the type that goes with each (RFC 6120, 8.3.3). */
export const errorTypes = {
  'bad-request': 'modify',
  conflict: 'cancel',
  'feature-not-implemented': 'cancel',
  forbidden: 'auth',
  gone: 'cancel',
  'internal-server-error': 'cancel',
  'item-not-found': 'cancel',
  'jid-malformed': 'modify',
  'not-acceptable': 'modify',
  'not-allowed': 'cancel',
  'not-authorized': 'auth',
  'policy-violation': 'modify',
  'recipient-unavailable': 'wait',
  redirect: 'modify',
  'registration-required': 'auth',
  'remote-server-not-found': 'cancel',
  'remote-server-timeout': 'wait',
  'resource-constraint': 'wait',
  'service-unavailable': 'cancel',
  'subscription-required': 'auth',
  'undefined-condition': 'cancel',
  'unexpected-request': 'wait'
} as const
export type Condition = keyof typeof errorTypes

export const jingleReasons = [
  'alternative-session',
  'busy',
  'cancel',
  'connectivity-error',
  'decline',
  'expired',
  'failed-application',
  'failed-transport',
  'general-error',
  'gone',
  'incompatible-parameters',
  'media-error',
  'security-error',
  'success',
  'timeout',
  'unsupported-applications',
  'unsupported-transports'
] as const
export type JingleReason = (typeof jingleReasons)[number]

interface Row {
  readonly condition: Condition
  readonly jingle: JingleReason
}

/** A new cause does not compile without its row. */
export const xmppOf = {
  normal: { condition: 'recipient-unavailable', jingle: 'success' },
  cancelled: { condition: 'recipient-unavailable', jingle: 'cancel' },
  'answered-elsewhere': { condition: 'recipient-unavailable', jingle: 'cancel' },
  busy: { condition: 'recipient-unavailable', jingle: 'busy' },
  declined: { condition: 'recipient-unavailable', jingle: 'decline' },
  'no-answer': { condition: 'recipient-unavailable', jingle: 'timeout' },
  'not-found': { condition: 'item-not-found', jingle: 'gone' },
  gone: { condition: 'gone', jingle: 'gone' },
  'address-incomplete': { condition: 'item-not-found', jingle: 'gone' },
  unavailable: { condition: 'recipient-unavailable', jingle: 'gone' },
  unreachable: {
    condition: 'remote-server-timeout',
    jingle: 'general-error'
  },
  'incompatible-media': {
    condition: 'not-acceptable',
    jingle: 'incompatible-parameters'
  },
  forbidden: { condition: 'forbidden', jingle: 'security-error' },
  'no-agreement': {
    condition: 'forbidden',
    jingle: 'security-error'
  },
  'no-rate': { condition: 'forbidden', jingle: 'security-error' },
  'no-credit': { condition: 'forbidden', jingle: 'security-error' },
  'limit-reached': {
    condition: 'resource-constraint',
    jingle: 'general-error'
  },
  'anonymity-refused': {
    condition: 'forbidden',
    jingle: 'security-error'
  },
  'identity-failed': {
    condition: 'forbidden',
    jingle: 'security-error'
  },
  unwanted: { condition: 'recipient-unavailable', jingle: 'decline' },
  congestion: { condition: 'resource-constraint', jingle: 'general-error' },
  'media-lost': { condition: 'internal-server-error', jingle: 'connectivity-error' },
  'peer-failed': {
    condition: 'internal-server-error',
    jingle: 'general-error'
  },
  expired: { condition: 'remote-server-timeout', jingle: 'expired' },
  internal: { condition: 'internal-server-error', jingle: 'general-error' }
} as const satisfies Record<ReleaseCause, Row>

/** What an island's server or client means by an error (RFC 7247, 6). */
export const causeOfCondition = {
  'bad-request': 'peer-failed',
  conflict: 'peer-failed',
  'feature-not-implemented': 'incompatible-media',
  forbidden: 'forbidden',
  gone: 'gone',
  'internal-server-error': 'peer-failed',
  'item-not-found': 'not-found',
  'jid-malformed': 'not-found',
  'not-acceptable': 'incompatible-media',
  'not-allowed': 'forbidden',
  'not-authorized': 'forbidden',
  'policy-violation': 'forbidden',
  'recipient-unavailable': 'unavailable',
  redirect: 'unavailable',
  'registration-required': 'forbidden',
  'remote-server-not-found': 'not-found',
  'remote-server-timeout': 'unreachable',
  'resource-constraint': 'congestion',
  'service-unavailable': 'unavailable',
  'subscription-required': 'forbidden',
  'undefined-condition': 'peer-failed',
  'unexpected-request': 'peer-failed'
} as const satisfies Record<Condition, ReleaseCause>

interface Heard {
  /** Before the answer. */
  readonly early: ReleaseCause
  /** After it: everything is a hang-up, with the Q.850 value that says why. */
  readonly late: ReleaseCause
  readonly q850: number
}

/** What a user's client means by a Jingle or JMI reason. */
export const causeOfJingle = {
  'alternative-session': { early: 'busy', late: 'normal', q850: 16 },
  busy: { early: 'busy', late: 'normal', q850: 16 },
  cancel: { early: 'cancelled', late: 'normal', q850: 16 },
  'connectivity-error': { early: 'incompatible-media', late: 'media-lost', q850: 41 },
  decline: { early: 'declined', late: 'normal', q850: 16 },
  expired: { early: 'no-answer', late: 'expired', q850: 31 },
  'failed-application': { early: 'peer-failed', late: 'peer-failed', q850: 41 },
  'failed-transport': { early: 'incompatible-media', late: 'media-lost', q850: 41 },
  'general-error': { early: 'peer-failed', late: 'peer-failed', q850: 41 },
  gone: { early: 'unavailable', late: 'normal', q850: 16 },
  'incompatible-parameters': { early: 'incompatible-media', late: 'peer-failed', q850: 41 },
  'media-error': { early: 'incompatible-media', late: 'media-lost', q850: 41 },
  'security-error': { early: 'forbidden', late: 'peer-failed', q850: 41 },
  success: { early: 'normal', late: 'normal', q850: 16 },
  timeout: { early: 'no-answer', late: 'media-lost', q850: 41 },
  'unsupported-applications': { early: 'incompatible-media', late: 'peer-failed', q850: 41 },
  'unsupported-transports': { early: 'incompatible-media', late: 'peer-failed', q850: 41 }
} as const satisfies Record<JingleReason, Heard>

/** A final status of the phone network that says more than its cause (the first column of the reference's table). */
const jingleByStatus: Readonly<Record<number, JingleReason>> = {
  405: 'unsupported-applications',
  408: 'timeout',
  420: 'unsupported-applications',
  421: 'unsupported-applications',
  501: 'unsupported-applications',
  504: 'timeout',
  580: 'failed-transport'
}

export const jingleOf = ({ cause, sip }: Reason): JingleReason =>
  (sip === undefined ? undefined : jingleByStatus[sip]) ?? xmppOf[cause].jingle

export const conditionOfCause = ({ cause }: Reason): Condition => xmppOf[cause].condition

const causeNs = 'urn:isthmus:cause:0'

/** The cause as the core knows it, for another hub and for whoever reads a trace: one child of our own is allowed. */
export const causeElement = ({ cause, sip, q850 }: Reason): Element =>
  xml('cause', { xmlns: causeNs, name: cause, sip, q850 })

/** `<reason/>` of a session-terminate, reject, retract or finish. `xmlns`: where the parent's is another one (JMI). */
export function reasonElement(reason: Reason, xmlns?: string): Element {
  return xml('reason', { xmlns }, xml(jingleOf(reason)), xml('text', {}, wordsOf(reason)), causeElement(reason))
}

/** What a `<reason/>` says; `answered`: whether the call was. A missing or unknown one is an ordinary end. */
export function reasonFrom(element: Element | undefined, answered: boolean): Reason {
  const name = element
    ?.getChildElements()
    .find(child => isJingleReason(child.getName()))
    ?.getName()
  const heard = causeOfJingle[name !== undefined && isJingleReason(name) ? name : answered ? 'success' : 'busy']
  const words = element?.getChildText('text')?.trim().slice(0, limits.reasonCharactersMax) ?? ''
  return {
    cause: answered ? heard.late : heard.early,
    ...(answered ? { q850: heard.q850 } : {}),
    ...(words === '' ? {} : { text: words })
  }
}

export const isJingleReason = (name: string): name is JingleReason =>
  (jingleReasons as readonly string[]).includes(name)
