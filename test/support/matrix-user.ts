// A Matrix user of a test: the client API alone, without calls, reading what comes by one long request after the other.

import type { MatrixAccount, MatrixAnswer } from './synapse.ts'
import { eventually } from './until.ts'

export interface SeenEvent {
  readonly roomId: string
  readonly id: string
  readonly type: string
  readonly sender: string
  readonly content: Readonly<Record<string, unknown>>
}

export interface MatrixUser extends MatrixAccount {
  /** Everything that came, in order: events, and typing and receipts with an empty sender. */
  readonly seen: readonly SeenEvent[]
  /** A new direct room with that ghost, which has joined. */
  room(ghost: string, more?: Readonly<Record<string, unknown>>): Promise<string>
  joined(roomId: string, userId: string): Promise<void>
  /** Sends one event; returns its id. */
  send(roomId: string, type: string, content: object): Promise<string>
  says(roomId: string, body: string, more?: object): Promise<string>
  /** The first event that fits, waited for. */
  wait(what: string, fits: (event: SeenEvent) => boolean, withinMs?: number): Promise<SeenEvent>
  /** The message with these words, from somebody else. */
  hears(words: string | RegExp, withinMs?: number): Promise<SeenEvent>
  /** What others have said in a room, in order. */
  heardIn(roomId: string): readonly unknown[]
  close(): Promise<void>
}

interface Raw {
  readonly event_id?: string
  readonly sender?: string
  readonly type: string
  readonly content: SeenEvent['content']
}
interface Timeline {
  readonly timeline?: { readonly events?: readonly Raw[] }
  readonly ephemeral?: { readonly events?: readonly Raw[] }
}
interface Sync {
  readonly next_batch: string
  readonly rooms?: { readonly join?: Readonly<Record<string, Timeline>> }
}

const filter = JSON.stringify({ presence: { types: [] }, room: { timeline: { limit: 1_000 } } })
let sent = 0

export const roomPath = (roomId: string, ...more: readonly string[]): string =>
  ['/_matrix/client/v3/rooms', ...[roomId, ...more].map(encodeURIComponent)].join('/')

export function openMatrixUser(account: MatrixAccount): MatrixUser {
  const seen: SeenEvent[] = []
  let since: string | null = null
  const stop = new AbortController()
  const read = ({ rooms }: Sync): void => {
    for (const [roomId, { timeline, ephemeral }] of Object.entries(rooms?.join ?? {})) {
      for (const event of [...(timeline?.events ?? []), ...(ephemeral?.events ?? [])]) {
        const { event_id: id = '', sender = '', type, content } = event
        seen.push({ roomId, id, sender, type, content })
      }
    }
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const from = since === null ? '' : `&since=${encodeURIComponent(since)}`
      const path = `/_matrix/client/v3/sync?timeout=1000&filter=${encodeURIComponent(filter)}${from}`
      // The homeserver may be killed on purpose.
      const answer = await account.request('GET', path).catch(() => null)
      if (answer?.status !== 200) {
        await new Promise(next => setTimeout(next, 100))
        continue
      }
      const sync = answer.body as unknown as Sync
      since = sync.next_batch
      read(sync)
    }
  }
  const running = run()
  const ok = ({ status, body }: MatrixAnswer): MatrixAnswer['body'] => {
    if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`)
    return body
  }
  const wait: MatrixUser['wait'] = (what, fits, withinMs) =>
    eventually(what, () => seen.find(fits), withinMs).catch((error: Error) => {
      throw new Error(`${error.message}; seen: ${JSON.stringify(seen.map(({ type, content }) => [type, content]))}`)
    })
  const user: MatrixUser = {
    ...account,
    seen,
    joined: async (roomId, userId) => {
      await eventually(`${userId} has joined`, async () => {
        const { joined } = ok(await account.request('GET', roomPath(roomId, 'joined_members')))
        return Object.keys(joined ?? {}).includes(userId)
      })
    },
    room: async (ghost, more = {}) => {
      const content = { preset: 'trusted_private_chat', is_direct: true, invite: [ghost], ...more }
      const roomId = String(ok(await account.request('POST', '/_matrix/client/v3/createRoom', content))['room_id'])
      await user.joined(roomId, ghost)
      return roomId
    },
    send: async (roomId, type, content) => {
      sent += 1
      return String(ok(await account.request('PUT', roomPath(roomId, 'send', type, `t${sent}`), content))['event_id'])
    },
    says: (roomId, body, more = {}) => user.send(roomId, 'm.room.message', { msgtype: 'm.text', body, ...more }),
    wait,
    hears: (words, withinMs) =>
      wait(
        `a message ${String(words)}`,
        ({ type, sender, content: { body } }) => {
          if (type !== 'm.room.message' || sender === account.userId || typeof body !== 'string') return false
          return typeof words === 'string' ? body === words : words.test(body)
        },
        withinMs
      ),
    heardIn: roomId =>
      seen
        .filter(event => event.roomId === roomId && event.type === 'm.room.message' && event.sender !== account.userId)
        .map(({ content }) => content['body']),
    close: async () => {
      stop.abort()
      await running
    }
  }
  return user
}
