// Tones as RTP payload, and how to recognise one: G.711 (ITU-T G.711) by computation, Opus by a packet made beforehand.

export const codecNames = ['PCMA', 'PCMU', 'opus'] as const
export type CodecName = (typeof codecNames)[number]

export interface CodecFacts {
  /** The static one, or what is offered here. */
  readonly payloadType: number
  readonly clockRate: number
  readonly channels: number
  /** RTP timestamp units in a packet of 20 ms. */
  readonly packetTicks: number
}
export const codecs = {
  PCMA: { payloadType: 8, clockRate: 8_000, channels: 1, packetTicks: 160 },
  PCMU: { payloadType: 0, clockRate: 8_000, channels: 1, packetTicks: 160 },
  opus: { payloadType: 111, clockRate: 48_000, channels: 2, packetTicks: 960 }
} as const satisfies Record<CodecName, CodecFacts>

export const packetMs = 20
/** The tone of everybody who does not say otherwise, and the only one there is in Opus. */
export const standardToneHz = 1_000
const amplitude = 8_000
const sampleRate = 8_000

/**
 * 20 ms of 1000 Hz in Opus (CELT, mono). It was encoded without prediction between packets and holds whole periods, so
 * the same packet over and over is a steady tone.
 */
export const opusTone = Buffer.from(
  '+P4LdBIRiEifDy2zlHMVu3cERFQUIMr5hLHq8XRLeqUV5nmx0WoIVrHnrza+2M9GOklm1LumXBNTPY2R',
  'base64'
)

export function toALaw(sample: number): number {
  const magnitude = Math.min(32_767, Math.abs(sample))
  const exponent = magnitude < 256 ? 0 : 24 - Math.clz32(magnitude)
  const mantissa = exponent === 0 ? magnitude >> 4 : (magnitude >> (exponent + 3)) & 15
  return ((sample < 0 ? 0 : 0x80) | (exponent << 4) | mantissa) ^ 0x55
}

export function fromALaw(code: number): number {
  const value = code ^ 0x55
  const exponent = (value >> 4) & 7
  const step = (value & 15) << 4
  const magnitude = exponent === 0 ? step + 8 : (step + 0x108) << (exponent - 1)
  return (value & 0x80) === 0 ? -magnitude : magnitude
}

export function toMuLaw(sample: number): number {
  const magnitude = Math.min(32_635, Math.abs(sample)) + 132
  const exponent = 24 - Math.clz32(magnitude)
  const mantissa = (magnitude >> (exponent + 3)) & 15
  return ~((sample < 0 ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff
}

export function fromMuLaw(code: number): number {
  const value = ~code & 0xff
  const magnitude = ((((value & 15) << 3) + 132) << ((value >> 4) & 7)) - 132
  return (value & 0x80) === 0 ? magnitude : -magnitude
}

/** 20 ms of a tone; `packet` counts packets from 0, so that consecutive ones join without a click. */
export function toneOf(codec: CodecName, hz: number, packet: number): Buffer {
  if (codec === 'opus') return opusTone
  const encode = codec === 'PCMA' ? toALaw : toMuLaw
  const payload = Buffer.allocUnsafe(codecs[codec].packetTicks)
  for (let index = 0; index < payload.length; index++) {
    const at = packet * payload.length + index
    payload[index] = encode(Math.round(amplitude * Math.sin((2 * Math.PI * hz * at) / sampleRate)))
  }
  return payload
}

/** Linear samples of a G.711 payload; none of Opus, which nothing here decodes. */
export function samplesOf(codec: CodecName, payload: Buffer): readonly number[] {
  if (codec === 'opus') return []
  const decode = codec === 'PCMA' ? fromALaw : fromMuLaw
  return Array.from(payload, decode)
}

/** The share of the samples' power at one frequency, 0 to 1 (Goertzel): near 1 for a pure tone, 0 for silence. */
export function shareAt(samples: readonly number[], hz: number): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / sampleRate)
  let one = 0
  let two = 0
  let power = 0
  for (const sample of samples) {
    const next = sample + coefficient * one - two
    two = one
    one = next
    power += sample * sample
  }
  // Below this it is line noise: the smallest steps of G.711.
  if (power <= samples.length * 256) return 0
  return (2 * (one * one + two * two - coefficient * one * two)) / (samples.length * power)
}
