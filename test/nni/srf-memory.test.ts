import { afterEach, describe, expect, it } from '@jest/globals'
import { createLog } from '../../src/log.ts'
import { createControl } from '../../src/nni/control.ts'
import type { Control, Received } from '../../src/nni/control.ts'
import type { CommandEnd, Joinable, LinkListener, RequestToSend, ResponseToSend, Told } from '../../src/sip/link.ts'
import { createHeaders } from '../../src/sip/message.ts'
import type { SipRequest, SipResponse } from '../../src/sip/message.ts'
import { clock, listenToAnswers } from '../support/nni-border.ts'
import { until } from '../support/until.ts'

/** An engine that does what the test says. */
class FakeEngine implements Joinable {
  listener!: LinkListener
  methods: readonly string[] = []
  readonly requests: { readonly request: RequestToSend; readonly end: CommandEnd }[] = []
  readonly answers: { readonly txn: string; readonly response: ResponseToSend; readonly end: CommandEnd }[] = []
  closed = false

  join(listener: LinkListener, methods: readonly string[]) {
    this.listener = listener
    this.methods = methods
    return {
      send: (request: RequestToSend, end: CommandEnd) => void this.requests.push({ request, end }),
      answer: (txn: string, response: ResponseToSend, end: CommandEnd) =>
        void this.answers.push({ txn, response, end }),
      close: () => void (this.closed = true)
    }
  }
}

const flow = {
  id: 1,
  transport: 'udp',
  local: { host: '127.0.0.1', port: 5060 },
  remote: { host: '2001:db8::7', port: 5070 },
  peerId: 'alpha',
  closed: false,
  send: () => {},
  close: () => {}
} as const
const told = (txn: string, more: Partial<Told> = {}): Told => ({ txn, dialog: '', flow, opening: true, ...more })
const request = (method: string, more: readonly (readonly [string, string])[] = []): SipRequest => ({
  kind: 'request',
  method,
  uri: 'sip:c@d',
  headers: createHeaders([['Call-ID', 'one'], ['CSeq', `1 ${method}`], ...more]),
  body: Buffer.from([0xff, 0x00])
})
const response = (status: number, more: readonly (readonly [string, string])[] = []): SipResponse => ({
  kind: 'response',
  status,
  reason: 'So\u2028so',
  headers: createHeaders([['Call-ID', 'one'], ['CSeq', '7 INVITE'], ...more]),
  body: Buffer.alloc(0)
})

let engine: FakeEngine
let control: Control
const received: Received[] = []
let counts = { lost: 0 }
const open = async (): Promise<void> => {
  engine = new FakeEngine()
  received.length = 0
  const own = { lost: 0 }
  counts = own
  control = createControl({ connect: { engine }, log: createLog('silent'), clock })
  await control.start({ received: one => void received.push(one), lost: () => void own.lost++, connected: () => {} })
}
afterEach(() => control.close())

const fields = { From: '<sip:a@b>;tag=1', 'X-Two': ['1', '2'] }
const send = (method: string, dialogId?: string) => {
  const { on, ...heard } = listenToAnswers()
  const sent = control.send(
    { method, uri: 'sip:c@d', headers: fields, ...(dialogId === undefined ? {} : { dialogId }) },
    { ...on, sent: () => void heard.said.push('sent') }
  )
  return { ...heard, sent }
}

describe('what the engine of this process hears through drachtio-srf', () => {
  it('is the request as it was meant, whatever srf would make of its fields', async () => {
    await open()
    expect(engine.methods).toContain('invite')
    const said = control.send(
      { method: 'INVITE', uri: 'sip:c@d', headers: fields, body: 'v=0\r\n', nextHop: 'sip:192.0.2.1;lr' },
      { answered: () => {}, failed: () => {}, updated: () => {} }
    )
    expect(engine.requests[0]?.request).toMatchObject({
      method: 'INVITE',
      uri: 'sip:c@d',
      headers: fields,
      body: 'v=0\r\n',
      txn: '',
      dialog: '',
      nextHop: 'sip:192.0.2.1;lr'
    })
    said.cancel({ Reason: 'SIP;cause=200' })
    expect(engine.requests).toHaveLength(1)
    engine.requests[0]?.end.sent?.('t1')
    expect(engine.requests[1]?.request).toMatchObject({
      method: 'CANCEL',
      txn: 't1',
      headers: { Reason: 'SIP;cause=200' }
    })
  })

  it('and what it refuses fails with its words', async () => {
    await open()
    const { said } = send('BYE', 'one;from-tag=1')
    expect(engine.requests[0]?.request.dialog).toBe('one;from-tag=1')
    engine.requests[0]?.end.failed?.('no way\r\nat | all')
    expect(said).toEqual(['no way  at   all'])
  })

  it('PRACK and ACK in the dialog of the answer, and none where none belongs', async () => {
    await open()
    const { said, answers } = send('INVITE')
    engine.requests[0]?.end.sent?.('t1')
    const dialog = 'one;from-tag=1'
    engine.listener.heard(response(180), told('t1', { dialog }))
    engine.listener.heard(response(183, [['RSeq', '5']]), told('t1', { dialog }))
    engine.listener.heard(response(200), told('t1', { dialog }))
    expect(said).toEqual(['sent', 180, 183, 200])
    for (const answer of answers) answer.ack()
    answers[2]?.ack('v=0\r\n')
    expect(engine.requests.slice(1).map(({ request: { method, dialog: where } }) => [method, where])).toEqual([
      ['PRACK', dialog],
      ['ACK', dialog],
      ['ACK', dialog]
    ])
    expect(engine.requests[1]?.request.headers).toEqual({ RAck: '5 7 INVITE' })
    expect(engine.requests[3]?.request).toMatchObject({
      headers: { 'Content-Type': 'application/sdp' },
      body: 'v=0\r\n'
    })
  })
})

