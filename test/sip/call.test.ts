import { afterEach, describe, expect, it } from '@jest/globals'
import type { Provisional, SipCall, UserAgentOptions } from '../../src/sip/call.ts'
import { answerWith } from '../../src/sip/dialog.ts'
import type { SipRequest } from '../../src/sip/message.ts'
import { answer, ladder, offer, Outcome, startPair } from '../support/calls.ts'
import type { Pair, PairTransport } from '../support/calls.ts'
import { until } from '../support/until.ts'

const open: Pair[] = []
afterEach(async () => {
  for (const pair of open.splice(0)) await pair.close()
})

async function pairOver(
  transport: PairTransport,
  overA: Partial<UserAgentOptions> = {},
  overB: Partial<UserAgentOptions> = {}
): Promise<Pair> {
  const pair = await startPair(transport, overA, overB)
  open.push(pair)
  return pair
}

const reason = [{ name: 'Reason', value: 'Q.850;cause=16' }]
const sdpOf = (message: { readonly body: Buffer } | undefined): string => message?.body.toString() ?? '(nothing)'

describe.each(['udp', 'tcp', 'ws'] as const)('a call over %s', transport => {
  it('rings, is answered, acknowledged, and ended by its caller', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.ringing()
    expect([caller.call.state, callee.call.state, sdpOf(callee.call.invite)]).toEqual(['inviting', 'invited', offer])
    callee.call.ring()
    await until(() => caller.provisionals.length === 1)
    expect(caller.provisionals[0]).toMatchObject({ reliable: false, tag: callee.call.dialog?.localTag })
    callee.call.answer({ body: answer })
    await until(() => callee.acks.length === 1)
    expect([caller.answers.length, sdpOf(caller.answers[0]?.response), caller.answers[0]?.needsAnswer]).toEqual([
      1,
      answer,
      false
    ])
    expect([caller.call.state, callee.call.state, sdpOf(callee.acks[0])]).toEqual(['confirmed', 'confirmed', ''])
    caller.call.bye({ headers: reason })
    expect([await caller.ended(), await callee.ended()]).toEqual(['bye by local', 'bye by remote: BYE'])
    expect(callee.ends[0]?.message?.headers.get('Reason')).toBe('Q.850;cause=16')
    await until(() => ladder(pair.a).at(-1) === 'in 200 BYE')
    const expected = ['out INVITE', 'in 180 INVITE', 'in 200 INVITE', 'out ACK', 'out BYE', 'in 200 BYE']
    expect(ladder(pair.a)).toEqual(expected)
    expect([pair.a.agent.calls, pair.b.agent.calls]).toEqual([0, 0])
  })

  it('is ended by its callee', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    callee.call.bye()
    expect([await callee.ended(), await caller.ended()]).toEqual(['bye by local', 'bye by remote: BYE'])
  })

  it('is ended by both at once', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    callee.call.bye()
    caller.call.bye()
    expect([await callee.ended(), await caller.ended()]).toEqual(['bye by local', 'bye by local'])
    await until(() => ladder(pair.a).includes('in 481 BYE') || ladder(pair.a).includes('in 200 BYE'))
  })

  it('without an offer in the INVITE waits for the answer in the ACK', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.ringing({ body: '' })
    callee.call.answer({ body: offer })
    await until(() => caller.answers.length === 1)
    expect([caller.answers[0]?.needsAnswer, caller.call.state, callee.call.state]).toEqual([
      true,
      'answered',
      'answered'
    ])
    caller.call.ack({ body: answer })
    await until(() => callee.acks.length === 1)
    expect([sdpOf(callee.acks[0]), caller.call.state, callee.call.state]).toEqual([answer, 'confirmed', 'confirmed'])
  })

  it('is refused, with header fields and a phrase', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.ringing()
    callee.call.refuse(486, { headers: reason, reason: 'Talking' })
    expect([await callee.ended(), await caller.ended()]).toEqual([
      'refused by local: 486 INVITE',
      'refused by remote: 486 INVITE'
    ])
    expect(caller.ends[0]?.message).toMatchObject({ status: 486, reason: 'Talking' })
    expect(caller.ends[0]?.message?.headers.get('Reason')).toBe('Q.850;cause=16')
    callee.call.answer({ body: answer })
    callee.call.ring()
    expect(pair.b.agent.calls).toBe(0)
  })

  it('is given up by its caller while it rings', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.ringing()
    callee.call.ring()
    await until(() => caller.provisionals.length === 1)
    caller.call.cancel(reason)
    expect([await callee.ended(), await caller.ended()]).toEqual([
      'cancelled by remote: CANCEL',
      'cancelled by local: 487 INVITE'
    ])
    expect(callee.ends[0]?.message?.headers.get('Reason')).toBe('Q.850;cause=16')
  })

  it('is given up before any answer: the CANCEL waits for the 100', async () => {
    const pair = await pairOver(transport)
    const caller = pair.place()
    caller.call.end()
    expect(await caller.ended()).toBe('cancelled by local: 487 INVITE')
    expect(ladder(pair.a).slice(0, 3)).toEqual(['out INVITE', 'in 100 INVITE', 'out CANCEL'])
  })

  it('is given up in the moment of its answer: acknowledged, and ended by BYE', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.ringing()
    callee.call.ring()
    await until(() => caller.provisionals.length === 1)
    caller.call.cancel()
    callee.call.answer({ body: answer })
    expect([await caller.ended(), await callee.ended()]).toEqual([
      'cancelled by local: 200 INVITE',
      'bye by remote: BYE'
    ])
    expect([caller.answers.length, callee.acks.length]).toEqual([0, 1])
  })

  it('changes by re-INVITE from either side, and by UPDATE', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    for (const [from, at] of [
      [caller, callee],
      [callee, caller]
    ] as const) {
      for (const method of ['reinvite', 'update'] as const) {
        const known = at.reoffers.length
        const outcome = new Outcome()
        from.call[method]({ body: `${offer}hold`, headers: reason }, outcome)
        await until(() => at.reoffers.length > known)
        const reoffer = at.reoffers[known]!
        expect([sdpOf(reoffer.request), reoffer.hasSdp, reoffer.request.headers.get('Reason')]).toEqual([
          `${offer}hold`,
          true,
          'Q.850;cause=16'
        ])
        reoffer.answer({ body: answer })
        reoffer.refuse(488)
        expect([await outcome.settled(), sdpOf(outcome.response!), outcome.ack]).toEqual(['answered 200', answer, null])
      }
    }
    await until(() => callee.acks.length === 2 && caller.acks.length === 1)
    expect([caller.call.state, callee.call.state]).toEqual(['confirmed', 'confirmed'])
  })

  it('changes by a re-INVITE without SDP: offer in the 200, answer in the ACK', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    const outcome = new Outcome()
    callee.call.reinvite({}, outcome)
    await until(() => caller.reoffers.length === 1)
    expect(caller.reoffers[0]?.hasSdp).toBe(false)
    caller.reoffers[0]?.answer({ body: offer })
    expect(await outcome.settled()).toBe('answered 200')
    expect(caller.acks.length).toBe(0)
    outcome.ack?.({ body: answer })
    outcome.ack?.({ body: 'once only' })
    await until(() => caller.acks.length === 1)
    expect(sdpOf(caller.acks[0])).toBe(answer)
  })

  it('lives on after a refused change', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    for (const method of ['reinvite', 'update'] as const) {
      const outcome = new Outcome()
      caller.call[method]({ body: offer }, outcome)
      await until(() => callee.reoffers.some(({ open }) => open))
      callee.reoffers.at(-1)?.refuse(488)
      expect(await outcome.settled()).toBe('refused 488')
    }
    expect([caller.call.state, callee.call.state]).toEqual(['confirmed', 'confirmed'])
    caller.call.bye()
    expect(await callee.ended()).toBe('bye by remote: BYE')
  })

  it('refuses changes that cross with 491 on both sides, and lives on', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    // Over TCP the callee opens a connection of its own first, and what waits for that does not cross.
    const told = new Outcome()
    callee.call.update({}, told)
    await until(() => caller.reoffers.length === 1)
    caller.reoffers[0]?.answer()
    await told.settled()
    const [mine, theirs] = [new Outcome(), new Outcome()]
    caller.call.reinvite({ body: offer }, mine)
    callee.call.reinvite({ body: offer }, theirs)
    expect([await mine.settled(), await theirs.settled()]).toEqual(['refused 491', 'refused 491'])
    const again = new Outcome()
    caller.call.update({ body: offer }, again)
    callee.call.update({ body: offer }, again)
    expect(await again.settled()).toBe('refused 491')
    await until(() => ladder(pair.a).filter(line => line.endsWith('491 UPDATE')).length === 2)
    expect([caller.call.state, callee.call.state]).toEqual(['confirmed', 'confirmed'])
  })

  it('takes one change at a time: another from here is refused here', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    const [first, second, third] = [new Outcome(), new Outcome(), new Outcome()]
    caller.call.reinvite({ body: offer }, first)
    caller.call.reinvite({ body: offer }, second)
    await until(() => callee.reoffers.length === 1)
    callee.call.update({ body: offer }, third)
    expect([await second.settled(), await third.settled()]).toEqual(['refused here', 'refused here'])
    callee.reoffers[0]?.answer({ body: answer })
    expect(await first.settled()).toBe('answered 200')
  })

  it('carries INFO and MESSAGE both ways', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.talking()
    const finals: number[] = []
    const result = { final: ({ status }: { status: number }) => void finals.push(status), failed: () => undefined }
    callee.call.request('INFO', { body: 'Signal=5', contentType: 'application/dtmf-relay' }, result)
    await until(() => finals.length === 1)
    const texts: SipRequest[] = []
    callee.call.on = {
      ...callee.call.on,
      requested: tx => {
        texts.push(tx.request)
        tx.respond(answerWith(tx.request, tx.request.method === 'MESSAGE' ? 202 : 501, tx.localTag, {}))
      }
    }
    caller.call.request('MESSAGE', { body: 'hello', contentType: 'text/plain' }, result)
    await until(() => finals.length === 2)
    caller.call.request('OPTIONS', {}, result)
    callee.call.request('MESSAGE', { body: 'hello', contentType: 'text/plain' }, result)
    await until(() => finals.length === 4)
    expect([finals.slice(0, 2), finals.slice(2).sort((x, y) => x - y)]).toEqual([
      [200, 202],
      [405, 501]
    ])
    expect(sdpOf(texts[0])).toBe('hello')
  })

  it('rings reliably where the caller can: PRACK goes by itself, the answer waits for it', async () => {
    const pair = await pairOver(transport)
    const pracks: SipRequest[] = []
    const { caller, callee } = await pair.ringing()
    callee.call.on = { ...callee.call.on, pracked: prack => void pracks.push(prack) }
    expect(callee.call.ring({ status: 183, reliable: true, body: answer })).toBe(true)
    expect(callee.call.ring({ reliable: 'if-supported' })).toBe(true)
    callee.call.answer()
    await until(() => callee.acks.length === 1)
    expect(caller.provisionals.map(({ response, reliable }) => [response.status, reliable])).toEqual([
      [183, true],
      [180, true]
    ])
    expect(pracks.map(({ headers }) => headers.get('RAck'))).toEqual(['1 1 INVITE', '2 1 INVITE'])
    expect(ladder(pair.a).filter(line => line.endsWith('INVITE') && line.startsWith('in '))).toEqual([
      'in 183 INVITE',
      'in 180 INVITE',
      'in 200 INVITE'
    ])
    expect(caller.answers[0]?.needsAnswer).toBe(false)
  })

  it('waits with PRACK where its user wants to send it', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.ringing({ delayPrack: true })
    callee.call.ring({ reliable: true })
    callee.call.answer({ body: answer })
    await until(() => caller.provisionals.length === 1)
    expect(ladder(pair.a)).not.toContain('out PRACK')
    caller.provisionals[0]?.prack({ headers: reason })
    caller.provisionals[0]?.prack()
    await until(() => callee.acks.length === 1)
    const sent = pair.a.log.filter(({ message }) => message.kind === 'request' && message.method === 'PRACK')
    expect(new Set(sent.map(({ message }) => message.headers.get('CSeq')))).toEqual(new Set(['2 PRACK']))
    expect(sent[0]?.message.headers.get('Reason')).toBe('Q.850;cause=16')
  })

  it('exchanges offer and answer in a reliable answer and its PRACK', async () => {
    const pair = await pairOver(transport)
    const pracks: SipRequest[] = []
    const { caller, callee } = await pair.ringing({ body: '' })
    callee.call.on = { ...callee.call.on, pracked: prack => void pracks.push(prack) }
    callee.call.ring({ reliable: true, body: offer })
    await until(() => caller.provisionals.length === 1)
    expect(ladder(pair.a)).not.toContain('out PRACK')
    caller.provisionals[0]?.prack({ body: answer })
    await until(() => pracks.length === 1)
    expect(sdpOf(pracks[0])).toBe(answer)
    callee.call.answer()
    await until(() => callee.acks.length === 1)
    expect([caller.answers[0]?.needsAnswer, caller.call.state]).toEqual([false, 'confirmed'])
  })

  it('changes its early media by UPDATE before it is answered', async () => {
    const pair = await pairOver(transport)
    const { caller, callee } = await pair.ringing()
    callee.call.ring({ status: 183, reliable: true, body: answer })
    await until(() => ladder(pair.a).includes('in 200 PRACK'))
    const outcome = new Outcome()
    caller.call.update({ body: offer }, outcome)
    await until(() => callee.reoffers.length === 1)
    callee.reoffers[0]?.answer({ body: answer })
    expect(await outcome.settled()).toBe('answered 200')
    callee.call.answer()
    await until(() => callee.acks.length === 1)
  })
})

