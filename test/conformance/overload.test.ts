// RFC 7339 on the wire, and what the engine refuses when there is too much: OVL-01 to OVL-07 of the profile.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Overload } from '../../src/sip/engine/overload.ts'
import { makeResponse } from '../../src/sip/message.ts'
import { EngineBench, from } from '../support/engine-bench.ts'
import { rawRequest, rawUdp } from '../support/sip-wire.ts'
import type { RawPeer, RawRequest } from '../support/sip-wire.ts'
import { until } from '../support/until.ts'

const bench = new EngineBench('options', 'invite', 'message')
let now = 1_000
let overload: Overload
let flooder: RawPeer
let quiet: RawPeer
const limits = { peerPerSecondMin: 3 }

beforeEach(async () => {
  overload = new Overload({ limits, now: () => now, wallClock: () => 1_282_321_615_782 })
  await bench.begin({ overload })
  flooder = await rawUdp(bench.port, '127.0.0.1', '127.0.0.2')
  quiet = await rawUdp(bench.port, '127.0.0.1', '127.0.0.3')
})
afterEach(async () => {
  await flooder.close()
  await quiet.close()
  await bench.end()
})

let count = 0
/** Sends a request and waits for what the engine says to it: the first answer, or what the application heard. */
async function ask(peer: RawPeer, over: RawRequest & { readonly offers?: boolean } = {}): Promise<string> {
  const id = `overload-${++count}`
  const { offers = false, ...request } = over
  const viaParams = `;rport${offers ? ';oc;oc-algo="loss"' : ''}`
  peer.send(rawRequest({ method: 'MESSAGE', branch: `z9hG4bK${id}`, callId: id, viaParams, ...request }))
  const callId = request.callId ?? id
  const answer = (): string | undefined => peer.received.find(text => text.includes(callId))
  const heard = (): boolean => bench.app.frames.some(({ message }) => message.includes(callId))
  await until(() => answer() !== undefined || heard())
  return answer() ?? 'served'
}

const isRefused = (answer: string): boolean => answer.startsWith('SIP/2.0 503')

/** The engine has far too much to do: each step of its control halves what it takes. */
async function overloaded(): Promise<void> {
  for (let n = 0; n < 20; n++) await ask(flooder)
  await ask(quiet)
  overload.unanswered += 1_000_000
  for (let n = 0; n < 12; n++) {
    now += 100
    overload.tick()
  }
}

describe('towards a server below', () => {
  it('OVL-01 every request asks, without a value, a length or a number', async () => {
    await bench.send('OPTIONS')
    const { request } = await bench.peer.next('OPTIONS')
    const via = request.headers.get('Via')!
    expect(via).toMatch(/;oc;oc-algo="loss"/)
    expect(via).not.toMatch(/oc=|oc-validity|oc-seq/)
  })

  it('OVL-01 not where the engine takes no part', async () => {
    await bench.again({ overloadControl: false })
    await bench.send('OPTIONS')
    expect((await bench.peer.next('OPTIONS')).request.headers.get('Via')).not.toContain('oc')
  })

  it('OVL-04 what it asks for is obeyed: the application hears 503 at once, and nothing is sent', async () => {
    await bench.send('OPTIONS')
    const tx = await bench.peer.next('OPTIONS')
    const via = tx.request.headers.get('Via')!.replace(';oc;', ';oc=80;') + ';oc-validity=60000;oc-seq=1.1'
    tx.request.headers.set('Via', via)
    tx.respond(makeResponse(tx.request, 200, { toTag: 't' }))
    await bench.app.sip('SIP/2.0 200')
    await bench.send('MESSAGE', `${from}content-type: text/plain\r\n`, 'late')
    await bench.app.sip('SIP/2.0 503')
    // Emergency calls are not among the 80 of 100 that are ordinary ones.
    await bench.app.ask(`sip|||${bench.peer.uri}`, `INVITE urn:service:sos SIP/2.0\r\n${from}\r\n`)
    await bench.peer.next('INVITE')
    expect(bench.peer.waiting.map(({ request }) => request.method)).toEqual([])
    expect(bench.engine.counts.heldBack).toBe(1)
  })
})

