// A WebRTC endpoint for tests (werift's whole peer connection): speaks a tone in G.711 A-law, records what it hears.

import { CipherContext, MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from 'werift'
import type { Sdp } from '../../src/session/model.ts'
import { fromALaw } from '../../src/sandbox/tone.ts'
import { sampleRate, toneFrame } from './rtp.ts'
import type { HeardPacket } from './rtp.ts'

export interface WebrtcEndpoint {
  readonly pc: RTCPeerConnection
  readonly heard: readonly HeardPacket[]
  offer(options?: { iceRestart?: boolean }): Promise<Sdp>
  accept(answer: string): Promise<void>
  answer(offer: string): Promise<Sdp>
  speak(hz: number): void
  silence(): void
  samples(payloadType?: number): readonly number[]
  close(): Promise<void>
}

const codec = {
  PCMA: new RTCRtpCodecParameters({ mimeType: 'audio/PCMA', clockRate: 8_000, channels: 1, payloadType: 8 }),
  opus: new RTCRtpCodecParameters({ mimeType: 'audio/opus', clockRate: 48_000, channels: 2, payloadType: 111 })
}

export async function openWebrtcEndpoint({
  codecs = ['PCMA']
}: { codecs?: readonly (keyof typeof codec)[] } = {}): Promise<WebrtcEndpoint> {
  // A certificate of its own: the library's default one is shared by everybody in the process.
  const keys = await CipherContext.createSelfSignedCertificateWithKey({ signature: 3, hash: 4 }, 23)
  const pc = new RTCPeerConnection({
    dtls: { keys },
    codecs: { audio: codecs.map(name => codec[name]) },
    iceServers: [],
    iceUseIpv6: false,
    iceUseTcp: false,
    iceAdditionalHostAddresses: ['127.0.0.1'],
    // Loopback alone: the test machine's other addresses only cost time.
    iceFilterCandidatePair: pair => pair.localCandidate.host === '127.0.0.1'
  })
  const track = new MediaStreamTrack({ kind: 'audio' })
  const heard: HeardPacket[] = []
  let listening = false
  // Tracks hear nothing where the SDP names no SSRC: the transport does.
  const listen = (): void => {
    if (listening) return
    listening = true
    pc.dtlsTransports[0]!.onRtp.subscribe(({ header, payload }) => {
      const { payloadType, marker, sequenceNumber: sequence, timestamp, ssrc } = header
      heard.push({ payloadType, marker, sequence, timestamp, ssrc, payload, from: 0 })
    })
  }
  let timer: NodeJS.Timeout | null = null
  let sequence = 100
  let samplesSent = 0
  const endpoint: WebrtcEndpoint = {
    pc,
    heard,
    async offer(options = {}) {
      if (pc.getTransceivers().length === 0) pc.addTransceiver(track, { direction: 'sendrecv' })
      await pc.setLocalDescription(await pc.createOffer(options))
      listen()
      return pc.localDescription!.sdp as Sdp
    },
    accept: sdp => pc.setRemoteDescription({ type: 'answer', sdp }),
    async answer(sdp) {
      if (pc.getTransceivers().length === 0) pc.addTransceiver(track, { direction: 'sendrecv' })
      await pc.setRemoteDescription({ type: 'offer', sdp })
      // The library would be the client whatever the offer says.
      if (sdp.includes('a=setup:active')) for (const dtls of pc.dtlsTransports) dtls.role = 'server'
      await pc.setLocalDescription(await pc.createAnswer())
      listen()
      return pc.localDescription!.sdp as Sdp
    },
    speak(hz) {
      endpoint.silence()
      const begun = performance.now()
      let sent = 0
      timer = setInterval(() => {
        for (; sent * 20 <= performance.now() - begun; sent++) {
          const header = new RtpHeader({ payloadType: 8, sequenceNumber: sequence++ & 0xffff, timestamp: samplesSent })
          track.writeRtp(new RtpPacket(header, toneFrame(hz, samplesSent)))
          samplesSent += sampleRate / 50
        }
      }, 20)
    },
    silence() {
      if (timer !== null) clearInterval(timer)
      timer = null
    },
    samples: (payloadType = 8) =>
      heard.flatMap(packet => (packet.payloadType === payloadType ? [...packet.payload].map(fromALaw) : [])),
    async close() {
      endpoint.silence()
      await pc.close()
    }
  }
  return endpoint
}
