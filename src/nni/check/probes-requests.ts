// Probes outside calls: keepalive, methods, options, addresses, sizes, messages.

import type { SipResponse } from '../../sip/message.ts'
import type { Line } from './line.ts'
import { fail, judged, notShown, onceFinal, pass, words } from './probe.ts'
import type { Outcome, Probe } from './probe.ts'

const mandatory = ['INVITE', 'ACK', 'BYE', 'CANCEL', 'PRACK', 'UPDATE', 'OPTIONS'] as const
/** A request of so many bytes does not fit into UDP as RFC 3261, 18.1.1 has it. */
const oversizeBytes = 1_600

const isAlive = ({ status }: SipResponse): boolean => status !== 408 && status !== 503
const refusals: ReadonlySet<number> = new Set([403, 405, 489, 501])

const options = (item: string, expects: string, headers: readonly { name: string; value: string }[]): Probe => ({
  item,
  expects,
  run: async line =>
    judged(await line.request('OPTIONS', { headers }), ({ response, ms }) =>
      isAlive(response) ? pass(`${words(response)} after ${ms} ms`) : fail(`${words(response)} counts as down`)
    )
})

const method = (name: string, expects: string, judge: (response: SipResponse) => Outcome): Probe => ({
  item: 'NNI-05',
  expects,
  run: async line => judged(await line.request(name), ({ response }) => judge(response))
})

function refusedMethod(response: SipResponse): Outcome {
  if (!refusals.has(response.status)) return fail(`${words(response)} instead of a refusal`)
  if (response.status === 405 && !response.headers.has('Allow')) return fail('405 without Allow')
  return pass(words(response))
}

async function takesMandatory(line: Line): Promise<Outcome> {
  return judged(await line.request('OPTIONS'), ({ response }) => {
    const allowed = response.headers.all('Allow').map(name => name.toUpperCase())
    if (allowed.length === 0) return notShown('the answer to OPTIONS has no Allow')
    const missing = mandatory.filter(name => !allowed.includes(name))
    return missing.length === 0 ? pass('all in Allow') : fail(`Allow lacks ${missing.join(', ')}`)
  })
}

async function unknownOption(line: Line): Promise<Outcome> {
  const tag = 'x-isthmus-check'
  const parts = { headers: [{ name: 'Require', value: tag }] }
  return onceFinal(line, line.target.numbers.answers, parts, response => {
    if (response.status !== 420) return fail(`${words(response)} instead of 420`)
    const named = response.headers.all('Unsupported').includes(tag)
    return named ? pass('420 with the tag in Unsupported') : fail('420 that does not name the tag in Unsupported')
  })
}

async function noHopsLeft(line: Line): Promise<Outcome> {
  const parts = { headers: [{ name: 'Max-Forwards', value: '0' }] }
  return onceFinal(line, line.target.numbers.answers, parts, response => {
    if (response.status === 483) return pass(words(response))
    return response.status < 300 ? pass('the peer itself takes the call') : fail(`${words(response)} instead of 483`)
  })
}

async function incomplete(line: Line): Promise<Outcome> {
  const number = line.target.numbers.answers?.slice(0, 3) ?? null
  return onceFinal(line, number, {}, response =>
    response.status === 484 || response.status === 404
      ? pass(words(response))
      : fail(`${words(response)} instead of 484 or 404 for ${number ?? ''}`)
  )
}

async function unknownBody(line: Line): Promise<Outcome> {
  const contentType = 'application/x-isthmus-check'
  const headers = [{ name: 'Content-Disposition', value: 'session;handling=required' }]
  return onceFinal(line, line.target.numbers.answers, { headers, body: 'nothing', contentType }, response => {
    if (response.status !== 415) return fail(`${words(response)} instead of 415`)
    return response.headers.has('Accept') ? pass('415 with Accept') : fail('415 without Accept')
  })
}

async function telUri(line: Line): Promise<Outcome> {
  const { answers } = line.target.numbers
  const agreed = line.target.agreed.telUri
  return onceFinal(line, answers, { uri: `tel:${answers ?? ''}` }, response => {
    const taken = response.status < 300
    if (taken) return agreed === false ? fail('taken though it was not agreed on') : pass('taken')
    if (agreed === true) return fail(`agreed on, but ${words(response)}`)
    return [404, 416].includes(response.status) ? pass(`refused: ${words(response)}`) : fail(words(response))
  })
}

async function message(line: Line): Promise<Outcome> {
  const { numbers, agreed } = line.target
  if (numbers.answers === null) return notShown('needs --number, a number of the peer that answers')
  const parts = { uri: line.numberUri(numbers.answers), body: 'This is a test.', contentType: 'text/plain' }
  return judged(await line.request('MESSAGE', parts), ({ response }) => {
    const { status } = response
    if (status === 200 || status === 202) {
      return agreed.message === false ? fail('taken though it was not agreed on') : pass(words(response))
    }
    if (agreed.message === true) return fail(`agreed on, but ${words(response)}`)
    return refusals.has(status) || status === 415 || status === 404
      ? pass(`refused: ${words(response)}`)
      : fail(words(response))
  })
}

async function oversize(line: Line): Promise<Outcome> {
  if (line.place.transport !== 'udp') return notShown('requests go by a connection anyway')
  const headers = [{ name: 'Subject', value: 'x'.repeat(oversizeBytes) }]
  return judged(await line.request('OPTIONS', { headers }), ({ response, transport }) => {
    if (!isAlive(response)) return fail(words(response))
    return transport === 'tcp' ? pass(`${words(response)} over TCP`) : fail('it takes no TCP: answered over UDP')
  })
}

const outsideDialog = (name: string): Probe => ({
  item: 'NNI-04',
  expects: `${name} of a call that nobody knows is 481`,
  run: async line => {
    const uri = line.numberUri(line.target.numbers.answers ?? line.target.numbers.from)
    const to = [{ name: 'To', value: `<${uri}>;tag=isthmus-check` }]
    return judged(await line.request(name, { uri, headers: to }), ({ response }) =>
      response.status === 481 || response.status === 404
        ? pass(words(response))
        : fail(`${words(response)} instead of 481`)
    )
  }
})

/** In the order in which they are run. */
export const requestProbes: readonly Probe[] = [
  options('RTE-09', 'OPTIONS is answered', []),
  options('RTE-09', 'OPTIONS with Max-Forwards 0 is answered', [{ name: 'Max-Forwards', value: '0' }]),
  { item: 'NNI-05', expects: 'the methods of every peer are taken', run: takesMandatory },
  method('X-ISTHMUS-CHECK', 'an unknown method is 501 or 405', response =>
    response.status === 501 || response.status === 405
      ? pass(words(response))
      : fail(`${words(response)} instead of 501`)
  ),
  method('REGISTER', 'REGISTER is refused, and nobody is asked for credentials', refusedMethod),
  method('PUBLISH', 'PUBLISH, which was not agreed on, is refused', refusedMethod),
  outsideDialog('BYE'),
  { item: 'NNI-04', expects: 'an unknown option that is required is 420', run: unknownOption },
  { item: 'NNI-08', expects: 'an unknown body that must be understood is 415', run: unknownBody },
  { item: 'RTE-08', expects: 'a call without hops left goes no further', run: noHopsLeft },
  { item: 'NUM-07', expects: 'an incomplete number is 484 or 404', run: incomplete },
  { item: 'NUM-01', expects: 'a tel URI is taken, or refused as such', run: telUri },
  { item: 'NNI-05', expects: 'MESSAGE is taken, or refused as such', run: message },
  { item: 'RTE-11', expects: 'a request above 1300 bytes is taken over TCP', run: oversize }
]
