// What the sandbox operator does with a call, by the last digits of the number that is called.

export type Behaviour =
  | { readonly does: 'refuse'; readonly status: number }
  | { readonly does: 'echo' | 'no-answer' | 'answer-late' | 'early-media' | 'hang-up' }

export interface NumberRule {
  /** The last digits. */
  readonly ending: string
  readonly behaviour: Behaviour
  readonly about: string
}

/** The endings are the SIP status that they lead to, where there is one. Every other number echoes. */
export const numberRules = [
  { ending: '404', behaviour: { does: 'refuse', status: 404 }, about: 'nobody there: 404' },
  { ending: '486', behaviour: { does: 'refuse', status: 486 }, about: 'busy: 486' },
  { ending: '503', behaviour: { does: 'refuse', status: 503 }, about: 'no capacity: 503' },
  { ending: '603', behaviour: { does: 'refuse', status: 603 }, about: 'declined: 603' },
  { ending: '180', behaviour: { does: 'no-answer' }, about: 'rings and is never answered' },
  { ending: '183', behaviour: { does: 'early-media' }, about: 'early media: 183 with SDP and a tone, answered later' },
  { ending: '200', behaviour: { does: 'answer-late' }, about: 'rings for a while, then answers' },
  { ending: '299', behaviour: { does: 'hang-up' }, about: 'answers, and hangs up after a while' }
] as const satisfies readonly NumberRule[]

export const behaviourOf = (number: string): Behaviour =>
  numberRules.find(({ ending }) => number.endsWith(ending))?.behaviour ?? { does: 'echo' }
