// The sandbox user against a small SIP-over-WebSocket server made of `ws` and our own stack, with WebRTC media.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { WebSocketServer } from 'ws'
import { createIslandUser } from '../../src/sandbox/island-user.ts'
import type { IslandUser, IslandUserOptions } from '../../src/sandbox/island-user.ts'
import { PhoneCall } from '../../src/sandbox/phone-call.ts'
import { openRtp } from '../../src/sandbox/rtp.ts'
import { WebrtcEnd } from '../../src/sandbox/webrtc.ts'
import { createUserAgent } from '../../src/sip/call.ts'
import type { UserAgent } from '../../src/sip/call.ts'
import { createDigestServer } from '../../src/sip/digest-server.ts'
import { makeRequest, makeResponse, parseNameAddr } from '../../src/sip/message.ts'
import type { ServerTransaction } from '../../src/sip/stack.ts'
import type { AdoptedFlow } from '../../src/sip/transport/transport.ts'
import { until } from '../support/until.ts'

const domain = 'island.example'

interface Island {
  readonly url: string
  readonly calls: readonly PhoneCall[]
  readonly texts: readonly string[]
  /** Contacts by name. */
  readonly registered: ReadonlyMap<string, { readonly uri: string; readonly flow: AdoptedFlow }>
  readonly agent: UserAgent
}
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** Registers with digest, asks for a password before every INVITE and MESSAGE, and echoes every call. */
async function startIsland(options: { expires?: number; media?: 'webrtc' | 'rtp' } = {}): Promise<Island> {
  const { expires = 600, media = 'webrtc' } = options
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(sockets, 'listening')
  const digest = createDigestServer({ realm: domain })
  const registered = new Map<string, { uri: string; flow: AdoptedFlow }>()
  const calls: PhoneCall[] = []
  const texts: string[] = []
  const flows = new Map<number, AdoptedFlow>()
  const allowed = (tx: ServerTransaction): boolean => {
    const verdict = digest.verify(tx.request, name => (name === 'alice' ? 'secret' : null))
    if (!verdict.ok) {
      const { status = 400, name = 'Warning', values = [] } = verdict.challenge ?? {}
      tx.respond(makeResponse(tx.request, status, { headers: values.map(value => [name, value] as const) }))
    }
    return verdict.ok
  }
  const register = (tx: ServerTransaction): void => {
    const contact = parseNameAddr(tx.request.headers.get('Contact') ?? '')!
    const name = /sip:([^@]+)@/.exec(tx.request.headers.get('To') ?? '')![1]!
    if (contact.params.get('expires') === '0') registered.delete(name)
    else registered.set(name, { uri: contact.uri, flow: flows.get(tx.flow.id)! })
    tx.respond(makeResponse(tx.request, 200, { headers: [['Contact', `<${contact.uri}>;expires=${expires}`]] }))
  }
  const agent = createUserAgent({
    listen: [],
    requested: tx => {
      if (!allowed(tx)) return
      if (tx.request.method === 'REGISTER') return register(tx)
      texts.push(tx.request.body.toString())
      tx.respond(makeResponse(tx.request, 202))
    },
    incoming: sip => {
      const verdict = digest.verify(sip.invite, () => 'secret')
      if (!verdict.ok) {
        const { name = '', values = [] } = verdict.challenge ?? {}
        return sip.refuse(401, { headers: values.map(value => ({ name, value })) })
      }
      void (media === 'webrtc' ? Promise.resolve(new WebrtcEnd()) : openRtp()).then(end => {
        const call = PhoneCall.incoming(sip, sip.invite.uri, end)
        calls.push(call)
        return call.answer({ what: 'echo' })
      })
    }
  })
  await agent.start()
  sockets.on('connection', (socket, { socket: { remotePort = 0 } }) => {
    const flow = agent.stack.adopt({
      transport: 'ws',
      local: { host: '127.0.0.1', port: (sockets.address() as AddressInfo).port },
      remote: { host: '127.0.0.1', port: remotePort },
      peerId: null,
      send: bytes => socket.send(bytes),
      close: () => socket.close()
    })
    flows.set(flow.id, flow)
    socket.on('message', (data: Buffer) => flow.receive(data))
    socket.on('close', () => flow.lost())
  })
  closing.push(async () => {
    await agent.close()
    await Promise.all(calls.map(call => call.media.close()))
    for (const socket of sockets.clients) socket.terminate()
    await new Promise(resolve => sockets.close(resolve))
  })
  return { url: `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`, calls, texts, registered, agent }
}

async function connected(island: Island, options: Partial<IslandUserOptions> = {}): Promise<IslandUser> {
  const user = createIslandUser({
    url: island.url,
    name: 'alice',
    password: 'secret',
    domain,
    limits: { ringMs: 5 },
    ...options
  })
  closing.push(() => user.close())
  await user.connect()
  return user
}

