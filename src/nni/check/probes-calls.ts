// Probes that place calls: answer and end, media, CANCEL, 100rel, UPDATE, hold, timers, privacy, codecs, charging.

import type { SipResponse } from '../../sip/message.ts'
import { newCallId } from '../../sip/message.ts'
import type { Line, TestCall } from './line.ts'
import { fail, hasTag, notShown, onceFinal, pass, whileTalking, words } from './probe.ts'
import type { Outcome, Probe } from './probe.ts'

const header = (name: string, value: string) => ({ name, value })
const bodyOf = (response: SipResponse): string => response.body.toString()
const directionOf = (sdp: string): string => /^a=(sendrecv|sendonly|recvonly|inactive)/m.exec(sdp)?.[1] ?? 'sendrecv'

/** The payload types that an answer took. */
const formatsOf = (sdp: string): readonly number[] =>
  (/^m=audio [1-9]\d* \S+ (.+)$/m.exec(sdp)?.[1] ?? '')
    .trim()
    .split(/\s+/)
    .filter(text => text !== '')
    .map(Number)

/** Where the answer of a call came: in a reliable provisional answer, or in the 2xx. */
const answerOf = (call: TestCall, final: SipResponse): string => {
  if (final.body.length > 0) return bodyOf(final)
  const early = call.provisionals.find(({ response }) => response.body.length > 0)
  return early === undefined ? '' : bodyOf(early.response)
}

async function answered(line: Line): Promise<Outcome> {
  return whileTalking(line, {}, async (call, response) => {
    const sdp = answerOf(call, response)
    const offered = line.target.agreed.codecs.map(({ payloadType }) => payloadType)
    const formats = formatsOf(sdp)
    if (!response.headers.has('Contact')) return fail('the 200 has no Contact')
    if (formats.length === 0) return fail('no media was taken')
    if (!/^m=audio \d+ RTP\/AVP /m.test(sdp)) return fail('the answer is not RTP/AVP')
    const strange = formats.filter(one => !offered.includes(one))
    if (strange.length > 0) return fail(`the answer has payload types that were not offered: ${strange.join(', ')}`)
    await call.hangUp()
    return call.ended?.how === 'bye' ? pass(`${words(response)}, then BYE`) : fail('BYE was not answered')
  })
}

async function media(line: Line): Promise<Outcome> {
  const before = line.packets
  return whileTalking(line, {}, async (call, response) => {
    line.speak(answerOf(call, response))
    const heard = await line.until(() => line.packets > before)
    return heard ? pass('RTP comes back') : fail('no RTP came')
  })
}

async function cancelled(line: Line): Promise<Outcome> {
  const { rings, answers } = line.target.numbers
  const number = rings ?? answers
  if (number === null) return notShown('needs --ringing or --number')
  const call = line.call(number)
  await call.wait(() => call.provisionals.length > 0 || call.final !== null)
  if (call.accepted !== null || call.ended !== null) {
    await call.hangUp()
    return notShown('it answered before CANCEL could be sent: give --ringing, a number that rings for long')
  }
  call.sip.cancel()
  await call.wait(() => call.ended !== null)
  if (call.ended === null) return fail('no answer to the INVITE after CANCEL')
  return endedBy(call)
}

function endedBy({ final }: TestCall): Outcome {
  if (final?.status === 487) return pass(words(final))
  return final !== null && final.status < 300
    ? notShown('it answered before CANCEL came')
    : fail(final === null ? 'no 487 after CANCEL' : `${words(final)} instead of 487`)
}

async function reliable(line: Line): Promise<Outcome> {
  const { answers, rings } = line.target.numbers
  const number = rings ?? answers
  if (number === null) return notShown('needs --ringing or --number')
  const call = line.call(number, { requireReliable: true })
  await call.wait(() => call.provisionals.length > 0 || call.final !== null)
  const [first] = call.provisionals
  const outcome = await (first === undefined ? Promise.resolve(neverRang(call)) : acknowledged(call, first.reliable))
  await call.hangUp()
  return outcome
}

function neverRang({ final }: TestCall): Outcome {
  if (final === null) return fail('no answer')
  return final.status < 300 ? notShown('it answers without ringing') : fail(`refused: ${words(final)}`)
}

/** A PRACK for another answer is 481, the right one is 200. */
async function acknowledged(call: TestCall, isReliable: boolean): Promise<Outcome> {
  if (!isReliable) return fail('it rings unreliably though 100rel was required')
  const [first] = call.provisionals
  const rseq = Number(first?.response.headers.get('RSeq') ?? '0')
  const wrong = await call.inside('PRACK', { headers: [header('RAck', `${rseq + 1_000} 1 INVITE`)] })
  if (wrong?.status !== 481)
    return fail(`a PRACK without match: ${wrong === null ? 'no answer' : words(wrong)}, not 481`)
  const right = await call.inside('PRACK', { headers: [header('RAck', `${rseq} 1 INVITE`)] })
  if (right === null) return fail('no answer to PRACK')
  return right.status === 200 ? pass('18x with RSeq, PRACK taken') : fail(`PRACK: ${words(right)}`)
}

