// Tones: G.711 both ways, Opus as a packet, and how a tone is told from others.

import { describe, expect, it } from '@jest/globals'
import { fromALaw, fromMuLaw, opusTone, samplesOf, shareAt, toALaw, toMuLaw, toneOf } from '../../src/sandbox/tone.ts'

const codes = Array.from({ length: 256 }, (_, code) => code)

describe('G.711', () => {
  it('decodes and encodes every code to itself', () => {
    expect(codes.map(code => toALaw(fromALaw(code)))).toEqual(codes)
    // Mu-law has two zeros; the negative one is written as the positive.
    expect(codes.map(code => toMuLaw(fromMuLaw(code)))).toEqual(codes.map(code => (code === 0x7f ? 0xff : code)))
  })

  it('meets the values of ITU-T G.711 at the ends of its ranges', () => {
    expect([fromALaw(0xd5), fromALaw(0x55), fromALaw(0xaa), fromALaw(0x2a)]).toEqual([8, -8, 32_256, -32_256])
    expect([fromMuLaw(0xff), fromMuLaw(0x80), fromMuLaw(0x00)]).toEqual([0, 32_124, -32_124])
    expect([toALaw(40_000), toMuLaw(40_000)]).toEqual([0xaa, 0x80])
  })
})

describe('tones', () => {
  it.each(['PCMA', 'PCMU'] as const)('are told from each other in %s', codec => {
    const samples = Array.from({ length: 25 }, (_, packet) => samplesOf(codec, toneOf(codec, 1_000, packet))).flat()
    expect(shareAt(samples, 1_000)).toBeGreaterThan(0.98)
    expect(shareAt(samples, 440)).toBeLessThan(0.02)
  })

  it('are not found in silence', () => {
    expect(
      shareAt(
        Array.from({ length: 800 }, (_, at) => (at % 2) * 8),
        4_000
      )
    ).toBe(0)
    expect(shareAt([], 1_000)).toBe(0)
  })

  it('are one CELT packet of 20 ms in Opus', () => {
    expect(opusTone).toHaveLength(60)
    // RFC 6716, 3.1: configuration 31 (CELT, full band, 20 ms), mono, one frame.
    expect(opusTone[0]).toBe((31 << 3) | 0)
    expect(toneOf('opus', 440, 3)).toBe(opusTone)
    expect(samplesOf('opus', opusTone)).toEqual([])
  })
})
