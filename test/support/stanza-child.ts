// The process of one XMPP user: stanza for XMPP and Jingle, @roamhq/wrtc for real audio. Told what to do over IPC.
// `stanza-user.ts` is its other half. The audio library is native, so it does not live inside a test's own process.

import { randomUUID } from 'node:crypto'
import wrtc from '@roamhq/wrtc'
import * as XMPP from 'stanza'
import type { ChildCommand, ChildEvent, ChildRequest, StanzaStats } from './stanza-user.ts'

const sampleRate = 48_000
const frameSamples = sampleRate / 100
const frameMs = 10
const amplitude = 8_000
const listenSamples = sampleRate / 2

/** The little of WebRTC that is used here; the project is not compiled with a browser's types. */
interface Track {
  readonly kind: string
  stop(): void
}
interface PeerConnection {
  readonly connectionState: string
  addTransceiver(track: Track, options: { direction: string }): unknown
  getReceivers(): readonly { readonly track: Track }[]
  getStats(): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>>
  createOffer(): Promise<unknown>
  close(): void
}
interface AudioData {
  readonly samples: Int16Array
  readonly sampleRate: number
  readonly channelCount?: number
}
const { RTCPeerConnection, nonstandard, MediaStream } = wrtc as unknown as {
  readonly RTCPeerConnection: new (options: unknown) => PeerConnection
  readonly MediaStream: new () => { addTrack(track: Track): void }
  readonly nonstandard: {
    readonly RTCAudioSource: new () => { createTrack(): Track; onData(data: unknown): void }
    readonly RTCAudioSink: new (track: Track) => { ondata: ((data: AudioData) => void) | null; stop(): void }
  }
}

interface Session {
  readonly sid: string
  readonly peerID: string
  readonly state: string
  readonly pc: PeerConnection
  start(): Promise<void>
  accept(): Promise<void>
  ring(): Promise<void>
  hold(): Promise<void>
  resume(): Promise<void>
  end(reason?: string): void
  restartIce(): Promise<void>
  addTrack(track: Track, stream: unknown): Promise<void>
}
interface Jingle {
  createMediaSession(peer: string, sid: string): Session
  readonly sessions: Readonly<Record<string, Session>>
}

const tell = (event: ChildEvent): void => void process.send?.(event)

