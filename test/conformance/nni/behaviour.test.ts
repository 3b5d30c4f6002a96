import { afterEach, describe, expect, it } from '@jest/globals'
import { startBorder, invitation, number } from '../../support/nni-border.ts'
import type { Border } from '../../support/nni-border.ts'
import { refuse, startPair } from '../../support/nni-pair.ts'
import type { Pair, PairOptions } from '../../support/nni-pair.ts'
import { sdpWith } from '../../support/nni.ts'

// Other behaviour of the border: 100rel, preconditions, early media, what belongs to the call as a whole.

const closing: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map(one => one.close()))
})
const border = async (peer: Record<string, unknown> = {}): Promise<Border> => {
  const made = await startBorder({ peer })
  closing.push(made)
  return made
}
const pairOf = async (options: PairOptions = {}): Promise<Pair> => {
  const made = await startPair(options)
  closing.push(made)
  return made
}

describe('reliable provisional answers', () => {
  it('MISC-01 a caller that requires 100rel gets RSeq and answers with PRACK; one without a match is 481', async () => {
    const { alpha, inbox, nni } = await border()
    const call = alpha.request('INVITE', number, { headers: [['Require', '100rel']], body: sdpWith(4_000) })
    const { leg } = await inbox.wait('offered')
    await nni.alert(leg)
    const ringing = await call.response(180)
    expect([ringing.headers.all('Require'), ringing.headers.has('RSeq')]).toEqual([['100rel'], true])
    const dialog = alpha.callerDialog(call, ringing)
    const rseq = ringing.headers.get('RSeq') ?? ''
    const wrong = alpha.inside(dialog, 'PRACK', { headers: [['RAck', `${Number(rseq) + 7} 1 INVITE`]] })
    expect((await wrong.final()).status).toBe(481)
    const right = alpha.inside(dialog, 'PRACK', { headers: [['RAck', `${rseq} 1 INVITE`]] })
    expect((await right.final()).status).toBe(200)
    await nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
  })

  it('MISC-01 a reliable answer of the called side is acknowledged with PRACK', async () => {
    const { alpha, inbox, nni } = await border()
    const leg = nni.invite(invitation())
    const invite = await alpha.take('INVITE')
    alpha.answer(invite, 183, {
      headers: [
        ['Require', '100rel'],
        ['RSeq', '9']
      ],
      body: sdpWith(5_000)
    })
    const prack = await alpha.take('PRACK')
    expect(prack.request.headers.get('RAck')).toMatch(/^9 \d+ INVITE$/)
    alpha.answer(prack, 200)
    expect(await inbox.wait('progressed', leg)).toMatchObject({ reliable: true })
    alpha.answer(invite, 486)
    await inbox.wait('ended', leg)
  })

  it('MISC-05 199 ends the early dialog of one fork, and its media makes room for that of another', async () => {
    const { alpha, inbox, nni } = await border()
    const leg = nni.invite(invitation())
    const invite = await alpha.take('INVITE')
    const fork = (tag: string, status: number, body = ''): void => {
      const answer = alpha.makeAnswer(invite, status, { body })
      answer.headers.set('To', (answer.headers.get('To') ?? '').replace(/;tag=.*/, `;tag=${tag}`))
      invite.respond(answer)
    }
    fork('one', 183, sdpWith(5_000))
    await inbox.wait('progressed', leg)
    fork('two', 183, sdpWith(5_002))
    fork('one', 199)
    fork('two', 183, sdpWith(5_004))
    await inbox.wait('progressed', leg, 3)
    expect(inbox.all('progressed', leg).map(({ sdp }) => /m=audio (\d+)/.exec(sdp ?? '')?.[1] ?? null)).toEqual([
      '5000',
      null,
      '5004'
    ])
    alpha.answer(invite, 486)
    await inbox.wait('ended', leg)
  })
})

