import { afterEach, describe, expect, it } from '@jest/globals'
import { kbpsOf, payloadBytes, rtcpBps, withBandwidth } from '../../../src/nni/bandwidth.ts'
import { limits } from '../../../src/nni/limits.ts'
import { reasonOfStatus, statusOf } from '../../../src/nni/causes.ts'
import { EmbeddedAnchor } from '../../../src/media/embedded.ts'
import { isPrepared, prepareAnswer, prepareOffer } from '../../../src/media/rtpengine-sdp.ts'
import { parseSdp } from '../../../src/media/sdp.ts'
import type { Anchored } from '../../../src/session/ports.ts'
import type { Sdp } from '../../../src/session/model.ts'
import { anchorage, mediaConfig, readSdp, silentLog, systemClock } from '../../support/media.ts'
import { refuse, startPair } from '../../support/nni-pair.ts'
import type { Pair } from '../../support/nni-pair.ts'
import { sdpWith } from '../../support/nni.ts'
import { until } from '../../support/until.ts'

// Descriptions of media at the border (29.165 7.1, TS 26.114, RFC 3264, RFC 3556).

const pairs: Pair[] = []
afterEach(async () => {
  await Promise.all(pairs.splice(0).map(pair => pair.close()))
})
const open = async (options: Parameters<typeof startPair>[0] = {}): Promise<Pair> => {
  const pair = await startPair(options)
  pairs.push(pair)
  return pair
}
const joined = (...lines: string[]): string => `${lines.join('\r\n')}\r\n`

/** What a phone behind a VoLTE core offers, as captured. */
const volte = joined(
  'v=0',
  'o=rue 3251 3251 IN IP6 2001:db8:100::1',
  's=-',
  'c=IN IP6 2001:db8:100::1',
  't=0 0',
  'm=audio 31484 RTP/AVP 107 106 105 104 101 102 110',
  'b=AS:49',
  'b=RS:600',
  'b=RR:2000',
  'a=rtpmap:107 EVS/16000/1',
  'a=fmtp:107 br=5.9-24.4;bw=nb-swb;ch-aw-recv=2;max-red=0',
  'a=rtpmap:106 AMR-WB/16000/1',
  'a=fmtp:106 mode-change-capability=2;max-red=220',
  'a=rtpmap:105 AMR-WB/16000/1',
  'a=fmtp:105 octet-align=1;mode-change-capability=2;max-red=220',
  'a=rtpmap:104 AMR/8000/1',
  'a=fmtp:104 mode-change-capability=2;max-red=220',
  'a=rtpmap:101 AMR/8000/1',
  'a=fmtp:101 octet-align=1;mode-change-capability=2;max-red=220',
  'a=rtpmap:102 telephone-event/16000',
  'a=fmtp:102 0-15',
  'a=rtpmap:110 telephone-event/8000',
  'a=fmtp:110 0-15',
  'a=tcap:1 RTP/AVPF',
  'a=pcfg:1 t=1',
  'a=rtcp:31485',
  'a=ptime:20',
  'a=maxptime:240',
  'a=sendrecv'
)

const vilte = `${volte}${joined(
  'm=video 31486 RTP/AVPF 99 100',
  'b=AS:540',
  'b=RS:0',
  'b=RR:2500',
  'a=rtpmap:99 H264/90000',
  'a=fmtp:99 profile-level-id=42C01E;packetization-mode=1',
  'a=rtpmap:100 H265/90000',
  'a=rtcp-fb:* nack pli',
  'a=rtcp-fb:* ccm fir',
  'a=rtcp-fb:* ccm tmmbr',
  'a=extmap:1 urn:3gpp:video-orientation',
  'a=imageattr:99 send [x=480,y=640] recv [x=480,y=640]',
  'a=sendrecv'
)}`

/** All but who made it. */
const media = (sdp: string): readonly string[] => sdp.split('\r\n').filter(line => !line.startsWith('o='))

