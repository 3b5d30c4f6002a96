import { describe, expect, it } from '@jest/globals'
import { answerWith, destinationOf, Dialog, dialogIdOf, routeOf } from '../../src/sip/dialog.ts'
import { createHeaders, makeRequest, makeResponse } from '../../src/sip/message.ts'
import type { SipRequest, SipResponse } from '../../src/sip/message.ts'
import { FakeClock, FakeFlow } from '../support/sip-wire.ts'

const invite = (headers: readonly (readonly [string, string])[] = []): SipRequest =>
  makeRequest({
    method: 'INVITE',
    uri: 'sip:bob@example.org',
    headers: [
      ['Via', 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1'],
      ['From', '"Alice" <sip:alice@example.org>;tag=a'],
      ['To', '<sip:bob@example.org>'],
      ['Call-ID', 'call'],
      ['CSeq', '5 INVITE'],
      ['Contact', '<sip:alice@192.0.2.1:5060>'],
      ...headers
    ]
  })

const ok = (request: SipRequest, headers: readonly (readonly [string, string])[] = []): SipResponse =>
  makeResponse(request, 200, { toTag: 'b', headers: [['Contact', '<sip:bob@192.0.2.2:5070>'], ...headers] })

const fields = (request: SipRequest) => ({
  uri: request.uri,
  route: request.headers.all('Route'),
  from: request.headers.get('From'),
  to: request.headers.get('To'),
  cseq: request.headers.get('CSeq'),
  contact: request.headers.get('Contact')
})

describe('the caller’s dialog', () => {
  it('takes the route set in reverse, and numbers its requests after the INVITE', () => {
    const request = invite()
    const routes = [['Record-Route', '<sip:p2.example.org;lr>, <sip:p1.example.org;lr>']] as const
    const dialog = Dialog.uac(request, ok(request, routes))
    expect(dialog).toMatchObject({ id: 'call;a;b', localTag: 'a', remoteTag: 'b', localCseq: 5, remoteCseq: null })
    expect(fields(dialog.request('INVITE'))).toEqual({
      uri: 'sip:bob@192.0.2.2:5070',
      route: ['<sip:p1.example.org;lr>', '<sip:p2.example.org;lr>'],
      from: '"Alice" <sip:alice@example.org>;tag=a',
      to: '<sip:bob@example.org>;tag=b',
      cseq: '6 INVITE',
      contact: '<sip:alice@192.0.2.1:5060>'
    })
    expect(fields(dialog.request('BYE'))).toMatchObject({ cseq: '7 BYE', contact: undefined })
    expect(dialog.nextHop()).toMatchObject({
      transport: 'udp',
      host: 'p1.example.org',
      port: 5060,
      uri: { host: 'p1.example.org', port: null }
    })
  })

  it('acknowledges under the number of the INVITE, whatever came between', () => {
    const request = invite()
    const dialog = Dialog.uac(request, ok(request))
    dialog.request('PRACK')
    expect(dialog.ack(5).headers.get('CSeq')).toBe('5 ACK')
    expect(dialog.request('BYE').headers.get('CSeq')).toBe('7 BYE')
  })

  it('sends through a strict router as it wants: its URI first, the target last (12.2.1.1)', () => {
    const request = invite()
    const routes = [
      ['Record-Route', '<sip:loose.example.org;lr>'],
      ['Record-Route', '<sip:strict.example.org>']
    ] as const
    const dialog = Dialog.uac(request, ok(request, routes))
    expect(fields(dialog.request('INFO'))).toMatchObject({
      uri: 'sip:strict.example.org',
      route: ['<sip:loose.example.org;lr>', '<sip:bob@192.0.2.2:5070>']
    })
    expect(dialog.nextHop()?.host).toBe('strict.example.org')
  })

  it('takes the route set and target of the 2xx in place of the early ones', () => {
    const request = invite()
    const ringing = makeResponse(request, 180, {
      toTag: 'b',
      headers: [
        ['Contact', '<sip:early@192.0.2.2>'],
        ['Record-Route', '<sip:early.example.org;lr>']
      ]
    })
    const dialog = Dialog.uac(request, ringing)
    expect(dialog.remoteTarget).toBe('sip:early@192.0.2.2')
    dialog.confirm(ok(request))
    expect([dialog.routeSet, dialog.remoteTarget]).toEqual([[], 'sip:bob@192.0.2.2:5070'])
  })

  it('goes on with the Request-URI where the other end names no usable Contact', () => {
    const request = invite()
    for (const contact of [[], [['Contact', '*']]] as const) {
      const response = makeResponse(request, 200, { toTag: 'b', headers: contact })
      expect(Dialog.uac(request, response).remoteTarget).toBe('sip:bob@example.org')
    }
  })
})

describe('the callee’s dialog', () => {
  const routes = [['Record-Route', '<sip:p2.example.org;lr>, <sip:p1.example.org;lr>']] as const
  const made = (): Dialog => {
    const request = invite(routes)
    return Dialog.uas(request, ok(request))
  }

  it('takes the route set in order and begins its own numbers', () => {
    const dialog = made()
    expect(dialog).toMatchObject({ id: 'call;b;a', remoteCseq: 5, localContact: '<sip:bob@192.0.2.2:5070>' })
    expect(fields(dialog.request('UPDATE'))).toEqual({
      uri: 'sip:alice@192.0.2.1:5060',
      route: ['<sip:p2.example.org;lr>', '<sip:p1.example.org;lr>'],
      from: '<sip:bob@example.org>;tag=b',
      to: '"Alice" <sip:alice@example.org>;tag=a',
      cseq: '1 UPDATE',
      contact: '<sip:bob@192.0.2.2:5070>'
    })
  })

  it('takes requests in order, with gaps, and refuses lower numbers (12.2.2)', () => {
    const dialog = made()
    const request = (cseq: number): SipRequest =>
      makeRequest({ method: 'INFO', uri: 'sip:b', headers: [['CSeq', `${cseq} INFO`]] })
    expect([6, 9, 8, 9, 10].map(cseq => dialog.receive(request(cseq)))).toEqual([
      'ok',
      'ok',
      'out-of-order',
      'ok',
      'ok'
    ])
    expect(dialog.receive(makeRequest({ method: 'INFO', uri: 'sip:b', headers: [['CSeq', 'x']] }))).toBe('out-of-order')
  })

  it('follows the target of a refreshing message, and only a usable one', () => {
    const dialog = made()
    dialog.refresh(makeRequest({ method: 'UPDATE', uri: 'sip:b', headers: [['Contact', '<sip:moved@192.0.2.3>']] }))
    dialog.refresh(makeRequest({ method: 'UPDATE', uri: 'sip:b', headers: [['Contact', '<<>']] }))
    dialog.refresh(makeRequest({ method: 'UPDATE', uri: 'sip:b' }))
    expect(dialog.remoteTarget).toBe('sip:moved@192.0.2.3')
    expect(dialog.routeSet).toHaveLength(2)
  })
})

describe('what a user adds to a message', () => {
  it('goes in, also several of a name, but never in place of what makes it belong to its dialog', () => {
    const request = invite()
    const sent = Dialog.uac(request, ok(request)).request('INFO', {
      headers: [
        { name: 'P-Asserted-Identity', value: '<sip:a@example.org>' },
        { name: 'P-Asserted-Identity', value: '<tel:+1>' },
        { name: 'Call-ID', value: 'forged' },
        { name: 'i', value: 'forged' },
        { name: 'Via', value: 'SIP/2.0/UDP x' },
        { name: 'CSeq', value: '1 INFO' }
      ],
      body: 'Signal=1',
      contentType: 'application/dtmf-relay'
    })
    expect(sent.headers.all('P-Asserted-Identity')).toEqual(['<sip:a@example.org>', '<tel:+1>'])
    expect([sent.headers.all('Call-ID'), sent.headers.all('Via'), sent.headers.all('CSeq')]).toEqual([
      ['call'],
      [],
      ['6 INFO']
    ])
    expect([sent.headers.get('Content-Type'), sent.body.toString()]).toEqual(['application/dtmf-relay', 'Signal=1'])
  })

  it('stands in place of a default', () => {
    const contact = { name: 'Contact', value: '<sip:other@192.0.2.9>' }
    const answer = answerWith(invite(), 200, 'b', { headers: [contact], body: 'v=0' }, [['Contact', '<sip:me>']])
    expect([answer.headers.all('Contact'), answer.headers.get('Content-Type')]).toEqual([
      ['<sip:other@192.0.2.9>'],
      'application/sdp'
    ])
    const refusal = answerWith(invite(), 480, 'b', { reason: 'Asleep' })
    expect([refusal.reason, refusal.headers.get('Content-Type')]).toEqual(['Asleep', undefined])
  })
})

describe('where messages belong and go', () => {
  it('a dialog id is seen from the receiver', () => {
    const request = invite()
    request.headers.set('To', '<sip:bob@example.org>;tag=b')
    expect(dialogIdOf(request)).toBe('call;b;a')
    expect(dialogIdOf(ok(request))).toBe('call;a;b')
  })

  it('a SIP URI names transport, host and port, each with its default', () => {
    const to = (uri: string): string => {
      const found = destinationOf(uri)
      return found === null ? 'nowhere' : `${found.transport} ${found.host} ${found.port}`
    }
    expect(to('sip:a@example.org')).toBe('udp example.org 5060')
    expect(to('sip:a@[2001:db8::1]:7;transport=TCP')).toBe('tcp 2001:db8::1 7')
    expect(to('sips:a@example.org')).toBe('tls example.org 5061')
    expect(to('sips:a@example.org;transport=tcp')).toBe('tls example.org 5061')
    expect(to('sip:a@example.org;transport=tls')).toBe('tls example.org 5061')
    expect(to('sips:a@example.org;transport=ws')).toBe('wss example.org 443')
    expect(to('sip:a@example.org;maddr=192.0.2.1')).toBe('udp 192.0.2.1 5060')
    expect(['tel:+1', 'urn:service:sos', 'sip:a@example.org;transport=sctp', 'nonsense'].map(to)).toEqual(
      Array.from({ length: 4 }, () => 'nowhere')
    )
  })

  it('a dialog is reached over its WebSocket, over the connection there is, or where its next hop says', () => {
    const towards = (contact: string, transport: 'udp' | 'tcp' | 'ws'): string => {
      const request = invite()
      const response = makeResponse(request, 200, { toTag: 'b', headers: [['Contact', `<${contact}>`]] })
      const flow = new FakeFlow(transport, new FakeClock())
      const route = routeOf(Dialog.uac(request, response), flow)
      return 'flow' in route ? 'flow' : `${route.transport} ${route.host} ${route.port}`
    }
    expect(towards('sip:b@x.invalid;transport=ws', 'ws')).toBe('flow')
    expect(towards('sip:b@192.0.2.9', 'udp')).toBe('flow')
    expect(towards('sip:b@192.0.2.9:5099', 'udp')).toBe('udp 192.0.2.9 5099')
    expect(towards('sip:b@192.0.2.9:5099', 'tcp')).toBe('flow')
    expect(towards('sip:b@192.0.2.9:5099;transport=tcp', 'tcp')).toBe('tcp 192.0.2.9 5099')
    expect(towards('sip:b@192.0.2.9:5099;transport=udp', 'tcp')).toBe('udp 192.0.2.9 5099')
    expect(towards('sip:b@192.0.2.8', 'tcp')).toBe('udp 192.0.2.8 5060')
    expect(towards('tel:+123', 'udp')).toBe('flow')
  })

  it('header fields of a dialog never come from nothing', () => {
    const bare = makeRequest({ method: 'INVITE', uri: 'sip:b@example.org', headers: createHeaders() })
    const dialog = Dialog.uas(bare, makeResponse(bare, 200))
    expect([dialog.remoteCseq, dialog.remoteTarget]).toEqual([null, 'sip:b@example.org'])
  })
})