describe('towards a neighbour above', () => {
  it('OVL-02 one that takes part hears that nothing needs to be held back', async () => {
    await ask(quiet, { method: 'REFER', offers: true })
    expect(quiet.text).toContain(';oc=0;oc-algo="loss";oc-validity=0')
    expect(quiet.text).not.toContain('oc-seq')
  })

  it('OVL-02 one that takes no part hears nothing of it', async () => {
    await ask(quiet, { method: 'REFER' })
    expect(quiet.text).not.toContain(';oc')
  })

  it('OVL-02 in overload it hears how much, for how long, each time with a higher number', async () => {
    await overloaded()
    await ask(flooder, { method: 'REFER', offers: true })
    await ask(flooder, { method: 'REFER', offers: true })
    const told = [...flooder.text.matchAll(/;oc=(\d+);oc-algo="loss";oc-validity=500;oc-seq=(\d+\.\d+)/g)]
    expect(told.map(([, percent]) => Number(percent) > 0)).toEqual([true, true])
    expect(Number(told[1]![2])).toBeGreaterThan(Number(told[0]![2]))
  })

  it('OVL-03 what a 100 says, the final answer says again', async () => {
    await overloaded()
    flooder.received.splice(0)
    const invite = { method: 'INVITE', callId: 'both', uri: 'urn:service:sos', offers: true }
    await ask(flooder, invite)
    const txn = (await bench.app.frame(({ message }) => message.includes('both'))).tokens[8] ?? ''
    await bench.respond(txn, 'SIP/2.0 486 Busy Here\r\n\r\n')
    await until(() => flooder.text.includes('SIP/2.0 486'))
    const said = flooder.received.filter(text => text.includes('both')).map(text => /;oc=.*?(?=\r)/.exec(text)?.[0])
    expect(said.length).toBeGreaterThanOrEqual(2)
    expect(new Set(said).size).toBe(1)
    expect(said[0]).toMatch(/oc-seq=/)
  })

  it('OVL-05 one that takes no part hears 503 without Retry-After; another operator goes on being served', async () => {
    await overloaded()
    const answers: string[] = []
    for (let n = 0; n < 20; n++) answers.push(await ask(flooder))
    const refused = answers.filter(isRefused)
    expect(refused.length).toBeGreaterThanOrEqual(15)
    expect(refused.join('')).not.toContain('Retry-After')
    expect(await ask(quiet)).toBe('served')
  })

  it('OVL-06 emergency, priority and what is inside dialogs are served while the rest is refused', async () => {
    const { dialog } = await bench.called()
    await overloaded()
    let last = ''
    for (let n = 0; n < 10; n++) last = await ask(flooder)
    expect(isRefused(last)).toBe(true)
    expect(await ask(flooder, { method: 'INVITE', callId: 'sos-1', uri: 'urn:service:sos.ambulance' })).not.toMatch(
      /503/
    )
    expect(await ask(flooder, { headers: ['Resource-Priority: wps.0'] })).toBe('served')
    bench.peer.send(dialog.request('BYE'), dialog.nextHop()!)
    await bench.app.sip('BYE')
  })

  it('OVL-06 they have a reserve where there is no room at all', async () => {
    await bench.again({ overload, limits: { waitingMax: 10, reservePercent: 20 } })
    await flooder.close()
    flooder = await rawUdp(bench.port, '127.0.0.1', '127.0.0.2')
    for (let n = 0; n < 10; n++) expect(await ask(flooder)).toBe('served')
    expect(await ask(flooder)).toMatch(/^SIP\/2.0 503/)
    const urgent = { headers: ['Resource-Priority: esnet.0'] }
    expect([await ask(flooder, urgent), await ask(flooder, urgent)]).toEqual(['served', 'served'])
    expect(await ask(flooder, urgent)).toMatch(/^SIP\/2.0 503/)
  })

  it('OVL-07 what was refused is counted', async () => {
    await overloaded()
    const before = bench.engine.counts.shed
    for (let n = 0; n < 10; n++) await ask(flooder)
    expect(bench.engine.counts.shed - before).toBeGreaterThanOrEqual(7)
  })
})
