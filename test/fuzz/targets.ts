// What is fuzzed: each target takes an input of any kind and throws where something of ours is wrong.

import { isDeepStrictEqual } from 'node:util'
import type { Element } from '@xmpp/xml'
import parseXml from '@xmpp/xml/lib/parse.js'
import { pino } from 'pino'
import { readCallEvent } from '../../src/adapters/matrix/call-events.ts'
import { fromSdp, toSdp } from '../../src/adapters/xmpp/jingle-sdp.ts'
import { infoOf, parseJingle, printJingle } from '../../src/adapters/xmpp/jingle.ts'
import { factsOf } from '../../src/media/facts.ts'
import { parseSdp as parseMediaSdp, printSdp as printMediaSdp } from '../../src/media/sdp.ts'
import { sdpOf } from '../../src/nni/body.ts'
import { withBandwidth } from '../../src/nni/bandwidth.ts'
import { calledOf, identityOf } from '../../src/nni/numbers.ts'
import { preconditionsIn, withoutPreconditions, withPreconditions } from '../../src/nni/preconditions.ts'
import { parseIdentity, parsePassport } from '../../src/nni/stir/passport.ts'
import { parseSdp, printSdp } from '../../src/session/sdp.ts'
import { oneLine } from '../../src/sip/characters.ts'
import { parseComposing } from '../../src/sip/composing.ts'
import { parseCpim, parseImdn, wishesOf } from '../../src/sip/cpim.ts'
import { parseAuth } from '../../src/sip/digest.ts'
import { createEngine } from '../../src/sip/engine/engine.ts'
import type { Engine } from '../../src/sip/engine/engine.ts'
import { parseSessionExpires } from '../../src/sip/engine/session-timer.ts'
import type { Link } from '../../src/sip/link.ts'
import { makeRequest, makeResponse, parseCSeq, parseMessage, parseNameAddr, parseVia } from '../../src/sip/message.ts'
import { printMessage, printNameAddr, printVia } from '../../src/sip/message.ts'
import type { SipMessage } from '../../src/sip/message.ts'
import { createStack } from '../../src/sip/stack.ts'
import type { SipStack } from '../../src/sip/stack.ts'
import { Framer } from '../../src/sip/transport/framing.ts'
import type { AdoptedFlow } from '../../src/sip/transport/transport.ts'
import { parseUri, printUri } from '../../src/sip/uri.ts'
import { validateRequest } from '../../src/sip/validate.ts'
import { hub } from '../conformance/rfc4475/messages.ts'

export const targetNames = [
  'message',
  'values',
  'stream',
  'engine',
  'answers',
  'sdp',
  'identity',
  'jingle',
  'matrix',
  'cpim'
] as const
export type TargetName = (typeof targetNames)[number]

export interface Target {
  /** Throws where the code is wrong. */
  run(input: string): void
  /** Lets time pass and looks at what should be gone by now; after some inputs, and at the end. */
  rest?(): Promise<void>
}

function same(what: string, first: unknown, again: unknown): void {
  if (!isDeepStrictEqual(first, again)) {
    throw new Error(
      `${what} disagree: ${JSON.stringify(first).slice(0, 300)} and ${JSON.stringify(again).slice(0, 300)}`
    )
  }
}

const bytesOf = (input: string): Buffer => Buffer.from(input, 'latin1')
/** What code above the transports sees: UTF-8. */
const textOf = (input: string): string => bytesOf(input).toString()

const meaning = (message: SipMessage) => ({
  ...(message.kind === 'request'
    ? { method: message.method, uri: message.uri }
    : { status: message.status, reason: message.reason }),
  lines: message.headers.lines().filter(({ name }) => !/^(content-length|l)$/i.test(name)),
  body: message.body.toString('hex')
})

function message(input: string): void {
  const parsed = parseMessage(bytesOf(input))
  const one = parsed.ok ? parsed.message : parsed.request
  if (one?.kind === 'request') {
    validateRequest(one, hub)
    const answer = parseMessage(printMessage(makeResponse(one, 400)))
    if (parsed.ok && !answer.ok) throw new Error(`the answer to what was accepted cannot be read: ${answer.reason}`)
  }
  if (!parsed.ok) return
  const again = parseMessage(printMessage(parsed.message))
  if (!again.ok) throw new Error(`what was printed cannot be read: ${again.reason}`)
  same('parse and print', meaning(parsed.message), meaning(again.message))
  const { headers } = parsed.message
  for (const { name } of headers.lines()) for (const value of headers.all(name)) values(value)
  sdpOf(parsed.message)
}

