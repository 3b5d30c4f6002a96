// Real media of one XMPP user in tests: a tone and a moving picture for @roamhq/wrtc, and what comes out of a call.

import wrtc from '@roamhq/wrtc'

const sampleRate = 48_000
const frameSamples = sampleRate / 100
const frameMs = 10
const amplitude = 8_000
const listenSamples = sampleRate / 2

/** The little of WebRTC that is used here; the project is not compiled with a browser's types. */
export interface Track {
  readonly kind: string
  stop(): void
}
export interface Description {
  readonly type: string
  readonly sdp: string
}
export interface PeerConnection {
  readonly connectionState: string
  readonly localDescription: Description
  readonly remoteDescription: Description
  addTransceiver(track: Track, options: { direction: string }): unknown
  getReceivers(): readonly { readonly track: Track }[]
  getStats(): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>>
  getSenders(): readonly { readonly track: Track | null; replaceTrack(track: null): Promise<void> }[]
  addTrack(track: Track, stream: unknown): unknown
  createOffer(): Promise<Description>
  setLocalDescription(description: Description): Promise<void>
  setRemoteDescription(description: Description): Promise<void>
  close(): void
}
export interface AudioData {
  readonly samples: Int16Array
  readonly sampleRate: number
  readonly channelCount?: number
}
export const { RTCPeerConnection, nonstandard, MediaStream } = wrtc as unknown as {
  readonly RTCPeerConnection: new (options: unknown) => PeerConnection
  readonly MediaStream: new () => { addTrack(track: Track): void }
  readonly nonstandard: {
    readonly RTCAudioSource: new () => { createTrack(): Track; onData(data: unknown): void }
    readonly RTCAudioSink: new (track: Track) => { ondata: ((data: AudioData) => void) | null; stop(): void }
    readonly RTCVideoSource: new () => { createTrack(): Track; onFrame(frame: unknown): void }
    readonly RTCVideoSink: new (track: Track) => { onframe: (() => void) | null; stop(): void }
  }
}

/** Plays a tone into one call and keeps the last half second of what comes out of it. */
export class Audio {
  readonly track: Track
  readonly #source = new nonstandard.RTCAudioSource()
  readonly #timer: NodeJS.Timeout
  readonly #heard: number[] = []
  #sink: { stop(): void } | null = null
  #hz: number

  constructor(hz: number) {
    this.#hz = hz
    this.track = this.#source.createTrack()
    const begun = performance.now()
    let frames = 0
    this.#timer = setInterval(() => {
      const due = Math.floor((performance.now() - begun) / frameMs)
      if (due - frames > 20) frames = due - 20
      for (; frames < due; frames++) this.#source.onData({ samples: this.#frame(frames), ...format })
    }, frameMs)
  }

  listen(track: Track): void {
    if (this.#sink !== null || track.kind !== 'audio') return
    const sink = new nonstandard.RTCAudioSink(track)
    sink.ondata = ({ samples, sampleRate: rate, channelCount = 1 }) => {
      const step = channelCount * Math.max(1, Math.round(rate / 8_000))
      for (let at = 0; at < samples.length; at += step) this.#heard.push(samples[at] ?? 0)
      if (this.#heard.length > listenSamples / 6) this.#heard.splice(0, this.#heard.length - listenSamples / 6)
    }
    this.#sink = sink
  }

  play(hz: number): void {
    this.#hz = hz
  }

  /** 8 kHz samples of the last half second. */
  get heard(): readonly number[] {
    return this.#heard
  }

  close(): void {
    clearInterval(this.#timer)
    this.#sink?.stop()
    this.track.stop()
  }

  #frame(number: number): Int16Array {
    const samples = new Int16Array(frameSamples)
    if (this.#hz === 0) return samples
    for (let index = 0; index < frameSamples; index++) {
      const at = number * frameSamples + index
      samples[index] = Math.round(amplitude * Math.sin((2 * Math.PI * this.#hz * at) / sampleRate))
    }
    return samples
  }
}
const format = { sampleRate, bitsPerSample: 16, channelCount: 1, numberOfFrames: frameSamples }

const picture = { width: 160, height: 120, frameMs: 66 } as const

/** Sends a picture that changes into one call and counts the ones that come out of it. */
export class Picture {
  readonly track: Track
  readonly #source = new nonstandard.RTCVideoSource()
  readonly #timer: NodeJS.Timeout
  #sink: { stop(): void } | null = null
  #frames = 0

  constructor() {
    const { width, height, frameMs } = picture
    this.track = this.#source.createTrack()
    let sent = 0
    this.#timer = setInterval(() => {
      // I420: brightness of each point, then colours of a quarter of them.
      const data = new Uint8ClampedArray(width * height * 1.5).fill(128)
      const left = (sent++ * 4) % (width - 16)
      for (let row = 0; row < height; row++) data.fill(235, row * width + left, row * width + left + 16)
      this.#source.onFrame({ width, height, data })
    }, frameMs)
  }

  watch(track: Track): void {
    if (this.#sink !== null || track.kind !== 'video') return
    const sink = new nonstandard.RTCVideoSink(track)
    sink.onframe = () => {
      this.#frames += 1
    }
    this.#sink = sink
  }

  /** Pictures that were decoded. */
  get frames(): number {
    return this.#frames
  }

  close(): void {
    clearInterval(this.#timer)
    this.#sink?.stop()
    this.track.stop()
  }
}
