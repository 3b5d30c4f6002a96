// The process of one XMPP user: stanza for XMPP and Jingle, @roamhq/wrtc for real audio. Told what to do over IPC.
// `stanza-user.ts` is its other half. The audio library is native, so it does not live inside a test's own process.

import { randomUUID } from 'node:crypto'
import * as XMPP from 'stanza'
import { exportToSDP, importFromSDP } from 'stanza/jingle/sdp/Intermediate.js'
import { convertIntermediateToRequest, convertRequestToIntermediate } from 'stanza/jingle/sdp/Protocol.js'
import { Audio, MediaStream, Picture, RTCPeerConnection } from './stanza-media.ts'
import type { PeerConnection, Track } from './stanza-media.ts'
import type { ChildCommand, ChildEvent, ChildRequest, StanzaStats } from './stanza-user.ts'

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
  send(action: string, data: object): void
  readonly role: 'initiator' | 'responder'
  readonly peerRole: 'initiator' | 'responder'
  readonly transportType: never
  onContentAccept(changes: never, done: (error?: object) => void): void
  onContentReject(changes: never, done: (error?: object) => void): void
  onContentRemove(changes: never, done: (error?: object) => void): void
}
interface Jingle {
  createMediaSession(peer: string, sid: string): Session
  readonly sessions: Readonly<Record<string, Session>>
}

const tell = (event: ChildEvent): void => void process.send?.(event)

const audio = new Map<string, Audio>()
const pictures = new Map<string, Picture>()
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
      advertiseVideo: jingle,
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
    pictures.get(sid)?.close()
    pictures.delete(sid)
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

async function prepared(session: Session, hz: number, video: boolean): Promise<void> {
  const sound = new Audio(hz)
  audio.set(session.sid, sound)
  const stream = new MediaStream()
  stream.addTrack(sound.track)
  await session.addTrack(sound.track, stream)
  if (!video) return
  const picture = new Picture()
  pictures.set(session.sid, picture)
  stream.addTrack(picture.track)
  await session.addTrack(picture.track, stream)
}

/** Receivers exist once both descriptions are set; looked for when somebody wants to know. */
function listen(sid: string): void {
  const session = calls.get(sid)
  for (const { track } of session?.pc.getReceivers() ?? []) {
    audio.get(sid)?.listen(track)
    pictures.get(sid)?.watch(track)
  }
}

/** What stanza does not do by itself: a content more in a session that talks (XEP-0166, 7.2.3). */
async function addVideo(session: Session): Promise<void> {
  const { pc, sid, role } = session
  const local = importFromSDP(pc.localDescription.sdp).media
  const before = new Set(local.map(({ mid }) => mid))
  const picture = new Picture()
  pictures.set(sid, picture)
  const stream = new MediaStream()
  stream.addTrack(picture.track)
  pc.addTrack(picture.track, stream)
  const offer = await pc.createOffer()
  const { contents = [], groups = [] } = convertIntermediateToRequest(
    importFromSDP(offer.sdp),
    role,
    session.transportType
  )
  const remote = importFromSDP(pc.remoteDescription.sdp)
  // What the hub has offered first it answers now, with the part in DTLS that was left to it.
  const left = local[0]?.setup === 'active' ? 'passive' : 'active'
  for (const section of remote.media) if (section.setup === 'actpass') section.setup = left
  await pc.setLocalDescription(offer)
  const join = async (changes: never): Promise<void> => {
    const { media, groups: joined } = convertRequestToIntermediate(changes, session.peerRole)
    remote.media.push(...media)
    if (joined.length > 0) remote.groups = joined
    await pc.setRemoteDescription({ type: 'answer', sdp: exportToSDP(remote) })
    tell({ type: 'video-accepted', sid })
  }
  session.onContentAccept = (changes, done) => {
    // Taken at once; what cannot be joined is seen by the event that never comes.
    done()
    void join(changes)
  }
  session.onContentReject = (_, done) => {
    tell({ type: 'video-rejected', sid })
    done()
  }
  const added = contents.filter(({ name }) => !before.has(name)).map(each => ({ ...each, creator: role }))
  session.send('content-add', { contents: added, groups })
}

async function removeVideo(session: Session): Promise<void> {
  const { pc, role, sid } = session
  const video = importFromSDP(pc.localDescription.sdp).media.find(({ kind }) => kind === 'video')
  for (const sender of pc.getSenders()) if (sender.track?.kind === 'video') await sender.replaceTrack(null)
  pictures.get(sid)?.close()
  pictures.delete(sid)
  session.send('content-remove', { contents: [{ creator: role, name: video?.mid }] })
}

async function stats(sid: string): Promise<StanzaStats> {
  listen(sid)
  const { pc } = callOf(sid)
  const reports = [...(await pc.getStats()).values()]
  const sum = (type: string, fact: string, kind: string): number =>
    reports
      .filter(report => report['type'] === type && (report['kind'] ?? report['mediaType']) === kind)
      .reduce((total, report) => total + Number(report[fact] ?? 0), 0)
  const counted = (kind: string) => ({
    packetsReceived: sum('inbound-rtp', 'packetsReceived', kind),
    packetsSent: sum('outbound-rtp', 'packetsSent', kind)
  })
  const inbound = reports.find(report => report['type'] === 'inbound-rtp' && report['kind'] === 'audio')
  const codec = reports.find(report => report['id'] === inbound?.['codecId'])
  return {
    ...counted('audio'),
    video: { ...counted('video'), framesReceived: pictures.get(sid)?.frames ?? 0 },
    codec: typeof codec?.['mimeType'] === 'string' ? codec['mimeType'].replace('audio/', '') : null,
    connection: pc.connectionState
  }
}

async function run(command: ChildCommand): Promise<unknown> {
  switch (command.do) {
    case 'connect':
      return connect(command)
    case 'call': {
      const { to, hz, sid, video = false } = command
      const { jingle } = connected() as unknown as { jingle: Jingle }
      const session = jingle.createMediaSession(to, sid ?? randomUUID())
      calls.set(session.sid, session)
      await prepared(session, hz, video)
      await session.start()
      return session.sid
    }
    case 'ring':
      return callOf(command.sid).ring()
    case 'answer': {
      const session = callOf(command.sid)
      await prepared(session, command.hz, command.video === true)
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
    case 'addVideo':
      return addVideo(callOf(command.sid))
    case 'removeVideo':
      return removeVideo(callOf(command.sid))
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