function values(input: string): void {
  const uri = parseUri(input)
  if (uri !== null) same('URIs', uri, parseUri(printUri(uri)))
  const address = parseNameAddr(input)
  if (address !== null) {
    // Line breaks and NUL in a quoted name are printed as spaces, so that no name brings a line of its own.
    const { display } = address
    const plain = { ...address, display: display === null ? null : oneLine(display) }
    same('addresses', plain, parseNameAddr(printNameAddr(address)))
  }
  const via = parseVia(input)
  if (via !== null) same('Via', via, parseVia(printVia(via)))
  parseCSeq(input)
  parseAuth(input)
  parseSessionExpires(input)
  identityOf(input)
  calledOf(input, { config: { uris: ['sip', 'sips', 'tel'] } as unknown as Parameters<typeof calledOf>[1]['config'] })
}

/** However a stream is cut, the same comes out of it. */
function stream(input: string): void {
  const bytes = bytesOf(input)
  const limits = { headerBytesMax: 4_096, messageBytesMax: 8_192 }
  const cut = (size: number): readonly string[] => {
    const framer = new Framer(limits)
    const found: string[] = []
    for (let at = 0; at < bytes.length; at += size) {
      framer.push(bytes.subarray(at, at + size))
      for (let frame = framer.next(); frame !== null; frame = framer.next()) {
        found.push(frame.kind === 'message' ? `message ${frame.bytes.toString('hex')}` : frame.kind)
        if (frame.kind === 'oversize' || frame.kind === 'unframed') return found
      }
    }
    return found
  }
  const whole = cut(bytes.length + 1)
  if (!whole.includes('oversize')) same('cuts', whole, cut(1 + (bytes.length % 37)))
}

function sdp(input: string): void {
  const text = textOf(input)
  const media = parseMediaSdp(text)
  if (media.ok) {
    const printed = printMediaSdp(media.description)
    same('media SDP', media, parseMediaSdp(printed))
    factsOf(media.description)
  }
  const session = parseSdp(text)
  if (session !== null) {
    same('SDP', session, parseSdp(printSdp(session)))
    fromSdp(session, 'initiator', () => 'initiator')
  }
  withBandwidth(text)
  const wanted = preconditionsIn(text)
  if (wanted !== null) withPreconditions(withoutPreconditions(text), wanted)
}

/** The first two lines are what the token holds, in JSON; so a change is seldom one of base64url. */
function identity(input: string): void {
  const [head = '', body = '', rest = ''] = input.split('\n')
  const coded = (part: string): string => bytesOf(part).toString('base64url')
  parsePassport(`${coded(head)}.${coded(body)}.${'A'.repeat(86)}`)
  parsePassport(rest)
  const field = parseIdentity(rest)
  if (field !== null) parsePassport(field.token)
}