const updated = (line: Line): Promise<Outcome> =>
  whileTalking(line, {}, async call => {
    const response = await call.change('UPDATE', {})
    if (response === null) return fail('no answer to UPDATE')
    return response.status < 300 ? pass(words(response)) : fail(words(response))
  })

const held = (line: Line): Promise<Outcome> =>
  whileTalking(line, {}, async call => {
    const hold = await call.change('INVITE', { body: line.sdp('sendonly') })
    if (hold === null || hold.status >= 300) return fail(`hold: ${hold === null ? 'no answer' : words(hold)}`)
    const direction = directionOf(bodyOf(hold))
    if (direction !== 'recvonly' && direction !== 'inactive') return fail(`hold was answered with a=${direction}`)
    if (/^c=IN IP4 0\.0\.0\.0/m.test(bodyOf(hold))) return fail('hold was answered with c=0.0.0.0')
    const resume = await call.change('INVITE', { body: line.sdp() })
    if (resume === null || resume.status >= 300) return fail(`resume: ${resume === null ? 'no answer' : words(resume)}`)
    const back = directionOf(bodyOf(resume))
    return back === 'sendrecv' ? pass(`held with a=${direction}, resumed`) : fail(`resume was answered with a=${back}`)
  })

const evs = [{ payloadType: 96, rtpmap: 'EVS/16000' }] as const

const unusable = (line: Line): Promise<Outcome> =>
  whileTalking(line, {}, async call => {
    const refusal = await call.change('INVITE', { body: line.sdp('sendrecv', evs) })
    if (refusal === null) return fail('no answer to the re-INVITE')
    if (refusal.status < 300) return notShown('the peer speaks EVS')
    if (call.ended !== null) return fail('the call ended with the refused re-INVITE')
    const alive = await call.inside('OPTIONS')
    return alive?.status === 200 ? pass(`${words(refusal)}, the call goes on`) : fail('the call was lost')
  })

const evsAlone = (line: Line): Promise<Outcome> =>
  onceFinal(line, line.target.numbers.answers, { body: line.sdp('sendrecv', evs) }, response => {
    if (response.status < 300) return notShown('the peer speaks EVS')
    return [488, 606, 415].includes(response.status) ? pass(words(response)) : fail(`${words(response)} instead of 488`)
  })

const timed = (line: Line): Promise<Outcome> =>
  whileTalking(
    line,
    { headers: [header('Supported', 'timer, 100rel'), header('Session-Expires', '1800;refresher=uac')] },
    (_, response) => {
      const expires = response.headers.get('Session-Expires')
      if (expires === undefined) return fail('the 200 has no Session-Expires')
      if (!/;\s*refresher=(uac|uas)/i.test(expires)) return fail(`Session-Expires names no refresher: ${expires}`)
      return pass(`Session-Expires: ${expires}`)
    }
  )

const tooShort = (line: Line): Promise<Outcome> => {
  const headers = [header('Supported', 'timer, 100rel'), header('Session-Expires', '60'), header('Min-SE', '60')]
  return onceFinal(line, line.target.numbers.answers, { headers }, response => {
    const least = Number.parseInt(response.headers.get('Min-SE') ?? '', 10)
    if (response.status !== 422) return fail(`${words(response)} instead of 422`)
    return least >= 90 ? pass(`422 with Min-SE: ${least}`) : fail('422 without Min-SE')
  })
}

const anonymous = (line: Line): Promise<Outcome> => {
  const asserted = header('P-Asserted-Identity', `<${line.numberOf()}>`)
  const headers = [header('Privacy', 'id'), asserted]
  const from = '"Anonymous" <sip:anonymous@anonymous.invalid>'
  return onceFinal(line, line.target.numbers.answers, { headers, from }, response => {
    if (response.status < 300) return pass('taken')
    return response.status === 433 ? pass(`refused: ${words(response)}`) : fail(words(response))
  })
}

async function offerless(line: Line): Promise<Outcome> {
  const { answers } = line.target.numbers
  if (answers === null) return notShown('needs --number, a number of the peer that answers')
  const call = line.call(answers, { body: '' })
  // The offer may come in a reliable provisional answer too; then its PRACK brings our answer.
  await call.wait(() => call.provisionals.some(({ reliable: is }) => is) || call.final !== null)
  const early = call.provisionals.find(({ response }) => response.body.length > 0)
  if (early?.reliable === true) early.prack({ body: line.sdp() })
  await call.settled()
  const { accepted, final } = call
  if (accepted === null) {
    if (call.ended === null) await call.hangUp()
    if (final === null) return fail('no answer')
    return final.status === 488 ? pass(`refused: ${words(final)}`) : fail(words(final))
  }
  const offer = early?.reliable === true ? bodyOf(early.response) : bodyOf(accepted)
  call.sip.ack({ body: line.sdp() })
  await call.hangUp()
  return /^m=audio/m.test(offer) ? pass('the peer makes the offer') : fail('the answer brings no offer')
}

