// Calls that cross: the lower session id stays, whoever it is of; and a user who calls anew the number it talks to.

import { describe, expect, it } from '@jest/globals'
import type { Element } from '@xmpp/xml'
import { parseJmi } from '../../../src/adapters/xmpp/jmi.ts'
import { staysBefore } from '../../../src/adapters/xmpp/tie-break.ts'
import type { LegRef } from '../../../src/session/model.ts'
import { contentXml, jmiXml, openIsland, phone, proposeXml, sdp, settle, tablet } from '../../support/xmpp-island.ts'
import type { Island } from '../../support/xmpp-island.ts'

const jingleAndAudio = new Set(['urn:xmpp:jingle:1', 'urn:xmpp:jingle:apps:rtp:audio'])
/** What was said about a session, as `kind(reason) extra`. */
const about = (island: Island, sid: string): readonly string[] =>
  island.link.sent.flatMap(stanza => {
    const jmi = parseJmi(stanza)
    if (jmi?.id !== sid) return []
    const extra = stanza
      .getChildElements()[0]!
      .getChildElements()
      .filter(child => child.getName() !== 'reason' && child.getName() !== 'description')
    return [[`${jmi.kind}${reasonIn(jmi.reason)}`, ...extra.map(printed)].join(' ')]
  })
const reasonIn = (reason: Element | null): string =>
  reason === null ? '' : `(${reason.getChildElements()[0]!.getName()})`
const printed = (child: Element): string => [child.getName(), child.attrs['to']].filter(Boolean).join(' ')

describe('the lower of two session ids', () => {
  it('is the one whose octets sort first', () => {
    expect(staysBefore('a', 'b')).toBe(true)
    expect(staysBefore('b', 'a')).toBe(false)
    expect(staysBefore('a', 'a')).toBe(false)
    expect(staysBefore('a', 'aa')).toBe(true)
    expect(staysBefore('Z', 'a')).toBe(true)
    // By octets, not by UTF-16 units, which sort these two the other way round.
    expect(staysBefore('\uff5e', '\u{1f600}')).toBe(true)
  })
})

describe('a user who calls the number that is calling it', () => {
  /** The hub calls the user as +4930123456, and the user proposes to that number. */
  const crossing = async (theirs: string, to?: string): Promise<{ island: Island; leg: LegRef }> => {
    const island = openIsland({ sid: 'm' })
    const leg = island.invite()
    await settle()
    expect(island.said()).toEqual(['propose'])
    island.message(proposeXml(theirs), to === undefined ? {} : { to })
    await settle()
    return { island, leg }
  }

  it('with the higher id is rejected by tie-break, and its devices go on ringing', async () => {
    const { island, leg } = await crossing('z')
    expect(about(island, 'z')).toEqual(['reject(expired) tie-break'])
    expect(island.inbox.all('ended', leg)).toEqual([])
    island.message(jmiXml('retract', 'z', '<reason><expired/></reason><tie-break/>'))
    island.message(jmiXml('proceed', 'm'), { from: tablet })
    await settle()
    expect(island.said()).toEqual(['reject(expired)', 'session-initiate'])
    expect(island.calls.count).toBe(1)
  })

  it('with the lower id has its way: ours is retracted by tie-break, its caller hears busy', async () => {
    const { island, leg } = await crossing('a')
    expect(about(island, 'm').slice(1)).toEqual(['retract(expired) tie-break'])
    expect(about(island, 'a')).toEqual(['proceed'])
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe('busy')
    expect(island.iq('session-initiate', { sid: 'a', body: contentXml() })).toBe('result')
    await settle()
    expect(island.inbox.all('offered')[0]!.call.called).toBe('tel:+4930123456')
    // Its own word on ours, which is late, and ours gone: nothing comes of it.
    island.message(jmiXml('reject', 'm', '<reason><expired/></reason><tie-break/>'))
    await settle()
    expect(island.inbox.all('ended', leg)).toHaveLength(1)
    expect(island.calls.count).toBe(1)
  })

  it('may write the number in another way', async () => {
    const { island } = await crossing('z', '+49-30-123456@gw.island.example')
    expect(about(island, 'z')).toEqual(['reject(expired) tie-break'])
  })

  it('calls another number without any tie', async () => {
    const { island, leg } = await crossing('z', '+4930999999@gw.island.example')
    expect(about(island, 'z')).toEqual(['proceed'])
    expect(island.inbox.all('ended', leg)).toEqual([])
  })

  it('and rejects ours by tie-break before its own proposal arrives: busy, and nothing to retract', async () => {
    const island = openIsland({ sid: 'm' })
    const leg = island.invite()
    await settle()
    island.message(jmiXml('reject', 'm', '<reason><expired/></reason><tie-break/>'))
    await settle()
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe('busy')
    expect(about(island, 'm')).toEqual(['propose'])
  })

  it('after it has taken the call on one device keeps that call', async () => {
    const island = openIsland({ sid: 'm' })
    const leg = island.invite()
    await settle()
    island.message(jmiXml('proceed', 'm'))
    island.message(proposeXml('a'), { from: tablet })
    await settle()
    expect(about(island, 'a')).toEqual(['proceed'])
    expect(island.inbox.all('ended', leg)).toEqual([])
  })
})