const xmlName = /^[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?$/
/** The parser takes names, and prefixes that nobody declared, which no XMPP server would let through. */
const isWellNamed = (element: Element): boolean =>
  element.getNS() !== undefined &&
  [element.name, ...Object.keys(element.attrs)].every(name => xmlName.test(name)) &&
  element.getChildElements().every(isWellNamed)

/** The printer leaves an empty namespace out the second time. */
const unscoped = (xml: string): string => xml.replaceAll(' xmlns=""', '')

function jingle(input: string): void {
  let element: ReturnType<typeof parseXml> | null
  try {
    element = parseXml(textOf(input))
  } catch {
    return
  }
  const read = element === null || !isWellNamed(element) ? null : parseJingle(element)
  if (read === null) return
  infoOf(read)
  const printed = printJingle(read).toString()
  const again = parseJingle(parseXml(printed))
  if (again === null) throw new Error('what was printed is no Jingle')
  same('Jingle', unscoped(printed), unscoped(printJingle(again).toString()))
  for (const role of ['initiator', 'responder'] as const) {
    const text = printSdp(toSdp(read, role).description)
    if (parseSdp(text) === null) throw new Error(`what came of Jingle is no SDP: ${text.slice(0, 200)}`)
  }
}

const matrixTypes = ['invite', 'answer', 'candidates', 'negotiate', 'select_answer', 'reject', 'hangup', 'replaces']
function matrix(input: string): void {
  let content: unknown
  try {
    content = JSON.parse(textOf(input))
  } catch {
    return
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return
  for (const type of matrixTypes) readCallEvent(`m.call.${type}`, content as Record<string, unknown>)
}

function cpim(input: string): void {
  const text = textOf(input)
  const read = parseCpim(text)
  if (read !== null) wishesOf(read)
  parseImdn(text)
  parseComposing(text)
}

/** What went wrong inside and was only logged. */
class Faults {
  #first: string | null = null
  readonly log = pino({ level: 'error' }, { write: line => void (this.#first ??= line) })

  check(): void {
    const found = this.#first
    this.#first = null
    if (found === null) return
    const { err, msg } = JSON.parse(found) as { err?: { message?: string; stack?: string }; msg?: string }
    const error = new Error(`${msg}: ${err?.message}`)
    if (err?.stack !== undefined) error.stack = err.stack
    throw error
  }
}

const place = { host: '192.0.2.9', port: 5060 }
const timers = { T1: 1, T2: 2, T4: 2, D: 2 }
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** One path that keeps the last of what is sent. */
const adopt = (made: Pick<Engine | SipStack, 'adopt'>, sent: (bytes: Buffer) => void): AdoptedFlow =>
  made.adopt({
    transport: 'ws',
    local: { host: '192.0.2.1', port: 5060 },
    remote: place,
    peerId: 'peer',
    send: sent,
    close: () => undefined
  })

const mustBeSound = (bytes: Buffer): void => {
  // The answer to a keepalive (RFC 5626, 4.4.1).
  if (bytes.toString('latin1') === '\r\n') return
  const parsed = parseMessage(bytes)
  // The stateless answer to what could not be read has what there was of it.
  if (!parsed.ok && !bytes.toString('latin1', 0, 12).match(/^SIP\/2\.0 [45]/)) {
    throw new Error(`sent what cannot be read (${parsed.reason}): ${bytes.toString('latin1').slice(0, 200)}`)
  }
}

/** An engine with an application that answers whatever it hears; the network is a path in memory. */
function engine(): Target {
  const faults = new Faults()
  const made = createEngine({
    control: null,
    listen: [],
    log: faults.log,
    timers,
    limits: { messagesPerSecondMax: 1e9 }
  })
  let count = 0
  let wrong: unknown = null
  const link: Link = made.join(
    {
      heard: (one, { txn, dialog }) => {
        if (one.kind === 'response' || one.method === 'ACK' || one.method === 'CANCEL') return
        count++
        const answer = (status: number, body = ''): void =>
          link.answer(
            txn,
            { status, reason: 'X', headers: body === '' ? {} : { 'Content-Type': 'application/sdp' }, body },
            {}
          )
        if (count % 3 === 0) return answer(486)
        if (one.method === 'INVITE' && count % 2 === 0) answer(183)
        answer(200, one.method === 'INVITE' ? 'v=0\r\n' : '')
        if (dialog !== '') link.send({ method: 'BYE', headers: {}, dialog }, {})
      },
      ended: () => undefined
    },
    ['invite', 'register', 'message', 'options', 'info', 'notify', 'subscribe', 'publish', 'bye', 'update', 'prack']
  )
  return {
    run(input) {
      const flow = adopt(made, bytes => {
        try {
          mustBeSound(bytes)
        } catch (error) {
          wrong ??= error
        }
      })
      flow.receive(bytesOf(input))
      flow.receive(bytesOf(input.replace(/^INVITE|\bINVITE\b/g, 'BYE')))
      flow.lost()
      faults.check()
    },
    async rest() {
      for (let n = 0; n < 400 && made.counts.waiting + made.counts.sent + made.counts.dialogs > 0; n++) await pause(5)
      faults.check()
      if (wrong !== null) throw wrong
      const { waiting, sent, dialogs } = made.counts
      // Subscriptions and calls that were acknowledged stay: their peer is there for all the engine knows.
      if (waiting + sent > 0 || dialogs > 2_000) throw new Error(`left behind: ${JSON.stringify(made.counts)}`)
    }
  }
}

/** Answers to requests of ours, half of them under the branch that was sent. */
function answers(): Target {
  const faults = new Faults()
  const ignored = (): void => undefined
  const handler = { request: ignored, ack: ignored, strayResponse: ignored }
  const made = createStack({ listen: [], handler, log: faults.log, timers, limits: { messagesPerSecondMax: 1e9 } })
  let count = 0
  return {
    run(input) {
      let sent = ''
      const flow = adopt(made, bytes => void (sent = bytes.toString('latin1')))
      const headers = [
        ['From', '<sip:a@a.example>;tag=f'],
        ['To', '<sip:b@b.example>'],
        ['Call-ID', `c${count++}`],
        ['CSeq', '1 INVITE']
      ] as const
      const on = { response: ignored, failed: ignored }
      const tx = made.send(makeRequest({ method: 'INVITE', uri: 'sip:b@b.example', headers }), { flow }, on)
      const via = /^Via: .*$/m.exec(sent)?.[0] ?? ''
      const text = input.startsWith('SIP/2.0') ? input : input.replace(/^.*/, 'SIP/2.0 200 OK')
      const ours = text.replace(/^(?:Via|v)\s*:.*$/im, via).replace(/^CSeq\s*:.*$/im, 'CSeq: 1 INVITE')
      flow.receive(bytesOf(ours))
      tx.cancel()
      flow.receive(bytesOf(text))
      flow.lost()
      faults.check()
    },
    async rest() {
      for (let n = 0; n < 400 && made.counts.clientTransactions > 0; n++) await pause(5)
      faults.check()
      if (made.counts.clientTransactions > 0) throw new Error(`left behind: ${JSON.stringify(made.counts)}`)
    }
  }
}

const simple = {
  message,
  values: (input: string) => values(textOf(input)),
  stream,
  sdp,
  identity,
  jingle,
  matrix,
  cpim
}

export const createTarget = (name: TargetName): Target => {
  if (name === 'engine') return engine()
  if (name === 'answers') return answers()
  return { run: simple[name] }
}
