import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { fromInvite, fromMessage, toInvite } from '../../src/nni/invite.ts'
import { noFacts } from '../../src/session/model.ts'
import type { SessionId, Shown } from '../../src/session/model.ts'
import { makeRequest, parseMessage, printMessage } from '../../src/sip/message.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { hubFace, sdpWith, trustedPeer, untrustedPeer } from '../support/nni.ts'

const folder = new URL('./fixtures/', import.meta.url)
const names = readdirSync(folder).sort()
/** `UPDATE_FIXTURES=1` writes what the maps make; look at the difference before committing it. */
const update = process.env['UPDATE_FIXTURES'] === '1'

const requestIn = (name: string): SipRequest => {
  const parsed = parseMessage(readFileSync(new URL(name, folder)))
  if (!parsed.ok || parsed.message.kind !== 'request') throw new Error(`${name} is no request`)
  return parsed.message
}
const mapsToo = (_: string, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value)
const around = (name: string) => ({
  peer: name.includes('untrusted') ? untrustedPeer : trustedPeer,
  hub: hubFace,
  neighbour: '192.0.2.10:5060',
  sessionExpiresSeconds: 1_800
})

describe('requests of a peer in canonical words', () => {
  const stems = names.filter(name => name.endsWith('.sip') && !name.startsWith('out-')).map(name => name.slice(0, -4))

  it.each(stems)('%s', stem => {
    const request = requestIn(`${stem}.sip`)
    const understood = (request.method === 'MESSAGE' ? fromMessage : fromInvite)(request, around(stem))
    expect(understood.ok).toBe(!stem.startsWith('refused'))
    const golden = new URL(`${stem}.canonical.json`, folder)
    const text = `${JSON.stringify(understood.ok ? understood.value : understood.refused, mapsToo, 2)}\n`
    if (update) writeFileSync(golden, text)
    expect(text).toBe(readFileSync(golden, 'utf8'))
  })

  it('covers calls, messages and refusals', () => {
    expect(stems.length).toBeGreaterThanOrEqual(22)
  })

  it('a peer that must offer is told so when it does not', () => {
    const strict = { ...trustedPeer, config: { ...trustedPeer.config, allowOfferless: false } }
    const understood = fromInvite(requestIn('in-offerless.sip'), { ...around('in'), peer: strict })
    expect(understood).toEqual({ ok: false, refused: { status: 488, reason: 'Offer Required' } })
  })

  it('a body that was not UTF-8 is not taken for text', () => {
    const broken = { ...requestIn('message-plain.sip'), body: Buffer.from('a\uFFFDb') }
    expect(fromMessage(broken, around('in'))).toMatchObject({ ok: false, refused: { status: 415 } })
  })
})

interface Given {
  readonly peer: string
  readonly maxForwards: number
  readonly from: Shown
  readonly uri: string
  readonly sdp?: null
}

describe('invitations of the core as INVITE', () => {
  const stems = names.filter(name => /^out-.*json$/.test(name)).map(name => name.replace('.canonical.json', ''))

  it.each(stems)('%s', stem => {
    const given = JSON.parse(readFileSync(new URL(`${stem}.canonical.json`, folder), 'utf8')) as Given
    const peer = given.peer === 'trusted' ? trustedPeer : untrustedPeer
    const sdp = given.sdp === null ? null : sdpWith(4000)
    const invitation = {
      id: 'session' as SessionId,
      attempt: 1,
      charging: { icid: 'icid-1', generatedAt: 'hub.example' },
      from: given.from,
      target: {
        access: 'nni',
        peerId: peer.id,
        uri: given.uri,
        trust: peer.trusted ? 'network' : 'user',
        media: 'rtp',
        needsOffer: false
      },
      origin: noFacts,
      service: 'voice',
      sdp
    } as const
    const ids = { callId: 'call-1', fromTag: 'tag-1', maxForwards: given.maxForwards }
    const { method, uri, headers, body } = toInvite(invitation, sdp, ids, { ...around(stem), peer })
    const text = printMessage(makeRequest({ method, uri, headers: Object.entries(headers), body }))
    const golden = new URL(`${stem}.sip`, folder)
    if (update) writeFileSync(golden, text)
    expect(text.toString()).toBe(readFileSync(golden, 'utf8'))
    expect(text.toString()).not.toMatch(/island|alice@/i)
  })

  it('covers both kinds of peers and of callers', () => {
    expect(stems.length).toBeGreaterThanOrEqual(6)
  })
})