describe('a device without proposals that calls the number that is calling it', () => {
  it('with the higher id hears conflict and tie-break, and ours goes on', async () => {
    const island = openIsland({ sid: 'm' })
    island.devices = [{ jid: phone, priority: 1, features: jingleAndAudio }]
    // Its session-initiate crosses ours, which nobody has answered yet.
    island.link.reply = () => 'never'
    const leg = island.invite()
    expect(island.iq('session-initiate', { sid: 'z', body: contentXml() })).toBe('conflict tie-break')
    await settle()
    expect(island.inbox.all('offered')).toEqual([])
    expect(island.inbox.all('ended', leg)).toEqual([])
  })

  it('with the lower id calls, and its tie-break ends ours: the caller hears busy', async () => {
    const island = openIsland({ sid: 'm' })
    island.devices = [{ jid: phone, priority: 1, features: jingleAndAudio }]
    island.link.reply = () => ({ condition: 'conflict', extra: 'tie-break' })
    const leg = island.invite()
    expect(island.iq('session-initiate', { sid: 'a', body: contentXml() })).toBe('result')
    await settle()
    expect(island.inbox.all('offered')).toHaveLength(1)
    expect(island.inbox.all('ended', leg)[0]!.reason.cause).toBe('busy')
    expect(island.said()).toEqual(['session-initiate'])
    expect(island.calls.count).toBe(1)
  })
})

describe('a user who calls anew the number it talks to', () => {
  it('has lost that session or changes devices: the old one ends in favour of the new one', async () => {
    const island = openIsland()
    island.message(proposeXml())
    island.iq('session-initiate', { body: contentXml() })
    await settle()
    const { leg } = island.inbox.all('offered')[0]!
    island.calls.answer(leg, { sdp: sdp({ setup: 'passive' }), connected: null })
    await settle()
    island.said()
    island.message(proposeXml('anew'), { from: tablet })
    await settle()
    expect(about(island, 'sid-1').at(-1)).toBe('finish(expired) migrated anew')
    expect(about(island, 'anew')).toEqual(['proceed'])
    expect(island.said()).toEqual(['session-terminate(expired)', 'finish(expired)', 'proceed'])
    expect(island.inbox.all('ended', leg)[0]!.reason).toMatchObject({ cause: 'normal' })
    expect(island.iq('session-initiate', { sid: 'anew', from: tablet, body: contentXml() })).toBe('result')
    expect(island.calls.count).toBe(1)
  })

  it('calls another one beside it where the number is another', async () => {
    const island = openIsland()
    island.message(proposeXml())
    island.iq('session-initiate', { body: contentXml() })
    await settle()
    island.calls.answer(island.inbox.all('offered')[0]!.leg, { sdp: sdp({ setup: 'passive' }), connected: null })
    await settle()
    island.message(proposeXml('second'), { from: tablet, to: '+4930999999@gw.island.example' })
    await settle()
    expect(island.inbox.all('ended')).toEqual([])
    expect(island.calls.count).toBe(2)
  })
})
