// SIP over UDP: one path for all datagrams of a peer, as long as there is room to remember it.

import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { afterEach, describe, expect, it } from '@jest/globals'
import { transportLimits } from '../../../src/sip/transport/transport.ts'
import type { Flow, TransportPort } from '../../../src/sip/transport/transport.ts'
import { UdpListener } from '../../../src/sip/transport/udp.ts'
import { until } from '../../support/until.ts'

const sockets: Socket[] = []
const listeners: UdpListener[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close()
  for (const listener of listeners.splice(0)) await listener.close()
})

async function peer(host: string): Promise<Socket> {
  const socket = createSocket('udp4')
  sockets.push(socket)
  await new Promise<void>(done => socket.bind(0, host, done))
  return socket
}

async function listen(flows: Flow[], peerOf: (host: string) => string | null): Promise<UdpListener> {
  const port: TransportPort = {
    limits: { ...transportLimits, udpFlowsMax: 2 },
    screen: ({ remote }) => ({ peerId: peerOf(remote.host) }),
    admit: () => 0,
    message: (_bytes, flow) => flows.push(flow),
    unreadable: () => {},
    refused: () => {},
    closed: () => {},
    dropped: () => {},
    warn: () => {}
  }
  const listener = await UdpListener.open({ transport: 'udp', host: '127.0.0.1', port: 0 }, port)
  listeners.push(listener)
  return listener
}

describe('paths over UDP', () => {
  it('are the same for all datagrams of one port, and remembered for so many addresses only', async () => {
    const flows: Flow[] = []
    let id: string | null = null
    const { port } = (await listen(flows, () => id)).local
    const from = async (socket: Socket): Promise<Flow> => {
      const before = flows.length
      socket.send('OPTIONS', port, '127.0.0.1')
      await until(() => flows.length > before)
      return flows[before]!
    }
    const [one, two, three] = [await peer('127.0.0.2'), await peer('127.0.0.3'), await peer('127.0.0.4')]
    const first = await from(one)
    expect(first.remote).toEqual({ host: '127.0.0.2', port: one.address().port })
    expect(await from(one)).toBe(first)
    const second = await from(two)
    expect(second.remote).toEqual({ host: '127.0.0.3', port: two.address().port })
    expect(await from(one)).toBe(first)

    // Another port of that address, or another peer at it, is another path.
    const other = await from(await peer('127.0.0.2'))
    expect(other).not.toBe(first)
    expect((await from(one)).remote).toEqual(first.remote)
    id = 'known'
    expect((await from(one)).peerId).toBe('known')

    // One address more than there is room for: all are made anew.
    const again = await from(two)
    expect((await from(three)).remote.port).toBe(three.address().port)
    const anew = await from(two)
    expect(anew).not.toBe(again)
    expect(anew.remote).toEqual(again.remote)
  })

  it('tell of a write that fails: always where it is too large, else unless something has just come on the path', async () => {
    const flows: Flow[] = []
    const listener = await listen(flows, () => null)
    const socket = await peer('127.0.0.2')
    socket.send('OPTIONS', listener.local.port, '127.0.0.1')
    await until(() => flows.length > 0)
    const errors: unknown[] = []
    const failed = (error: unknown): void => void errors.push(error)
    flows[0]?.send(Buffer.alloc(70_000), failed)
    await until(() => errors.length === 1)
    // Nobody may send to all without asking for it.
    listener.flowTo({ host: '255.255.255.255', port: 5_060 }).send(Buffer.from('OPTIONS'), failed)
    await until(() => errors.length === 2)
    const received = new Promise<string>(heard => socket.once('message', bytes => heard(bytes.toString())))
    flows[0]?.send(Buffer.from('SIP/2.0 200 OK'), failed)
    expect(await received).toBe('SIP/2.0 200 OK')
    expect(errors).toHaveLength(2)
  })
})
