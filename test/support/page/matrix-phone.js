// The page's side of test/support/matrix-phone.ts: matrix-js-sdk's own MatrixCall with a tone as its microphone.

import { createClient, createNewMatrixCall } from 'matrix-js-sdk'
import { logger } from 'matrix-js-sdk/lib/logger.js'

logger.setLevel('silent')
const events = []
const note = (type, facts = {}) => events.push({ type, at: Date.now(), ...facts })

let client = null
let call = null
let audio = null
let ear = null
let tone = 440

function context() {
  audio ??= new AudioContext()
  return audio
}

/** What the SDK gets for a microphone is a pure tone; its camera is the browser's fake one. */
const realMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
navigator.mediaDevices.getUserMedia = async constraints => {
  const granted = await realMedia(constraints)
  if (!constraints.audio) return granted
  for (const track of granted.getAudioTracks()) track.stop()
  const oscillator = context().createOscillator()
  const gain = context().createGain()
  const out = context().createMediaStreamDestination()
  oscillator.frequency.value = tone
  gain.gain.value = 0.5
  oscillator.connect(gain).connect(out)
  oscillator.start()
  await context().resume()
  return new MediaStream([...out.stream.getAudioTracks(), ...granted.getVideoTracks()])
}

/** The ear follows the call: after a hold the receiver's track has to be listened to anew. */
let listenedTo = null
function listen() {
  const found = call?.peerConn?.getTransceivers().find(({ receiver }) => receiver.track.kind === 'audio')
  const isOpen = /recv/.test(found?.currentDirection ?? '')
  if (!isOpen || found.receiver.track === listenedTo) {
    if (!isOpen) listenedTo = null
    return
  }
  listenedTo = found.receiver.track
  const stream = new MediaStream([listenedTo])
  // Chromium decodes a remote track for WebAudio only while some element plays it.
  const element = document.createElement('audio')
  element.muted = true
  element.srcObject = stream
  element.play().catch(() => {})
  const analyser = context().createAnalyser()
  analyser.fftSize = 8192
  context().createMediaStreamSource(stream).connect(analyser)
  ear = analyser
}

function adopt(next) {
  call = next
  ear = null
  listenedTo = null
  next.on('state', state => note(`call ${state}`, { reason: next.hangupReason ?? null }))
  next.on('hangup', () => note('hangup', { reason: next.hangupReason ?? null }))
  next.on('error', error => note('call error', { error: String(error) }))
  next.on('local_hold_unhold', is => note(is ? 'held' : 'unheld'))
  next.on('asserted_identity_changed', () => note('identity', { ...next.getRemoteAssertedIdentity() }))
}

globalThis.phone = {
  async start({ baseUrl, userId, accessToken, deviceId }) {
    const opts = { baseUrl, userId, accessToken, deviceId, fallbackICEServerAllowed: false, useE2eForGroupCall: false }
    client = createClient(opts)
    client.on('Call.incoming', incoming => {
      adopt(incoming)
      note('incoming', { from: incoming.getOpponentMember()?.userId ?? null, kind: incoming.type })
    })
    client.on('Room.timeline', event => {
      if (event.getType() !== 'm.room.message') return
      const { body, msgtype } = event.getContent()
      note('message', { body, msgtype, sender: event.getSender(), roomId: event.getRoomId(), eventId: event.getId() })
    })
    const ready = new Promise(resolve => {
      client.on('sync', state => {
        if (state === 'PREPARED') resolve(true)
      })
    })
    await client.startClient({ initialSyncLimit: 5 })
    await ready
  },
  /** A direct room with somebody, joined by both. */
  async room({ userId }) {
    const { room_id: roomId } = await client.createRoom({
      preset: 'trusted_private_chat',
      is_direct: true,
      invite: [userId]
    })
    return roomId
  },
  async knows({ roomId, userId }) {
    return client.getRoom(roomId)?.getMember(userId)?.membership === 'join'
  },
  async call({ roomId, hz, video }) {
    tone = hz
    const made = createNewMatrixCall(client, roomId)
    adopt(made)
    await (video ? made.placeVideoCall() : made.placeVoiceCall())
    note('placed', { callId: made.callId })
  },
  async answer({ hz, video }) {
    tone = hz
    await call.answer(true, video === true)
  },
  reject: () => call.reject(),
  hangUp() {
    if (call !== null && call.state !== 'ended') call.hangup('user_hangup', false)
  },
  hold: ({ on }) => call.setRemoteOnHold(on),
  mute: ({ on }) => call.setMicrophoneMuted(on),
  video: ({ on }) => call.setLocalVideoMuted(!on),
  upgrade: () => call.upgradeCall(false, true),
  /** The SDK renegotiates by itself, as after a change of network. */
  restartIce: () => call.peerConn.restartIce(),
  remoteUfrag: () => /^a=ice-ufrag:(.+)$/m.exec(call?.peerConn?.remoteDescription?.sdp ?? '')?.[1]?.trim() ?? null,
  state: () => call?.state ?? null,
  send: ({ roomId, body }) => client.sendTextMessage(roomId, body).then(({ event_id: id }) => id),
  typing: ({ roomId, on }) => client.sendTyping(roomId, on, 10_000).then(() => null),
  async read({ roomId, eventId }) {
    const event = client.getRoom(roomId)?.findEventById(eventId)
    await client.sendReadReceipt(event)
  },
  events: () => events,
  heard() {
    listen()
    if (ear === null) return { hz: 0, decibels: -Infinity }
    const bins = new Float32Array(ear.frequencyBinCount)
    ear.getFloatFrequencyData(bins)
    const loudest = bins.reduce((best, level, n) => (level > bins[best] ? n : best), 0)
    return { hz: (loudest * context().sampleRate) / ear.fftSize, decibels: bins[loudest] }
  },
  async stats() {
    const connection = call?.peerConn
    if (!connection) return { packetsSent: 0, packetsReceived: 0, framesReceived: 0, codec: null }
    const report = [...(await connection.getStats()).values()]
    const of = (type, kind) => report.find(entry => entry.type === type && entry.kind === kind)
    const sent = of('outbound-rtp', 'audio')
    const received = of('inbound-rtp', 'audio')
    const codecOf = id => report.find(entry => entry.id === id)?.mimeType?.split('/')[1] ?? null
    return {
      packetsSent: sent?.packetsSent ?? 0,
      packetsReceived: received?.packetsReceived ?? 0,
      framesReceived: of('inbound-rtp', 'video')?.framesDecoded ?? 0,
      codec: codecOf(sent?.codecId) ?? codecOf(received?.codecId)
    }
  },
  stop: () => client?.stopClient()
}