describe('reliable provisional answers', () => {
  it('are refused to a caller without 100rel, or given plainly where that will do', async () => {
    const pair = await pairOver('udp')
    const { caller, callee } = await pair.ringing({ headers: [{ name: 'Supported', value: 'timer' }] })
    expect(callee.call.ring({ reliable: true })).toBe(false)
    expect(callee.call.ring({ reliable: 'if-supported' })).toBe(true)
    await until(() => caller.provisionals.length === 1)
    expect(caller.provisionals[0]?.reliable).toBe(false)
  })

  it('are given to a caller that requires them, asked for or not', async () => {
    const pair = await pairOver('udp')
    const provisionals: Provisional[] = []
    const on = { provisional: (provisional: Provisional) => void provisionals.push(provisional) }
    const { callee } = await pair.ringing({ requireReliable: true, on })
    callee.call.ring()
    await until(() => provisionals.length === 1)
    expect(provisionals[0]?.reliable).toBe(true)
  })

  it('end the call with 504 where no PRACK comes within 64*T1', async () => {
    const pair = await pairOver('udp')
    const { caller, callee } = await pair.ringing({ delayPrack: true })
    callee.call.ring({ reliable: true })
    callee.call.answer()
    expect([await callee.ended(), await caller.ended()]).toEqual([
      'timeout by remote: 504 INVITE',
      'refused by remote: 504 INVITE'
    ])
  })
})

