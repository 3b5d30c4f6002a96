// A homeserver that only does as it is told, by HTTP: for several of them at once, and for what is faster than a real one.

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeServerOptions {
  readonly serverName: string
  readonly hsToken: string
}

export interface SentEvent {
  readonly roomId: string
  readonly type: string
  readonly ghost: string
  readonly content: Readonly<Record<string, unknown>>
  readonly at: number
}

export class FakeServer {
  readonly #options: FakeServerOptions
  readonly #server: Server
  readonly #waiting = new Set<ServerResponse>()
  readonly sent: SentEvent[] = []
  /** Called with every event that the hub sends. */
  onSent: (event: SentEvent) => void = () => undefined
  /** Where it pushes to. */
  endpoint = ''
  #made = 0

  constructor(options: FakeServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async start(): Promise<void> {
    await new Promise<void>(done => this.#server.listen(0, '127.0.0.1', done))
  }

  async close(): Promise<void> {
    for (const response of this.#waiting) response.destroy()
    this.#server.closeAllConnections()
    await new Promise<void>(done => this.#server.close(() => done()))
  }

  /** One transaction; the status of its answer. */
  async push(events: readonly object[], ephemeral: readonly object[] = []): Promise<number> {
    this.#made += 1
    const answer = await fetch(`${this.endpoint}/_matrix/app/v1/transactions/${this.#made}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${this.#options.hsToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ events, ephemeral })
    })
    await answer.arrayBuffer()
    return answer.status
  }

  /** An event of a user in a room, as it would be pushed. */
  event(roomId: string, type: string, content: object, more: object = {}): object {
    this.#made += 1
    return {
      event_id: `$${this.#options.serverName}-${this.#made}`,
      room_id: roomId,
      type,
      sender: `@alice:${this.#options.serverName}`,
      content,
      origin_server_ts: Date.now(),
      age: 1,
      ...more
    }
  }

  /** Alice invites a ghost to a room. */
  invitation(roomId: string, ghost: string): object {
    return this.event(roomId, 'm.room.member', { membership: 'invite' }, { state_key: ghost })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.url)
    const path = url.pathname.split('/').slice(3).map(decodeURIComponent)
    const ghost = url.searchParams.get('user_id') ?? ''
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const say = (status: number, answer: object): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    if (path[1] === 'sync' && url.searchParams.get('timeout') !== '0') return void this.#waiting.add(response)
    if (path[1] === 'sync') return say(200, { next_batch: 's' })
    if (path[1] === 'createRoom') return say(200, { room_id: `!made-${++this.#made}` })
    const [, rooms, roomId = '', what, type = ''] = path
    if (rooms !== 'rooms') return say(200, {})
    if (what === 'joined_members') {
      return say(200, { joined: { [ghost]: {}, [`@alice:${this.#options.serverName}`]: {} } })
    }
    if (what === 'state') return say(404, { errcode: 'M_NOT_FOUND', error: 'no such state' })
    if (what === 'messages') return say(200, { chunk: [] })
    if (what !== 'send') return say(200, {})
    say(200, { event_id: `$sent-${++this.#made}` })
    const content = JSON.parse(body) as SentEvent['content']
    const sent = { roomId, type, ghost, content, at: performance.now() }
    this.sent.push(sent)
    this.onSent(sent)
  }
}
