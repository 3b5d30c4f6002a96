import { describe, expect, it } from '@jest/globals'
import { locationIn, locationLimits, withLocation } from '../../src/sip/location.ts'
import { makeRequest } from '../../src/sip/message.ts'
import { multipartLimits, partsOf, printMultipart } from '../../src/sip/multipart.ts'

// Bodies of several parts, and where a caller is.

const part = (text: string, type = 'application/pidf+xml', id: string | null = 'a@b') => ({
  type,
  id,
  disposition: '',
  text
})
const invite = (headers: readonly (readonly [string, string])[], body = '') =>
  makeRequest({ method: 'INVITE', uri: 'urn:service:sos', headers, body })

describe('bodies of several parts', () => {
  it('are read as they were printed, those inside of others too', () => {
    const inner = printMultipart([part('<one/>'), part('text', 'text/plain', null)], 'inner')
    const { type, body } = printMultipart(
      [part('v=0\r\n', 'application/sdp', null), part(inner.body, inner.type, null)],
      'x'
    )
    expect(partsOf(type, body)?.map(({ id, text }) => [id, text])).toEqual([
      [null, 'v=0\r\n'],
      ['a@b', '<one/>'],
      [null, 'text']
    ])
    expect(partsOf('application/sdp', 'v=0')).toEqual([part('v=0', 'application/sdp', null)])
  })

  it.each([
    ['without a boundary', 'multipart/mixed', '--x\r\n\r\n--x--'],
    ['without an end', 'multipart/mixed;boundary=x', '--x\r\nContent-Type: a/b\r\n\r\ntext'],
    ['without an empty line', 'multipart/mixed;boundary=x', '--x\r\nContent-Type: a/b\r\n--x--']
  ])('%s cannot be read', (_, type, body) => {
    expect(partsOf(type, body)).toBeNull()
  })

  it('have bounds: how many, and how deep', () => {
    const many = Array.from({ length: multipartLimits.partsMax + 2 }, () => part('x'))
    const { type, body } = printMultipart(many, 'x')
    expect(partsOf(type, body)).toBeNull()
    let deep = printMultipart([part('x')], 'b0')
    for (let depth = 1; depth <= multipartLimits.depthMax; depth++) {
      deep = printMultipart([part(deep.body, deep.type, null)], `b${depth}`)
    }
    expect(partsOf(deep.type, deep.body)).toBeNull()
  })
})

describe('where a caller is', () => {
  it('is null where the request says nothing', () => {
    expect(locationIn(invite([['Content-Type', 'application/sdp']], 'v=0'))).toBeNull()
    expect(locationIn(invite([]))).toBeNull()
  })

  it('goes out as it came in', () => {
    const location = { values: ['<cid:a@b>', '<https://x/1>'], routing: 'yes', bodies: [{ id: 'a@b', text: '<p/>' }] }
    const { headers, body } = withLocation(location, 'v=0\r\n', 'edge')
    const again = invite(Object.entries(headers), body)
    expect(locationIn(again)).toEqual(location)
    expect(partsOf(headers['Content-Type'] ?? '', body)?.[0]?.text).toBe('v=0\r\n')
  })

  it('by reference alone changes no body', () => {
    const location = { values: ['<https://x/1>'], routing: null, bodies: [] }
    expect(withLocation(location, 'v=0', 'edge')).toEqual({ headers: { Geolocation: '<https://x/1>' }, body: 'v=0' })
  })

  it('has bounds: what exceeds them is left out', () => {
    const { valuesMax, valueBytesMax, bodyBytesMax } = locationLimits
    const values = Array.from({ length: valuesMax + 1 }, (_, n) => ['Geolocation', `<https://x/${n}>`] as const)
    const long = ['Geolocation', `<https://x/${'y'.repeat(valueBytesMax)}>`] as const
    const { type, body } = printMultipart([part('x'.repeat(bodyBytesMax - 1)), part('yy'), part('z')], 'edge')
    const found = locationIn(invite([...values, long, ['Content-Type', type]], body))
    expect(found?.values).toHaveLength(valuesMax)
    expect(found?.bodies.map(({ text }) => text[0])).toEqual(['x', 'z'])
  })
})
