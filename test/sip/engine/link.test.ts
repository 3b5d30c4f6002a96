import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { Engine } from '../../../src/sip/engine/engine.ts'
import type { Link, Told } from '../../../src/sip/link.ts'
import type { SipMessage, SipRequest } from '../../../src/sip/message.ts'
import { portOf, sdp, startEngine } from '../../support/engine.ts'
import { startPeer } from '../../support/sip-peer.ts'
import type { SipPeer } from '../../support/sip-peer.ts'
import { until } from '../../support/until.ts'

interface Heard extends Told {
  readonly message: SipMessage
}

let engine: Engine
let peer: SipPeer
let link: Link
const heard: Heard[] = []
const ended: { readonly request: SipRequest; readonly dialog: string }[] = []

const join = (...methods: readonly string[]): Link =>
  engine.join(
    {
      heard: (message, told) => void heard.push({ ...told, message }),
      ended: (request, dialog) => void ended.push({ request, dialog })
    },
    methods
  )

/** The next request of that method, or answer with that status. */
async function next(what: string | number): Promise<Heard> {
  const fits = ({ message }: Heard): boolean => (message.kind === 'request' ? message.method : message.status) === what
  await until(() => heard.some(fits))
  return heard.splice(heard.findIndex(fits), 1)[0]!
}

beforeEach(async () => {
  engine = await startEngine({ control: null })
  peer = await startPeer()
  link = join('invite', 'message')
  heard.length = ended.length = 0
})
afterEach(async () => {
  link.close()
  await peer.close()
  await engine.close()
})

const invite = () => peer.ask(portOf(engine), { method: 'INVITE', body: sdp() })
const from = { From: '<sip:me@localhost>' }

describe('an application in this process', () => {
  it('needs no control port', () => {
    expect(engine.control.port).toBe(0)
  })

  it('hears a request as it came, answers it, and hears the ACK in the dialog', async () => {
    const exchange = invite()
    const { txn, dialog, opening, flow, message } = await next('INVITE')
    expect([dialog, opening, flow?.remote.port]).toEqual(['', true, peer.port])
    expect(message.body.toString()).toBe(sdp())
    link.answer(txn, { status: 180, reason: 'Ringing', headers: {} }, {})
    link.answer(txn, { status: 200, reason: 'Fine', headers: { 'X-Two': ['a', 'b'] }, body: sdp() }, {})
    const answer = await exchange.response(200)
    expect([answer.reason, answer.headers.all('X-Two')]).toEqual(['Fine', ['a', 'b']])
    peer.acknowledge(exchange, answer)
    expect((await next('ACK')).dialog).toMatch(/;from-tag=/)
  })

  it('sends a request and hears that it is out before its answer, never before the call has returned', async () => {
    const order: string[] = []
    link.send({ method: 'INVITE', uri: peer.uri, headers: from, body: sdp() }, { sent: () => void order.push('sent') })
    order.push('returned')
    const tx = await peer.next('INVITE')
    peer.answer(tx, 486)
    await next(486)
    expect(order).toEqual(['returned', 'sent'])
  })

  it('acknowledges and ends a call by its dialog, and cancels one by its transaction', async () => {
    link.send({ method: 'INVITE', uri: peer.uri, headers: from, body: sdp() }, {})
    peer.answer(await peer.next('INVITE'), 200, [], sdp())
    const { dialog } = await next(200)
    link.send({ method: 'ACK', headers: {}, dialog }, {})
    await peer.ack()
    link.send({ method: 'BYE', headers: { Reason: 'Q.850;cause=16' }, dialog }, {})
    expect((await peer.next('BYE')).request.headers.get('Reason')).toBe('Q.850;cause=16')
    const out: string[] = []
    link.send({ method: 'INVITE', uri: peer.uri, headers: from, body: sdp() }, { sent: txn => void out.push(txn) })
    peer.answer(await peer.next('INVITE'), 180)
    await next(180)
    link.send({ method: 'CANCEL', headers: {}, txn: out[0] ?? '' }, {})
    expect((await next(487)).txn).toBe(out[0])
  })

  it('is told why a command came to nothing, in the words of the control protocol', async () => {
    const why: string[] = []
    const failed = (text: string): void => void why.push(text)
    link.send({ method: 'BYE', headers: {}, dialog: 'nobody' }, { failed })
    link.answer('nothing', { status: 200, reason: 'OK', headers: {} }, { failed })
    link.send({ method: 'MESSAGE', uri: 'tel:+49301', headers: from }, { failed })
    expect(why).toEqual([])
    await until(() => why.length === 3)
    expect(why[0]).toMatch(/unable to find dialog/)
    expect(why[1]).toMatch(/unknown transaction/)
    expect(why[2]).toMatch(/names no host/)
  })

  it('cannot bring in a header field of its own by a value, nor one by a name that is none', async () => {
    const headers = { ...from, Subject: 'one\r\nX-Evil: 1', 'No Name': 'x' }
    link.send({ method: 'MESSAGE', uri: peer.uri, headers }, {})
    const { request } = await peer.next('MESSAGE')
    expect(request.headers.get('X-Evil')).toBeUndefined()
    expect(request.headers.get('Subject')).toBe('one X-Evil: 1')
    expect(request.headers.lines().some(({ name }) => name === 'No Name')).toBe(false)
  })

  it('takes turns with others that serve the same method', async () => {
    const other: string[] = []
    const second = engine.join({ heard: message => void other.push(message.kind), ended: () => {} }, ['message'])
    for (let count = 0; count < 4; count++) peer.ask(portOf(engine), { method: 'MESSAGE' })
    await until(() => other.length + heard.length === 4)
    expect([other.length, heard.length]).toEqual([2, 2])
    second.close()
    peer.ask(portOf(engine), { method: 'MESSAGE' })
    await until(() => heard.length === 3)
  })

  it('that has left: what it has not answered is refused, its dialogs end, it hears nothing more', async () => {
    const answered = invite()
    link.answer((await next('INVITE')).txn, { status: 200, reason: 'OK', headers: {}, body: sdp() }, {})
    peer.acknowledge(answered, await answered.response(200))
    await next('ACK')
    const waiting = invite()
    await next('INVITE')
    link.close()
    expect((await waiting.final()).status).toBe(503)
    const bye = await peer.next('BYE')
    peer.answer(bye, 200)
    await until(() => engine.counts.dialogs === 0 && engine.counts.waiting === 0)
    expect((await invite().final()).status).toBe(503)
    expect([heard.length, ended.length]).toEqual([0, 0])
  })
})
