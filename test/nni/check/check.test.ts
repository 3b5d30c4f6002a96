import { afterEach, describe, expect, it } from '@jest/globals'
import { checkPeer, probes } from '../../../src/nni/check/check.ts'
import type { CheckOptions, Report } from '../../../src/nni/check/check.ts'
import type { CheckNumbers } from '../../../src/nni/check/line.ts'
import { createOperator } from '../../../src/sandbox/operator.ts'
import { makeResponse } from '../../../src/sip/message.ts'
import { createStack } from '../../../src/sip/stack.ts'
import { freePorts } from '../../support/free-port.ts'

// The probes against the sandbox operator, which passes them, and against peers that do everything wrong.

const closing: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map(one => one.close()))
})

const numbers: CheckNumbers = {
  from: '+49301000000',
  answers: '+493012345',
  rings: '+4930180',
  early: '+4930183'
}
const codecs = [{ payloadType: 8, rtpmap: 'PCMA/8000' }]
const unknown = { message: null, info: null, telUri: null, ioi: null, codecs }

const check = (port: number, more: Partial<CheckOptions> = {}, over: Partial<CheckOptions['target']> = {}) =>
  checkPeer({
    target: {
      name: 'peer',
      nextHop: `sip:127.0.0.1:${port};transport=udp`,
      domain: 'peer.example',
      numbers,
      agreed: unknown,
      ...over
    },
    agent: {
      listen: [
        { transport: 'udp', host: '127.0.0.1', port: 0 },
        { transport: 'tcp', host: '127.0.0.1', port: 0 }
      ]
    },
    mediaHost: '127.0.0.1',
    domain: 'hub.example',
    ...more
  })

async function operator(): Promise<number> {
  // The same for UDP and TCP.
  const [port = 0] = await freePorts(1)
  const sandbox = createOperator({ port })
  await sandbox.start()
  closing.push(sandbox)
  return port
}

/** Takes everything with this status, INVITEs without Contact and media; null: it never answers. */
async function rude(status: number | null): Promise<number> {
  const stack = createStack({
    listen: [{ transport: 'udp', host: '127.0.0.1', port: 0 }],
    handler: {
      request: tx => {
        if (status !== null) tx.respond(makeResponse(tx.request, status, { toTag: tx.localTag }))
      },
      ack: () => undefined
    }
  })
  await stack.start()
  closing.push(stack)
  return stack.listening[0]?.port ?? 0
}

const brief = ({ results }: Report, verdict: string) =>
  results.filter(one => one.verdict === verdict).map(({ item, said }) => `${item} ${said}`)

describe('the conformance probes', () => {
  it('find nothing to complain about in the sandbox operator', async () => {
    const heard: string[] = []
    const report = await check(await operator(), { waitMs: 15_000, onResult: ({ item }) => heard.push(item) })
    expect(brief(report, 'fail')).toEqual([])
    expect(brief(report, 'not shown')).toEqual(['PCV-04 the 200 has none'])
    expect(report.counts).toEqual({ pass: probes.length - 1, fail: 0, 'not shown': 1 })
    expect(heard).toEqual(probes.map(({ item }) => item))
    expect(new Set(heard).size).toBeGreaterThan(15)
  }, 120_000)

  it('say of a peer that takes everything what it should have refused', async () => {
    const failed = brief(await check(await rude(200), { waitMs: 400 }), 'fail')
    expect(failed).toEqual(
      expect.arrayContaining([
        'NNI-05 200 OK instead of 501',
        'NNI-05 200 OK instead of a refusal',
        'NNI-04 200 OK instead of 481',
        'NNI-04 200 OK instead of 420',
        'NNI-08 200 OK instead of 415',
        'NUM-07 200 OK instead of 484 or 404 for +49',
        'RTE-11 it takes no TCP: answered over UDP',
        'SDP-01 the 200 has no Contact',
        'RTE-10 the 200 has no Session-Expires',
        'RTE-10 200 OK instead of 422',
        'NNI-07 the answer brings no offer'
      ])
    )
  }, 60_000)

  it('say of a peer that refuses everything what it should have taken', async () => {
    const report = await check(await rude(603), { waitMs: 400 })
    expect(brief(report, 'fail')).toEqual(
      expect.arrayContaining([
        'SDP-01 the call was refused: 603 Decline',
        'NNI-04 603 Decline instead of 420',
        'NUM-09 603 Decline',
        'MISC-03 no provisional answer with SDP'
      ])
    )
    // It is there, after all.
    expect(brief(report, 'pass')[0]).toMatch(/^RTE-09 603 Decline after \d+ ms$/)
  }, 60_000)

  it('count silence as a failure, each after its wait', async () => {
    const report = await check(await rude(null), {
      waitMs: 150,
      only: ({ item }) => /^(RTE-09|SDP-01|NNI-07)$/.test(item)
    })
    expect(report.results.map(({ said }) => said)).toEqual([
      'no answer',
      'no answer',
      'no answer to the INVITE',
      'no answer'
    ])
  }, 60_000)

  it('hold a peer to what was agreed', async () => {
    const agreed = { message: false, info: false, telUri: false, ioi: true, codecs }
    const only: CheckOptions['only'] = ({ expects }) => /MESSAGE|INFO|tel URI|charging/.test(expects)
    expect((await check(await operator(), { only }, { agreed })).results.map(({ said }) => said)).toEqual([
      'taken though it was not agreed on',
      'taken though it was not agreed on',
      'taken though it was not agreed on',
      'agreed on, but the 200 has none'
    ])
  }, 60_000)

  it('are not shown without numbers to call, and say what is missing', async () => {
    const none = { from: '+49301000000', answers: null, rings: null, early: null }
    const report = await check(await operator(), {}, { numbers: none })
    expect(report.counts).toEqual({ pass: 8, fail: 0, 'not shown': probes.length - 8 })
    expect(new Set(brief(report, 'not shown').map(text => text.replace(/^\S+ /, '').slice(0, 7)))).toEqual(
      new Set(['needs -'])
    )
  }, 60_000)

  it('cannot begin where the peer has no address', async () => {
    await expect(check(1, {}, { nextHop: 'sip:nowhere.invalid' })).rejects.toThrow(/nowhere/)
  }, 60_000)
})
