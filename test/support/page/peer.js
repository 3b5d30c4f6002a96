// Runs in the page of a test browser: a bare RTCPeerConnection that speaks a pure tone and listens for one.

globalThis.openPeer = async ({ name, hz, bundlePolicy = 'balanced', video = false, codecs = null }) => {
  const pc = new RTCPeerConnection({ bundlePolicy })
  const audio = new AudioContext()
  await audio.resume()
  const oscillator = audio.createOscillator()
  oscillator.frequency.value = hz
  const volume = audio.createGain()
  volume.gain.value = 0.5
  const out = audio.createMediaStreamDestination()
  oscillator.connect(volume).connect(out)
  oscillator.start()
  // A track that was added takes part in an answer; a transceiver that was added would not.
  pc.addTrack(out.stream.getAudioTracks()[0], out.stream)
  if (codecs !== null) {
    const known = RTCRtpSender.getCapabilities('audio').codecs
    const named = wanted => known.filter(({ mimeType }) => mimeType.toLowerCase() === `audio/${wanted}`.toLowerCase())
    pc.getTransceivers()[0].setCodecPreferences(codecs.flatMap(named))
  }
  if (video) {
    const camera = await navigator.mediaDevices.getUserMedia({ video: true })
    pc.addTrack(camera.getVideoTracks()[0], camera)
  }
  const analyser = audio.createAnalyser()
  analyser.fftSize = 8_192
  pc.ontrack = ({ track }) => {
    if (track.kind !== 'audio') return
    const stream = new MediaStream([track])
    // Chromium decodes a remote stream only while an element plays it.
    const player = new Audio()
    player.srcObject = stream
    player.muted = true
    void player.play()
    audio.createMediaStreamSource(stream).connect(analyser)
  }
  const gathered = () =>
    new Promise(resolve => {
      const look = () => {
        if (pc.iceGatheringState === 'complete') resolve()
      }
      pc.onicegatheringstatechange = look
      look()
    })
  globalThis[name] = {
    async offer() {
      await pc.setLocalDescription()
      await gathered()
      return pc.localDescription.sdp
    },
    accept: sdp => pc.setRemoteDescription({ type: 'answer', sdp }),
    async answer(sdp) {
      await pc.setRemoteDescription({ type: 'offer', sdp })
      await pc.setLocalDescription()
      await gathered()
      return pc.localDescription.sdp
    },
    async counters() {
      const report = [...(await pc.getStats()).values()]
      const find = (type, kind = 'audio') => report.find(each => each.type === type && each.kind === kind)
      const inbound = find('inbound-rtp')
      return {
        sent: find('outbound-rtp')?.packetsSent ?? 0,
        received: inbound?.packetsReceived ?? 0,
        codec: report.find(each => each.id === inbound?.codecId)?.mimeType ?? null,
        frames: find('inbound-rtp', 'video')?.framesDecoded ?? 0,
        state: pc.connectionState
      }
    },
    heard() {
      const bins = new Float32Array(analyser.frequencyBinCount)
      analyser.getFloatFrequencyData(bins)
      const level = Math.max(...bins)
      return { hz: (bins.indexOf(level) * audio.sampleRate) / analyser.fftSize, decibels: Math.max(level, -200) }
    },
    digit: digit => pc.getSenders()[0].dtmf.insertDTMF(digit, 300),
    async close() {
      pc.close()
      await audio.close()
    }
  }
}
