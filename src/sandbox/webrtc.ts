// A WebRTC endpoint through werift: one audio track, the same plays and counts as the plain RTP one.

import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from 'werift'
import type { RTCRtpTransceiver } from 'werift'
import { Listener, Speaker } from './media-end.ts'
import type { Heard, MediaEnd, Play } from './media-end.ts'
import { mirrored, readAudio } from './sdp.ts'
import type { Codec, Direction } from './sdp.ts'
import { codecs } from './tone.ts'
import type { CodecName } from './tone.ts'

export interface WebrtcOptions {
  /** The one address that ICE offers. */
  readonly host?: string
  readonly codecs?: readonly CodecName[]
}

/** One audio stream. */
export class WebrtcEnd implements MediaEnd {
  readonly #pc: RTCPeerConnection
  readonly #track = new MediaStreamTrack({ kind: 'audio' })
  readonly #listener = new Listener()
  readonly #speaker = new Speaker()
  #transceiver: RTCRtpTransceiver | null = null
  #wanted: Direction = 'sendrecv'
  #agreed: readonly Codec[] = []
  #sending = false
  #sequence = 0
  #sent = 0
  #play: Play = { what: 'nothing' }
  #listening = false
  #closed = false

  constructor({ host = '127.0.0.1', codecs: known = ['opus', 'PCMA', 'PCMU'] }: WebrtcOptions = {}) {
    this.#pc = new RTCPeerConnection({
      codecs: { audio: known.map(parametersOf) },
      // werift asks a public STUN server unless told otherwise.
      iceServers: [],
      iceUseIpv6: host.includes(':'),
      iceUseTcp: false,
      iceAdditionalHostAddresses: [host],
      iceFilterCandidatePair: pair => pair.localCandidate.host === host
    })
  }

  get heard(): Heard {
    const { received, lost, codec } = this.#listener
    const state = this.#pc.connectionState
    const path = state === 'connected' ? 'open' : state === 'failed' || state === 'closed' ? 'failed' : 'waiting'
    return { path, packetsReceived: received, packetsLost: lost, codec, packetsSent: this.#sent }
  }

  async offer(direction: Direction = 'sendrecv'): Promise<string> {
    this.#wanted = direction
    this.#ready().setDirection(direction)
    await this.#pc.setLocalDescription(await this.#pc.createOffer())
    this.#listen()
    return this.#pc.localDescription?.sdp ?? ''
  }

  async answer(offer: string): Promise<string | null> {
    const remote = readAudio(offer)
    if (remote === null) return null
    this.#wanted = mirrored(remote.direction)
    const transceiver = this.#ready()
    await this.#pc.setRemoteDescription({ type: 'offer', sdp: offer })
    transceiver.setDirection(this.#wanted)
    await this.#pc.setLocalDescription(await this.#pc.createAnswer())
    this.#listen()
    const answer = this.#pc.localDescription?.sdp ?? ''
    this.#agree(readAudio(answer)?.codecs ?? [], remote.direction)
    return answer
  }

  async accept(answer: string): Promise<boolean> {
    const remote = readAudio(answer)
    if (remote === null || this.#pc.signalingState !== 'have-local-offer') return false
    await this.#pc.setRemoteDescription({ type: 'answer', sdp: answer })
    this.#agree(remote.codecs, remote.direction)
    return true
  }

  play(what: Play): void {
    this.#play = what
    this.#speaker.stop()
    const [codec] = this.#agreed
    if (what.what !== 'tone' || codec === undefined || !this.#sending || this.#closed) return
    this.#speaker.start(codec.name, what.hz, (payload, timestamp, first) => {
      this.#send(codec.payloadType, timestamp, first, payload)
    })
  }

  hears(hz: number): boolean {
    return this.#listener.hears(hz)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#speaker.stop()
    await this.#pc.close()
  }

  #ready(): RTCRtpTransceiver {
    this.#transceiver ??= this.#pc.addTransceiver(this.#track, { direction: 'sendrecv' })
    return this.#transceiver
  }

  #agree(list: readonly Codec[], direction: Direction): void {
    this.#agreed = list
    const ours = mirrored(direction, this.#wanted)
    this.#sending = ours === 'sendrecv' || ours === 'sendonly'
    this.play(this.#play)
  }

  /** Tracks hear nothing where the SDP names no SSRC; the transport hears everything. */
  #listen(): void {
    const [transport] = this.#pc.dtlsTransports
    if (this.#listening || transport === undefined) return
    this.#listening = true
    transport.onRtp.subscribe(({ header, payload }) => {
      const { payloadType, sequenceNumber: sequence, marker, timestamp } = header
      const codec = this.#agreed.find(one => one.payloadType === payloadType)?.name ?? null
      this.#listener.hear({ payloadType, sequence, marker, timestamp, payload }, codec)
      if (this.#play.what === 'echo' && this.#sending) this.#send(payloadType, timestamp, marker, payload)
    })
  }

  #send(payloadType: number, timestamp: number, marker: boolean, payload: Buffer): void {
    if (this.#pc.connectionState !== 'connected' || this.#closed) return
    const header = new RtpHeader({ payloadType, timestamp, marker, sequenceNumber: this.#sequence })
    this.#sequence = (this.#sequence + 1) & 0xffff
    this.#sent++
    this.#track.writeRtp(new RtpPacket(header, payload))
  }
}

const parametersOf = (name: CodecName): RTCRtpCodecParameters => {
  const { payloadType, clockRate, channels } = codecs[name]
  return new RTCRtpCodecParameters({ mimeType: `audio/${name}`, payloadType, clockRate, channels })
}
