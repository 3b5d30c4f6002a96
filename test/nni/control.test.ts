import { afterEach, describe, expect, it } from '@jest/globals'
import { createLog } from '../../src/log.ts'
import { createControl } from '../../src/nni/control.ts'
import type { Control, Received } from '../../src/nni/control.ts'
import { clock, listenToAnswers } from '../support/nni-border.ts'
import { HandEngine } from '../support/nni-hand.ts'
import { until } from '../support/until.ts'

const lines = (start: string, cseq: string, ...more: string[]): string =>
  [
    start,
    'Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1',
    'From: <sip:a@b>;tag=1',
    'To: <sip:c@d>',
    'Call-ID: one',
    `CSeq: ${cseq}`,
    ...more,
    '',
    ''
  ].join('\r\n')

let engine: HandEngine
let control: Control
const received: Received[] = []
let counts = { lost: 0, connected: 0 }
const open = async (): Promise<void> => {
  engine = new HandEngine()
  received.length = 0
  const own = { lost: 0, connected: 0 }
  counts = own
  // Time runs fifty times as fast: what is guarded by 5 s here is so after 100 ms.
  const quick = { ...clock, after: (ms: number, run: () => void) => clock.after(ms / 50, run) }
  const connect = { host: '127.0.0.1', port: await engine.start(), secret: 'cymru' }
  control = createControl({ connect, log: createLog('silent'), clock: quick })
  await control.start({
    received: request => void received.push(request),
    lost: () => void own.lost++,
    connected: () => void own.connected++
  })
}
afterEach(() => {
  control.close()
  engine.close()
})

const headers = { From: '<sip:a@b>;tag=1', To: '<sip:c@d>', 'Call-ID': 'one' }
const send = (method: string, dialogId?: string) => {
  const { on, ...heard } = listenToAnswers()
  const sent = control.send({ method, uri: 'sip:c@d', headers, ...(dialogId === undefined ? {} : { dialogId }) }, on)
  return { ...heard, sent }
}

describe('a request', () => {
  it('that the engine never confirms fails in the end', async () => {
    await open()
    const { said } = send('MESSAGE')
    await until(() => said.length === 1)
    expect(said).toEqual(['the SIP engine did not answer'])
  })

  it('that the engine refuses fails with its words', async () => {
    await open()
    engine.onSip = (_, id) => engine.send(`x|response|${id}|NOK|unable to find dialog`)
    const { said } = send('BYE', 'one;from-tag=1')
    await until(() => said.length === 1)
    expect(said).toEqual(['unable to find dialog'])
  })

  it('without a final answer fails, an answer after that is nothing', async () => {
    await open()
    engine.onSip = (command, id) => engine.echo(command, id, 't1')
    const { said } = send('MESSAGE')
    await until(() => said.length === 1)
    engine.heard('t1', lines('SIP/2.0 200 OK', '1 MESSAGE'))
    engine.onSip = (command, id) => {
      engine.echo(command, id, 't2')
      engine.heard('t2', lines('SIP/2.0 200 OK', '1 MESSAGE'))
    }
    const second = send('MESSAGE')
    await until(() => second.said.length === 1)
    expect([said, second.said]).toEqual([['no final answer'], [200]])
  })

  it('INVITE may ring for as long as the core lets it', async () => {
    await open()
    engine.onSip = (command, id) => engine.echo(command, id, `t${engine.commands.length}`)
    const invite = send('INVITE')
    const message = send('MESSAGE')
    await until(() => message.said.length === 1)
    expect(invite.said).toEqual([])
    engine.heard('t1', lines('SIP/2.0 180 Ringing', '1 INVITE'))
    engine.heard('t1', lines('SIP/2.0 408 Request Timeout', '1 INVITE'), '')
    await until(() => invite.said.length === 2)
    expect(invite.said).toEqual([180, 408])
    expect(invite.answers.map(({ local }) => local)).toEqual([false, true])
  })

  it('CANCEL before the engine has said that it sent the INVITE goes after that', async () => {
    await open()
    const waiting: (() => void)[] = []
    engine.onSip = (command, id) => void waiting.push(() => engine.echo(command, id, 't1'))
    const { sent } = send('INVITE')
    sent.cancel({ Reason: 'SIP;cause=200' })
    await until(() => waiting.length === 1)
    expect(engine.commands).toHaveLength(1)
    waiting[0]?.()
    await until(() => engine.commands.length === 2)
    expect(engine.commands[1]?.tokens[2]).toBe('t1')
    expect(engine.commands[1]?.message.toString()).toMatch(/^CANCEL [\s\S]*Reason: SIP;cause=200/)
  })

  it('without a connection fails, but not before it is called', async () => {
    await open()
    engine.close()
    await until(() => counts.lost === 1)
    const { said } = send('MESSAGE')
    expect(said).toEqual([])
    await until(() => said.length === 1)
    expect(control.up).toBe(false)
  })
})

