import { afterEach, describe, expect, it } from '@jest/globals'
import { EmbeddedAnchor } from '../../src/media/embedded.ts'
import type { MediaConfig } from '../../src/config.ts'
import type { Clock } from '../../src/session/ports.ts'
import {
  anchorage,
  anchoredSdp,
  HandClock,
  mediaConfig,
  readSdp,
  rtpSdp,
  silentLog,
  systemClock,
  targetOf
} from '../support/media.ts'
import { openRtpEndpoint, rtpPacket, shareAt, until } from '../support/rtp.ts'
import type { RtpEndpoint } from '../support/rtp.ts'

const endings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

async function endpoints(count: number): Promise<RtpEndpoint[]> {
  const made = await Promise.all(Array.from({ length: count }, (_, i) => openRtpEndpoint({ ssrc: 0x1000 + i })))
  endings.push(...made.map(endpoint => () => endpoint.close()))
  return made
}

function anchor(
  over: Partial<MediaConfig> = {},
  clock: Clock = systemClock
): { embedded: EmbeddedAnchor; lost: string[] } {
  const lost: string[] = []
  const embedded = new EmbeddedAnchor({ config: mediaConfig(over), log: silentLog, clock })
  void embedded.start((id, attempt) => lost.push(`${id}/${attempt}`))
  return { embedded, lost }
}

describe('the embedded anchor between two plain RTP sides', () => {
  it('carries a tone each way and counts it', async () => {
    const { embedded } = anchor()
    const at = anchorage()
    const [a, b] = (await endpoints(2)) as [RtpEndpoint, RtpEndpoint]
    b.target = targetOf(anchoredSdp(await embedded.offer(at, 'caller', rtpSdp({ port: a.port }))))
    a.target = targetOf(anchoredSdp(await embedded.answer(at, 'callee', rtpSdp({ port: b.port }))))
    a.speak(440)
    b.speak(1_000)
    await until('both hear 200 packets', () => a.heard.length > 200 && b.heard.length > 200)
    const stats = await embedded.release(at.id, at.attempt)
    expect(shareAt(b.samples(), 440)).toBeGreaterThan(0.9)
    expect(shareAt(a.samples(), 1_000)).toBeGreaterThan(0.9)
    expect(stats?.caller[0]).toMatchObject({ kind: 'audio', codec: 'PCMA', packetsLost: 0, transcoded: false })
    expect(stats?.caller[0]?.packetsReceived).toBeGreaterThan(200)
    expect(stats?.callee[0]?.packetsSent).toBe(b.heard.length)
    expect(embedded.portPairs).toBe(0)
  })
})
void HandClock
void readSdp
void rtpPacket
