// Whatever is done to the torture messages: nothing throws, what is read can be printed and read again alike.

import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { makeResponse, parseMessage, parseNameAddr, parseVia, printMessage } from '../../../src/sip/message.ts'
import type { SipMessage } from '../../../src/sip/message.ts'
import { parseUri, printUri } from '../../../src/sip/uri.ts'
import { validateRequest } from '../../../src/sip/validate.ts'
import { seedFromEnvironment } from '../../support/random.ts'
import { bytesOf, hub, names } from './messages.ts'

const messages = names.map(bytesOf)
const settings = { seed: seedFromEnvironment, numRuns: 3_000 }

/** Bytes that mean something to a parser come up more often than others. */
const piece = fc.oneof(
  fc.constantFrom(
    '\r\n',
    '\r',
    '\n',
    ' ',
    '\t',
    ':',
    ';',
    ',',
    '<',
    '>',
    '"',
    '\\',
    '%',
    '@',
    '=',
    '\0',
    '\r\n ',
    '[',
    ']'
  ),
  fc.constantFrom(
    'SIP/2.0',
    'Via: ',
    'Content-Length: 4294967296',
    'l: -1',
    '\r\n\r\n',
    '%00',
    '"\\',
    '\u{1f4de}',
    'ä'
  ),
  fc.string({ unit: 'binary', maxLength: 8 })
)
interface Mutation {
  readonly at: number
  readonly cut: number
  readonly put: string
}
const mutation: fc.Arbitrary<Mutation> = fc.record({ at: fc.nat(5_000), cut: fc.nat(40), put: piece })

function mutate(bytes: Buffer, mutations: readonly Mutation[]): Buffer {
  return mutations.reduce((before, { at, cut, put }) => {
    const index = at % (before.length + 1)
    return Buffer.concat([before.subarray(0, index), Buffer.from(put), before.subarray(index + cut)])
  }, bytes)
}

const meaning = (message: SipMessage) => ({
  ...(message.kind === 'request'
    ? { method: message.method, uri: message.uri }
    : { status: message.status, reason: message.reason }),
  lines: message.headers.lines().filter(({ name }) => !/^(content-length|l)$/i.test(name)),
  body: message.body.toString('hex')
})

/** Everything that is done to a message from outside; the parsed one, or null. */
function use(bytes: Buffer): SipMessage | null {
  const parsed = parseMessage(bytes)
  const request = parsed.ok ? (parsed.message.kind === 'request' ? parsed.message : null) : parsed.request
  if (request !== null) {
    validateRequest(request, hub)
    printMessage(makeResponse(request, 400))
    const uri = parseUri(request.uri)
    if (uri !== null) expect(parseUri(printUri(uri))).toEqual(uri)
  }
  if (!parsed.ok) return null
  for (const { name } of parsed.message.headers.lines()) {
    for (const value of parsed.message.headers.all(name)) {
      parseNameAddr(value)
      parseVia(value)
    }
  }
  return parsed.message
}

describe('RFC 4475 messages, mutated', () => {
  it('printing keeps the meaning of every message that is accepted', () => {
    let accepted = 0
    for (const bytes of messages) {
      const message = use(bytes)
      if (message === null) continue
      accepted += 1
      const again = parseMessage(printMessage(message))
      if (!again.ok) throw new Error(again.reason)
      expect(meaning(again.message)).toEqual(meaning(message))
    }
    expect(accepted).toBe(31)
  })

  it('nothing throws on mutated messages, and those still accepted print to the same meaning', () => {
    let accepted = 0
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.array(mutation, { maxLength: 4 }), (bytes, mutations) => {
        const message = use(mutate(bytes, mutations))
        if (message === null) return
        accepted += 1
        const again = parseMessage(printMessage(message))
        if (!again.ok) throw new Error(again.reason)
        expect(meaning(again.message)).toEqual(meaning(message))
      }),
      settings
    )
    expect(accepted).toBeGreaterThan(300)
  })

  it('nothing throws on bytes that are no SIP at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => void use(Buffer.from(bytes))),
      settings
    )
  })

  it('nothing throws on a message cut anywhere', () => {
    for (const bytes of messages) for (let end = 0; end <= bytes.length; end += 7) use(bytes.subarray(0, end))
  })
})
