// Session timers in the engine (RFC 4028): 422, grants, refreshes, the BYE when none comes. A second lasts 2 ms here.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import type { Engine, EngineOptions } from '../../../src/sip/engine/engine.ts'
import type { HeaderInit, SipResponse } from '../../../src/sip/message.ts'
import { portOf, RawApp, sdp, startEngine } from '../../support/engine.ts'
import { startPeer } from '../../support/sip-peer.ts'
import type { SipPeer } from '../../support/sip-peer.ts'
import { until } from '../../support/until.ts'

let engine: Engine
let app: RawApp
let peer: SipPeer

const begin = async (over: Partial<EngineOptions> = {}): Promise<void> => {
  engine = await startEngine({ secondMs: 2, ...over })
  app = await RawApp.open(engine, 'invite')
  peer = await startPeer()
}
const end = async (): Promise<void> => {
  app.close()
  await peer.close()
  await engine.close()
}
beforeEach(() => begin())
afterEach(end)

const timer = ['Supported', 'timer'] as const

/** A call to the application, with what its 200 adds. */
async function called(headers: HeaderInit, said = ''): Promise<{ response: SipResponse; dialog: Dialog; id: string }> {
  const exchange = peer.ask(portOf(engine), { method: 'INVITE', headers, body: sdp() })
  const { tokens } = await app.sip('INVITE')
  const echo = await app.ask(`sip|${tokens[8]}|`, `SIP/2.0 200 OK\r\n${said}\r\n${sdp(7)}`)
  const response = await exchange.response(200)
  const dialog = peer.acknowledge(exchange, response)
  await app.sip('ACK')
  return { response, dialog, id: echo.tokens[11]! }
}

/** A call of the application, with what the peer's 200 adds. */
async function calling(headers: string, said: HeaderInit): Promise<{ dialog: Dialog; id: string; invite: string }> {
  const echo = await app.ask('sip||', `INVITE ${peer.uri} SIP/2.0\r\n${headers}\r\n${sdp(7)}`)
  const tx = await peer.next('INVITE')
  const dialog = Dialog.uas(tx.request, peer.answer(tx, 200, said, sdp()))
  const { tokens } = await app.sip('SIP/2.0 200')
  await app.ask(`sip||${tokens[9]}`, 'ACK sip:x SIP/2.0\r\n\r\n')
  await peer.ack()
  return { dialog, id: tokens[9]!, invite: echo.message }
}

describe('called', () => {
  it('less than the minimum is 422 without the application', async () => {
    const refused = await peer
      .ask(portOf(engine), { method: 'INVITE', headers: [timer, ['Session-Expires', '60']], body: sdp() })
      .final()
    expect([refused.status, refused.headers.get('Min-SE')]).toEqual([422, '90'])
    const { dialog } = await called([])
    expect((await peer.inside(dialog, 'UPDATE', [['Session-Expires', '60']]).final()).status).toBe(422)
    expect((await peer.inside(dialog, 'INVITE', [['Session-Expires', '60']], sdp()).final()).status).toBe(422)
    expect(app.frames).toEqual([])
  })

  it('nothing is said where nobody asks', async () => {
    const { response } = await called([timer])
    expect(response.headers.has('Session-Expires')).toBe(false)
  })

  it('what the caller asks for is granted', async () => {
    const { response } = await called([timer, ['Session-Expires', '100;refresher=uas']])
    expect(response.headers.get('Session-Expires')).toBe('100;refresher=uas')
    expect(response.headers.has('Require')).toBe(false)
    const other = await called([timer, ['Session-Expires', '100']])
    expect(other.response.headers.get('Session-Expires')).toBe('100;refresher=uac')
    expect(other.response.headers.get('Require')).toBe('timer')
  })

  it('what the application says is obeyed, once', async () => {
    const { response } = await called([timer], 'session-expires: 200;refresher=uac\r\nrequire: timer\r\n')
    const lines = response.headers.lines().filter(({ name }) => name === 'Session-Expires' || name === 'Require')
    expect(lines.map(({ value }) => value)).toEqual(['200;refresher=uac', 'timer'])
  })

  it('a caller that promised to refresh and does not hears BYE, the application too', async () => {
    const { id } = await called([timer, ['Session-Expires', '90;refresher=uac']])
    const bye = await peer.next('BYE')
    expect(bye.request.headers.get('Reason')).toContain('Session timer expired')
    expect((await app.sip('BYE')).tokens.slice(8, 10)).toEqual(['unsolicited', id])
    expect(engine.counts.dialogs).toBe(0)
  })

  it('a caller that refreshes keeps its call; the application sees the refresh', async () => {
    const { dialog } = await called([timer, ['Session-Expires', '90;refresher=uac']])
    for (let turn = 0; turn < 3; turn++) {
      const update = peer.inside(dialog, 'UPDATE', [timer, ['Session-Expires', '90;refresher=uac']])
      const { tokens } = await app.sip('UPDATE')
      await app.ask(`sip|${tokens[8]}|`, 'SIP/2.0 200 OK\r\n\r\n')
      expect((await update.response(200)).headers.get('Session-Expires')).toBe('90;refresher=uac')
    }
    expect(engine.counts.dialogs).toBe(1)
  })

  it('we refresh with the SDP as it was where the peer has no UPDATE, unnoticed by the application', async () => {
    await called([timer, ['Session-Expires', '90;refresher=uas']])
    const refresh = await peer.next('INVITE')
    expect(refresh.request.body.toString()).toBe(sdp(7))
    expect(refresh.request.headers.get('Session-Expires')).toBe('90;refresher=uac')
    expect(refresh.request.headers.get('Contact')).toBe(`<sip:127.0.0.1:${portOf(engine)}>`)
    peer.answer(refresh, 200, [['Session-Expires', '90;refresher=uac']], sdp())
    await peer.ack()
    peer.answer(await peer.next('INVITE'), 200, [['Session-Expires', '90;refresher=uac']], sdp())
    await peer.ack()
    expect(app.frames).toEqual([])
  })
})

