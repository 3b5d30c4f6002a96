import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { createLog } from '../../src/log.ts'
import { createNni } from '../../src/nni/nni.ts'
import type { OutgoingText } from '../../src/session/ports.ts'
import { noFacts } from '../../src/session/model.ts'
import type { SessionId } from '../../src/session/model.ts'
import { caller, charging, clock, invitation, number, startBorder, targetAlpha } from '../support/nni-border.ts'
import type { Border, BorderOptions } from '../support/nni-border.ts'
import { hubFace, operator, sdpWith } from '../support/nni.ts'
import { FakeInbox } from '../support/inbox.ts'
import { HandEngine } from '../support/nni-hand.ts'
import { freePorts } from '../support/free-port.ts'
import { until } from '../support/until.ts'

const borders: Border[] = []
const open = async (options?: BorderOptions): Promise<Border> => {
  const border = await startBorder(options)
  borders.push(border)
  return border
}
afterEach(async () => {
  for (const border of borders.splice(0)) await border.close()
})

const text = (over: Partial<OutgoingText> = {}): OutgoingText => ({
  id: 'text-1' as SessionId,
  attempt: 1,
  charging,
  from: caller,
  target: targetAlpha,
  origin: noFacts,
  body: { type: 'text/plain', text: 'Grüße aus Köln' },
  ...over
})

describe('methods', () => {
  it('what no operator is served with is 405, what lives in dialogs 481, what nobody knows 501', async () => {
    const { alpha } = await open()
    const statuses: Record<string, number> = {}
    for (const method of ['REGISTER', 'SUBSCRIBE', 'NOTIFY', 'PUBLISH', 'REFER', 'INFO', 'UPDATE', 'BYE', 'NONSENSE']) {
      const final = await alpha.request(method, 'sip:hub.example').final()
      statuses[method] = final.status
      if (final.status === 405) expect(final.headers.has('Allow')).toBe(true)
    }
    expect(statuses).toEqual({
      REGISTER: 405,
      SUBSCRIBE: 405,
      NOTIFY: 405,
      PUBLISH: 405,
      REFER: 405,
      INFO: 481,
      UPDATE: 481,
      BYE: 481,
      NONSENSE: 501
    })
  })

  it('OPTIONS is answered with what we do, without hops too', async () => {
    const { alpha } = await open()
    const final = await alpha.request('OPTIONS', 'sip:hub.example', { headers: [['Max-Forwards', '0']] }).final()
    expect(final.status).toBe(200)
    const plain = await alpha.request('OPTIONS', 'sip:hub.example').final()
    expect(plain.status).toBe(200)
    expect(plain.headers.all('Allow')).toContain('MESSAGE')
    expect(plain.headers.all('Accept')).toContain('application/sdp')
  })

  it('a body that is too long is refused, whatever it is for', async () => {
    const { alpha, inbox, overTcp } = await open()
    const body = 'x'.repeat(65_537)
    const headers = [['Content-Type', 'text/plain']] as const
    overTcp()
    expect((await alpha.request('MESSAGE', number, { headers, body }).final()).status).toBe(413)
    expect((await alpha.request('INVITE', number, { headers, body }).final()).status).toBe(413)
    expect(inbox.heard.length + inbox.texts.length).toBe(0)
  })

  it.each([
    ['tel:+49', 484],
    ['tel:+99912345678', 404],
    ['mailto:a@b', 416]
  ])('an INVITE to %s is refused with %i and the core hears nothing', async (uri, status) => {
    const { alpha, inbox } = await open()
    expect((await alpha.request('INVITE', uri, { body: sdpWith(1) }).final()).status).toBe(status)
    expect(inbox.heard).toEqual([])
  })

  it('an unknown peer is refused, by the verified name and by its address', async () => {
    const border = await open({ unscreened: true, peer: { address: { host: '192.0.2.1', port: 5060 } } })
    expect((await border.alpha.request('INVITE', number, { body: sdpWith(1) }).final()).status).toBe(403)
    expect((await border.alpha.request('OPTIONS', 'sip:hub.example').final()).status).toBe(403)
    expect(border.inbox.heard).toEqual([])
  })

  it('without a verified name the source address tells the peer', async () => {
    const border = await open({ unscreened: true })
    const call = border.alpha.request('INVITE', number, { body: sdpWith(1) })
    const { leg, call: offered } = await border.inbox.wait('offered')
    expect(offered.caller.peerId).toBe('alpha')
    await border.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
  })
})

