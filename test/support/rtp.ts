// Raw RTP for tests, without SDP: speaks a tone in G.711 A-law or any packet, and keeps every packet it hears.

import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { fromALaw, toALaw } from '../../src/sandbox/tone.ts'

export const sampleRate = 8_000
const packetMs = 20
const packetSamples = (sampleRate * packetMs) / 1_000

export interface HeardPacket {
  readonly payloadType: number
  readonly marker: boolean
  readonly sequence: number
  readonly timestamp: number
  readonly ssrc: number
  readonly payload: Buffer
  readonly from: number
}

/** `at`: the number of the first sample, so that consecutive frames join without a click. */
export function toneFrame(hz: number, at: number, samples = packetSamples): Buffer {
  return Buffer.from(
    Array.from({ length: samples }, (_, i) =>
      toALaw(Math.round(8_000 * Math.sin((2 * Math.PI * hz * (at + i)) / sampleRate)))
    )
  )
}

export interface RtpEndpoint {
  readonly port: number
  readonly ssrc: number
  readonly heard: readonly HeardPacket[]
  readonly heardRtcp: readonly Buffer[]
  /** Where it sends; the anchor's address. */
  target: { host: string; port: number; rtcpPort: number } | null
  /** Speaks a tone until stopped. */
  speak(hz: number, payloadType?: number): void
  silence(): void
  /** Sends back whatever it hears, under its own SSRC. */
  echo(): void
  send(packet: Buffer): void
  sendRtcp(packet: Buffer): void
  /** Linear samples of what was heard under one payload type. */
  samples(payloadType?: number): readonly number[]
  close(): Promise<void>
}

export function rtpPacket(fields: {
  payloadType: number
  sequence: number
  timestamp: number
  ssrc: number
  payload: Buffer
  marker?: boolean
}): Buffer {
  const header = Buffer.alloc(12)
  header[0] = 0x80
  header[1] = (fields.marker === true ? 0x80 : 0) | fields.payloadType
  header.writeUInt16BE(fields.sequence & 0xffff, 2)
  header.writeUInt32BE(fields.timestamp >>> 0, 4)
  header.writeUInt32BE(fields.ssrc, 8)
  return Buffer.concat([header, fields.payload])
}

/** A pair of sockets on loopback, RTP on an even port. */
export async function openRtpEndpoint({ ssrc = 0x1000_0001 }: { ssrc?: number } = {}): Promise<RtpEndpoint> {
  const [rtp, rtcp] = await bindPair()
  const heard: HeardPacket[] = []
  const heardRtcp: Buffer[] = []
  rtp.on('message', (packet, { port }) => {
    heard.push({
      payloadType: packet[1]! & 0x7f,
      marker: packet[1]! >= 0x80,
      sequence: packet.readUInt16BE(2),
      timestamp: packet.readUInt32BE(4),
      ssrc: packet.readUInt32BE(8),
      payload: packet.subarray(12),
      from: port
    })
  })
  rtcp.on('message', packet => heardRtcp.push(packet))
  let timer: NodeJS.Timeout | null = null
  let sequence = 1_000
  let samplesSent = 0
  const endpoint: RtpEndpoint = {
    port: rtp.address().port,
    ssrc,
    heard,
    heardRtcp,
    target: null,
    speak(hz, payloadType = 8) {
      endpoint.silence()
      const begun = performance.now()
      let sent = 0
      timer = setInterval(() => {
        // Catches up after a stall, so that the packet count tells the time.
        for (; sent * packetMs <= performance.now() - begun; sent++) {
          const payload = toneFrame(hz, samplesSent)
          endpoint.send(rtpPacket({ payloadType, sequence, timestamp: samplesSent, ssrc, payload }))
          sequence++
          samplesSent += packetSamples
        }
      }, packetMs)
    },
    silence() {
      if (timer !== null) clearInterval(timer)
      timer = null
    },
    echo() {
      rtp.on('message', packet => {
        const back = Buffer.from(packet)
        back.writeUInt32BE(ssrc, 8)
        endpoint.send(back)
      })
    },
    send(packet) {
      if (endpoint.target !== null) rtp.send(packet, endpoint.target.port, endpoint.target.host)
    },
    sendRtcp(packet) {
      if (endpoint.target !== null) rtcp.send(packet, endpoint.target.rtcpPort, endpoint.target.host)
    },
    samples: (payloadType = 8) =>
      heard.flatMap(packet => (packet.payloadType === payloadType ? [...packet.payload].map(fromALaw) : [])),
    async close() {
      endpoint.silence()
      await Promise.all([rtp, rtcp].map(socket => new Promise<void>(resolve => void socket.close(() => resolve()))))
    }
  }
  return endpoint
}

async function bindPair(): Promise<[Socket, Socket]> {
  for (let tries = 0; tries < 100; tries++) {
    const rtp = createSocket('udp4').bind(0, '127.0.0.1')
    await once(rtp, 'listening')
    const { port } = rtp.address()
    const rtcp = createSocket('udp4')
    const bound = await new Promise<boolean>(resolve => {
      rtcp.once('error', () => resolve(false))
      rtcp.bind(port + 1, '127.0.0.1', () => resolve(true))
    })
    if (bound && port % 2 === 0) return [rtp, rtcp]
    rtp.close()
    rtcp.close()
  }
  throw new Error('no pair of ports on loopback')
}
