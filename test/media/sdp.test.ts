import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import {
  attribute,
  attributeName,
  attributeOf,
  attributesOf,
  line,
  parseSdp,
  printSdp,
  sdpLimits
} from '../../src/media/sdp.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`fixtures/${name}.sdp`, import.meta.url), 'utf8').replaceAll('\n', '\r\n')

const read = (text: string) => {
  const parsed = parseSdp(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.description
}

const problem = (text: string): string => {
  const parsed = parseSdp(text)
  return parsed.ok ? 'none' : parsed.problem
}

describe('the SDP parser', () => {
  const names = [
    'browser-offer',
    'browser-offer-video-balanced',
    'browser-offer-video-maxbundle',
    'rtpengine-offer-to-nni',
    'rtpengine-answer-to-browser'
  ]
  it.each(names)('prints %s as it was read', name => {
    expect(printSdp(read(fixture(name)))).toBe(fixture(name))
  })

  it('takes bare line feeds, a missing last line end, and keeps attributes in order', () => {
    const description = read('v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 5004/2 RTP/AVP 0\na=b\na=a:1')
    expect(description.media).toEqual([
      {
        kind: 'audio',
        port: 5004,
        portCount: 2,
        protocol: 'RTP/AVP',
        formats: ['0'],
        lines: [attribute('b'), attribute('a', '1')]
      }
    ])
    expect(printSdp(description)).toMatch(/m=audio 5004\/2 RTP\/AVP 0\r\na=b\r\na=a:1\r\n$/)
  })

  it('finds attributes by their whole name', () => {
    const lines = [
      attribute('rtcp-mux'),
      attribute('rtcp', '9'),
      attribute('rtcp-fb', '1 nack'),
      attribute('rtcp-fb', '2 nack')
    ]
    expect(attributeOf(lines, 'rtcp')).toBe('9')
    expect(attributeOf(lines, 'rtcp-mux')).toBe('')
    expect(attributeOf(lines, 'rtc')).toBeNull()
    expect(attributesOf(lines, 'rtcp-fb')).toEqual(['1 nack', '2 nack'])
    expect(attributeName(line('c', 'IN IP4 192.0.2.1'))).toBeNull()
  })

  it.each([
    ['', 'v=0'],
    ['hello', 'line 1 is not of the form'],
    ['v=1\r\no=- 1 1 IN IP4 192.0.2.1\r\n', 'v=0'],
    ['v=0\r\ns=-\r\n', 'no origin'],
    ['v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n=x\r\n', 'line 3 is not of the form'],
    ['v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio\r\n', 'line 3 is not a media line'],
    ['v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 70000 RTP/AVP 0\r\n', 'line 3 is not a media line'],
    ['v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 5004 RTP/AVP\r\n', 'line 3 is not a media line'],
    ['v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio -1 RTP/AVP 0\r\n', 'line 3 is not a media line']
  ])('tells why it cannot read %j', (text, why) => {
    expect(problem(text)).toContain(why)
  })

  it('takes no value with a line break of another kind or NUL in it', () => {
    const head = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 96\r\n'
    expect(problem(`${head}a=fmtp:96 x\ra=tool:y\r\n`)).toContain('line 4 holds a line break')
    expect(problem(`${head}a=fmtp:96 x\0y\r\n`)).toContain('line 4 holds a line break or NUL')
  })

  it('bounds bytes, lines, media lines and formats', () => {
    const head = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n'
    expect(problem(head + `a=${'x'.repeat(sdpLimits.bytesMax)}`)).toContain('bytes')
    expect(problem(head + 'a=x\r\n'.repeat(sdpLimits.linesMax))).toContain('lines')
    expect(problem(head + 'm=audio 1 RTP/AVP 0\r\n'.repeat(sdpLimits.mediaMax))).toBe('none')
    expect(problem(head + 'm=audio 1 RTP/AVP 0\r\n'.repeat(sdpLimits.mediaMax + 1))).toContain('media lines')
    expect(problem(`${head}m=audio 1 RTP/AVP${' 0'.repeat(sdpLimits.formatsMax + 1)}\r\n`)).toContain(
      'not a media line'
    )
  })
})