describe('the bounds of a user agent', () => {
  it('more calls than it may have are answered 503 with Retry-After', async () => {
    const pair = await pairOver('udp', {}, { limits: { callsMax: 1 } })
    await pair.ringing()
    const second = pair.place()
    expect(await second.ended()).toBe('refused by remote: 503 INVITE')
    expect(second.ends[0]?.message?.headers.get('Retry-After')).toBe('5')
  })

  it('a call that rings too long is given up', async () => {
    const pair = await pairOver('udp', { limits: { ringingMs: 30 } })
    const { caller, callee } = await pair.ringing()
    callee.call.ring()
    expect([await caller.ended(), await callee.ended()]).toEqual([
      'timeout by local: 487 INVITE',
      'cancelled by remote: CANCEL'
    ])
  })

  it('a call nobody answers at all fails after timer B', async () => {
    const pair = await pairOver('udp')
    const port = pair.b.agent.stack.listening[0]!.port
    await pair.b.agent.close()
    const caller = pair.place({ to: { transport: 'udp', host: '127.0.0.1', port } })
    expect(await caller.ended()).toBe('timeout by remote')
  })

  it('closing ends calls in every state, and tells the other end', async () => {
    const pair = await pairOver('tcp')
    const talking = await pair.talking()
    const ringing = await pair.ringing()
    ringing.callee.call.ring()
    await until(() => ringing.caller.provisionals.length === 1)
    await pair.b.agent.close()
    expect([await talking.caller.ended(), await ringing.caller.ended()]).toEqual([
      'bye by remote: BYE',
      'refused by remote: 503 INVITE'
    ])
  })

  it('without a user for calls, requests or extensions answers so', async () => {
    const pair = await pairOver('udp', {}, {})
    const refused = pair.place({ headers: [{ name: 'Require', value: 'teleport' }] })
    expect(await refused.ended()).toBe('refused by remote: 420 INVITE')
    expect(refused.ends[0]?.message?.headers.get('Unsupported')).toBe('teleport')
    // What a side does not do its user says nothing about.
    const bare = await pairOver('udp')
    const { caller, callee } = await bare.talking()
    callee.call.on = {}
    const outcome = new Outcome()
    caller.call.reinvite({ body: offer }, outcome)
    expect(await outcome.settled()).toBe('refused 488')
    const refresh = new Outcome()
    caller.call.update({}, refresh)
    expect(await refresh.settled()).toBe('answered 200')
  })

  it('a call to oneself is two calls', async () => {
    const pair = await pairOver('udp')
    const to = { transport: 'udp', host: '127.0.0.1', port: pair.a.agent.stack.listening[0]!.port } as const
    const caller = pair.place({ to })
    await until(() => pair.a.incoming.length === 1)
    const callee = pair.a.incoming[0]!
    callee.call.answer({ body: answer })
    await until(() => callee.acks.length === 1)
    expect(pair.a.agent.calls).toBe(2)
    caller.call.bye()
    expect(await callee.ended()).toBe('bye by remote: BYE')
  })

  it('ends with a call that has already ended do nothing', async () => {
    const pair = await pairOver('udp')
    const { caller, callee } = await pair.talking()
    caller.call.bye()
    await callee.ended()
    const calls: readonly SipCall[] = [caller.call, callee.call]
    for (const call of calls) {
      call.bye()
      call.end()
      call.cancel()
      call.refuse(480)
      call.answer()
      call.ack()
    }
    expect([caller.ends.length, callee.ends.length]).toEqual([1, 1])
    const outcome = new Outcome()
    caller.call.reinvite({ body: offer }, outcome)
    expect(await outcome.settled()).toBe('refused here')
  })
})
