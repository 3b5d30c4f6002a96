import { describe, expect, it } from '@jest/globals'
import { createPassthroughAnchor } from '../../src/media/passthrough.ts'
import type { Sdp } from '../../src/session/model.ts'
import type { Anchorage } from '../../src/session/ports.ts'

const sdp = (...lines: string[]): Sdp => `${lines.join('\r\n')}\r\n` as Sdp
const media = ['c=IN IP4 192.0.2.1', 't=0 0', 'm=audio 4000 RTP/AVP 8', 'a=rtpmap:8 PCMA/8000']

describe('the anchor that is none', () => {
  it('passes the media on and keeps to itself who described it', async () => {
    const anchor = createPassthroughAnchor()
    const said = sdp('v=0', 'o=+4930123456 7 8 IN IP4 192.0.2.1', 's=Anna', 'i=x', 'e=a@b', 'p=+4930123456', ...media)
    const hidden = sdp('v=0', 'o=- 7 8 IN IP4 192.0.2.1', 's=-', ...media)
    for (const step of ['offer', 'answer'] as const) {
      expect(await anchor[step]({} as Anchorage, 'caller', said)).toEqual({ anchored: true, sdp: hidden })
      expect(await anchor[step]({} as Anchorage, 'callee', hidden)).toEqual({ anchored: true, sdp: hidden })
    }
  })

  it('lets nothing hide behind another kind of line break', async () => {
    const said = 'v=0\no=anna 7 8 IN IP4 192.0.2.1\rp=+4930123456\r\ns=-\n' as Sdp
    const passed = await createPassthroughAnchor().offer({} as Anchorage, 'caller', said)
    expect(passed).toEqual({ anchored: true, sdp: sdp('v=0', 'o=- 7 8 IN IP4 192.0.2.1', 's=-') })
  })
})
