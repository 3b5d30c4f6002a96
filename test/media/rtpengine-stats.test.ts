import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { lastHeard, mediaStats } from '../../src/media/rtpengine-stats.ts'

/** Captured with the tags `ott` and `nni`; the hub's tags are the sides. */
const reply = (name: string): Record<string, unknown> => {
  const text = readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8')
  return JSON.parse(text.replaceAll('"ott"', '"caller"').replaceAll('"nni"', '"callee"')) as Record<string, unknown>
}

describe('counters of rtpengine', () => {
  it('of a call that was passed through', () => {
    const stats = mediaStats(reply('delete-pcma-pass'))
    expect(stats?.caller).toEqual([
      {
        kind: 'audio',
        codec: 'PCMA',
        packetsReceived: 345,
        bytesReceived: 58_828,
        packetsSent: 340,
        bytesSent: 58_480,
        packetsLost: 0,
        jitterMs: null,
        rttMs: null,
        mos: null,
        transcoded: false
      }
    ])
    expect(stats?.callee[0]).toMatchObject({ packetsReceived: 340, packetsSent: 345 })
  })

  it('of a call that was transcoded: each side its own codec', () => {
    const stats = mediaStats(reply('delete-transcode-pcma'))
    expect(stats?.caller[0]).toMatchObject({ codec: 'opus', transcoded: true })
    expect(stats?.callee[0]).toMatchObject({ codec: 'PCMA', transcoded: true })
  })

  it('of a side that was never reached: nothing was sent to it', () => {
    expect(mediaStats(reply('delete-maxbundle-pcma'))?.caller[0]).toMatchObject({
      codec: null,
      packetsReceived: 0,
      packetsSent: 1
    })
  })

  it('say when a side was last heard, and null for one that never was', () => {
    const heard = lastHeard(reply('delete-maxbundle-pcma'))
    expect(heard.caller).toBeNull()
    expect(heard.callee).toBeGreaterThan(1_700_000_000)
  })

  it('are none where the reply has none, whatever else it holds', () => {
    expect(mediaStats({ result: 'ok' })).toBeNull()
    expect(mediaStats({ tags: { caller: { medias: 'x' }, callee: [1] } })).toEqual({ caller: [], callee: [] })
    expect(lastHeard({})).toEqual({ caller: null, callee: null })
  })
})