describe('what comes in', () => {
  it('is read by our own parser; what that does not take is refused', async () => {
    await open()
    engine.send(
      'x|sip|network|1|udp|192.0.2.1|5060|00:00|t1||127.0.0.1|5060|alpha',
      lines('OPTIONS sip:c@d SIP/2.0', '1 OPTIONS')
    )
    await until(() => received.length === 1)
    expect(received[0]).toMatchObject({
      method: 'OPTIONS',
      peerId: 'alpha',
      address: '192.0.2.1',
      port: 5060,
      dialogId: ''
    })
    engine.send(
      'x|sip|network|1|udp|192.0.2.1|5060|00:00|t2||127.0.0.1|5060|',
      lines('OPTIONS sip:c@d SIP/2.0', '1 OPTIONS', 'To: <sip:second@to>')
    )
    await until(() => engine.commands.length === 1)
    expect(engine.commands[0]?.message.toString()).toMatch(/^SIP\/2.0 400 /)
    expect(received).toHaveLength(1)
  })

  it('is answered with any status of the registry, once', async () => {
    await open()
    engine.send(
      'x|sip|network|1|udp|192.0.2.1|5060|00:00|t1||127.0.0.1|5060|',
      lines('INVITE sip:c@d SIP/2.0', '1 INVITE')
    )
    await until(() => received.length === 1)
    received[0]?.respond(607, { headers: { 'P-X': 'y' } })
    received[0]?.respond(200)
    await until(() => engine.commands.length === 1)
    send('MESSAGE')
    await until(() => engine.commands.length === 2)
    expect(engine.commands[0]?.message.toString()).toMatch(/^SIP\/2.0 607 Unwanted\r\n/)
    expect(engine.commands[1]?.message.toString()).toMatch(/^MESSAGE /)
  })

  it('an UPDATE that srf takes for a part of another request of the same call is handed on', async () => {
    await open()
    engine.onSip = (command, id) => {
      if (command.message.toString().startsWith('INFO')) engine.echo(command, id, 't1')
    }
    const info = send('INFO', 'one;from-tag=1')
    await until(() => engine.commands.length === 1)
    engine.heard('t2', lines('UPDATE sip:c@d SIP/2.0', '2 UPDATE'), '127.0.0.1', 'one;from-tag=1')
    await until(() => info.said.length === 1)
    expect(info.said).toEqual(['UPDATE'])
  })
})

describe('the connection', () => {
  it('lost: everything that waits fails, and it comes back by itself', async () => {
    await open()
    engine.onSip = (command, id) => engine.echo(command, id, 't1')
    const invite = send('INVITE')
    await until(() => engine.commands.length === 1)
    engine.sockets[0]?.destroy()
    await until(() => counts.connected === 2)
    expect(counts.lost).toBe(1)
    expect(invite.said).toEqual(['the connection to the SIP engine was lost'])
    const again = send('MESSAGE')
    await until(() => again.said.length === 1)
    expect(again.said).toEqual(['no final answer'])
  })
})