describe('preconditions', () => {
  const conditions = (current: string): string =>
    `${sdpWith(4_000)}a=curr:qos local ${current}\r\na=curr:qos remote none\r\na=des:qos mandatory local sendrecv\r\n` +
    'a=des:qos mandatory remote sendrecv\r\n'
  const headers = [
    ['Require', 'precondition'],
    ['Supported', '100rel, precondition'],
    ['Allow', 'INVITE, PRACK, UPDATE']
  ] as const

  it('MISC-02 are 420 where they were not agreed on', async () => {
    const { alpha } = await border()
    const refused = await alpha.request('INVITE', number, { headers, body: conditions('none') }).final()
    expect([refused.status, refused.headers.all('Unsupported')]).toEqual([420, ['precondition']])
  })

  it('MISC-02 are met by the hub, which the other side never hears of; an UPDATE that only reserves stays there', async () => {
    const { alpha, inbox, nni } = await border({ preconditions: 'local' })
    const call = alpha.request('INVITE', number, { headers, body: conditions('none') })
    const { leg, call: offered } = await inbox.wait('offered')
    expect(offered.sdp).toBe(sdpWith(4_000))
    await nni.progress(leg, { sdp: sdpWith(5_000), reliable: true })
    const early = await call.response(183)
    expect(early.headers.all('Require')).toEqual(['100rel', 'precondition'])
    expect(early.body.toString()).toMatch(
      /a=curr:qos local sendrecv\r\na=curr:qos remote none\r\na=des:qos mandatory local sendrecv\r\na=des:qos mandatory remote sendrecv\r\na=conf:qos remote sendrecv\r\n$/
    )
    const dialog = alpha.callerDialog(call, early)
    const rseq = early.headers.get('RSeq') ?? ''
    expect((await alpha.inside(dialog, 'PRACK', { headers: [['RAck', `${rseq} 1 INVITE`]] }).final()).status).toBe(200)
    const reserved = conditions('sendrecv').replace('someone 1 1', 'someone 1 2')
    const update = await alpha
      .inside(dialog, 'UPDATE', { headers: [['Content-Type', 'application/sdp']], body: reserved })
      .final()
    expect(update.status).toBe(200)
    expect(update.body.toString()).toContain('a=curr:qos remote sendrecv\r\n')
    expect(update.body.toString()).not.toContain('a=conf')
    expect(inbox.all('reoffered', leg)).toEqual([])
    await nni.answer(leg, { sdp: null, connected: null })
    alpha.ack(dialog, 1)
    expect((await call.response(200)).status).toBe(200)
    await nni.end(leg, { cause: 'normal', from: 'callee' })
    alpha.answer(await alpha.take('BYE'), 200)
  })

  it('MISC-02 what the hub cannot meet alone is 580 where it is required, and passed over where it is not', async () => {
    const made = await border({ preconditions: 'local' })
    const endToEnd = `${sdpWith(4_000)}a=curr:qos e2e none\r\na=des:qos mandatory e2e sendrecv\r\n`
    expect((await made.alpha.request('INVITE', number, { headers, body: endToEnd }).final()).status).toBe(580)
    const soft = [['Supported', 'precondition']] as const
    const call = made.alpha.request('INVITE', number, { headers: soft, body: endToEnd })
    const { leg, call: offered } = await made.inbox.wait('offered')
    expect(offered.sdp).toBe(sdpWith(4_000))
    await made.nni.end(leg, { cause: 'busy', from: 'callee' })
    expect((await call.final()).status).toBe(486)
  })
})

describe('early media', () => {
  const early = async (peer: Record<string, unknown>, headers: readonly (readonly [string, string])[]) => {
    const { alpha, inbox, nni } = await border(peer)
    const leg = nni.invite(invitation())
    const invite = await alpha.take('INVITE')
    alpha.answer(invite, 183, { headers, body: sdpWith(5_000) })
    const { sdp } = await inbox.wait('progressed', leg)
    alpha.answer(invite, 200, { body: '' })
    const { sdp: final } = await inbox.wait('answered', leg)
    await alpha.takeAck()
    await nni.end(leg, { cause: 'normal', from: 'caller' })
    alpha.answer(await alpha.take('BYE'), 200)
    // It waits for the answer, which says no other.
    expect(final).toBe(sdpWith(5_000))
    return sdp !== null
  }

  it.each([
    ['any', [], true],
    ['any', [['P-Early-Media', 'inactive']], true],
    ['none', [['P-Early-Media', 'sendrecv']], false],
    ['authorised', [], false],
    ['authorised', [['P-Early-Media', 'inactive, gated']], false],
    ['authorised', [['P-Early-Media', 'sendrecv']], true],
    ['authorised', [['P-Early-Media', 'sendonly']], true]
  ] as const)('MISC-03 with %s, %j lets it through: %j', async (earlyMedia, headers, through) => {
    expect(await early({ earlyMedia }, headers)).toBe(through)
  })

  it('MISC-03 the word of a peer that is not believed authorises nothing', async () => {
    expect(await early({ earlyMedia: 'authorised', trust: 'user' }, [['P-Early-Media', 'sendrecv']])).toBe(false)
  })

  it('MISC-03 what the peer authorises later is let through then', async () => {
    const { alpha, inbox, nni } = await border({ earlyMedia: 'authorised' })
    const leg = nni.invite(invitation())
    const invite = await alpha.take('INVITE')
    alpha.answer(invite, 183, { body: sdpWith(5_000) })
    expect(await inbox.wait('progressed', leg)).toMatchObject({ sdp: null })
    alpha.answer(invite, 183, { headers: [['P-Early-Media', 'sendrecv']], body: sdpWith(5_000) })
    expect(await inbox.wait('progressed', leg, 2)).toMatchObject({ sdp: sdpWith(5_000) })
    alpha.answer(invite, 486)
    await inbox.wait('ended', leg)
  })
})

