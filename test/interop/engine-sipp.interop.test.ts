// SIPp calls SIPp through the engine and a drachtio-srf B2BUA: answered, busy, given up; UDP and TCP.
// needs: sipp

import { afterEach, describe, expect, it } from '@jest/globals'
import type { Engine } from '../../src/sip/engine/engine.ts'
import { portOf, quiet, startEngine } from '../support/engine.ts'
import { runSipp, startSipp } from '../support/sipp.ts'
import type { RunningSipp } from '../support/sipp.ts'
import { connectSrf } from '../support/srf.ts'
import type { SrfApp } from '../support/srf.ts'
import { until } from '../support/until.ts'

const calls = 10
const running: { engine: Engine | null; srf: SrfApp | null; uas: RunningSipp | null } = {
  engine: null,
  srf: null,
  uas: null
}

/** Real timers here: SIPp has its own. */
async function bridge(uas: RunningSipp, transport: 'udp' | 'tcp'): Promise<Engine> {
  const engine = await startEngine({ timers: {}, log: quiet })
  running.engine = engine
  running.srf = await connectSrf(engine, srf => {
    srf.use('invite', async (req, res) => {
      const uri = `sip:${req.calledNumber}@127.0.0.1:${uas.port};transport=${transport}`
      try {
        const { uas, uac } = await srf.createB2BUA(req, res, uri, {})
        uas.on('destroy', () => void uac.destroy().catch(() => undefined))
        uac.on('destroy', () => void uas.destroy().catch(() => undefined))
        // The ACK and the BYE can come in one read of the control connection: then nobody listened yet.
        if (!uas.connected) await uac.destroy()
        else if (!uac.connected) await uas.destroy()
      } catch {
        // A refusal has been passed on; the counts of SIPp say whether it was the right one.
      }
    })
  })
  return engine
}

afterEach(async () => {
  await running.uas?.stop()
  running.srf?.disconnect()
  await running.engine?.close()
})

describe.each(['udp', 'tcp'] as const)('a B2BUA on the engine over %s', transport => {
  it.each([
    ['an answered call', 'uac-answered.xml', 'uas-answers.xml'],
    ['a busy callee', 'uac-busy.xml', 'uas-busy.xml'],
    ['a caller that gives up', 'uac-cancel.xml', 'uas-cancelled.xml']
  ])('passes on %s', async (_, caller, callee) => {
    const uas = await startSipp({ scenario: callee, transport, calls, runMs: 30_000 })
    running.uas = uas
    const engine = await bridge(uas, transport)
    const remote = { host: '127.0.0.1', port: portOf(engine, transport) }
    const common = { transport, remote, calls, callsPerSecond: 20, pauseMs: 100, runMs: 20_000 } as const
    const a = await runSipp({ ...common, scenario: caller, service: '+493012345', keys: { caller: '+4915112345' } })
    expect({ exitCode: a.exitCode, successful: a.successful, errors: a.errors }).toEqual({
      exitCode: 0,
      successful: calls,
      errors: ''
    })
    const b = await uas.done
    expect({ exitCode: b.exitCode, successful: b.successful, failed: b.failed }).toEqual({
      exitCode: 0,
      successful: calls,
      failed: 0
    })
    await until(() => engine.counts.dialogs === 0 && engine.counts.waiting === 0 && engine.counts.sent === 0)
  })
})
