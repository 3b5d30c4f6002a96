// Jingle Message Initiation: read in its first and its present form, written in the present one.

import { describe, expect, it } from '@jest/globals'
import parse from '@xmpp/xml/lib/parse.js'
import { bouncedProposal, isOwnBounce, jmiKinds, parseJmi, printJmi } from '../../../src/adapters/xmpp/jmi.ts'
import { reasonElement, reasonFrom } from '../../../src/adapters/xmpp/causes.ts'

const message = (payload: string, attrs = 'type="chat"') =>
  parse(`<message from="a@x/1" to="b@y" id="1" ${attrs}>${payload}</message>`)
const ns = 'xmlns="urn:xmpp:jingle-message:0"'
const ends = { id: 'sid', from: 'a@gw/gw', to: 'b@x' }

describe('Jingle Message Initiation', () => {
  it.each(jmiKinds)('%s comes back as it was written, of type chat and to be stored', kind => {
    const reason = reasonElement({ cause: 'busy', text: 'not now' }, 'urn:xmpp:jingle:1')
    const printed = parse(printJmi({ ...ends, kind, media: ['audio', 'video'], reason }).toString())
    const read = parseJmi(printed)!
    expect(read).toMatchObject({ kind, id: 'sid', media: ['audio', 'video'], tieBreak: false })
    expect(reasonFrom(read.reason!, false)).toMatchObject({ cause: 'busy', text: 'not now' })
    expect(printed.attrs['type']).toBe('chat')
    expect(printed.getChild('store', 'urn:xmpp:hints')).toBeDefined()
  })

  it('the first form has no reason, no type and no hint', () => {
    expect(parseJmi(message(`<reject ${ns} id="s"/>`, ''))).toEqual({
      kind: 'reject',
      id: 's',
      media: [],
      reason: null,
      tieBreak: false
    })
    expect(parseJmi(message(`<accept ${ns} id="s"/>`, 'type="headline"'))!.kind).toBe('accept')
  })

  it('beside the element anything may stand: bodies, hints, the device of a draft, a tie-break', () => {
    const dino = `<proceed ${ns} id="s"><device xmlns="http://gultsch.de/xmpp/drafts/omemo/dlts-srtp-verification" id="7"/></proceed><store xmlns="urn:xmpp:hints"/><body>call</body>`
    expect(parseJmi(message(dino))).toMatchObject({ kind: 'proceed', id: 's' })
    expect(parseJmi(message(`<body>x</body><reject ${ns} id="s"><tie-break/></reject>`))!.tieBreak).toBe(true)
  })

  it('what is none, has no id, was kept for later or came back as an error is nothing', () => {
    const propose = `<propose ${ns} id="s"><description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio"/></propose>`
    expect(parseJmi(message('<body>hello</body>'))).toBeNull()
    expect(parseJmi(message(`<dance ${ns} id="s"/>`))).toBeNull()
    expect(parseJmi(message(`<proceed ${ns}/>`))).toBeNull()
    expect(parseJmi(message(`<proceed ${ns} id="${'x'.repeat(300)}"/>`))).toBeNull()
    expect(parseJmi(message(`${propose}<delay xmlns="urn:xmpp:delay"/>`))).toBeNull()
    expect(parseJmi(message(propose, 'type="error"'))).toBeNull()
    expect(parseJmi(message(`<x xmlns="urn:example"><propose ${ns} id="s"/></x>`))).toBeNull()
  })

  it('an error is known by the id of the message it is about', () => {
    const error = (id: string) => parse(`<message type="error" id="${id}" from="b@x" to="a@gw/gw"/>`)
    expect(bouncedProposal(error(printJmi({ ...ends, kind: 'propose' }).attrs['id']!))).toBe('sid')
    expect(bouncedProposal(error(printJmi({ ...ends, kind: 'retract' }).attrs['id']!))).toBeNull()
    expect(isOwnBounce(error(printJmi({ ...ends, kind: 'retract' }).attrs['id']!))).toBe(true)
    expect(isOwnBounce(error('another'))).toBe(false)
    expect(bouncedProposal(printJmi({ ...ends, kind: 'propose' }))).toBeNull()
  })
})