/** Says what there was instead, if the tone does not come. */
async function untilHeard(call: PhoneCall): Promise<void> {
  await until(() => call.media.hears(1_000)).catch((error: unknown) => {
    throw new Error(`${call.direction} ${call.state} ${JSON.stringify(call.media.heard)}`, { cause: error })
  })
}

describe('sandbox island user', () => {
  it('registers with digest and unregisters when it closes', async () => {
    const island = await startIsland()
    const user = await connected(island)
    expect([...island.registered.keys()]).toEqual(['alice'])
    await user.close()
    expect(island.registered.size).toBe(0)
  })

  it('says who refused it and why', async () => {
    const island = await startIsland()
    await expect(connected(island, { password: 'guess' })).rejects.toMatchObject({
      code: 'HUB_PEER',
      message: 'island.example refused to register alice: 401 Unauthorized'
    })
    await expect(connected({ ...island, url: 'ws://127.0.0.1:1' })).rejects.toMatchObject({ code: 'HUB_PEER' })
    const stranger = createIslandUser({ url: island.url, name: 'bob', password: 'x', domain })
    await expect(stranger.call('+49')).rejects.toThrow('is not connected')
    await stranger.close()
  })

  it.each(['PCMA', 'opus'] as const)(
    'calls with WebRTC, answers the challenge and hears its tone in %s',
    async codec => {
      const island = await startIsland()
      const user = await connected(island, { codecs: [codec], display: 'Alice' })
      const call = await user.call('+4930123456')
      expect(await call.answered).toBe(true)
      await untilHeard(call)
      expect(call.media.heard.codec).toBe(codec)
      expect(call.invite?.uri).toBe('sip:+4930123456@island.example;user=phone')
      expect(call.invite?.headers.get('From')).toMatch(/^"Alice" <sip:alice@island.example>;tag=/)
      call.hangUp()
      await until(() => user.history.length === 1 && island.calls[0]!.state === 'over')
      expect(island.calls[0]!.media.heard.packetsReceived).toBeGreaterThan(20)
    }
  )

  it('calls with plain RTP where its island wants that', async () => {
    const island = await startIsland({ media: 'rtp' })
    const user = await connected(island, { media: 'rtp' })
    const call = await user.call('bob', { toneHz: 440 })
    await until(() => call.media.hears(440))
    expect(call.invite?.uri).toBe('sip:bob@island.example')
    expect(await call.reoffer('inactive')).toBe(true)
    expect(await call.reoffer('sendrecv')).toBe(true)
  })

  it('takes a call with a tone unless told otherwise', async () => {
    const island = await startIsland()
    const user = await connected(island)
    const { uri, flow } = island.registered.get('alice')!
    const call = await PhoneCall.place(island.agent, new WebrtcEnd(), {
      number: uri,
      uri,
      to: { flow },
      from: '<sip:+4930123456@island.example>',
      play: { what: 'tone', hz: 1_000 }
    })
    closing.push(() => call.media.close())
    expect(await call.answered).toBe(true)
    await untilHeard(call)
    await untilHeard(user.calls[0]!)
    expect(user.calls[0]).toMatchObject({ direction: 'in', number: 'sip:+4930123456@island.example' })
    call.hangUp()
    await until(() => user.history.length === 1)
  })

  it('lets its owner refuse a call', async () => {
    const island = await startIsland()
    await connected(island, { incoming: call => call.refuse(486) })
    const { uri, flow } = island.registered.get('alice')!
    const call = await PhoneCall.place(island.agent, await openRtp(), {
      number: uri,
      uri,
      to: { flow },
      from: '<sip:x@y>',
      play: { what: 'echo' }
    })
    expect(await call.ended).toMatchObject({ how: 'refused', message: { status: 486 } })
  })

  it('sends and takes texts', async () => {
    const island = await startIsland()
    const user = await connected(island)
    expect(await user.sendText('+4930123456', 'hallo')).toBe(202)
    expect(island.texts).toEqual(['hallo'])
    const { uri, flow } = island.registered.get('alice')!
    const headers = [
      ['From', '<sip:bob@island.example>;tag=1'],
      ['To', '<sip:alice@island.example>'],
      ['Call-ID', '1'],
      ['CSeq', '1 MESSAGE'],
      ['Content-Type', 'text/plain']
    ] as const
    const answer = new Promise<number>((resolve, reject) => {
      island.agent.stack.send(
        makeRequest({ method: 'MESSAGE', uri, headers, body: 'zurück' }),
        { flow },
        { response: ({ status }) => resolve(status), failed: reject }
      )
    })
    expect(await answer).toBe(200)
    expect(user.messages).toMatchObject([{ from: 'sip:bob@island.example', text: 'zurück' }])
  })

  it('refreshes its registration before it runs out', async () => {
    const island = await startIsland({ expires: 1 })
    const seen: string[] = []
    await connected(island, {
      tap: (direction, message) => void (message.kind === 'request' && seen.push(`${direction} ${message.method}`))
    })
    const before = seen.length
    await until(() => seen.length > before)
  })
})
