// The page's side of test/support/browser.ts: one JsSIP user agent with a tone as its microphone and an ear for tones.

import JsSIP from 'jssip'

const events = []
const note = (type, facts = {}) => events.push({ type, at: Date.now(), ...facts })
const textOf = e => ({
  cause: e?.cause ?? null,
  originator: e?.originator ?? null,
  status: e?.message?.status_code ?? e?.response?.status_code ?? null,
  reason: (e?.message ?? e?.response)?.getHeader?.('Reason') ?? null
})

let agent = null
let session = null
let audio = null

function context() {
  audio ??= new AudioContext()
  return audio
}

/** `device`: the browser's fake microphone; a number: a pure tone of so many hertz; 0: silence. */
async function microphone(kind) {
  if (kind === 'device') return navigator.mediaDevices.getUserMedia({ audio: true, video: false })
  // Permission for the microphone makes the browser show its real addresses in candidates.
  const granted = await navigator.mediaDevices.getUserMedia({ audio: true, video: false })
  for (const track of granted.getTracks()) track.stop()
  const oscillator = context().createOscillator()
  const gain = context().createGain()
  const out = context().createMediaStreamDestination()
  oscillator.frequency.value = kind
  gain.gain.value = kind === 0 ? 0 : 0.5
  oscillator.connect(gain).connect(out)
  oscillator.start()
  await context().resume()
  return out.stream
}

/** With the browser's fake camera, where it is asked for. */
async function media(kind, video) {
  const stream = await microphone(kind)
  if (!video) return stream
  const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 160, height: 120, frameRate: 15 } })
  return new MediaStream([...stream.getAudioTracks(), ...camera.getVideoTracks()])
}

let ear = null
function listen(peerConnection) {
  peerConnection.addEventListener('track', ({ track }) => {
    if (track.kind !== 'audio') return
    const stream = new MediaStream([track])
    // Chromium decodes a remote track for WebAudio only while some element plays it.
    const element = document.createElement('audio')
    element.muted = true
    element.srcObject = stream
    element.play().catch(() => {})
    const analyser = context().createAnalyser()
    analyser.fftSize = 8192
    context().createMediaStreamSource(stream).connect(analyser)
    ear = analyser
  })
}

function adopt(next) {
  session = next
  note('session', { direction: next.direction, from: next.remote_identity?.uri?.toString() ?? null })
  for (const type of ['progress', 'accepted', 'confirmed', 'hold', 'unhold', 'reinvite', 'update', 'refer']) {
    next.on(type, e => note(type, { originator: e?.originator ?? null }))
  }
  for (const type of ['ended', 'failed']) next.on(type, e => note(type, textOf(e)))
  next.on('newDTMF', e => note('tone', { originator: e.originator, digit: e.dtmf.tone }))
  if (next.connection) listen(next.connection)
  else next.on('peerconnection', e => listen(e.peerconnection))
}

/** JsSIP refuses a re-offer while another one is going on: tries until it takes it. */
async function once(offer) {
  for (let tries = 0; !offer(); tries++) {
    if (tries > 200) throw new Error('the call takes no re-offer')
    await new Promise(resolve => setTimeout(resolve, 25))
  }
}

const pcConfig = { iceServers: [], bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' }

const phone = {
  /** Connects and registers; resolves once registered, rejects with the cause. */
  start({ url, uri, password, displayName, expires, bundlePolicy }) {
    if (bundlePolicy !== undefined) pcConfig.bundlePolicy = bundlePolicy
    const { promise, resolve, reject } = Promise.withResolvers()
    const socket = new JsSIP.WebSocketInterface(url)
    agent = new JsSIP.UA({
      sockets: [socket],
      uri,
      password,
      register: true,
      register_expires: expires ?? 120,
      session_timers: false,
      ...(displayName === undefined ? {} : { display_name: displayName })
    })
    for (const type of ['connected', 'unregistered']) agent.on(type, () => note(type))
    agent.on('disconnected', e => {
      note('disconnected', { code: e?.code ?? null, reason: e?.reason ?? null })
      reject(new Error('the WebSocket could not be opened, or was closed'))
    })
    agent.on('registered', () => {
      note('registered')
      resolve(true)
    })
    agent.on('registrationFailed', e => {
      note('registrationFailed', textOf(e))
      reject(new Error(`registration failed: ${e.cause} ${e.response?.status_code ?? ''}`))
    })
    agent.on('newRTCSession', e => adopt(e.session))
    agent.on('newMessage', e => {
      if (e.originator === 'remote') note('message', { text: e.request.body, from: e.request.from.uri.toString() })
    })
    agent.start()
    return promise
  },
  async call({ target, microphone: kind, video }) {
    agent.call(target, {
      mediaStream: await media(kind, video),
      mediaConstraints: { audio: true, video: video === true },
      pcConfig
    })
  },
  async answer({ microphone: kind, video }) {
    const mediaConstraints = { audio: true, video: video === true }
    session.answer({ mediaStream: await media(kind, video), mediaConstraints, pcConfig })
  },
  /** A picture more in a call that talks, by re-INVITE. */
  async addVideo() {
    const stream = await media(0, true)
    session.connection.addTrack(stream.getVideoTracks()[0], stream)
    await once(() => session.renegotiate())
  },
  reject: ({ status }) => session.terminate({ status_code: status }),
  hangUp: () => session.terminate(),
  hold: () => once(() => session.hold()),
  resume: () => once(() => session.unhold()),
  sendTone: ({ digits, transport }) =>
    session.sendDTMF(digits, { transportType: transport, duration: 160, interToneGap: 100 }),
  message({ target, text }) {
    const { promise, resolve } = Promise.withResolvers()
    agent.sendMessage(target, text, {
      eventHandlers: {
        succeeded: e => resolve({ status: e.response?.status_code ?? 200, reason: null }),
        failed: e => resolve({ status: e.response?.status_code ?? null, reason: textOf(e).reason })
      }
    })
    return promise
  },
  stop: () => agent.stop(),
  events: () => events,
  /** The loudest frequency heard now, in hertz, and its level in dB. */
  heard() {
    if (ear === null) return { hz: 0, decibels: -Infinity }
    const bins = new Float32Array(ear.frequencyBinCount)
    ear.getFloatFrequencyData(bins)
    const loudest = bins.reduce((best, level, n) => (level > bins[best] ? n : best), 0)
    return { hz: (loudest * context().sampleRate) / ear.fftSize, decibels: bins[loudest] }
  },
  /** The other side's last word. */
  remoteSdp: () => session.connection.remoteDescription.sdp,
  async stats() {
    const report = [...(await session.connection.getStats()).values()]
    const codecOf = id => report.find(entry => entry.id === id)?.mimeType?.split('/')[1] ?? null
    const of = (type, kind = 'audio') => report.find(entry => entry.type === type && entry.kind === kind)
    const sent = of('outbound-rtp')
    const received = of('inbound-rtp')
    const picture = of('inbound-rtp', 'video')
    return {
      packetsSent: sent?.packetsSent ?? 0,
      packetsReceived: received?.packetsReceived ?? 0,
      packetsLost: received?.packetsLost ?? 0,
      video: {
        packetsSent: of('outbound-rtp', 'video')?.packetsSent ?? 0,
        packetsReceived: picture?.packetsReceived ?? 0,
        framesReceived: picture?.framesDecoded ?? 0
      },
      codec: codecOf(sent?.codecId) ?? codecOf(received?.codecId)
    }
  }
}

globalThis.phone = phone
