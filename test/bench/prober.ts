// Light calls of our own beside the load, one every 100 ms: how long INVITE to 200 takes for one more caller.

import { createUserAgent } from '../../src/sip/call.ts'
import type { SipCall } from '../../src/sip/call.ts'

export const probing = { everyMs: 100, answerMs: 4_000 } as const

const sdpOf = (host: string): string =>
  [
    'v=0',
    `o=probe 1 1 IN IP4 ${host}`,
    's=-',
    `c=IN IP4 ${host}`,
    't=0 0',
    'm=audio 6000 RTP/AVP 8 101',
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:101 telephone-event/8000',
    'a=sendrecv',
    ''
  ].join('\r\n')

export interface Probes {
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly answered: number
  /** Refused, or without an answer within `probing.answerMs`. */
  readonly lost: number
}

export interface Prober {
  /** Where the probes are answered. */
  readonly answerPort: number
  /** Places probes to a number through that port until stopped; the callee answers at once with a 200. */
  start(via: { readonly host: string; readonly port: number }): { stop(): Promise<Probes> }
  close(): Promise<void>
}

/** Two user agents in this process: the caller at `from`, the callee at `to`. */
export async function startProber({
  from,
  to,
  number
}: {
  readonly from: string
  readonly to: string
  readonly number: string
}): Promise<Prober> {
  const callee = createUserAgent({
    listen: [{ transport: 'udp', host: to, port: 0 }],
    incoming: call => call.answer({ body: sdpOf(to) })
  })
  const caller = createUserAgent({ listen: [{ transport: 'udp', host: from, port: 0 }] })
  await Promise.all([callee.start(), caller.start()])

  /** Settles with the time to 200, or null. */
  const probe = (via: { readonly host: string; readonly port: number }): Promise<number | null> =>
    new Promise(settle => {
      const begun = performance.now()
      const giveUp = setTimeout(() => {
        call.end()
        settle(null)
      }, probing.answerMs)
      const done = (ms: number | null): void => {
        clearTimeout(giveUp)
        settle(ms)
      }
      const call: SipCall = caller.place({
        uri: `sip:${number}@${via.host}:${via.port};user=phone`,
        to: { transport: 'udp', ...via },
        from: `<sip:+33145670000@${from};user=phone>`,
        headers: [{ name: 'P-Asserted-Identity', value: `<sip:+33145670000@${from};user=phone>` }],
        body: sdpOf(from),
        on: {
          answered: () => {
            done(performance.now() - begun)
            // The ACK goes by itself when this returns.
            setImmediate(() => call.bye())
          },
          ended: () => done(null)
        }
      })
    })

  return {
    answerPort: callee.stack.listening[0]?.port ?? 0,
    start(via) {
      const running: Promise<number | null>[] = []
      const timer = setInterval(() => running.push(probe(via)), probing.everyMs)
      return {
        async stop() {
          clearInterval(timer)
          const times = (await Promise.all(running)).flatMap(ms => ms ?? []).sort((a, b) => a - b)
          const at = (share: number): number | null => times[Math.floor(times.length * share)] ?? null
          return { p50Ms: at(0.5), p95Ms: at(0.95), answered: times.length, lost: running.length - times.length }
        }
      }
    },
    close: async () => {
      await Promise.all([caller.close(), callee.close()])
    }
  }
}
