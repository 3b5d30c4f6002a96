import { afterEach, describe, expect, it } from '@jest/globals'
import { Dialog } from '../../../src/sip/dialog.ts'
import { screenPeers } from '../../../src/sip/engine/screening.ts'
import { targetsOf } from '../../../src/sip/engine/targets.ts'
import { makeResponse } from '../../../src/sip/message.ts'
import { EngineBench } from '../../support/engine-bench.ts'
import { sdp } from '../../support/engine.ts'
import { startPeer } from '../../support/sip-peer.ts'
import type { SipPeer } from '../../support/sip-peer.ts'
import { until } from '../../support/until.ts'

describe('the targets that a peer may name', () => {
  const allows = targetsOf([
    { id: 'op', addresses: ['192.0.2.0/28', '2001:db8::/64'] },
    { id: 'roaming', addresses: [] }
  ])

  it('are its own addresses and those agreed; any for a peer that has none', () => {
    expect(allows('op', '192.0.2.15')).toBe(true)
    expect(allows('op', '192.0.2.16')).toBe(false)
    expect(allows('op', '2001:db8:0:0::9')).toBe(true)
    expect(allows('op', '::ffff:192.0.2.1')).toBe(true)
    expect(allows('roaming', '203.0.113.1')).toBe(true)
  })

  it('are none for who is not known', () => {
    expect(allows(null, '192.0.2.1')).toBe(false)
    expect(allows('nobody', '192.0.2.1')).toBe(false)
  })

  it('have to be addresses', () => {
    expect(() => targetsOf([{ id: 'op', addresses: ['sbc.example'] }])).toThrow(
      expect.objectContaining({ code: 'HUB_CONFIG' })
    )
  })
})

describe('SEC-05: requests inside a dialog', () => {
  const bench = new EngineBench('invite')
  const open: SipPeer[] = []
  afterEach(async () => {
    await bench.end()
    for (const one of open.splice(0)) await one.close()
  })

  /** The peer is at 127.0.0.1; a victim listens at 127.0.0.2, which the peer may name if `agreed`. */
  async function begin(agreed: readonly string[] = []): Promise<SipPeer> {
    await bench.begin({
      screen: screenPeers([{ id: 'op', addresses: ['127.0.0.1'], certificateNames: [] }]),
      allowTarget: targetsOf([{ id: 'op', addresses: ['127.0.0.1', ...agreed] }])
    })
    const victim = await startPeer('udp', { listen: [{ transport: 'udp', host: '127.0.0.2', port: 0 }] })
    open.push(victim)
    return victim
  }
  const at = (victim: SipPeer): string => `<sip:victim@127.0.0.2:${victim.port}>`

  it('do not go where the Contact of a caller points beyond it, but to where it is', async () => {
    const victim = await begin()
    const exchange = bench.invite([['Contact', at(victim)]])
    const { tokens } = await bench.ok(await bench.heard('INVITE'))
    const dialog = Dialog.uac(exchange.tx!.request, await exchange.response(200))
    bench.peer.stack.sendAck(dialog.ack(dialog.localCseq), { transport: 'udp', host: '127.0.0.1', port: bench.port })
    await bench.app.sip('ACK')
    await bench.inside(tokens[11] ?? '', 'BYE')
    const bye = await bench.peer.next('BYE')
    // The Request-URI is what the peer asked for; the packet goes to the peer.
    expect(bye.request.uri).toBe(`sip:victim@127.0.0.2:${victim.port}`)
    expect(victim.log).toEqual([])
  })

  it('nor where the Record-Route of who answers does', async () => {
    const victim = await begin()
    const route = `<sip:127.0.0.2:${victim.port};lr>`
    const { tx } = await bench.ring()
    const headers = [
      ['Record-Route', route],
      ['Contact', at(victim)]
    ] as const
    tx.respond(makeResponse(tx.request, 200, { toTag: 'b', headers, body: sdp() }))
    const id = (await bench.app.sip('SIP/2.0 200')).tokens[9] ?? ''
    await bench.inside(id, 'ACK')
    expect((await bench.peer.ack()).headers.get('Route')).toBe(route)
    await bench.inside(id, 'BYE')
    await bench.peer.next('BYE')
    expect(victim.log).toEqual([])
  })

  it('nor where a name leads', async () => {
    const victim = await begin()
    await bench.end()
    const resolver = {
      naptr: async () => [],
      srv: async () => [],
      a: async () => ['127.0.0.2'],
      aaaa: async () => [],
      system: async () => []
    }
    await bench.begin({ resolver, allowTarget: targetsOf([{ id: 'op', addresses: ['127.0.0.1'] }]) })
    const { tx } = await bench.ring()
    const headers = [['Contact', `<sip:victim@elsewhere.example:${victim.port}>`]] as const
    tx.respond(makeResponse(tx.request, 200, { toTag: 'b', headers, body: sdp() }))
    const id = (await bench.app.sip('SIP/2.0 200')).tokens[9] ?? ''
    await bench.inside(id, 'ACK')
    await bench.peer.ack()
    expect(victim.log).toEqual([])
  })

  it('go there where that is agreed', async () => {
    const victim = await begin(['127.0.0.2/32'])
    const { tx } = await bench.ring()
    tx.respond(makeResponse(tx.request, 200, { toTag: 'b', headers: [['Contact', at(victim)]], body: sdp() }))
    const id = (await bench.app.sip('SIP/2.0 200')).tokens[9] ?? ''
    await bench.inside(id, 'ACK')
    await until(() => victim.acks.length === 1)
    expect(bench.peer.acks).toEqual([])
  })
})
