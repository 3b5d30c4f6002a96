// What a probe of `isthmus nni check` is, and the words its outcomes are made of.

import type { SipResponse } from '../../sip/message.ts'
import type { Answered, Line, TestCall } from './line.ts'

export const verdicts = ['pass', 'fail', 'not shown'] as const
export type Verdict = (typeof verdicts)[number]

export interface Outcome {
  readonly verdict: Verdict
  /** In plain words: what the peer did. */
  readonly said: string
}

export interface Probe {
  /** Of the profile (`docs/nni-conformance.md`). */
  readonly item: string
  /** What is expected of the peer. */
  readonly expects: string
  run(line: Line): Promise<Outcome>
}

export const pass = (said: string): Outcome => ({ verdict: 'pass', said })
export const fail = (said: string): Outcome => ({ verdict: 'fail', said })
export const notShown = (said: string): Outcome => ({ verdict: 'not shown', said })

export const words = ({ status, reason }: SipResponse): string => `${status} ${reason}`
export const hasTag = (response: SipResponse, name: string, tag: string): boolean =>
  response.headers.all(name).some(value => value.toLowerCase() === tag)

/** A request that was answered, judged; silence and broken paths are failures. */
export function judged(answer: Answered | 'timeout' | 'transport', judge: (answer: Answered) => Outcome): Outcome {
  if (answer === 'timeout') return fail('no answer')
  if (answer === 'transport') return fail('no path to the peer')
  return judge(answer)
}

/** Places a call to a number that answers, judges it once it is answered, and hangs up. */
export async function whileTalking(
  line: Line,
  parts: Parameters<Line['call']>[1],
  judge: (call: TestCall, response: SipResponse) => Promise<Outcome> | Outcome
): Promise<Outcome> {
  const { answers } = line.target.numbers
  if (answers === null) return notShown('needs --number, a number of the peer that answers')
  const call = line.call(answers, parts)
  await call.settled()
  if (call.accepted === null) return refused(call)
  const outcome = await judge(call, call.accepted)
  await call.hangUp()
  return outcome
}

/** The same for calls that should be refused: `judge` sees the final answer, whatever it is. */
export async function onceFinal(
  line: Line,
  number: string | null,
  parts: Parameters<Line['call']>[1],
  judge: (response: SipResponse, call: TestCall) => Outcome
): Promise<Outcome> {
  if (number === null) return notShown('needs --number, a number of the peer that answers')
  const call = line.call(number, parts)
  await call.settled()
  const { final } = call
  if (call.accepted !== null || call.ended === null) await call.hangUp()
  return final === null ? fail('no final answer') : judge(final, call)
}

function refused(call: TestCall): Outcome {
  const { final } = call
  if (call.ended === null) call.sip.end()
  return final === null ? fail('no answer to the INVITE') : fail(`the call was refused: ${words(final)}`)
}
