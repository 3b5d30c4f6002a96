import { describe, expect, it } from '@jest/globals'
import { Framer } from '../../../src/sip/transport/framing.ts'
import type { Frame } from '../../../src/sip/transport/framing.ts'
import { rawRequest } from '../../support/sip-wire.ts'

const limits = { headerBytesMax: 1_000, messageBytesMax: 5_000 }

function framesOf(chunks: readonly (string | Buffer)[], framer = new Framer(limits)): readonly string[] {
  const out: string[] = []
  for (const chunk of chunks) {
    framer.push(Buffer.from(chunk))
    for (let frame = framer.next(); frame !== null; frame = framer.next()) {
      out.push(textOf(frame))
      if (frame.kind === 'oversize' || frame.kind === 'unframed') return out
    }
  }
  return out
}

const textOf = (frame: Frame): string =>
  frame.kind === 'message' ? frame.bytes.toString() : frame.kind === 'ping' ? '(ping)' : `(${frame.kind})`

const plain = rawRequest()
const withBody = rawRequest({ body: 'grüße\r\n\r\nINVITE', callId: 'second' })

describe('cutting a stream into messages', () => {
  it('gives one message for one chunk, with its body by bytes, not characters', () => {
    expect(framesOf([withBody])).toEqual([withBody])
  })

  it('gives pipelined messages one by one', () => {
    expect(framesOf([plain + withBody + plain])).toEqual([plain, withBody, plain])
  })

  it('gives the same messages wherever the stream is split', () => {
    const bytes = Buffer.from(`\r\n\r\n${plain}\r\n${withBody}`)
    for (let at = 0; at <= bytes.length; at++) {
      expect(framesOf([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(['(ping)', plain, withBody])
    }
  })

  it('gives the same messages byte by byte', () => {
    const bytes = Buffer.from(plain + withBody)
    expect(framesOf([...bytes].map(byte => Buffer.from([byte])))).toEqual([plain, withBody])
  })

  it('tells pings from pongs: two line breaks and one, also when split', () => {
    expect(framesOf(['\r\n\r\n'])).toEqual(['(ping)'])
    expect(framesOf(['\r', '\n', '\r', '\n'])).toEqual(['(ping)'])
    expect(framesOf(['\r\n', plain])).toEqual([plain])
    expect(framesOf(['\r\n\r\n\r\n\r\n'])).toEqual(['(ping)', '(ping)'])
    expect(framesOf(['\r\n', plain, '\r\n', plain])).toEqual([plain, plain])
  })

  it('reads the compact, folded and oddly spaced Content-Length', () => {
    for (const line of ['l: 2', 'L:2', 'CONTENT-LENGTH \t: \t2 ', 'Content-Length:\r\n  2']) {
      const message = rawRequest({ contentLength: null, headers: [line] })
      expect(framesOf([`${message}ab${plain}`])).toEqual([`${message}ab`, plain])
    }
  })

  it('says so where Content-Length is missing, no number, negative, or two different ones', () => {
    const wrong = [
      [],
      ['Content-Length: ten'],
      ['Content-Length: -1'],
      ['l: 1', 'Content-Length: 2'],
      ['l: 99999999999999999999']
    ]
    for (const headers of wrong)
      expect(framesOf([rawRequest({ contentLength: null, headers })])).toEqual(['(unframed)'])
  })

  it('takes a message at the bound and gives up on one byte more', () => {
    const head = rawRequest({ contentLength: 1000 }).length
    const fits = rawRequest({ body: 'x'.repeat(limits.messageBytesMax - head) })
    expect(fits.length).toBe(limits.messageBytesMax)
    expect(framesOf([fits])).toEqual([fits])
    const more = rawRequest({ body: 'x'.repeat(limits.messageBytesMax - head + 1) })
    // Known by its header block, long before the body is here.
    expect(framesOf([more.slice(0, head)])).toEqual(['(oversize)'])
  })

  it('gives up on a header block beyond its bound, finished or not', () => {
    const long = rawRequest({ headers: [`Subject: ${'x'.repeat(limits.headerBytesMax)}`] })
    expect(framesOf([long])).toEqual(['(oversize)'])
    expect(framesOf(['x'.repeat(600), 'x'.repeat(600)])).toEqual(['(oversize)'])
  })

  it('knows whether a message has begun', () => {
    const framer = new Framer(limits)
    const states: boolean[] = []
    for (const chunk of ['\r\n\r\n', plain.slice(0, 9), plain.slice(9)]) {
      framer.push(Buffer.from(chunk))
      while (framer.next() !== null) states.push(framer.partial)
      states.push(framer.partial)
    }
    expect(states).toEqual([false, false, true, false, false])
  })
})
