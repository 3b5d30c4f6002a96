// Jingle and SDP, both ways: golden pairs, what survives a round trip, and what no peer may smuggle in.

import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import parse from '@xmpp/xml/lib/parse.js'
import { canonical } from '../../../src/adapters/xmpp/elements.ts'
import { parseJingle, printJingle } from '../../../src/adapters/xmpp/jingle.ts'
import type { Jingle, Role } from '../../../src/adapters/xmpp/jingle.ts'
import { fromSdp, midFromName, nameOf, problemOf, toSdp } from '../../../src/adapters/xmpp/jingle-sdp.ts'
import { parseSdp, printSdp } from '../../../src/session/sdp.ts'
import type { SdpDescription } from '../../../src/session/sdp.ts'

const folder = join(import.meta.dirname, 'fixtures')
const names = readdirSync(folder)
  .filter(name => name.endsWith('.sdp'))
  .map(name => name.slice(0, -4))
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
const jingleOf = (name: string): Jingle => parseJingle(parse(read(`${name}.xml`)))!
const sdpOf = (text: string): SdpDescription => parseSdp(text)!
const lines = (sdp: SdpDescription): readonly string[] => printSdp(sdp).trim().split('\r\n')
const initiator = (): Role => 'initiator'

/** What an SDP means: its lines without their order inside a section. */
function meaning(sdp: SdpDescription): unknown {
  const told = (each: { type: string; value: string }): string =>
    `${each.type}=${each.value.replace(/; */g, ';').replace(/ generation 0$/, '')}`
  return {
    session: sdp.session.map(told).sort(),
    sections: sdp.sections.map(({ lines, ...section }) => ({ ...section, lines: lines.map(told).sort() }))
  }
}

