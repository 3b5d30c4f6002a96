import { describe, expect, it } from '@jest/globals'
import { EmbeddedAnchor } from '../../src/media/embedded.ts'
import { createMediaAnchor } from '../../src/media/media.ts'
import { RtpengineAnchor } from '../../src/media/rtpengine.ts'
import type { Sdp } from '../../src/session/model.ts'
import { anchorage, mediaConfig, rtpSdp, silentLog, systemClock } from '../support/media.ts'

const make = (over: Parameters<typeof mediaConfig>[0]) =>
  createMediaAnchor({ config: mediaConfig(over), log: silentLog, clock: systemClock })

describe('the media anchor of the configuration', () => {
  it('is the one that is named', () => {
    expect(make({ anchor: 'embedded' })).toBeInstanceOf(EmbeddedAnchor)
    const rtpengine = make({ anchor: 'rtpengine', rtpengine: [{ host: '127.0.0.1', port: 9 }] })
    expect(rtpengine).toBeInstanceOf(RtpengineAnchor)
    if (rtpengine instanceof RtpengineAnchor) rtpengine.close()
  })

  it('is refused at start-up where it lacks what it needs', () => {
    expect(() => make({ anchor: 'rtpengine' })).toThrow(/at least one daemon/)
    expect(() => make({ anchor: 'embedded', portMin: 30_000, portMax: 30_000 })).toThrow(/no pair of ports/)
  })
})

describe('no anchor', () => {
  it('passes the media of SDP through, makes no offer and counts nothing', async () => {
    const none = make({ anchor: 'none' })
    const at = anchorage()
    const sdp = rtpSdp({ port: 4_000 }).replace('o=ims', 'o=-').replace('s=call', 's=-') as Sdp
    await none.start(() => {})
    expect(await none.offer(at, 'caller', sdp)).toEqual({ anchored: true, sdp })
    expect(await none.answer(at, 'callee', sdp)).toEqual({ anchored: true, sdp })
    expect(await none.makeOffer(at, 'callee')).toMatchObject({
      anchored: false,
      reason: { cause: 'incompatible-media' }
    })
    await none.abandon(at)
    expect(await none.release(at.id, 1)).toBeNull()
  })
})