describe('what a phone behind a core network offers', () => {
  it.each([
    ['VoLTE', volte],
    ['ViLTE', vilte]
  ])('SDP-04 SDP-08 %s goes through a hub that anchors nothing unchanged, and so does its answer', async (_, offer) => {
    const pair = await open()
    const { call, tx } = await pair.invite('alpha', { body: offer })
    expect(media(tx.request.body.toString())).toEqual(media(offer))
    pair.beta.answer(tx, 200, { body: offer.replace('31484', '41484') })
    const ok = await call.response(200)
    expect(media(ok.body.toString())).toEqual(media(offer.replace('31484', '41484')))
    const dialog = pair.alpha.callerDialog(call, ok)
    pair.alpha.ack(dialog, 1)
    await pair.beta.takeAck()
    const bye = pair.alpha.inside(dialog, 'BYE')
    pair.beta.answer(await pair.beta.take('BYE'), 200)
    expect((await bye.final()).status).toBe(200)
    await until(() => pair.hub.sessionCount === 0)
  })

  it('SDP-01 an offer of RTP/AVPF besides is taken, plain RTP/AVP goes out', () => {
    const parsed = parseSdp(volte)
    expect(parsed.ok).toBe(true)
    const line = withBandwidth(sdpWith(4_000))
    expect(line).toMatch(/m=audio 4000 RTP\/AVP 8 101\r\nb=AS:80\r\nb=RS:1000\r\nb=RR:3000\r\n/)
  })
})

describe('codecs', () => {
  const description = (text: string) => {
    const parsed = parseSdp(text)
    if (!parsed.ok) throw new Error(parsed.problem)
    return parsed.description
  }
  const granted = ['AMR-WB', 'AMR', 'telephone-event']
  const evsAlone = volte.replace(/RTP\/AVP .*/, 'RTP/AVP 107')
  const sdpOf = (made: Anchored): string => (made.anchored ? made.sdp : '')

  it('SDP-02 of EVS and AMR-WB the hub takes AMR-WB, with the tones of its clock rate (SDP-07)', () => {
    const offer = prepareOffer(description(volte), 'rtp', ['AMR-WB', 'telephone-event'])
    if (!isPrepared(offer)) throw new Error('refused')
    expect(readSdp(offer.sdp)[0]?.codecs.map(({ name, clockRate }) => `${name}/${clockRate}`)).toEqual([
      'AMR-WB/16000',
      'AMR-WB/16000',
      'telephone-event/16000'
    ])
    const answer = prepareAnswer(description(volte), offer.codecs)
    expect(isPrepared(answer) && answer.codecs[0]?.some(({ name }) => name === 'EVS')).toBe(false)
  })

  it('SDP-02 the anchor without a transcoder chooses the same', async () => {
    const anchor = new EmbeddedAnchor({ config: mediaConfig(), log: silentLog, clock: systemClock })
    await anchor.start(() => {})
    const base = anchorage()
    const at = { ...base, grant: { ...base.grant, codecs: granted, callerCodecs: granted } }
    const offer = sdpOf(await anchor.offer(at, 'caller', volte.replaceAll(/IP6 \S+/g, 'IP4 127.0.0.1') as Sdp))
    expect(readSdp(offer)[0]?.codecs.map(({ name }) => name)).not.toContain('EVS')
    expect(readSdp(offer)[0]?.codecs[0]?.name).toBe('AMR-WB')
    await anchor.release(at.id, at.attempt)
  })

  it('SDP-02 SDP-09 EVS alone has no codec that is granted: 488', async () => {
    const refused = prepareOffer(description(evsAlone), 'rtp', granted)
    expect(refused).toMatchObject({ cause: 'incompatible-media' })
    expect(statusOf({ cause: 'incompatible-media', from: 'hub' })).toBe(488)
    expect(reasonOfStatus(488).cause).toBe('incompatible-media')
  })
})

