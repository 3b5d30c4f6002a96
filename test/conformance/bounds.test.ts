// Every bound of the SIP side has a test: the table in docs/sip-engine.md, held here; and those without a better home.
// needs: openssl

import { describe, expect, it } from '@jest/globals'
import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:tls'
import { sdpOf } from '../../src/nni/body.ts'
import { engineLimits } from '../../src/sip/engine/context.ts'
import { makeRequest, parseVia, sipLimits } from '../../src/sip/message.ts'
import { createStack, stackLimits } from '../../src/sip/stack.ts'
import { authority } from '../support/certificates.ts'
import { rawStream } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'

const root = new URL('../../', import.meta.url)
const page = readFileSync(new URL('docs/sip-engine.md', root), 'utf8')
const rows = [...page.matchAll(/^\| `(\w+)`(.*?) \| `(test\/[^`]+)`: "(.+)" \|$/gm)].map(
  ([, bound = '', , path = '', title = '']) => ({ bound, path, title })
)

describe('the table of bounds', () => {
  it('names every bound of messages, stack and engine', () => {
    const all = Object.keys({ ...sipLimits, ...stackLimits, ...engineLimits }).filter(name => name.endsWith('Max'))
    const named = new Set(rows.map(({ bound }) => bound))
    expect(all.filter(name => !named.has(name))).toEqual([])
  })

  it.each(rows)('$bound: its test is there', ({ path, title }) => {
    expect(existsSync(new URL(path, root))).toBe(true)
    expect(readFileSync(new URL(path, root), 'utf8')).toContain(title)
  })
})

describe('nesting', () => {
  it('a value with more parameters than the bound is none', () => {
    const params = (count: number): string => Array.from({ length: count }, (_, n) => `;p${n}=1`).join('')
    expect(parseVia(`SIP/2.0/UDP a.example${params(64)}`)).not.toBeNull()
    expect(parseVia(`SIP/2.0/UDP a.example${params(65)}`)).toBeNull()
  })

  it('multipart bodies are opened so deep and no deeper', () => {
    const nested = (depth: number): { readonly type: string; readonly body: string } => {
      if (depth === 0) return { type: 'application/sdp', body: 'v=0\r\n' }
      const { type, body } = nested(depth - 1)
      const text = `--b${depth}\r\nContent-Type: ${type}\r\n\r\n${body}\r\n--b${depth}--\r\n`
      return { type: `multipart/mixed; boundary="b${depth}"`, body: text }
    }
    const found = (depth: number): boolean => {
      const { type, body } = nested(depth)
      const headers = [['Content-Type', type]] as const
      const read = sdpOf(makeRequest({ method: 'INVITE', uri: 'sip:a@b.example', headers, body }))
      return read.ok && read.sdp !== null
    }
    expect([1, 2, 3, 50].map(found)).toEqual([true, true, false, false])
  })
})

describe('slow peers', () => {
  it('half a message on TLS is not waited for without end, nor is a handshake', async () => {
    const ca = authority()
    const { cert, key } = ca.issue('hub', 'IP:127.0.0.1')
    const stack = createStack({
      listen: [{ transport: 'tls', host: '127.0.0.1', port: 0, tls: { cert, key } }],
      limits: { incompleteMs: 100, connectMs: 100 },
      handler: { request: () => undefined, ack: () => undefined }
    })
    await stack.start()
    const port = stack.listening[0]?.port ?? 0
    const half = await rawStream(port, () => connect({ host: '127.0.0.1', port, ca: ca.cert }))
    half.send('INVITE sip:a@b SIP/2.0\r\nVia: ')
    const silent = await rawStream(port)
    await until(() => half.ended && silent.ended)
    await until(() => stack.counts.connections === 0)
    await stack.close()
  })
})