describe('messages', () => {
  it('one that comes in is answered with the verdict of the core', async () => {
    const { alpha, inbox } = await open()
    const send = () =>
      alpha.request('MESSAGE', number, {
        headers: [
          ['Content-Type', 'text/plain;charset=UTF-8'],
          ['P-Charging-Vector', 'icid-value=text-icid;orig-ioi=far.example']
        ],
        body: 'Grüße'
      })
    const taken = await send().final()
    expect(taken.status).toBe(200)
    expect(taken.headers.get('P-Charging-Vector')).toBe(
      'icid-value=text-icid;orig-ioi=far.example;term-ioi=hub.example'
    )
    expect(inbox.texts[0]).toMatchObject({
      called: 'tel:+4930901820',
      body: { type: 'text/plain', text: 'Grüße' },
      charging: { icid: 'text-icid' },
      caller: { peerId: 'alpha' }
    })
    inbox.verdict = async () => ({ taken: false, release: { cause: 'not-found', from: 'hub', text: 'nobody there' } })
    const refused = await send().final()
    expect([refused.status, refused.reason]).toEqual([404, 'nobody there'])
    inbox.verdict = () => Promise.reject(new Error('a fault of the core'))
    expect((await send().final()).status).toBe(500)
  })

  it('other types are 415 with those that are taken; a peer without messages gets 405', async () => {
    const { alpha } = await open()
    const html = await alpha.request('MESSAGE', number, { headers: [['Content-Type', 'text/html']], body: 'x' }).final()
    expect([html.status, html.headers.all('Accept')]).toEqual([415, ['text/plain', 'message/cpim']])
    const mute = await open({ peer: { methods: ['INFO'] } })
    const refused = await mute.alpha
      .request('MESSAGE', number, { headers: [['Content-Type', 'text/plain']], body: 'x' })
      .final()
    expect(refused.status).toBe(405)
    expect(refused.headers.all('Allow')).not.toContain('MESSAGE')
    expect(await mute.nni.sendText(text())).toMatchObject({ taken: false, reason: { cause: 'forbidden' } })
  })

  it('one that goes out is taken or refused, and the facts say by whom', async () => {
    const { alpha, nni } = await open()
    const taken = nni.sendText(text())
    const message = await alpha.take('MESSAGE')
    expect(message.request.body.toString()).toBe('Grüße aus Köln')
    expect(message.request.headers.get('From')).toContain('+441632960083@hub.example')
    alpha.answer(message, 202)
    expect(await taken).toMatchObject({ taken: true, facts: { dialogId: message.request.headers.get('Call-ID') } })
    const refused = nni.sendText(text())
    alpha.answer(await alpha.take('MESSAGE'), 480, { headers: [['Reason', 'Q.850;cause=20']] })
    expect(await refused).toMatchObject({ taken: false, reason: { cause: 'unavailable', sip: 480, q850: 20 } })
  })

  it('one over 1300 bytes goes by TCP, and is refused where the peer takes none', async () => {
    const body = { type: 'text/plain', text: 'x'.repeat(1_200) } as const
    const [nobody = 0, port = 0] = await freePorts(2)
    const deaf = await open({ peer: { address: { host: '127.0.0.1', port: nobody } } })
    expect(await deaf.nni.sendText(text({ body }))).toMatchObject({ taken: false, reason: { cause: 'unreachable' } })
    const border = await open({ peer: { address: { host: '127.0.0.1', port } } })
    let heard = ''
    const server = createServer(socket => {
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => {
        heard += chunk.toString()
        if (heard.endsWith('x')) socket.destroy()
      })
    })
    await new Promise<void>(done => server.listen(port, '127.0.0.1', done))
    const broken = await border.nni.sendText(text({ body }))
    await until(() => heard !== '')
    expect(heard).toMatch(/^MESSAGE sip:.*\r\nVia: SIP\/2\.0\/TCP /)
    expect(broken).toMatchObject({ taken: false })
    server.close()
  })

  it('one that is too long for a control frame, or has no peer, is refused', async () => {
    const { nni } = await open()
    const body = { type: 'text/plain', text: 'x'.repeat(8_193) } as const
    expect(await nni.sendText(text({ body }))).toMatchObject({ taken: false, reason: { cause: 'unavailable' } })
    const target = { ...targetAlpha, peerId: 'nobody' }
    expect(await nni.sendText(text({ target }))).toMatchObject({ taken: false, reason: { cause: 'unreachable' } })
  })
})

