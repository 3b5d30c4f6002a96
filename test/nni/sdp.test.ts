import { describe, expect, it } from '@jest/globals'
import { firstOrigin, hasMedia, refusal, written } from '../../src/nni/sdp.ts'
import { sdpWith } from '../support/nni.ts'

describe('who made a description', () => {
  const sdp = [
    'v=0',
    'o=alice 77 88 IN IP4 10.0.0.1',
    's=A call with Alice',
    'i=alice@island.example',
    'u=http://island.example',
    'e=alice@island.example',
    'p=+1',
    'c=IN IP4 192.0.2.1',
    't=0 0',
    'a=tool:island-phone',
    'm=audio 4000 RTP/AVP 8',
    'k=clear:x',
    ''
  ].join('\n')

  it('is the hub: its origin at the media address, no name, nobody to write to', () => {
    expect(written(firstOrigin('42'), sdp).text).toBe(
      'v=0\r\no=- 42 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n'
    )
  })

  it('the version rises with every change, and with no other', () => {
    const first = written(firstOrigin('1'), sdpWith(4000))
    const same = written(first, sdpWith(4000).replace('o=someone 1 1', 'o=someone 1 2'))
    const held = written(same, sdpWith(4000, 'sendonly'))
    const back = written(held, sdpWith(4000))
    expect([first, same, held, back].map(({ version }) => version)).toEqual([1, 1, 2, 3])
    expect(same.text).toBe(first.text)
  })

  it('ends every line as SDP does, and has neither empty lines nor those of the other side between its own', () => {
    const text = 'v=0\r\n\r\ns=x\r\nt=0 0\r\na=tool:x\r\na=too\r\nm=audio 4 RTP/AVP 0\r\ni=x\r\na=sendrecv'
    expect(written(firstOrigin('1'), text).text).toBe(
      'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=too\r\nm=audio 4 RTP/AVP 0\r\na=sendrecv\r\n'
    )
    expect(written(firstOrigin('1'), '').text).toBe('')
  })

  it('takes the address of the media where the session names none, IPv6 too', () => {
    const text = 'v=0\r\no=x 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n'
    expect(written(firstOrigin('1'), text).text).toContain('o=- 1 1 IN IP6 2001:db8::1\r\n')
  })
})

describe('media', () => {
  it('a stream with port 0 is not there', () => {
    expect(hasMedia('v=0\r\nm=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n', 'audio')).toBe(true)
    expect(hasMedia('v=0\r\nm=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n', 'video')).toBe(false)
  })

  it('a refusal takes no stream of an offer and names each', () => {
    const text = refusal(`${sdpWith(4000)}m=video 4002 RTP/AVP 31\r\n`)
    expect(text.match(/^m=.*/gm)).toEqual(['m=audio 0 RTP/AVP 8 101', 'm=video 0 RTP/AVP 31'])
  })
})