describe('Jingle and SDP', () => {
  it('has golden pairs to go by', () => {
    expect(names.length).toBeGreaterThanOrEqual(5)
  })

  it.each(names)('%s: Jingle is said in SDP', name => {
    const { description } = toSdp(jingleOf(name), 'initiator')
    expect(lines(description)).toEqual(read(`${name}.sdp`).trim().split('\n'))
  })

  it.each(names)('%s: and said again in Jingle it is what it was, unknown elements and all', name => {
    const jingle = jingleOf(name)
    const { description, aside } = toSdp(jingle, 'initiator')
    const { contents, groups } = fromSdp(description, 'initiator', initiator, aside)
    const again = printJingle({ ...jingle, contents, groups })
    const plain = (text: string): string =>
      text
        // An identity of a candidate means something to nobody but its author, `both` is what is meant without a word,
        // and 1 is the number of channels where none is given.
        .replace(/ ?\bid="c?[0-9a-f]+"(?=[^\]]* ip=)/g, '')
        .replace(/ ?senders="both"/g, '')
        .replace(/ ?channels="1"/g, '')
        .replace(/(payload-type)\[ /g, '$1[')
        .replace(/\[ /g, '[')
        .replace(
          /\(\{urn:xmpp:jingle:apps:rtp:1}parameter\[name="111\/111"]\(\)\)/,
          '({urn:xmpp:jingle:apps:rtp:1}parameter[name="" value="111/111"]())'
        )
    const sorted = (text: string): string =>
      [...plain(text).matchAll(/\{[^}]*\}[a-z-]+\[[^\]]*\]/g)].map(String).sort().join('\n')
    expect(sorted(canonical(again))).toBe(sorted(canonical(printJingle(jingle))))
  })

  it.each(names)('%s: SDP through Jingle and back keeps every line', name => {
    const sdp = sdpOf(read(`${name}.sdp`))
    const described = fromSdp(sdp, 'initiator', initiator)
    expect(meaning(toSdp(described, 'initiator', described.aside).description)).toEqual(meaning(sdp))
  })

  it('the answerer says the same directions the other way round', () => {
    const sdp = sdpOf(read('chromium-audio-video.sdp'))
    const senders = fromSdp(sdp, 'responder', initiator).contents.map(each => each.senders)
    expect(senders).toEqual(['both', 'initiator'])
    const back = toSdp(fromSdp(sdp, 'responder', initiator), 'responder').description
    expect(lines(back)).toContain('a=recvonly')
  })

  it('lines that Jingle has no word for are set aside and come back', () => {
    const text = read('dino-audio.sdp').replace(
      'a=mid:audio\n',
      'a=mid:audio\na=x-new:1 2\na=rtcp:9 IN IP4 0.0.0.0\ni=a title\n'
    )
    const sdp = sdpOf(text.replace('t=0 0\n', 't=0 0\na=x-session\na=ice-options:trickle\n'))
    const { contents, groups, aside } = fromSdp(sdp, 'initiator', initiator)
    const said = lines(toSdp({ contents, groups }, 'initiator', aside).description)
    for (const line of ['a=x-new:1 2', 'a=rtcp:9 IN IP4 0.0.0.0', 'i=a title', 'a=x-session', 'a=ice-options:trickle'])
      expect(said).toContain(line)
  })

  it('a rejected media line is no content, one that only lives in a bundle is', () => {
    const text = read('chromium-audio-video.sdp').replace('m=video 9', 'm=video 0')
    expect(fromSdp(sdpOf(text), 'initiator', initiator).contents.map(({ name }) => name)).toEqual(['0'])
    const bundled = text.replace('a=mid:1', 'a=mid:1\na=bundle-only')
    expect(fromSdp(sdpOf(bundled), 'initiator', initiator).contents.map(({ name }) => name)).toEqual(['0', '1'])
  })

  it('credentials and fingerprints of the session part hold for every section', () => {
    const text = [
      'v=0',
      'o=- 1 1 IN IP4 0.0.0.0',
      's=-',
      't=0 0',
      'a=ice-ufrag:su',
      'a=ice-pwd:sp',
      'a=fingerprint:sha-256 AA',
      'a=setup:active',
      'm=audio 9 UDP/TLS/RTP/SAVPF 0',
      'm=audio 9 UDP/TLS/RTP/SAVPF 8',
      ''
    ].join('\r\n')
    const { contents } = fromSdp(sdpOf(text), 'initiator', initiator)
    expect(contents.map(({ name, transport }) => [name, transport!.attrs['ufrag']])).toEqual([
      ['audio-0', 'su'],
      ['audio-1', 'su']
    ])
    expect(contents[0]!.description!.getChild('payload-type')!.attrs).toMatchObject({ id: '0', name: 'PCMU' })
    expect(contents[1]!.transport!.getChild('fingerprint')!.getText()).toBe('AA')
  })

  it('says why a content cannot be spoken', () => {
    const [content] = jingleOf('dino-audio').contents
    expect(problemOf(content!)).toBeNull()
    expect(problemOf({ ...content!, description: null })).toBe('description')
    expect(problemOf({ ...content!, transport: null })).toBe('transport')
    const bare = parse('<transport xmlns="urn:xmpp:jingle:transports:ice-udp:1" ufrag="a" pwd="b"/>')
    expect(problemOf({ ...content!, transport: bare })).toBe('security')
    const other = parse('<transport xmlns="urn:xmpp:jingle:transports:raw-udp:1" ufrag="a" pwd="b"/>')
    expect(problemOf({ ...content!, transport: other })).toBe('transport')
    const twice = parse(
      '<description xmlns="urn:xmpp:jingle:apps:rtp:1" media="audio"><payload-type id="0"/><payload-type id="0"/></description>'
    )
    expect(problemOf({ ...content!, description: twice })).toBe('description')
  })

  it('no attribute of a stanza begins an SDP line of its own', () => {
    const evil = 'x&#13;&#10;a=evil:1'
    const text = read('standard-everything.xml')
      .replace('value="42e01f"', `value="${evil}"`)
      .replace('name="speex"', `name="${evil}"`)
      .replace('uri="urn:example:ext"', `uri="${evil}"`)
      .replace('ufrag="8hhy"', `ufrag="${evil}"`)
      .replace('ip="2001:db8::9"', `ip="${evil}"`)
      .replace('<parameter name="short"/>', `<parameter name="${evil}"/>`)
      .replace('hash="sha-1"', `hash="${evil}"`)
      .replace('name="webcam"', `name="${evil}"`)
      .replace('>128<', `>${evil}<`)
      .replace('maxptime="60"', `maxptime="${evil}"`)
    const { description } = toSdp(parseJingle(parse(text))!, 'initiator')
    expect(printSdp(description)).not.toMatch(/^a=evil/m)
  })

  it('a name that no mid can hold is written so that it comes back', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).filter(text => text.isWellFormed()),
        name => {
          const section = {
            kind: 'audio',
            port: 9,
            protocol: 'x',
            formats: ['0'],
            lines: [{ type: 'a', value: `mid:${midFromName(name)}` }]
          }
          expect(nameOf(section, 0)).toBe(name)
          expect(midFromName(name)).toMatch(/^[A-Za-z0-9!#$%&'*+.^_`{|}~-]+$/)
        }
      )
    )
  })
})

