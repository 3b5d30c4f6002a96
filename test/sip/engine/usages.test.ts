import { describe, expect, it } from '@jest/globals'
import type { App } from '../../../src/sip/engine/app.ts'
import { Usage, Usages } from '../../../src/sip/engine/usages.ts'
import { makeRequest } from '../../../src/sip/message.ts'

const app: App = {
  id: 'a',
  gone: false,
  binary: false,
  hear: () => {},
  ended: () => {},
  sent: () => {},
  refused: () => {}
}
const opening = makeRequest({ method: 'INVITE', uri: 'sip:x@y' })
const usage = (callId: string, role: 'uas' | 'uac' = 'uac'): Usage =>
  new Usage({ role, callId, localTag: 'local', fromTag: 'from', opening, app })

describe('dialogs of applications', () => {
  it('have the name that drachtio-srf expects, and never a token separator in it', () => {
    expect(usage('call@host').id).toBe('call@host;from-tag=from')
    expect(usage('a|b').id).toBe('a%124b;from-tag=from')
  })

  it('are found by name and by the tag of this side', () => {
    const usages = new Usages(1_000)
    const one = usage('1')
    usages.add(one)
    expect(usages.named('1;from-tag=from')).toBe(one)
    expect(usages.tagged('1', 'local')).toBe(one)
    expect(usages.tagged('1', 'other')).toBeUndefined()
    expect(usages.of(app)).toEqual([one])
  })

  it('an ended one has no name; where a late 2xx may come it stays for that long, and no longer', () => {
    const usages = new Usages(1_000)
    const [caller, called, later] = [usage('1'), usage('2', 'uas'), usage('3')]
    for (const each of [caller, called, later]) usages.add(each)
    usages.end(caller, 0)
    usages.end(called, 0)
    expect(usages.named(caller.id)).toBeUndefined()
    expect(usages.tagged('1', 'local')).toBe(caller)
    expect(usages.tagged('2', 'local')).toBeUndefined()
    usages.end(later, 5_000)
    expect(usages.tagged('1', 'local')).toBeUndefined()
    expect(usages.tagged('3', 'local')).toBe(later)
    expect(usages.size).toBe(0)
  })

  it('an ended one does not stay where the 2xx was acknowledged too long ago to come again', () => {
    const usages = new Usages(1_000)
    const [long, short] = [usage('1'), usage('2')]
    for (const each of [long, short]) {
      each.lastAck = { cseq: 1, at: each === long ? 0 : 4_500, parts: {}, to: { transport: 'udp', host: 'h', port: 1 } }
      usages.add(each)
      usages.end(each, 5_000)
    }
    expect(usages.tagged('1', 'local')).toBeUndefined()
    expect(usages.tagged('2', 'local')).toBe(short)
  })

  it('a confirmed one keeps of its request only what the 2xx of a further fork needs', () => {
    const headers = [
      ['Via', 'SIP/2.0/UDP h;branch=z9hG4bK1'],
      ['From', '<sip:a@h>;tag=1'],
      ['To', '<sip:b@h>'],
      ['Call-ID', 'c'],
      ['CSeq', '7 INVITE'],
      ['Contact', '<sip:a@h:5060>'],
      ['Supported', 'timer']
    ] as const
    const init = { callId: 'c', localTag: '1', fromTag: '1', app }
    const request = makeRequest({ method: 'INVITE', uri: 'sip:b@h', headers, body: 'v=0' })
    const [caller, called] = (['uac', 'uas'] as const).map(role => new Usage({ ...init, role, opening: request }))
    caller!.contact = request.headers.get('Contact')!
    caller!.confirm()
    called!.confirm()
    const kept = (one: Usage): readonly string[] => one.opening.headers.lines().map(({ name }) => name)
    expect(caller!.phase).toBe('confirmed')
    expect(caller!.opening).toMatchObject({ method: 'INVITE', uri: 'sip:b@h' })
    expect(kept(caller!)).toEqual(['From', 'Call-ID', 'CSeq', 'Contact'])
    expect(called!.opening.method).toBe('INVITE')
    expect(kept(called!)).toEqual([])
    expect(caller!.opening.body.length + called!.opening.body.length).toBe(0)
  })

  it('ending twice is ending once', () => {
    const usages = new Usages(1_000)
    const one = usage('1')
    usages.add(one)
    usages.end(one, 0)
    const again = usage('1')
    usages.add(again)
    usages.end(one, 0)
    expect(usages.named(again.id)).toBe(again)
  })
})