describe('calling', () => {
  it('the default is asked for unless the application says so itself', async () => {
    await end()
    await begin({ session: { seconds: 600 } })
    const { invite } = await calling('', [])
    expect(invite).toMatch(/Session-Expires: 600\r\nMin-SE: 90\r\nSupported: timer\r\n/)
    const own = await calling('session-expires: 120\r\n', [])
    expect(own.invite.match(/Session-Expires: .*/g)).toEqual(['Session-Expires: 120'])
  })

  it('we refresh by UPDATE where the peer has it', async () => {
    const said = [
      ['Session-Expires', '90;refresher=uac'],
      ['Allow', 'INVITE, UPDATE']
    ] as const
    await calling('session-expires: 90\r\nsupported: timer\r\n', said)
    for (let turn = 0; turn < 2; turn++) {
      const update = await peer.next('UPDATE')
      expect(update.request.body).toHaveLength(0)
      peer.answer(update, 200, [['Session-Expires', '90;refresher=uac']])
    }
    expect(engine.counts.dialogs).toBe(1)
  })

  it('a refresh that fails ends the call, one that crosses another tries again', async () => {
    const { id } = await calling('session-expires: 90\r\n', [['Session-Expires', '90;refresher=uac']])
    peer.answer(await peer.next('INVITE'), 491)
    peer.answer(await peer.next('INVITE'), 481)
    expect((await peer.next('BYE')).request.headers.get('Reason')).toContain('Session refresh failed')
    expect((await app.sip('BYE')).tokens.slice(8, 10)).toEqual(['unsolicited', id])
  })

  it('a peer that wants longer sessions gets them', async () => {
    await calling('session-expires: 90\r\n', [['Session-Expires', '90;refresher=uac']])
    peer.answer(await peer.next('INVITE'), 422, [['Min-SE', '300']])
    const second = await peer.next('INVITE')
    expect(second.request.headers.get('Session-Expires')).toBe('300;refresher=uac')
  })

  it('a peer that promised to refresh and does not hears BYE', async () => {
    await calling('session-expires: 90\r\n', [['Session-Expires', '90;refresher=uas']])
    expect((await peer.next('BYE')).request.headers.get('Reason')).toContain('Session timer expired')
  })

  it('a re-INVITE of the application carries the session and starts it over', async () => {
    const { id } = await calling('session-expires: 900\r\n', [['Session-Expires', '900;refresher=uas']])
    await app.ask(`sip||${id}`, `INVITE sip:placeholder SIP/2.0\r\n\r\n${sdp(8)}`)
    const again = await peer.next('INVITE')
    expect(again.request.headers.get('Session-Expires')).toBe('900;refresher=uas')
    peer.answer(again, 200, [['Session-Expires', '90;refresher=uas']], sdp())
    await app.sip('SIP/2.0 200')
    await app.ask(`sip||${id}`, 'ACK sip:x SIP/2.0\r\n\r\n')
    await peer.next('BYE')
    await until(() => engine.counts.dialogs === 0)
  })
})
