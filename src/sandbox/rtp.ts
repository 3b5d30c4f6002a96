// A plain RTP endpoint on a UDP socket: plays a tone or echoes, counts and recognises what comes (RFC 3550).

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { HubError } from '../errors.ts'
import { Listener, Speaker } from './media-end.ts'
import type { AudioPacket, Heard, MediaEnd, Play } from './media-end.ts'
import { mirrored, printAudio, readAudio } from './sdp.ts'
import type { Codec, Direction, RemoteAudio } from './sdp.ts'
import { codecNames, codecs } from './tone.ts'
import type { CodecName } from './tone.ts'

export interface RtpOptions {
  /** Bound and announced. */
  readonly host?: string
  /** Known here, in the order of preference. */
  readonly codecs?: readonly CodecName[]
}

const telephoneEvent = 101
/** Sockets tried until one lands on an even port (RFC 3550, 11). */
const bindTries = 50

/** Throws HUB_MEDIA where no port can be bound. */
export async function openRtp({
  host = '127.0.0.1',
  codecs: known = ['PCMA', 'PCMU']
}: RtpOptions = {}): Promise<RtpEnd> {
  for (let tries = 0; tries < bindTries; tries++) {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    try {
      socket.bind(0, host)
      await once(socket, 'listening')
    } catch (cause) {
      throw new HubError('HUB_MEDIA', `no RTP port on ${host}`, { cause })
    }
    if (socket.address().port % 2 === 0) return new RtpEnd(socket, host, known)
    socket.close()
  }
  throw new HubError('HUB_MEDIA', `no even RTP port on ${host}`)
}

/** One audio stream. */
export class RtpEnd implements MediaEnd {
  readonly host: string
  readonly port: number
  readonly #socket: Socket
  readonly #codecs: readonly CodecName[]
  readonly #listener = new Listener()
  readonly #speaker = new Speaker()
  readonly #ssrc = randomInt(2 ** 32)
  readonly #sessionId = randomInt(2 ** 31)
  #version = 0
  #sequence = randomInt(2 ** 16)
  #sent = 0
  #play: Play = { what: 'nothing' }
  #wanted: Direction = 'sendrecv'
  #remote: RemoteAudio | null = null
  /** Agreed with the other side, best first. */
  #agreed: readonly Codec[] = []
  #sending = false
  #closed = false

  constructor(socket: Socket, host: string, known: readonly CodecName[]) {
    this.#socket = socket
    this.#codecs = known
    this.host = host
    this.port = socket.address().port
    socket.on('message', bytes => this.#received(bytes))
    // An ICMP error for a packet sent: the other side is not there yet, or no more.
    socket.on('error', () => undefined)
  }

  get heard(): Heard {
    const { received, lost, codec } = this.#listener
    const path = this.#remote === null ? 'waiting' : 'open'
    return { path, packetsReceived: received, packetsLost: lost, codec, packetsSent: this.#sent }
  }

  offer(direction: Direction = 'sendrecv'): Promise<string> {
    this.#wanted = direction
    const offered = this.#codecs.map(name => ({ name, payloadType: codecs[name].payloadType }))
    return Promise.resolve(this.#print(direction, offered, telephoneEvent, null))
  }

  answer(offer: string): Promise<string | null> {
    const remote = this.#usable(readAudio(offer))
    if (remote === null) return Promise.resolve(null)
    const direction = mirrored(remote.direction)
    this.#wanted = direction
    this.#agree(remote)
    return Promise.resolve(this.#print(direction, this.#agreed, remote.telephoneEvent, remote))
  }

  accept(answer: string): Promise<boolean> {
    const remote = this.#usable(readAudio(answer))
    if (remote !== null) this.#agree(remote)
    return Promise.resolve(remote !== null)
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
    const closed = once(this.#socket, 'close')
    this.#socket.close()
    await closed
  }

  /** Only plain RTP with a codec that was not left out here. */
  #usable(remote: RemoteAudio | null): RemoteAudio | null {
    if (remote === null || !(remote.media[remote.index] ?? '').includes(' RTP/AVP')) return null
    const shared = remote.codecs.filter(({ name }) => this.#codecs.includes(name))
    return shared.length === 0 ? null : { ...remote, codecs: shared }
  }

  #agree(remote: RemoteAudio): void {
    this.#remote = remote
    this.#agreed = remote.codecs
    const direction = mirrored(remote.direction, this.#wanted)
    this.#sending = direction === 'sendrecv' || direction === 'sendonly'
    this.play(this.#play)
  }

  #print(direction: Direction, list: readonly Codec[], event: number | null, of: RemoteAudio | null): string {
    this.#version++
    const { host, port } = this
    const facts = { sessionId: this.#sessionId, version: this.#version, telephoneEvent: event }
    return printAudio({ host, port, direction, codecs: list, ...facts }, of)
  }

  #received(bytes: Buffer): void {
    const packet = readPacket(bytes)
    if (packet === null) return
    const known = this.#agreed.find(({ payloadType }) => payloadType === packet.payloadType)
    const fixed = codecNames.find(name => codecs[name].payloadType === packet.payloadType) ?? null
    this.#listener.hear(packet, known?.name ?? fixed)
    if (this.#play.what === 'echo' && this.#sending) {
      this.#send(packet.payloadType, packet.timestamp, packet.marker, packet.payload)
    }
  }

  #send(payloadType: number, timestamp: number, marker: boolean, payload: Buffer): void {
    if (this.#remote === null || this.#closed) return
    const header = Buffer.allocUnsafe(12)
    header[0] = 0x80
    header[1] = (marker ? 0x80 : 0) | payloadType
    header.writeUInt16BE(this.#sequence, 2)
    header.writeUInt32BE(timestamp, 4)
    header.writeUInt32BE(this.#ssrc, 8)
    this.#sequence = (this.#sequence + 1) & 0xffff
    this.#sent++
    // The callback keeps errors of a single packet from becoming events of the socket.
    this.#socket.send([header, payload], this.#remote.port, this.#remote.host, () => undefined)
  }
}

/** Null for what is no RTP: RTCP, STUN, DTLS, noise. */
export function readPacket(bytes: Buffer): AudioPacket | null {
  const [first = 0, second = 0] = bytes
  const type = second & 0x7f
  if (bytes.length < 12 || first >> 6 !== 2 || (type >= 64 && type <= 95)) return null
  let start = 12 + (first & 15) * 4
  if ((first & 0x10) !== 0) {
    if (bytes.length < start + 4) return null
    start += 4 + bytes.readUInt16BE(start + 2) * 4
  }
  const padding = (first & 0x20) === 0 ? 0 : (bytes.at(-1) ?? 0)
  if (start + padding > bytes.length) return null
  return {
    payloadType: type,
    marker: second >= 0x80,
    sequence: bytes.readUInt16BE(2),
    timestamp: bytes.readUInt32BE(4),
    payload: bytes.subarray(start, bytes.length - padding)
  }
}
