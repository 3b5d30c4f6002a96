import { describe, expect, it } from '@jest/globals'
import { xml } from '@xmpp/xml'
import {
  causeOfCondition,
  causeOfJingle,
  conditionOfCause,
  errorTypes,
  jingleOf,
  jingleReasons,
  reasonElement,
  reasonFrom,
  xmppOf
} from '../../../src/adapters/xmpp/causes.ts'
import { causeWords, wordsOf } from '../../../src/session/words.ts'
import { conditionOf, errorOf } from '../../../src/adapters/xmpp/stanza.ts'
import { releaseCauses } from '../../../src/session/model.ts'

describe('causes towards an island', () => {
  it.each(releaseCauses)('%s has an error, a Jingle reason and words', cause => {
    expect(errorTypes[conditionOfCause({ cause })]).toBeDefined()
    expect(jingleReasons).toContain(jingleOf({ cause }))
    expect(wordsOf({ cause }).length).toBeGreaterThan(8)
    const element = reasonElement({ cause, sip: 404, q850: 1, text: 'in words' })
    expect(element.getChildText('text')).toBe('in words')
    expect(element.getChild('cause', 'urn:isthmus:cause:0')?.attrs).toMatchObject({
      name: cause,
      sip: '404',
      q850: '1'
    })
  })
  it.each([
    [486, 'busy', 'busy'],
    [600, 'busy', 'busy'],
    [603, 'declined', 'decline'],
    [607, 'unwanted', 'decline'],
    [480, 'unavailable', 'gone'],
    [410, 'gone', 'gone'],
    [404, 'not-found', 'gone'],
    [484, 'address-incomplete', 'gone'],
    [408, 'unreachable', 'timeout'],
    [504, 'unreachable', 'timeout'],
    [488, 'incompatible-media', 'incompatible-parameters'],
    [405, 'peer-failed', 'unsupported-applications'],
    [580, 'incompatible-media', 'failed-transport'],
    [403, 'forbidden', 'security-error'],
    [433, 'anonymity-refused', 'security-error'],
    [500, 'peer-failed', 'general-error'],
    [503, 'congestion', 'general-error']
  ] as const)('SIP %i (%s) is %s', (sip, cause, jingle) => {
    expect(jingleOf({ cause, sip })).toBe(jingle)
  })
  it('service-unavailable is never said of a call: 503 must not come of it', () => {
    for (const cause of releaseCauses) expect(xmppOf[cause].condition).not.toBe('service-unavailable')
  })
  it('words are one line within bounds', () => {
    expect(wordsOf({ cause: 'busy', text: 'a\nb\u0000c' })).toBe('a b c')
    expect(wordsOf({ cause: 'busy', text: 'x'.repeat(1_000) })).toHaveLength(160)
    expect(wordsOf({ cause: 'busy', text: ' ' })).toBe(causeWords.busy)
  })
})

describe('causes from an island', () => {
  const reason = (name: string, text?: string) =>
    xml('reason', {}, xml(name), text === undefined ? null : xml('text', {}, text))
  it.each([
    ['busy', 'busy'],
    ['decline', 'declined'],
    ['gone', 'unavailable'],
    ['timeout', 'no-answer'],
    ['cancel', 'cancelled'],
    ['incompatible-parameters', 'incompatible-media'],
    ['unsupported-applications', 'incompatible-media'],
    ['media-error', 'incompatible-media'],
    ['connectivity-error', 'incompatible-media'],
    ['security-error', 'forbidden'],
    ['general-error', 'peer-failed'],
    ['alternative-session', 'busy']
  ])('before the answer %s is %s', (name, cause) => {
    expect(reasonFrom(reason(name), false).cause).toBe(cause)
  })
  it.each([
    ['success', 'normal', 16],
    ['timeout', 'media-lost', 41],
    ['connectivity-error', 'media-lost', 41],
    ['failed-transport', 'media-lost', 41],
    ['general-error', 'peer-failed', 41],
    ['expired', 'expired', 31]
  ] as const)('after the answer %s is a hang-up: %s, Q.850 %i', (name, cause, q850) => {
    expect(reasonFrom(reason(name), true)).toEqual({ cause, q850 })
  })
  it('a reason that nobody knows, or none, is busy before the answer and an ordinary end after it', () => {
    for (const element of [undefined, reason('whatever'), xml('reason')]) {
      expect(reasonFrom(element, false).cause).toBe('busy')
      expect(reasonFrom(element, true)).toEqual({ cause: 'normal', q850: 16 })
    }
  })
  it('words come with it, within bounds', () => {
    expect(reasonFrom(reason('busy', ` ${'y'.repeat(500)}`), false).text).toHaveLength(160)
  })
  it('every reason and every error condition means something', () => {
    expect(Object.keys(causeOfJingle).sort()).toEqual([...jingleReasons].sort())
    expect(Object.keys(causeOfCondition).sort()).toEqual(Object.keys(errorTypes).sort())
  })
})

describe('error stanzas', () => {
  const asked = xml('iq', { from: 'a@b/c', to: 'd@e', id: 'x', type: 'get' }, xml('query', { xmlns: 'urn:q' }))
  it('turn the addresses, keep the id and send no payload back', () => {
    const error = errorOf(asked, 'item-not-found', { text: 'not <here>' })
    expect(error.attrs).toEqual({ from: 'd@e', to: 'a@b/c', id: 'x', type: 'error' })
    expect(error.getChild('query')).toBeUndefined()
    expect(error.getChild('error')?.attrs['type']).toBe('cancel')
    expect(conditionOf(error)).toEqual({ condition: 'item-not-found', text: 'not <here>' })
  })
  it('without a condition that is known are undefined-condition', () => {
    for (const child of [
      null,
      xml('error'),
      xml('error', {}, xml('odd', { xmlns: 'urn:ietf:params:xml:ns:xmpp-stanzas' }))
    ]) {
      expect(conditionOf(xml('iq', { type: 'error' }, child)).condition).toBe('undefined-condition')
    }
  })
})
