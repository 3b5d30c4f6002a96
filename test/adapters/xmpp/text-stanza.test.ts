import { describe, expect, it } from '@jest/globals'
import parse from '@xmpp/xml/lib/parse.js'
import type { Element } from '@xmpp/xml'
import { read, textStanza } from '../../../src/adapters/xmpp/text-stanza.ts'
import { plainText } from '../../../src/session/plain-text.ts'
import { printStanza } from '../../../src/adapters/xmpp/stanza.ts'

const of = (inside: string): Element => parse(`<message xmlns='jabber:client'>${inside}</message>`)

describe('a message stanza', () => {
  it.each([
    ['<body>hi</body>', 'hi'],
    [`<body xml:lang='de'>hallo</body><body>hi</body>`, 'hi'],
    [`<body xml:lang='de'>hallo</body>`, 'hallo'],
    ['<subject>Tea</subject><body>at five</body>', 'Tea\n\nat five'],
    [`<html xmlns='http://jabber.org/protocol/xhtml-im'><body>no</body></html><body>yes</body>`, 'yes'],
    [`<replace xmlns='urn:xmpp:message-correct:0' id='x'/><body>better</body>`, 'better']
  ])('%s says so', (inside, text) => {
    expect(read(of(inside))).toEqual({ type: 'text', text, receipt: false, marker: false })
  })
  it.each([
    [`<encrypted xmlns='eu.siacs.conversations.axolotl'/><body>fallback</body>`, 'OMEMO'],
    [`<encrypted xmlns='urn:xmpp:omemo:2'/>`, 'OMEMO'],
    [`<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x' name='Secret'/><body>fallback</body>`, 'Secret'],
    [`<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/><body>fallback</body>`, 'end-to-end encryption'],
    [`<x xmlns='jabber:x:encrypted'>abc</x><body>fallback</body>`, 'OpenPGP'],
    [`<openpgp xmlns='urn:xmpp:openpgp:0'>abc</openpgp>`, 'OpenPGP'],
    [`<body>?OTRv23?</body>`, 'OTR']
  ])('%s is encrypted, whatever else it says', (inside, how) => {
    expect(read(of(inside))).toEqual({ type: 'encrypted', how })
  })
  it.each([
    [`<received xmlns='urn:xmpp:receipts' id='a'/>`, 'delivered'],
    [`<received xmlns='urn:xmpp:chat-markers:0' id='a'/>`, 'delivered'],
    [`<displayed xmlns='urn:xmpp:chat-markers:0' id='a'/>`, 'read'],
    [`<received xmlns='urn:xmpp:receipts' id='a'/><displayed xmlns='urn:xmpp:chat-markers:0' id='a'/>`, 'read']
  ])('%s is a receipt', (inside, receipt) => {
    expect(read(of(inside))).toEqual({ type: 'receipt', id: 'a', receipt })
  })
  it('has nothing to say by a chat state, a reaction, an empty body or a receipt for nothing', () => {
    expect(read(of(`<composing xmlns='http://jabber.org/protocol/chatstates'/>`))).toEqual({
      type: 'nothing',
      state: 'composing'
    })
    for (const inside of [
      '',
      '<body/>',
      `<reactions xmlns='urn:xmpp:reactions:0' id='x'/>`,
      `<received xmlns='urn:xmpp:receipts'/>`
    ]) {
      expect(read(of(inside))).toEqual({ type: 'nothing', state: null })
    }
  })
  it('of ours asks for a receipt and a marker, and is read back as it was written', () => {
    const text = `<a href="x">'&amp;'</a> ]]> \u{1f600}\n\ttab`
    const printed = printStanza(textStanza({ from: 'a@b/gw', to: 'c@d', id: 'i' }, text))
    expect(read(parse(printed))).toEqual({ type: 'text', text, receipt: true, marker: true })
  })
})

describe('the words of a body', () => {
  const cpim = (headers: string, content: string, end = '\r\n'): string =>
    ['From: <sip:a@b>', 'To: <sip:c@d>', '', headers, '', content].join(end)
  it.each(['\r\n', '\n'])('of CPIM are those of its text part (%j)', end => {
    const text = cpim('Content-Type: text/plain; charset=utf-8', `a${end}${end}b`, end)
    expect(plainText({ type: 'message/cpim', text })).toBe(`a${end}${end}b`)
  })
  it('that is no text are none', () => {
    expect(plainText({ type: 'message/cpim', text: cpim('Content-Type: image/png', 'xx') })).toBeNull()
    expect(plainText({ type: 'message/cpim', text: 'no headers at all' })).toBeNull()
    expect(plainText({ type: 'text/plain', text: 'as it is' })).toBe('as it is')
  })
})
