// The server's side of a component link, for tests that need a server no real one would be: it says what it is told to.

import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { until } from './until.ts'

const secret = 's3cr3t'

export interface FakeServer {
  readonly port: number
  /** Links that have been opened so far. */
  readonly opened: number
  /** Everything a link has sent, from the last one that was opened. */
  readonly heard: string
  /** The same of the nth link. */
  heardBy(link: number): string
  /** Sends as it is, in one piece, to the last link. */
  write(bytes: string | Buffer): void
  /** Waits until the last link has said so. */
  says(what: RegExp): Promise<RegExpExecArray>
  /** Waits until so many links have been opened and greeted. */
  links(count: number): Promise<void>
  /** Cuts the last link. */
  cut(): void
  close(): Promise<void>
}

export interface FakeServerOptions {
  /** Its answer to the handshake; an acceptance unless told otherwise. */
  readonly greeting?: (right: boolean) => string
}

export async function startFakeServer({
  greeting = () => '<handshake/>'
}: FakeServerOptions = {}): Promise<FakeServer> {
  const sockets: { readonly socket: Socket; heard: string; greeted: boolean }[] = []
  const server: Server = createServer(socket => {
    const link = { socket, heard: '', greeted: false }
    sockets.push(link)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      link.heard += chunk.toString()
      const proof = /<handshake>([0-9a-f]{40})<\/handshake>/.exec(link.heard)?.[1]
      if (
        link.heard.includes('<stream:stream') &&
        !link.greeted &&
        proof === undefined &&
        !link.heard.includes('sent')
      ) {
        link.heard += ' sent'
        socket.write("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' ")
        socket.write("xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='gw.test'>")
      }
      if (proof === undefined || link.greeted) return
      link.greeted = true
      socket.write(greeting(proof === createHash('sha1').update(`s1${secret}`).digest('hex')))
    })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const last = () => {
    const link = sockets.at(-1)
    if (link === undefined) throw new Error('nobody has connected')
    return link
  }
  return {
    port: (server.address() as { readonly port: number }).port,
    get opened() {
      return sockets.length
    },
    get heard() {
      return sockets.at(-1)?.heard ?? ''
    },
    heardBy: link => sockets[link - 1]?.heard ?? '',
    write: bytes => void last().socket.write(bytes),
    says: async what => {
      await until(() => what.test(last().heard)).catch(() => {
        throw new Error(`it never said ${what}: ${last().heard.slice(-2_000)}`)
      })
      return what.exec(last().heard)!
    },
    links: count => until(() => sockets.filter(({ greeted }) => greeted).length >= count),
    cut: () => void last().socket.destroy(),
    close: async () => {
      for (const { socket } of sockets) socket.destroy()
      await new Promise(done => server.close(done))
    }
  }
}

/** An island whose component is there. */
export const islandAt = (port: number, id = 'ott', more: Readonly<Record<string, unknown>> = {}) => ({
  id,
  domain: `${id}.test`,
  gateway: `gw.${id}.test`,
  connection: { kind: 'component', host: '127.0.0.1', port, secret },
  users: [],
  ...more
})
