// needs: openssl
// What the configuration says of certificates, targets and transports reaches the engine.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { startEngine } from '../src/compose-engine.ts'
import { parseConfig } from '../src/config.ts'
import type { Engine } from '../src/sip/engine/engine.ts'
import type { Told } from '../src/sip/link.ts'
import { makeRequest } from '../src/sip/message.ts'
import { authority } from './support/certificates.ts'
import type { Authority, Material } from './support/certificates.ts'
import { quiet } from './support/engine.ts'
import { startPeer } from './support/sip-peer.ts'
import type { SipPeer } from './support/sip-peer.ts'
import { until } from './support/until.ts'

const home = mkdtempSync(join(tmpdir(), 'isthmus-border-'))
let ca: Authority
let operator: Material
const file = (name: string, text: string): string => {
  const path = join(home, name)
  writeFileSync(path, text)
  return path
}
const files = (name: string, { cert, key }: Material) => ({
  certFile: file(`${name}.pem`, cert),
  keyFile: file(`${name}.key`, key)
})
beforeAll(() => {
  ca = authority()
  operator = ca.issue('op', 'URI:sip:op.example')
}, 60_000)
afterAll(() => rmSync(home, { recursive: true }))

const parts: AsyncDisposableStack[] = []
const peers: SipPeer[] = []
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close()
  for (const part of parts.splice(0)) await part.disposeAsync()
})

async function start(nni: object, operators: readonly object[]): Promise<Engine> {
  const stack = new AsyncDisposableStack()
  parts.push(stack)
  const { connect } = await startEngine(
    parseConfig(JSON.stringify({ nni: { link: 'direct', ...nni }, operators })),
    quiet,
    stack
  )
  if (!('join' in connect)) throw new Error('not in memory')
  return connect
}

async function peer(material: Material, shown: (names: readonly string[]) => void = () => {}): Promise<SipPeer> {
  const made = await startPeer('tls', {
    listen: [{ transport: 'tls', host: '127.0.0.1', port: 0, tls: { ...material, ca: ca.cert } }],
    tlsCa: ca.cert,
    screen: ({ certificateNames }) => {
      shown(certificateNames)
      return { peerId: 'hub' }
    }
  })
  peers.push(made)
  return made
}

describe('the border of the hub over TLS', () => {
  it('knows an operator by its certificate and address, and shows it the certificate that is meant for it', async () => {
    const outward = ca.issue('outward', 'URI:sip:hub-for-op.example')
    const shown: (readonly string[])[] = []
    const callee = await peer(operator, names => void shown.push(names))
    const caFile = file('ca.pem', ca.cert)
    const named = [{ name: 'second.hub.example', ...files('second', ca.issue('second', 'URI:sip:second.hub.example')) }]
    const tls = { ...files('hub', ca.issue('hub', 'URI:sip:hub.example')), caFile, named }
    const engine = await start({ listen: [{ transport: 'tls', host: '127.0.0.1', port: 0, tls }] }, [
      {
        id: 'op',
        address: { host: '127.0.0.1', port: callee.port, transport: 'tls' },
        certificateNames: ['sip:op.example'],
        tls: { ...files('outward', outward), caFile }
      }
    ])
    const heard: Told[] = []
    const link = engine.join({ heard: (_, told) => void heard.push(told), ended: () => undefined }, ['options'])
    const port = engine.listening[0]?.port ?? 0
    const nextHop = `sip:127.0.0.1:${callee.port};transport=tls`
    link.send({ method: 'OPTIONS', uri: 'sip:+49@op.example', headers: {}, nextHop }, {})
    await callee.next('OPTIONS')
    for (const name of ['hub.example', 'second.hub.example']) {
      callee.send(request('OPTIONS', port), { transport: 'tls', host: '127.0.0.1', port, name })
    }
    await until(() => heard.length === 2)
    expect(heard.map(({ flow }) => flow?.peerId)).toEqual(['op', 'op'])
    // What the operator was shown: the certificate meant for it, then those of the names that it asked for.
    expect(shown[0]).toEqual(['hub-for-op.example'])
    expect(shown.slice(1).flat().toSorted()).toEqual(['hub.example', 'second.hub.example'])
    // Of another domain: refused before anybody hears of it.
    const other = await peer(ca.issue('other', 'URI:sip:other.example'))
    const to = { transport: 'tls', host: '127.0.0.1', port, name: 'hub.example' } as const
    expect((await other.send(request('OPTIONS', port), to).final()).status).toBe(403)
    expect(heard).toHaveLength(2)
    link.close()
  })
})

const request = (method: string, port: number) =>
  makeRequest({
    method,
    uri: `sip:hub@127.0.0.1:${port}`,
    headers: [
      ['From', '<sip:a@op.example>;tag=1'],
      ['To', '<sip:hub@hub.example>'],
      ['Call-ID', `call-${Math.random()}`],
      ['CSeq', `1 ${method}`]
    ]
  })
