// The media of a call by itself: how an answer of the hub is put for a user, and what of a line stays when it is gone.

import { describe, expect, it } from '@jest/globals'
import { answerFor, hubSdp, named, removed, theirSdp } from '../../../src/adapters/xmpp/call-media.ts'
import { parseJingle } from '../../../src/adapters/xmpp/jingle.ts'
import { printSdp } from '../../../src/session/sdp.ts'
import parse from '@xmpp/xml/lib/parse.js'
import { contentXml, sdp } from '../../support/xmpp-island.ts'

const lines = (text: string): readonly string[] => text.trim().split('\r\n')
const answered = (text: string): readonly string[] => lines(printSdp(answerFor(hubSdp(text as never)!)))

describe('an answer of the hub to a user', () => {
  it('says who begins with DTLS: never actpass, in the session part or a section', () => {
    expect(answered(sdp({ setup: 'actpass' }))).toContain('a=setup:active')
    expect(answered(sdp({ setup: 'passive' }))).toContain('a=setup:passive')
    const above = sdp({ setup: 'actpass' }).replace('t=0 0\r\n', 't=0 0\r\na=setup:actpass\r\n')
    expect(answered(above).filter(line => line.startsWith('a=setup'))).toEqual(['a=setup:active', 'a=setup:active'])
  })

  it('has no packet times, which Dino takes for other payload types than its own', () => {
    const timed = sdp().replace('a=rtcp-mux', 'a=ptime:20\r\na=maxptime:60\r\na=rtcp-mux')
    expect(timed).toMatch(/ptime/)
    expect(answered(timed).join()).not.toMatch(/ptime/)
  })

  it('is otherwise as it was, line by line', () => {
    const text = sdp({ media: ['audio', 'video'], setup: 'passive' })
    expect(answered(text)).toEqual(lines(text))
  })
})

describe('a line of a session', () => {
  const remote = () =>
    theirSdp(
      parseJingle(
        parse(
          `<jingle xmlns="urn:xmpp:jingle:1" action="session-initiate" sid="s">${contentXml()}${contentXml({ name: 'cam', media: 'video' })}</jingle>`
        )
      )!.contents,
      [],
      'initiator'
    )
  const media = () =>
    ({
      role: 'responder',
      local: remote(),
      remote: remote(),
      creators: new Map(),
      held: false,
      holding: false,
      version: 1
    }) as const

  it('that is removed keeps an address, without which rtpengine refuses the whole description', () => {
    const text = printSdp(removed(media(), ['cam']).remote)
    expect(text.split('m=video 0')[1]).toMatch(/^ \S+ 96\r\nc=IN IP4 0\.0\.0\.0\r\na=mid:cam\r\n$/)
  })

  it('has its name behind its address: attributes come last', () => {
    const { sections } = named(hubSdp(sdp())!, remote())
    expect(sections[0]!.lines.slice(0, 2)).toEqual([
      { type: 'c', value: 'IN IP4 127.0.0.1' },
      { type: 'a', value: 'mid:0' }
    ])
  })
})