/** Plays a tone into one call and keeps the last half second of what comes out of it. */
class Audio {
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

const audio = new Map<string, Audio>()
const calls = new Map<string, Session>()
let client: XMPP.Agent | null = null

const connected = (): XMPP.Agent => {
  if (client === null) throw new Error('not connected')
  return client
}
const callOf = (sid: string): Session => {
  const session = calls.get(sid)
  if (session === undefined) throw new Error(`there is no call ${sid}`)
  return session
}

function connect({ url, jid, password, jingle }: Extract<ChildCommand, { do: 'connect' }>): Promise<string> {
  const agent = XMPP.createClient({
    jid,
    resource: 'phone',
    password,
    transports: { websocket: url, bosh: false },
    autoReconnect: true,
    useStreamManagement: false,
    jingle: {
      hasRTCPeerConnection: jingle,
      advertiseAudio: jingle,
      advertiseVideo: false,
      iceServers: [],
      createPeerConnection: (_: unknown, options: object) => new RTCPeerConnection({ ...options, iceServers: [] })
    }
  } as never)
  client = agent
  agent.on('raw:*', (direction: string, xml: string) =>
    tell({ type: 'raw', direction: direction === 'raw:outgoing' ? 'out' : 'in', xml })
  )
  const on = (name: string, heard: (...args: never[]) => void): void => void agent.on(name as never, heard as never)
  on('jingle:incoming', (session: Session) => {
    calls.set(session.sid, session)
    tell({ type: 'incoming', sid: session.sid, peer: session.peerID })
  })
  on('jingle:ringing', ({ sid }: Session) => tell({ type: 'ringing', sid }))
  on('jingle:accepted', ({ sid }: Session) => tell({ type: 'accepted', sid }))
  on('jingle:hold', ({ sid }: Session) => tell({ type: 'hold', sid }))
  on('jingle:resumed', ({ sid }: Session) => tell({ type: 'resumed', sid }))
  on('jingle:terminated', ({ sid }: Session, reason: { condition?: string; text?: string } | undefined) => {
    audio.get(sid)?.close()
    audio.delete(sid)
    calls.delete(sid)
    tell({ type: 'terminated', sid, reason: reason?.condition ?? null, text: reason?.text ?? null })
  })
  on('message', (message: XMPP.Stanzas.ReceivedMessage) => tell({ type: 'message', message: plain(message) }))
  on('subscribe', ({ from }: { from: string }) => {
    agent.sendPresence({ to: from, type: 'subscribed' })
    tell({ type: 'subscribe', from })
  })
  on('available', ({ from }: { from: string }) => tell({ type: 'available', from }))
  on('unavailable', ({ from }: { from: string }) => tell({ type: 'unavailable', from }))
  on('disconnected', () => tell({ type: 'disconnected' }))
  return new Promise((resolve, reject) => {
    on('auth:failed', () => reject(new Error(`${jid} may not log in`)))
    on('session:started', () => {
      void (async () => {
        await agent.getRoster()
        agent.updateCaps()
        agent.sendPresence({ legacyCapabilities: agent.disco.getCaps() })
        tell({ type: 'online' })
        resolve(agent.jid)
      })().catch(reject)
    })
    agent.connect()
  })
}

const plain = (message: object): Record<string, unknown> =>
  JSON.parse(JSON.stringify(message)) as Record<string, unknown>

async function prepared(session: Session, hz: number): Promise<void> {
  const sound = new Audio(hz)
  audio.set(session.sid, sound)
  const stream = new MediaStream()
  stream.addTrack(sound.track)
  await session.addTrack(sound.track, stream)
}

/** Receivers exist once both descriptions are set; looked for when somebody wants to know. */
function listen(sid: string): void {
  const session = calls.get(sid)
  for (const { track } of session?.pc.getReceivers() ?? []) audio.get(sid)?.listen(track)
}

async function stats(sid: string): Promise<StanzaStats> {
  listen(sid)
  const { pc } = callOf(sid)
  const reports = [...(await pc.getStats()).values()]
  const sum = (type: string, fact: string): number =>
    reports.filter(report => report['type'] === type).reduce((total, report) => total + Number(report[fact] ?? 0), 0)
  const inbound = reports.find(report => report['type'] === 'inbound-rtp')
  const codec = reports.find(report => report['id'] === inbound?.['codecId'])
  return {
    packetsReceived: sum('inbound-rtp', 'packetsReceived'),
    packetsSent: sum('outbound-rtp', 'packetsSent'),
    codec: typeof codec?.['mimeType'] === 'string' ? codec['mimeType'].replace('audio/', '') : null,
    connection: pc.connectionState
  }
}

async function run(command: ChildCommand): Promise<unknown> {
  switch (command.do) {
    case 'connect':
      return connect(command)
    case 'call': {
      const { to, hz, sid } = command
      const { jingle } = connected() as unknown as { jingle: Jingle }
      const session = jingle.createMediaSession(to, sid ?? randomUUID())
      calls.set(session.sid, session)
      await prepared(session, hz)
      await session.start()
      return session.sid
    }
    case 'ring':
      return callOf(command.sid).ring()
    case 'answer': {
      const session = callOf(command.sid)
      await prepared(session, command.hz)
      await session.accept()
      return null
    }
    case 'end':
      callOf(command.sid).end(command.reason ?? 'success')
      return null
    case 'hold':
      return callOf(command.sid).hold()
    case 'resume':
      return callOf(command.sid).resume()
    case 'restartIce':
      return callOf(command.sid).restartIce()
    case 'play':
      audio.get(command.sid)?.play(command.hz)
      return null
    case 'stats':
      return stats(command.sid)
    case 'heard':
      listen(command.sid)
      return [...(audio.get(command.sid)?.heard ?? [])]
    case 'message':
      return connected().sendMessage(command.message)
    case 'presence':
      connected().sendPresence(command.presence)
      return null
    case 'raw':
      ;(connected() as unknown as { transport: { socket: { send(xml: string): void } } }).transport.socket.send(
        command.xml
      )
      return null
    case 'disconnect':
      await (connected() as unknown as { disconnect(): Promise<void> }).disconnect()
      return null
    default:
      return command satisfies never
  }
}

process.on('message', ({ id, command }: ChildRequest) => {
  run(command).then(
    value => tell({ type: 'done', id, value: value ?? null }),
    (error: unknown) => tell({ type: 'failed', id, why: error instanceof Error ? error.message : String(error) })
  )
})
// The test is gone: so are we.
process.on('disconnect', () => process.exit(0))