describe('keepalive', () => {
  it('a peer that stops answering goes down once, and comes back once', async () => {
    const border = await open({ peer: { keepaliveMs: 120 } })
    const { alpha, health } = border
    await until(() => alpha.requests.length >= 4)
    await until(() => health.length === 1)
    expect(health).toEqual([['alpha', false]])
    alpha.onRequest = tx => {
      alpha.answer(tx, 404)
      return true
    }
    await until(() => health.length === 2)
    expect(health[1]).toEqual(['alpha', true])
    alpha.onRequest = tx => {
      alpha.answer(tx, 503)
      return true
    }
    await until(() => health.length === 3)
    expect(health[2]).toEqual(['alpha', false])
  })
})

describe('the connection to the engine', () => {
  const parts = {
    config: { hub: hubFace, peers: [], sessionExpiresSeconds: 1_800 },
    log: createLog('silent'),
    clock,
    onHealth: () => {}
  }

  it('a wrong secret stops the start', async () => {
    const border = await open()
    const nni = createNni({ ...parts, connect: { ...border.engine.control, secret: 'wrong' } })
    await expect(nni.start(new FakeInbox())).rejects.toMatchObject({ code: 'HUB_SIP_ENGINE' })
  })

  it('an engine that says nothing stops the start', async () => {
    const silent = createServer(socket => void socket.resume())
    await new Promise<void>(resolve => void silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    const quick = { ...clock, after: (ms: number, run: () => void) => clock.after(ms / 50, run) }
    const nni = createNni({ ...parts, clock: quick, connect: { host: '127.0.0.1', port, secret: 'x' } })
    await expect(nni.start(new FakeInbox())).rejects.toMatchObject({ code: 'HUB_SIP_ENGINE' })
    silent.close()
  })

  it("lost: live calls and messages end as the peer's failure, new ones work after it is back", async () => {
    const border = await open({ link: 'drachtio-srf' })
    const { alpha, inbox, nni } = border
    const leg = nni.invite(invitation())
    const invite = await alpha.take('INVITE')
    alpha.answer(invite, 200, { body: sdpWith(40_000) })
    await inbox.wait('answered', leg)
    const ringing = nni.invite(invitation({ id: 'two' as SessionId }))
    await alpha.take('INVITE')
    const sending = nni.sendText(text())
    await alpha.take('MESSAGE')
    border.cut()
    expect((await inbox.wait('ended', leg)).reason.cause).toBe('peer-failed')
    expect((await inbox.wait('ended', ringing)).reason.cause).toBe('peer-failed')
    expect(await sending).toMatchObject({ taken: false, reason: { cause: 'peer-failed' } })
    // While it is down: refused, or sent by the next connection, never forgotten.
    const down = nni.invite(invitation({ id: 'three' as SessionId }))
    const sent = () => alpha.requests.some(({ request }) => request.method === 'INVITE')
    await until(() => inbox.all('ended', down).length === 1 || sent())
    await until(() => border.relay.connections > 1)
    await until(() => {
      if (inbox.all('offered').length === 0) alpha.request('INVITE', number, { body: sdpWith(1) })
      return inbox.all('offered').length > 0
    })
    alpha.requests.length = 0
    const again = nni.invite(invitation({ id: 'four' as SessionId }))
    alpha.answer(await alpha.take('INVITE'), 486)
    expect((await inbox.wait('ended', again)).reason.cause).toBe('busy')
  })

  it('lost with a server that keeps dialogs: the peers in them are told by the next one', async () => {
    const engine = new HandEngine()
    engine.onSip = (command, id) => {
      const [start = '', ...fields] = command.message.toString().split('\r\n')
      engine.echo(command, id, `t${engine.commands.length}`)
      if (!start.startsWith('INVITE')) return
      const kept = fields.filter(field => /^(From|Call-ID):/.test(field))
      const via = 'Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1'
      const answer = [
        'SIP/2.0 200 OK',
        via,
        ...kept,
        'To: <sip:c@d>;tag=9',
        'CSeq: 1 INVITE',
        'Content-Type: application/sdp'
      ]
      engine.heard('t1', [...answer, '', sdpWith(40_000)].join('\r\n'))
    }
    const inbox = new FakeInbox()
    const connect = { host: '127.0.0.1', port: await engine.start(), secret: 'x' }
    const config = { ...parts.config, peers: [operator('alpha', 5060)] }
    const nni = createNni({ ...parts, config, connect })
    await nni.start(inbox)
    const leg = nni.invite(invitation())
    await inbox.wait('answered', leg)
    engine.sockets[0]?.destroy()
    expect((await inbox.wait('ended', leg)).reason.cause).toBe('peer-failed')
    const byes = () => engine.commands.filter(({ message }) => message.toString().startsWith('BYE'))
    await until(() => byes().length === 1)
    const invite = engine.commands[0]?.message.toString() ?? ''
    expect(byes()[0]?.tokens[3]).toContain(/Call-ID: (.*)\r/.exec(invite)?.[1])
    await nni.close()
    engine.close()
  })

  it('draining: new calls and messages are sent away with 503 and a time, live ones go on', async () => {
    const { alpha, inbox, nni } = await open()
    const call = alpha.request('INVITE', number, { body: sdpWith(1) })
    const { leg } = await inbox.wait('offered')
    await nni.drain()
    const late = await alpha.request('INVITE', number, { body: sdpWith(1) }).final()
    expect([late.status, late.headers.get('Retry-After')]).toEqual([503, '10'])
    await nni.answer(leg, { sdp: sdpWith(2), connected: null })
    const ok = await call.response(200)
    const dialog = alpha.callerDialog(call, ok)
    alpha.ack(dialog, 1)
    expect((await alpha.inside(dialog, 'BYE').final()).status).toBe(200)
  })

  it('a handler that throws ends nothing but its own message', async () => {
    const { alpha, inbox } = await open()
    inbox.offered = () => {
      throw new Error('a fault of the core')
    }
    alpha.request('INVITE', number, { body: sdpWith(1) })
    expect((await alpha.request('OPTIONS', 'sip:hub.example').final()).status).toBe(200)
  })
})

describe('what the hub shows of a call', () => {
  it('nothing of the other side: no name, no Call-ID, no tag, no address of it in any byte', async () => {
    const border = await open()
    const { alpha, inbox, nni } = border
    const call = alpha.request('INVITE', number, {
      headers: [
        ['From', '"Secret Name" <sip:+441632960083@secret-origin.example;user=phone>;tag=secret-from-tag'],
        ['P-Asserted-Identity', '<sip:+441632960083@secret-origin.example;user=phone>'],
        ['User-Agent', 'secret-agent/1.0'],
        ['Subject', 'secret-subject'],
        ['X-Secret', 'secret-extension'],
        ['History-Info', '<sip:secret-history@secret-origin.example>;index=1']
      ],
      body: sdpWith(40_000, 'sendrecv', '192.0.2.99')
        .replace('o=someone', 'o=secret-owner')
        .replace('s=-', 's=secret-session'),
      callId: 'secret-call-id@secret-origin.example'
    })
    const { leg: came, call: offered } = await inbox.wait('offered')
    const seen = alpha.bytes.length
    const went = nni.invite(
      invitation({
        from: { ...offered.caller.party, display: 'Shown' },
        charging: offered.charging ?? charging,
        sdp: sdpWith(4_000)
          .replace('o=someone', 'o=secret-owner')
          .replace('s=-', 's=secret-session') as typeof offered.sdp
      })
    )
    const invite = await alpha.take('INVITE')
    alpha.answer(invite, 180)
    await inbox.wait('alerting', went)
    alpha.answer(invite, 200, { body: sdpWith(40_000) })
    await inbox.wait('answered', went)
    await nni.reoffer(went, { exchange: 2, sdp: sdpWith(4_002).replace('o=someone', 'o=secret-owner') as never })
    alpha.answer(await alpha.take('INVITE'), 200, { body: sdpWith(40_000) })
    await inbox.wait('reofferAnswered', went)
    await nni.sendTone(went, { digit: '1', durationMs: 100 })
    await nni.end(went, { cause: 'peer-failed', from: 'caller', text: 'secret-host.island.example is down' })
    alpha.answer(await alpha.take('BYE'), 200)
    await nni.end(came, { cause: 'internal', from: 'hub', text: 'see 10.0.0.1' })
    await call.final()
    const sent = alpha.bytes.slice(seen).filter(bytes => !bytes.includes('secret-call-id'))
    expect(sent.length).toBeGreaterThan(4)
    expect(sent.join('')).not.toMatch(/secret|island|192\.0\.2\.99|10\.0\.0\.1/i)
    const answers = alpha.bytes.filter(bytes => bytes.includes('secret-call-id')).join('')
    expect(answers).not.toMatch(/secret-(owner|session|agent|subject|extension|history|host)|10\.0\.0\.1|island/i)
    expect(answers).not.toContain(invite.request.headers.get('Call-ID'))
    const tag = /tag=([^;\s]+)/.exec(invite.request.headers.get('From') ?? '')?.[1] ?? 'none'
    expect(answers).not.toContain(tag)
  })

  it('an untrusted peer sees no assertion, no charging, no Q.850, whatever the core knows', async () => {
    const border = await open({ peer: { trust: 'user', ioi: undefined } })
    const { alpha, inbox, nni } = border
    const headers = [['P-Charging-Vector', 'icid-value=claimed']] as const
    const call = alpha.request('INVITE', number, { headers, body: sdpWith(1) })
    const { leg, call: offered } = await inbox.wait('offered')
    expect(offered.charging?.icid).not.toBe('claimed')
    expect(offered.caller.party).toMatchObject({ asserted: [], presented: 'tel:+441632960083', trust: 'user' })
    await nni.end(leg, { cause: 'busy', from: 'callee', q850: 17 })
    await call.final()
    const went = nni.invite(invitation())
    alpha.answer(await alpha.take('INVITE'), 486, { headers: [['Reason', 'Q.850;cause=34']] })
    expect((await inbox.wait('ended', went)).reason).toEqual({ cause: 'busy', sip: 486 })
    expect(alpha.bytes.join('')).not.toMatch(/^(p-|reason)/im)
  })
})

describe('session timers', () => {
  it('a peer that says nothing more is found dead, and the leg ends as expired', async () => {
    const border = await open({ secondMs: 5, timers: { T1: 20, T2: 80, T4: 100 } })
    const { alpha, inbox, nni } = border
    const headers = [
      ['Supported', 'timer'],
      ['Session-Expires', '90;refresher=uac']
    ] as const
    const call = alpha.request('INVITE', number, { headers, body: sdpWith(1) })
    const { leg } = await inbox.wait('offered')
    await nni.answer(leg, { sdp: sdpWith(2), connected: null })
    const ok = await call.response(200)
    expect(ok.headers.get('Session-Expires')).toBe('90;refresher=uac')
    alpha.ack(alpha.callerDialog(call, ok), 1)
    expect((await inbox.wait('ended', leg)).reason.cause).toBe('expired')
    alpha.answer(await alpha.take('BYE'), 200)
  })

  it('an interval below 90 s is refused with Min-SE', async () => {
    const { alpha } = await open()
    const headers = [
      ['Supported', 'timer'],
      ['Session-Expires', '60']
    ] as const
    const refused = await alpha.request('INVITE', number, { headers, body: sdpWith(1) }).final()
    expect([refused.status, refused.headers.get('Min-SE')]).toEqual([422, '90'])
  })
})