describe('what comes in from it', () => {
  it('is the very message that the engine has parsed, with its path and its peer', async () => {
    await open()
    const invite = request('INVITE')
    engine.listener.heard(invite, told('t1'))
    expect(received[0]?.message).toBe(invite)
    expect(received[0]).toMatchObject({
      method: 'INVITE',
      dialogId: '',
      address: '2001:db8::7',
      port: 5070,
      peerId: 'alpha',
      unsolicited: false
    })
    engine.listener.heard(request('INFO'), told('t2', { dialog: 'one;from-tag=1', opening: false }))
    expect(received[1]).toMatchObject({ dialogId: 'one;from-tag=1', peerId: null })
  })

  it('is answered with any status of the registry, once; what cannot be sent is heard of', async () => {
    await open()
    engine.listener.heard(request('INVITE'), told('t1'))
    const why: string[] = []
    received[0]?.respond(180, { headers: { 'P-X': 'y' } })
    received[0]?.respond(607, {}, text => void why.push(text))
    received[0]?.respond(200)
    expect(engine.answers.map(({ txn, response: { status, reason } }) => [txn, status, reason])).toEqual([
      ['t1', 180, 'Ringing'],
      ['t1', 607, 'Unwanted']
    ])
    expect(engine.answers[0]?.response.headers).toEqual({ 'P-X': 'y' })
    engine.answers[1]?.end.failed?.('unknown transaction')
    expect(why).toEqual(['unknown transaction'])
  })

  it('CANCEL comes with its reasons, of two calls to the right one', async () => {
    await open()
    const told2: unknown[] = []
    for (const [txn, call] of [
      ['t1', 'one'],
      ['t2', 'two']
    ] as const) {
      const invite = request('INVITE')
      invite.headers.set('Call-ID', call)
      engine.listener.heard(invite, told(txn))
    }
    for (const one of received) one.onCancel = reasons => void told2.push([one.message.headers.get('Call-ID'), reasons])
    const cancel = request('CANCEL', [['Reason', 'SIP;cause=200;text="a, b"']])
    cancel.headers.set('Call-ID', 'two')
    engine.listener.heard(cancel, told('t2', { opening: false }))
    expect(told2).toMatchObject([['two', [{ cause: 200, text: 'a, b' }]]])
  })

  it('a dialog that the engine has ended, and its own 408 for silence', async () => {
    await open()
    engine.listener.ended(request('BYE'), 'one;from-tag=1', ['udp', { host: '192.0.2.1', port: 5060 }])
    expect(received[0]).toMatchObject({ method: 'BYE', dialogId: 'one;from-tag=1', unsolicited: true })
    received[0]?.respond(200)
    expect(engine.answers).toEqual([])
    const { answers } = send('INVITE')
    engine.requests[0]?.end.sent?.('t1')
    engine.listener.heard(response(408), told('t1', { flow: null }))
    expect(answers[0]?.local).toBe(true)
  })
})

describe('its end', () => {
  it('closes the link, and what waits fails', async () => {
    await open()
    const { said } = send('INVITE')
    control.close()
    expect(engine.closed).toBe(true)
    await until(() => counts.lost === 1)
    expect(said).toEqual(['the connection to the SIP engine was lost'])
    const late = send('MESSAGE')
    expect(late.said).toEqual([])
    await until(() => late.said.length === 1)
    expect(engine.requests).toHaveLength(1)
  })
})
