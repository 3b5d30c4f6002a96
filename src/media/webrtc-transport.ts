// A WebRTC end: ICE, DTLS and SRTP by werift's transports alone, without its peer connection, so that SDP, codecs and
// SSRCs stay ours. Keys never leave it; what goes wrong inside comes out as `lost`, never as a rejection.

import { isIP, isIPv6 } from 'node:net'
import {
  IceCandidate,
  RTCDtlsFingerprint,
  RTCDtlsParameters,
  RTCDtlsTransport,
  RTCIceGatherer,
  RTCIceParameters,
  RTCIceTransport,
  RtpHeader
} from 'werift'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Fingerprint, WebrtcFacts } from './facts.ts'
import type { PortPair, PortPool } from './port-pool.ts'
import { isRtcp, isRtp } from './rtp-packet.ts'
import { isAuthentic, isStunRequest } from './stun-guard.ts'
import type { MediaTransport, TransportEvents } from './transport.ts'

/** `gatherMs`: binding one local port takes a moment; nothing is asked of any server. */
export const webrtcLimits = { gatherMs: 3_000, generationsMax: 16 } as const

/** The numbers of RFC 5764, 4.1.2 and RFC 7714, 14.2: the second is preferred. */
const srtpProfiles: ConstructorParameters<typeof RTCDtlsTransport>[3] = [0x0007, 0x0001]

export interface LocalWebrtc {
  readonly usernameFragment: string
  readonly password: string
  readonly candidates: readonly string[]
  readonly fingerprints: readonly Fingerprint[]
}

export interface ConnectAs {
  /** The offerer controls (RFC 8445, 6.1.1). */
  readonly offerer: boolean
}

/** What werift keeps to itself and the guard needs: the sockets below ICE. */
interface Guarded {
  readonly protocols: readonly {
    readonly transport?: {
      onData: (data: Buffer, from: readonly [string, number]) => void
      readonly socket?: { on(event: 'error', listener: () => void): unknown }
    }
  }[]
}

export class WebrtcTransport implements MediaTransport {
  readonly #pool: PortPool
  readonly #pair: PortPair
  readonly #ice: RTCIceTransport
  readonly #events: TransportEvents
  readonly #log: Logger
  /** Our passwords by fragment: checks of the generation before a restart still come in. */
  readonly #passwords = new Map<string, string>()
  #dtls: RTCDtlsTransport
  #remote: WebrtcFacts | null = null
  #role: 'client' | 'server' | null = null
  #closed = false