describe('between two operators', () => {
  it('MISC-04 one Session-ID goes both ways in every message, and into the record', async () => {
    const pair = await pairOf()
    const ids = {
      alpha: `${'a'.repeat(32)};remote=${'0'.repeat(32)}`,
      beta: `${'b'.repeat(32)};remote=${'a'.repeat(32)}`
    }
    const { call, tx } = await pair.invite('alpha', { headers: [['Session-ID', ids.alpha]], body: sdpWith(40_000) })
    expect(tx.request.headers.get('Session-ID')).toBe(ids.alpha)
    pair.beta.answer(tx, 200, { headers: [['Session-ID', ids.beta]], body: sdpWith(50_000) })
    const ok = await call.response(200)
    expect(ok.headers.get('Session-ID')).toBe(ids.beta)
    const dialog = pair.alpha.callerDialog(call, ok)
    pair.alpha.ack(dialog, 1)
    await pair.beta.takeAck()
    const bye = pair.alpha.inside(dialog, 'BYE')
    const gone = await pair.beta.take('BYE')
    expect(gone.request.headers.get('Session-ID')).toBe(ids.alpha)
    pair.beta.answer(gone, 200)
    expect((await bye.final()).headers.get('Session-ID')).toBe(ids.beta)
    const finals = pair.cdrs.filter(({ kind }) => kind === 'final')
    expect(finals.map(({ facts }) => facts.traceId)).toEqual(['a'.repeat(32), 'b'.repeat(32)])
  })

  it('MISC-06 user-to-user information crosses unchanged, and is removed where that was agreed', async () => {
    const uui = '56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui'
    const sending = { headers: [['User-to-User', uui] as const], body: sdpWith(40_000) }
    const pair = await pairOf()
    const { call, tx } = await pair.invite('alpha', sending)
    expect(tx.request.headers.get('User-to-User')).toBe(uui)
    await refuse(pair, pair.beta, tx, call)
    const closed = await pairOf({ beta: { headers: { 'User-to-User': 'none' } } })
    const without = await closed.invite('alpha', sending)
    expect(without.tx.request.headers.has('User-to-User')).toBe(false)
    await refuse(closed, closed.beta, without.tx, without.call)
  })

  it('MISC-08 the service that a trusted network asserts crosses where both have agreed on it', async () => {
    const agreed = { headers: { 'P-Asserted-Service': 'both' } }
    const mmtel = 'urn:urn-7:3gpp-service.ims.icsi.mmtel'
    const pair = await pairOf({ alpha: agreed, beta: agreed })
    const { call, tx } = await pair.invite('alpha', {
      headers: [
        ['P-Asserted-Service', mmtel],
        ['Accept-Contact', '*;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"']
      ],
      body: sdpWith(40_000)
    })
    expect(tx.request.headers.get('P-Asserted-Service')).toBe(mmtel)
    expect(tx.request.headers.get('Accept-Contact')).toBe(
      '*;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"'
    )
    await refuse(pair, pair.beta, tx, call)
  })

  it.each([
    [603, 'SIP;cause=603'],
    [480, 'Q.850;cause=19']
  ])('MISC-09 %i with %s arrives as it was sent', async (status, reason) => {
    const pair = await pairOf()
    const { call, tx } = await pair.invite('alpha')
    pair.beta.answer(tx, status, { headers: [['Reason', reason]] })
    const refused = await call.final()
    expect(refused.status).toBe(status)
    if (status === 480) expect(refused.headers.get('Reason')).toContain('Q.850;cause=19')
  })
})