async function early(line: Line): Promise<Outcome> {
  const { early: number } = line.target.numbers
  if (number === null) return notShown('needs --early, a number of the peer that plays something before it answers')
  const before = line.packets
  const call = line.call(number)
  const withSdp = (): boolean => call.provisionals.some(({ response }) => response.body.length > 0)
  await call.wait(() => withSdp() || call.final !== null)
  for (const provisional of call.provisionals) provisional.prack()
  const heard = withSdp() && (await line.until(() => line.packets > before || call.accepted !== null))
  const wasEarly = heard && call.accepted === null
  const status = call.provisionals.find(({ response }) => response.body.length > 0)?.response.status
  await call.hangUp()
  if (status === undefined) return fail('no provisional answer with SDP')
  return wasEarly
    ? pass(`${status} with SDP, and RTP before the answer`)
    : fail(`${status} with SDP, but no RTP before the answer`)
}

const informed = (line: Line): Promise<Outcome> =>
  whileTalking(line, {}, async call => {
    const parts = { body: 'Signal=5\r\nDuration=160\r\n', contentType: 'application/dtmf-relay' }
    const response = await call.inside('INFO', parts)
    if (response === null) return fail('no answer to INFO')
    const taken = response.status < 300
    const { info } = line.target.agreed
    if (taken) return info === false ? fail('taken though it was not agreed on') : pass(words(response))
    if (info === true) return fail(`agreed on, but ${words(response)}`)
    return [405, 415, 469, 501].includes(response.status) ? pass(`refused: ${words(response)}`) : fail(words(response))
  })

const charged = (line: Line): Promise<Outcome> => {
  const icid = newCallId()
  const vector = header('P-Charging-Vector', `icid-value=${icid};orig-ioi=isthmus.invalid`)
  return whileTalking(line, { headers: [vector] }, (_, response) => {
    const values = response.headers.all('P-Charging-Vector')
    if (values.length > 1) return fail('several P-Charging-Vector in one message')
    const [value] = values
    if (value === undefined) {
      return line.target.agreed.ioi === true ? fail('agreed on, but the 200 has none') : notShown('the 200 has none')
    }
    const same = value.replaceAll('"', '').toLowerCase().includes(`icid-value=${icid.toLowerCase()}`)
    return same ? pass('the same icid-value in the 200') : fail(`another icid-value: ${value}`)
  })
}

const connected = (line: Line): Promise<Outcome> =>
  whileTalking(line, { headers: [header('Supported', 'from-change, timer, 100rel')] }, (_, response) => {
    if (hasTag(response, 'Require', 'from-change')) return fail('from-change is no extension to require in an answer')
    return pass(
      response.headers.has('P-Asserted-Identity') ? 'the 200 says who answered' : 'taken, unsaid who answered'
    )
  })

/** In the order in which they are run. */
export const callProbes: readonly Probe[] = [
  { item: 'SDP-01', expects: 'a call is answered with RTP/AVP of what was offered, and ends with BYE', run: answered },
  { item: 'SDP-03', expects: 'media flows both ways once a call is answered', run: media },
  { item: 'NNI-05', expects: 'CANCEL ends a call that rings: 487', run: cancelled },
  { item: 'MISC-01', expects: '100rel may be required: RSeq, PRACK', run: reliable },
  { item: 'NNI-05', expects: 'UPDATE inside a call is taken', run: updated },
  { item: 'SDP-10', expects: 'hold and resume by re-INVITE', run: held },
  { item: 'SDP-10', expects: 'a re-INVITE that cannot be met leaves the call as it was', run: unusable },
  { item: 'RTE-10', expects: 'session timer: Session-Expires with its refresher', run: timed },
  { item: 'RTE-10', expects: 'a session timer below 90 s is 422 with Min-SE', run: tooShort },
  { item: 'NUM-09', expects: 'a caller who is anonymous is taken, or refused with 433', run: anonymous },
  { item: 'NUM-09', expects: 'a caller who takes connected identities is taken', run: connected },
  { item: 'SDP-02', expects: 'an offer of EVS alone is 488', run: evsAlone },
  { item: 'NNI-07', expects: 'an INVITE without an offer is taken, or refused with 488', run: offerless },
  { item: 'MISC-03', expects: 'early media is heard before the answer', run: early },
  { item: 'NNI-05', expects: 'INFO inside a call is taken, or refused as such', run: informed },
  { item: 'PCV-04', expects: 'the charging identifier comes back as it was', run: charged }
]