  /** Null: no free port. */
  static open(pool: PortPool, events: TransportEvents, log: Logger): Promise<WebrtcTransport | null> {
    return pool.takeAnd(async pair => {
      await RTCDtlsTransport.SetupCertificate()
      const transport = new WebrtcTransport(pool, pair, events, log)
      try {
        await transport.#gather()
      } catch (cause) {
        await transport.#stop()
        throw new HubError('HUB_MEDIA', 'cannot open a WebRTC transport', { cause, address: pool.address })
      }
      if (transport.#ice.localCandidates.length > 0) return transport
      await transport.#stop()
      return null
    })
  }

  private constructor(pool: PortPool, pair: PortPair, events: TransportEvents, log: Logger) {
    this.#pool = pool
    this.#pair = pair
    this.#events = events
    this.#log = log
    const { address } = pool
    const gatherer = new RTCIceGatherer({
      // The one address of the configuration, whatever else the machine has.
      useIpv4: false,
      useIpv6: false,
      additionalHostAddresses: [address],
      interfaceAddresses: isIPv6(address) ? { udp6: address } : { udp4: address },
      portRange: [pair.rtp, pair.rtcp],
      useTcp: false
    })
    // werift asks a public STUN server unless told otherwise.
    delete gatherer.connection.stunServer
    this.#ice = new RTCIceTransport(gatherer)
    this.#ice.onStateChange.subscribe(state => {
      if (state === 'failed') this.#lost('ICE consent expired or no path found')
    })
    this.#ice.connection.onData.subscribe(data => this.#receive(data))
    this.#dtls = this.#newDtls()
  }

  get port(): number {
    return this.#ice.localCandidates[0]?.port ?? this.#pair.rtp
  }

  get local(): LocalWebrtc {
    const { usernameFragment, password } = this.#ice.localParameters
    const certificate = RTCDtlsTransport.localCertificate
    return {
      usernameFragment,
      password,
      candidates: this.#ice.localCandidates.map(printCandidate),
      fingerprints: certificate?.getFingerprints().map(({ algorithm, value }) => ({ algorithm, value })) ?? []
    }
  }

  /** The role to state in an answer; an offer leaves the choice to the other side (RFC 8842, 5.2). */
  setupFor(remote: WebrtcFacts): 'active' | 'passive' {
    if (this.#role !== null && this.#sameCertificate(remote)) return this.#role === 'client' ? 'active' : 'passive'
    return remote.setup === 'active' ? 'passive' : 'active'
  }

  /**
   * Takes the other side's parameters: the first time, again unchanged, after its ICE restart, or from another
   * device that answers the same offer. Resolves once `local` is what an answer may say; connecting goes on.
   */
  async connect(remote: WebrtcFacts, { offerer }: ConnectAs): Promise<void> {
    const before = this.#remote
    if (this.#closed) return
    const role = this.setupFor(remote) === 'active' ? 'client' : 'server'
    const newCertificate = before !== null && !this.#sameCertificate(remote)
    this.#remote = remote
    const { connection } = this.#ice
    const restarted =
      before !== null && (before.usernameFragment !== remote.usernameFragment || before.password !== remote.password)
    if (restarted) await this.#restart({ keepCredentials: offerer })
    if (before === null || restarted) {
      connection.iceControlling = offerer || remote.iceLite
      this.#ice.setRemoteParams(new RTCIceParameters({ ...remote, iceLite: remote.iceLite }))
    }
    for (const text of remote.candidates) await this.#addCandidate(text)
    if (before !== null && !restarted && !newCertificate) return
    if (newCertificate) {
      retire(this.#dtls)
      this.#dtls = this.#newDtls()
    }
    this.#role = role
    this.#dtls.role = role
    const begun = before === null || newCertificate
    void this.#establish(remote, { ice: before === null || restarted, dtls: begun }).catch((error: unknown) => {
      this.#lost(messageOf(error))
    })
  }

  send(packet: Buffer): void {
    if (this.#dtls.state !== 'connected') return
    const header = RtpHeader.deSerialize(packet)
    // Padding stays inside the payload, where it came from.
    void this.#dtls.sendRtp(packet.subarray(header.payloadOffset), header).catch(() => {})
  }

  sendRtcp(packet: Buffer): void {
    if (this.#dtls.state !== 'connected') return
    const encrypted = this.#dtls.srtcp.encrypt(packet)
    void this.#ice.connection.send(encrypted).catch(() => {})
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await this.#stop()
    this.#pool.give(this.#pair)
  }

  async #stop(): Promise<void> {
    this.#closed = true
    retire(this.#dtls)
    await this.#dtls.stop().catch((error: unknown) => this.#log.debug({ error: messageOf(error) }, 'stopping DTLS'))
  }

  async #gather(): Promise<void> {
    await inTime(this.#ice.gather(), webrtcLimits.gatherMs)
    const { usernameFragment, password } = this.#ice.localParameters
    this.#passwords.set(usernameFragment, password)
    const guarded = this.#ice.connection as unknown as Guarded
    for (const { transport } of guarded.protocols) {
      if (transport === undefined || guards.has(transport)) continue
      guards.add(transport)
      const pass = transport.onData
      transport.onData = (data, from) => {
        if (this.#closed) return
        if (isStunRequest(data) && !isAuthentic(data, fragment => this.#passwords.get(fragment))) return
        pass(data, from)
      }
      transport.socket?.on('error', () => {})
    }
  }

  async #restart({ keepCredentials }: { readonly keepCredentials: boolean }): Promise<void> {
    const { connection } = this.#ice
    const { localUsername, localPassword } = connection
    this.#ice.restart()
    if (keepCredentials) {
      connection.localUsername = localUsername
      connection.localPassword = localPassword
    }
    if (this.#passwords.size >= webrtcLimits.generationsMax) this.#passwords.clear()
    await this.#gather()
  }

  async #addCandidate(text: string): Promise<void> {
    const candidate = readCandidate(text)
    if (candidate === null) return
    const { connection } = this.#ice
    if (connection.remoteCandidates.some(known => known.host === candidate.ip && known.port === candidate.port)) return
    await this.#ice.addRemoteCandidate(candidate)
  }

  async #establish(remote: WebrtcFacts, start: { readonly ice: boolean; readonly dtls: boolean }): Promise<void> {
    const dtls = this.#dtls
    if (start.ice) await this.#ice.start()
    if (!start.dtls || this.#closed || dtls !== this.#dtls) return
    dtls.setRemoteParams(
      new RTCDtlsParameters(
        remote.fingerprints.map(({ algorithm, value }) => new RTCDtlsFingerprint(algorithm, value)),
        dtls.role === 'client' ? 'server' : 'client'
      )
    )
    await dtls.start()
  }

  #newDtls(): RTCDtlsTransport {
    const dtls = new RTCDtlsTransport({}, this.#ice, RTCDtlsTransport.localCertificate, srtpProfiles)
    // Decryption is done here, so that RTCP crosses byte for byte: werift's own reader knows some of its packets only.
    dtls.srtpStarted = true
    dtls.onStateChange.subscribe(state => {
      if (state === 'connected') dtls.updateSrtpSession()
      else if (state === 'failed' && dtls === this.#dtls) this.#lost('the DTLS handshake failed')
    })
    return dtls
  }

  #receive(data: Buffer): void {
    if (this.#closed || this.#dtls.state !== 'connected') return
    try {
      if (isRtcp(data)) this.#events.rtcp(this.#dtls.srtcp.decrypt(data))
      else if (isRtp(data)) this.#events.rtp(this.#dtls.srtp.decrypt(data))
    } catch (error) {
      this.#log.trace({ error: messageOf(error) }, 'dropped a packet that is not authentic')
    }
  }

  #sameCertificate(remote: WebrtcFacts): boolean {
    const known = this.#remote?.fingerprints ?? []
    return remote.fingerprints.every(({ value }) => known.some(k => k.value.toLowerCase() === value.toLowerCase()))
  }

  #lost(why: string): void {
    if (!this.#closed) this.#events.lost(why)
  }
}

const guards = new WeakSet<object>()

/** werift waits for its socket without an end. */
async function inTime(gathering: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no local candidate after ${ms} ms`)), ms)
  })
  try {
    await Promise.race([gathering, late])
  } finally {
    clearTimeout(timer)
  }
}

/** werift repeats a handshake flight for up to half a minute, whether or not anybody still wants it. */
function retire({ dtls }: RTCDtlsTransport): void {
  if (dtls === undefined) return
  dtls.dtls.flight = 100
  dtls.transport.socket.onData = () => {}
}

function printCandidate({ foundation, component, protocol, priority, ip, port }: IceCandidate): string {
  return `${foundation.replace('candidate:', '')} ${component} ${protocol} ${priority} ${ip} ${port} typ host`
}

/** Null: TCP, another component, a name to resolve, or nonsense. Checks from such a peer are answered all the same. */
export function readCandidate(text: string): IceCandidate | null {
  const [foundation, component, protocol, priority, ip, port, typ, type] = text.trim().split(/ +/)
  if (foundation === undefined || component !== '1' || protocol?.toLowerCase() !== 'udp' || typ !== 'typ') return null
  const [portNumber, priorityNumber] = [Number(port), Number(priority)]
  if (ip === undefined || isIP(ip) === 0 || type === undefined) return null
  if (!Number.isInteger(portNumber) || portNumber < 1 || portNumber > 65_535) return null
  if (!Number.isInteger(priorityNumber) || priorityNumber < 0) return null
  if (!['host', 'srflx', 'prflx', 'relay'].includes(type)) return null
  return new IceCandidate(1, foundation, ip, portNumber, priorityNumber, 'udp', type)
}