describe('SDP through Jingle', () => {
  const token = fc.stringMatching(/^[A-Za-z0-9]{1,8}$/)
  const direction = fc.constantFrom('sendrecv', 'sendonly', 'recvonly', 'inactive')
  const codec = fc.record({
    name: fc.constantFrom('opus', 'PCMA', 'VP8', 'H264', 'telephone-event'),
    rate: fc.constantFrom('8000', '48000', '90000'),
    channels: fc.constantFrom('', '/2'),
    parameters: fc.array(
      fc.oneof(
        fc.tuple(token, token).map(([a, b]) => `${a}=${b}`),
        fc.constant('0-15')
      ),
      { maxLength: 3 }
    ),
    feedback: fc.array(fc.constantFrom('nack', 'nack pli', 'ccm fir', 'goog-remb', 'trr-int 100'), { maxLength: 2 })
  })
  const candidate = fc.record({
    port: fc.integer({ min: 1, max: 65_535 }),
    type: fc.constantFrom(
      'host',
      'srflx raddr 10.0.0.1 rport 5',
      'relay raddr 0.0.0.0 rport 0',
      'host tcptype passive'
    ),
    ip: fc.constantFrom('192.0.2.1', '2001:db8::1', 'f00.local'),
    extra: fc.constantFrom('', ' generation 3', ' network-id 1 network-cost 10')
  })
  const section = fc.record({
    kind: fc.constantFrom('audio', 'video'),
    codecs: fc.array(codec, { minLength: 1, maxLength: 5 }),
    direction,
    candidates: fc.array(candidate, { maxLength: 3 }),
    ufrag: token,
    fingerprints: fc.array(token, { maxLength: 2 }),
    setup: fc.constantFrom('actpass', 'active', 'passive'),
    sources: fc.uniqueArray(fc.integer({ min: 1, max: 4_294_967_295 }), { maxLength: 3 }),
    msid: fc.boolean(),
    flags: fc.subarray([
      'rtcp-mux',
      'rtcp-rsize',
      'extmap-allow-mixed',
      'ptime:20',
      'x-unknown:1',
      'rtcp:9',
      'end-of-candidates'
    ]),
    extensions: fc.uniqueArray(
      fc.tuple(fc.integer({ min: 1, max: 14 }), fc.constantFrom('', '/sendonly', '/recvonly', '/inactive')),
      { maxLength: 3, selector: ([id]) => id }
    ),
    bandwidth: fc.option(fc.integer({ min: 1, max: 9_999 }), { nil: null })
  })
  type Section = typeof section extends fc.Arbitrary<infer T> ? T : never

  const written = (sections: readonly Section[], bundle: boolean): string => {
    const rows = ['v=0', 'o=- 7 3 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=msid-semantic: WMS']
    if (bundle) rows.push(`a=group:BUNDLE ${sections.map((_, at) => `m${at}`).join(' ')}`)
    sections.forEach((each, at) => {
      const formats = each.codecs.map((_, index) => 96 + index)
      rows.push(`m=${each.kind} 9 UDP/TLS/RTP/SAVPF ${formats.join(' ')}`, 'c=IN IP4 0.0.0.0')
      if (each.bandwidth !== null) rows.push(`b=AS:${each.bandwidth}`)
      rows.push(
        `a=mid:m${at}`,
        `a=${each.direction}`,
        `a=ice-ufrag:${each.ufrag}`,
        'a=ice-pwd:pw',
        `a=setup:${each.setup}`
      )
      for (const value of each.fingerprints) rows.push(`a=fingerprint:sha-256 ${value}`)
      each.codecs.forEach(({ name, rate, channels, parameters, feedback }, index) => {
        rows.push(`a=rtpmap:${96 + index} ${name}/${rate}${channels}`)
        if (parameters.length > 0) rows.push(`a=fmtp:${96 + index} ${parameters.join(';')}`)
        for (const fb of feedback) rows.push(`a=rtcp-fb:${96 + index} ${fb}`)
      })
      for (const [id, way] of each.extensions) rows.push(`a=extmap:${id}${way} urn:example:${id}`)
      for (const flag of each.flags) if (flag !== 'ptime:20' || each.kind === 'audio') rows.push(`a=${flag}`)
      for (const ssrc of each.sources) {
        rows.push(`a=ssrc:${ssrc} cname:c`)
        if (each.msid) rows.push(`a=ssrc:${ssrc} msid:s t${at}`)
      }
      if (each.msid) rows.push(`a=msid:s t${at}`)
      if (each.sources.length > 1) rows.push(`a=ssrc-group:FID ${each.sources.join(' ')}`)
      each.candidates.forEach(({ port, type, ip, extra }, index) => {
        rows.push(`a=candidate:${index} 1 udp 100 ${ip} ${port} typ ${type}${extra}`)
      })
    })
    return `${rows.join('\r\n')}\r\n`
  }

  it('keeps its meaning, whoever says it, through real XML text', () => {
    fc.assert(
      fc.property(
        fc.array(section, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        fc.constantFrom<Role>('initiator', 'responder'),
        (sections, bundle, author) => {
          const sdp = sdpOf(written(sections, bundle))
          const { contents, groups, aside } = fromSdp(sdp, author, initiator)
          const jingle: Jingle = {
            action: 'session-initiate',
            sid: 's',
            initiator: null,
            responder: null,
            contents,
            groups,
            reason: null,
            rest: []
          }
          const heard = parseJingle(parse(printJingle(jingle).toString()))!
          expect(meaning(toSdp(heard, author, aside).description)).toEqual(meaning(sdp))
        }
      ),
      { numRuns: 300 }
    )
  })
})
