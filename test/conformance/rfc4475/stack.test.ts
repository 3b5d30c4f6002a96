// RFC 4475 through the whole stack: what goes out for each message that comes in, and that a response gets no answer.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createUserAgent } from '../../../src/sip/call.ts'
import type { UserAgent } from '../../../src/sip/call.ts'
import { makeResponse } from '../../../src/sip/message.ts'
import { bytesOf, hub, names } from './messages.ts'

/** A user agent that is not available for calls and says 200 to all else. Null: no answer at all. */
const answers: Readonly<Record<string, number | null>> = {
  // The To tag names a dialog that is not there.
  wsinv: 481,
  intmeth: 501,
  esc01: 480,
  escnull: 200,
  esc02: 501,
  lwsdisp: 200,
  longreq: 480,
  dblreq: 200,
  semiuri: 200,
  transports: 200,
  mpart01: 200,
  unreason: null,
  noreason: null,
  badinv01: 400,
  clerr: 400,
  ncl: 400,
  scalar02: 400,
  scalarlg: null,
  quotbal: 400,
  ltgtruri: 400,
  lwsruri: 400,
  lwsstart: 400,
  trws: 400,
  escruri: 400,
  baddate: 480,
  regbadct: 400,
  badaspec: 400,
  baddn: 400,
  badvers: 505,
  mismatch01: 400,
  mismatch02: 501,
  bigcode: null,
  badbranch: 400,
  insuf: 400,
  unkscm: 416,
  novelsc: 416,
  unksm2: 200,
  bext01: 420,
  invut: 415,
  regaut01: 200,
  multi01: 400,
  mcl01: 400,
  bcast: null,
  zeromf: 483,
  cparam01: 200,
  cparam02: 200,
  regescrt: 200,
  sdp01: 406,
  inv2543: 480
}

let agent: UserAgent
beforeAll(async () => {
  agent = createUserAgent({
    listen: [],
    supports: hub,
    timers: { T1: 5, T2: 10, T4: 10 },
    requested: tx => tx.respond(makeResponse(tx.request, 200))
  })
  await agent.start()
})
afterAll(() => agent.close())

function answerTo(bytes: Buffer): readonly number[] {
  const sent: Buffer[] = []
  const flow = agent.stack.adopt({
    transport: 'ws',
    local: { host: '127.0.0.1', port: 1 },
    remote: { host: '127.0.0.1', port: 2 },
    peerId: null,
    send: out => void sent.push(out),
    close: () => undefined
  })
  flow.receive(bytes)
  flow.lost()
  // Read without our parser: an answer copies the fields that were wrong.
  return sent.map(out => Number(/^SIP\/2\.0 (\d{3}) /.exec(out.toString())?.[1]))
}

describe('RFC 4475 through the stack', () => {
  it('has an expectation for every message', () => {
    expect(Object.keys(answers)).toEqual(names)
  })

  it.each(names.map(name => [name, answers[name] ?? null] as const))('%s is answered with %j', (name, status) => {
    expect(answerTo(bytesOf(name))).toEqual(status === null ? [] : [status])
  })
})
