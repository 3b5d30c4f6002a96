// The table "What is proven where" of docs/xmpp.md names tests that are there; and the options of a link's socket.

import { describe, expect, it } from '@jest/globals'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { existsSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { startAdapter } from '../../support/xmpp-adapter.ts'
import { islandAt, startFakeServer } from '../../support/xmpp-fake-server.ts'

const root = join(import.meta.dirname, '../../..')
const [, section = ''] = readFileSync(join(root, 'docs/xmpp.md'), 'utf8').split(/^## What is proven where$/m)
const rows = [...section.split(/^## /m)[0]!.matchAll(/^\| (?!what|---)(.+?) \| `(.+?)` \| (.+?) \|$/gm)].map(
  ([, what = '', file = '', name = '']) => ({ what, file: join(root, 'test', file), name })
)

describe('what docs/xmpp.md says is proven', () => {
  it('is a table of all seven pitfalls and of the extensions', () => {
    expect(rows.length).toBeGreaterThan(30)
    for (let pitfall = 1; pitfall <= 7; pitfall++) {
      expect(rows.some(({ what }) => what.startsWith(`${pitfall}. `))).toBe(true)
    }
  })

  it.each(rows)('$what: $name', ({ file, name }) => {
    expect(existsSync(file)).toBe(true)
    expect(readFileSync(file, 'utf8')).toContain(name)
  })
})

describe('the socket of a link', () => {
  it('waits for no more to send, and asks whether the other side still lives', async () => {
    const options: [string, ...unknown[]][] = []
    const made = (message: unknown): void => {
      const { socket } = message as { socket: Socket }
      const [noDelay, keepAlive] = [socket.setNoDelay.bind(socket), socket.setKeepAlive.bind(socket)]
      socket.setNoDelay = on => (options.push(['noDelay', on]), noDelay(on))
      socket.setKeepAlive = ((on?: boolean, ms?: number) => (
        options.push(['keepAlive', on]),
        keepAlive(on, ms)
      )) as never
    }
    const server = await startFakeServer()
    subscribe('net.client.socket', made)
    const adapter = await startAdapter([islandAt(server.port)])
    try {
      await adapter.ready('ott')
    } finally {
      unsubscribe('net.client.socket', made)
      await adapter.close()
      await server.close()
    }
    expect(options).toContainEqual(['noDelay', true])
    expect(options).toContainEqual(['keepAlive', true])
  })
})
