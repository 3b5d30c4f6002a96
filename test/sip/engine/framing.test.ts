import { describe, expect, it } from '@jest/globals'
import { frameOf, framingLimits, FrameReader, payloadOf } from '../../../src/sip/engine/framing.ts'
import { mulberry32, seedFromEnvironment } from '../../support/random.ts'

const read = (chunks: readonly Buffer[], bytesMax?: number): { payloads: string[]; sound: boolean } => {
  const reader = new FrameReader(bytesMax)
  const payloads: string[] = []
  let sound = true
  for (const chunk of chunks) {
    sound &&= reader.push(chunk, payload => {
      payloads.push(payload.toString())
      return true
    })
  }
  return { payloads, sound }
}

describe('frames of the control protocol', () => {
  it('counts bytes, not characters', () => {
    const frame = frameOf('1|sip|ü', Buffer.from('Größe'))
    expect(frame.toString()).toBe('17#1|sip|ü\r\nGröße')
    expect(read([frame]).payloads).toEqual(['1|sip|ü\r\nGröße'])
  })

  it('a meta line alone has no line end', () => {
    expect(frameOf('a|ping').toString()).toBe('6#a|ping')
  })

  it('reads frames that come together', () => {
    expect(read([Buffer.from('3#abc1#x2#yz')]).payloads).toEqual(['abc', 'x', 'yz'])
  })

  it('reads frames cut anywhere, the length included', () => {
    const chance = mulberry32(seedFromEnvironment)
    const texts = Array.from({ length: 200 }, (_, index) => `${index}|${'é'.repeat(chance(300))}`)
    const stream = Buffer.concat(texts.map(text => frameOf(text)))
    const chunks: Buffer[] = []
    for (let at = 0; at < stream.length;) {
      const end = at + 1 + chance(40)
      chunks.push(stream.subarray(at, end))
      at = end
    }
    expect(read(chunks)).toEqual({ payloads: texts, sound: true })
  })

  it('carries more than 1 MiB and joins its pieces once', () => {
    const message = Buffer.alloc(1_500_000, 'x')
    const frame = frameOf('1|sip|', message)
    const pieces = Array.from({ length: Math.ceil(frame.length / 65_536) }, (_, index) =>
      frame.subarray(index * 65_536, (index + 1) * 65_536)
    )
    const { payloads, sound } = read([...pieces, Buffer.from('1#z')])
    expect(sound).toBe(true)
    expect(payloads.map(text => text.length)).toEqual([1_500_008, 1])
  })

  it.each(['x#abc', '#abc', '0#', '-1#a', '12345678#', '99999999'])('gives up on %s', text => {
    expect(read([Buffer.from(text)])).toEqual({ payloads: [], sound: false })
  })

  it('gives up on a frame above the bound before it has come', () => {
    expect(read([Buffer.from('101#')], 100).sound).toBe(false)
    expect(read([Buffer.from(`${framingLimits.frameBytesMax + 1}#`)]).sound).toBe(false)
    expect(read([Buffer.from('100#')], 100).sound).toBe(true)
  })

  it('stops where the taker says so', () => {
    const seen: string[] = []
    const sound = new FrameReader().push(Buffer.from('1#a1#b'), payload => {
      seen.push(payload.toString())
      return false
    })
    expect({ seen, sound }).toEqual({ seen: ['a'], sound: false })
  })

  it('splits the meta line from the message', () => {
    const { tokens, message } = payloadOf(Buffer.from('id|sip|txn||\r\nINVITE sip:a SIP/2.0\r\nX: a|b\r\n\r\n'))
    expect(tokens).toEqual(['id', 'sip', 'txn', '', ''])
    expect(message.toString()).toBe('INVITE sip:a SIP/2.0\r\nX: a|b\r\n\r\n')
  })
})