describe('bandwidth', () => {
  const amr = 'mode-change-capability=2'
  it.each([
    ['AMR 12.2 bandwidth-efficient', 'AMR', amr, 29, 37],
    ['AMR-WB 12.65 bandwidth-efficient', 'AMR-WB', 'mode-set=0,1,2', 30, 38],
    ['AMR-WB 12.65 octet-aligned', 'AMR-WB', 'octet-align=1;mode-set=0,1,2', 30, 38],
    ['AMR-WB 23.85', 'AMR-WB', amr, 41, 49],
    ['EVS 13.2 compact', 'EVS', 'br=13.2', 30, 38],
    ['EVS 24.4 compact', 'EVS', 'br=24.4', 41, 49],
    ['EVS 24.4 header-full', 'EVS', 'br=5.9-24.4;bw=nb-swb', 42, 50],
    ['G.711', 'PCMA', '', 80, 88]
  ])('SDP-05 %s', (_, name, fmtp, v4, v6) => {
    const bytes = payloadBytes(name, fmtp) ?? 0
    expect([kbpsOf(bytes, 'IP4'), kbpsOf(bytes, 'IP6')]).toEqual([v4, v6])
  })

  it('SDP-05 is said anew for the family of the anchor: its own was another', () => {
    const anchored = (family: string) =>
      joined(
        'v=0',
        'o=- 1 1 IN IP4 192.0.2.1',
        's=-',
        `c=IN ${family}`,
        't=0 0',
        'm=audio 4000 RTP/AVP 96',
        'a=rtpmap:96 AMR-WB/16000'
      )
    expect(withBandwidth(anchored('IP4 192.0.2.1'))).toContain('AVP 96\r\nb=AS:41\r\nb=RS:512\r\nb=RR:1537\r\n')
    expect(withBandwidth(anchored('IP6 2001:db8::1'))).toContain('AVP 96\r\nb=AS:49\r\nb=RS:612\r\nb=RR:1837\r\n')
  })

  it('is worked out anew for more kinds of streams than are remembered', () => {
    const offer = (codec: number) => joined('v=0', 'c=IN IP4 192.0.2.1', 't=0 0', `m=audio 4000 RTP/AVP 8 ${codec}`)
    for (let round = 0; round < 2; round++) {
      for (let codec = 0; codec <= limits.bandwidthsKnownMax; codec++) {
        expect(withBandwidth(offer(codec))).toContain(`AVP 8 ${codec}\r\nb=AS:80\r\n`)
      }
    }
  })

  it('SDP-06 RTCP has five per cent, a quarter of it for senders', () => {
    expect(rtcpBps(49)).toEqual({ senders: 612, receivers: 1_837 })
  })

  it('what says its bandwidth keeps it, a stream that is off and a codec that nobody knows say none', () => {
    expect(withBandwidth(volte)).toBe(volte)
    const off = sdpWith(4_000).replace('audio 4000', 'audio 0')
    expect(withBandwidth(off)).toBe(off)
    const unknown = sdpWith(4_000).replaceAll('PCMA', 'XYZ')
    expect(withBandwidth(unknown)).toBe(unknown)
  })
})

describe('changes', () => {
  it('SDP-10 hold is a direction with a real address; a change that is refused leaves the call as it was', async () => {
    const pair = await open()
    const { call, tx } = await pair.invite('alpha')
    pair.beta.answer(tx, 200, { body: sdpWith(50_000) })
    const dialog = pair.alpha.callerDialog(call, await call.response(200))
    pair.alpha.ack(dialog, 1)
    await pair.beta.takeAck()
    const hold = pair.alpha.inside(dialog, 'INVITE', { body: sdpWith(40_000, 'sendonly') })
    const held = await pair.beta.take('INVITE')
    expect(held.request.body.toString()).toContain('a=sendonly')
    expect(held.request.body.toString()).not.toContain('0.0.0.0')
    pair.beta.answer(held, 488)
    expect((await hold.final()).status).toBe(488)
    pair.alpha.ack(dialog, hold.cseq)
    expect(pair.hub.sessionCount).toBe(1)
    const bye = pair.alpha.inside(dialog, 'BYE')
    pair.beta.answer(await pair.beta.take('BYE'), 200)
    expect((await bye.final()).status).toBe(200)
  })

  it('SDP-03 the called phone is not rung before its media has a place: the INVITE brings it', async () => {
    const pair = await open()
    const { call, tx } = await pair.invite('alpha')
    expect(tx.request.body.toString()).toMatch(/m=audio [1-9]/)
    expect(call.responses.filter(({ status }) => status === 180)).toEqual([])
    await refuse(pair, pair.beta, tx, call)
  })
})
