// The anchor's UDP ports: even for RTP, the odd one above it for RTCP (RFC 3550, 11). Each pair is lent once.

import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { HubError } from '../errors.ts'

/** `bindsMax`: pairs tried before giving up, as others on this machine may hold some of the range. */
export const portLimits = { bindsMax: 256, receiveBufferBytes: 262_144 } as const

export interface PortPair {
  readonly rtp: number
  readonly rtcp: number
}

export class PortPool {
  readonly address: string
  readonly #first: number
  readonly #pairs: number
  readonly #lent = new Set<number>()
  #next: number

  /** `start`: where in the range the first pair is looked for, from 0 up to 1. Throws HUB_CONFIG on an empty range. */
  constructor(options: { address: string; portMin: number; portMax: number; start: number }) {
    const { address, portMin, portMax, start } = options
    this.address = address
    this.#first = Math.max(2, portMin + (portMin % 2))
    this.#pairs = Math.floor((portMax - this.#first + 1) / 2)
    if (this.#pairs < 1) {
      throw new HubError('HUB_CONFIG', `media: no pair of ports between ${portMin} and ${portMax}`)
    }
    this.#next = Math.floor(start * this.#pairs) % this.#pairs
  }

  get lent(): number {
    return this.#lent.size
  }

  /** Null: every pair is taken. Whoever takes one gives it back. */
  take(): PortPair | null {
    for (let tried = 0; tried < this.#pairs; tried++) {
      const rtp = this.#first + 2 * this.#next
      this.#next = (this.#next + 1) % this.#pairs
      if (this.#lent.has(rtp)) continue
      this.#lent.add(rtp)
      return { rtp, rtcp: rtp + 1 }
    }
    return null
  }

  give({ rtp }: PortPair): void {
    this.#lent.delete(rtp)
  }

  /** A pair on which `open` succeeds; null once the range or `bindsMax` is used up. */
  async takeAnd<T>(open: (pair: PortPair) => Promise<T | null>): Promise<T | null> {
    for (let tried = 0; tried < Math.min(portLimits.bindsMax, this.#pairs); tried++) {
      const pair = this.take()
      if (pair === null) return null
      let opened: T | null = null
      try {
        opened = await open(pair)
      } finally {
        if (opened === null) this.give(pair)
      }
      if (opened !== null) return opened
    }
    return null
  }
}

/** Null: somebody else has that port. Throws on anything worse, such as an address that is not ours. */
export async function bindUdp(address: string, port: number): Promise<Socket | null> {
  const socket = createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    recvBufferSize: portLimits.receiveBufferBytes
  })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address, port, exclusive: true }, () => resolve())
    })
  } catch (cause) {
    socket.close()
    if (isInUse(cause)) return null
    throw new HubError('HUB_MEDIA', `cannot bind ${address} for media`, { cause, address, port })
  }
  socket.removeAllListeners('error')
  return socket
}

const isInUse = (cause: unknown): boolean =>
  typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'EADDRINUSE'
