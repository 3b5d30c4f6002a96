import { afterEach, describe, expect, it } from '@jest/globals'
import { hasAddress } from '../../../src/nni/crossing.ts'
import { startPair } from '../../support/nni-pair.ts'
import type { Pair } from '../../support/nni-pair.ts'
import type { SipPeer } from '../../support/nni-peer.ts'
import { sdpWith } from '../../support/nni.ts'
import { until } from '../../support/until.ts'

// Every byte that one operator gets is searched for what only the other one should know (TS 23.228, I.3.2).

const pairs: Pair[] = []
afterEach(async () => {
  await Promise.all(pairs.splice(0).map(pair => pair.close()))
})

const talkative = (peer: SipPeer): readonly (readonly [string, string])[] => [
  ['Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO'],
  ['Supported', 'timer, 100rel'],
  ['P-Asserted-Identity', `<sip:+4416329600${peer.host.slice(-1)}3@${peer.name}.example;user=phone>`],
  ['History-Info', `<sip:+493090182@${peer.host}:5062;user=phone>;index=1`],
  ['Call-Info', `<http://${peer.host}/card>;purpose=card`],
  ['Organization', `${peer.name}.example`],
  ['Server', `${peer.name}-as/1.0`],
  ['User-Agent', `${peer.name}-phone`],
  ['Warning', `399 ${peer.host} "${peer.name}.example is full"`],
  ['Reason', `Q.850;cause=17;text="gone from ${peer.host}"`],
  ['P-Access-Network-Info', `3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1;x=${peer.host}`],
  ['Feature-Caps', `*;+x.host="${peer.name}.example"`],
  ['Session-ID', 'ab30317f1a784dc48ff824d0d3715d86']
]

/** What a message of a peer names that must stay on its side: hosts, Call-ID, tags, branches. */
function secrets(peer: SipPeer, texts: readonly string[]): ReadonlySet<string> {
  const found = new Set([`${peer.host}:`, `${peer.name}.example`, `${peer.name}-`, `<sip:${peer.name}`])
  for (const text of texts) {
    for (const pattern of [/^Call-ID: (\S+)/gim, /;tag=([^;>\s]+)/g, /branch=([^;\s]+)/g, /^o=(.*)$/gm]) {
      for (const [, value = ''] of text.matchAll(pattern)) found.add(value.trim())
    }
  }
  return found
}

/** Searches what a peer got; addresses of media go through where nothing anchors it, and are its own. */
function scan(got: SipPeer, other: SipPeer): readonly string[] {
  const own = secrets(got, [])
  return got.bytes.flatMap(text => {
    const signalling = text.replaceAll(/^c=.*$/gm, '').replaceAll(/^o=- \d+ \d+ .*$/gm, '')
    const all = [...secrets(other, other.sent)].filter(secret => !own.has(secret))
    return all.filter(secret => signalling.includes(secret)).map(secret => `${secret} in ${text}`)
  })
}

const options = {
  alpha: { headers: { 'Feature-Caps': 'both' } },
  beta: { headers: { 'Feature-Caps': 'both' } }
} as const

describe.each([
  ['trusted', 'network'],
  ['untrusted', 'user']
])('between %s operators', (_, trust) => {
  it('SEC-04 no message of an answered, held, changed and ended call names anything of the other side', async () => {
    const pair = await startPair({ alpha: { ...options.alpha, trust }, beta: { ...options.beta, trust } })
    pairs.push(pair)
    const { alpha, beta } = pair
    const sdp = (peer: SipPeer, direction = 'sendrecv') => sdpWith(40_000, direction, peer.host)
    const { call, tx } = await pair.invite('alpha', { headers: talkative(alpha), body: sdp(alpha) })
    beta.answer(tx, 183, { headers: talkative(beta), body: sdp(beta) })
    await call.response(183)
    beta.answer(tx, 200, { headers: talkative(beta), body: sdp(beta) })
    const answer = await call.response(200)
    const caller = alpha.callerDialog(call, answer)
    alpha.ack(caller, 1)
    await beta.takeAck()
    const hold = alpha.inside(caller, 'INVITE', { headers: talkative(alpha), body: sdp(alpha, 'sendonly') })
    beta.answer(await beta.take('INVITE'), 200, { headers: talkative(beta), body: sdp(beta, 'recvonly') })
    await hold.final()
    alpha.ack(caller, hold.cseq)
    const tone = {
      headers: [...talkative(alpha), ['Content-Type', 'application/dtmf-relay']] as const,
      body: 'Signal=5'
    }
    expect((await alpha.inside(caller, 'INFO', tone).final()).status).toBe(200)
    beta.answer(await beta.take('INFO'), 200, { headers: talkative(beta) })
    expect((await alpha.inside(caller, 'BYE', { headers: talkative(alpha) }).final()).status).toBe(200)
    beta.answer(await beta.take('BYE'), 200, { headers: talkative(beta) })
    await until(() => pair.hub.sessionCount === 0)
    expect(beta.bytes.length).toBeGreaterThan(4)
    expect(scan(beta, alpha)).toEqual([])
    expect(scan(alpha, beta)).toEqual([])
  })

  it('SEC-04 SEC-05 a refusal with words, a redirection and a message name nothing of the other side', async () => {
    const pair = await startPair({ alpha: { ...options.alpha, trust }, beta: { ...options.beta, trust } })
    pairs.push(pair)
    const { alpha, beta } = pair
    for (const status of [302, 486, 603]) {
      const { call, tx } = await pair.invite('alpha', { headers: talkative(alpha), body: sdpWith(40_000) })
      const contact = ['Contact', `<sip:+4930@${beta.host}>`] as const
      beta.answer(tx, status, { headers: status === 302 ? [...talkative(beta), contact] : talkative(beta) })
      const refused = await call.final()
      expect(refused.status).toBe(status === 302 ? 502 : status)
      expect(refused.headers.has('Contact')).toBe(false)
    }
    const text = { headers: [...talkative(alpha).slice(3), ['Content-Type', 'text/plain']] as const, body: 'hello' }
    const message = alpha.request('MESSAGE', 'sip:+4930901820@hub.example;user=phone', text)
    beta.answer(await beta.take('MESSAGE'), 200, { headers: talkative(beta) })
    expect((await message.final()).status).toBe(200)
    await until(() => pair.hub.sessionCount === 0)
    expect(scan(beta, alpha)).toEqual([])
    expect(scan(alpha, beta)).toEqual([])
  })
})

describe('addresses in words', () => {
  it.each(['10.0.0.1', 'at 192.168.1.20:5060', '[fd00::1]', 'x fe80::1%eth0', '2001:db8::5'])('%s is one', text => {
    expect(hasAddress(text)).toBe(true)
  })
  it.each(['1.2.3', 'index=1.1.2.1.5', '12:30:15', 'urn:alert:service:call-waiting'])('%s is none', text => {
    expect(hasAddress(text)).toBe(false)
  })
})
