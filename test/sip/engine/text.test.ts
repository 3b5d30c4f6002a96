import { describe, expect, it } from '@jest/globals'
import { headerName, nameLimits } from '../../../src/sip/engine/names.ts'
import { parseAppMessage, textLimits, readableReason } from '../../../src/sip/engine/text.ts'

const parse = (text: string) => parseAppMessage(Buffer.from(text))

describe('the SIP text of applications', () => {
  it('reads a request as drachtio-srf writes it, whatever Content-Length says', () => {
    const message = parse(
      'INVITE sip:+49@example.org SIP/2.0\r\nfrom: sip:a@localhost\r\ncontent-length: 3\r\n\r\nv=0\r\nö'
    )
    expect(message).toMatchObject({ kind: 'request', method: 'INVITE', uri: 'sip:+49@example.org' })
    expect(message?.rest.fields).toMatchObject([{ name: 'From', field: { key: 'from' }, value: 'sip:a@localhost' }])
    expect(message?.rest.body.toString()).toBe('v=0\r\nö')
  })

  it('reads a response; a missing phrase is the usual one', () => {
    expect(parse('SIP/2.0 183 Session Progress\r\n\r\n')).toMatchObject({ status: 183, reason: 'Session Progress' })
    expect(parse('SIP/2.0 486 \r\n')).toMatchObject({ kind: 'response', status: 486, reason: 'Busy Here' })
  })

  it('drops what only the engine writes and keeps repeated fields in order', () => {
    const lines = ['Via: x', 'Route: <sip:a>', 'RSeq: 1', 'Record-Route: <sip:b>', 'l: 3', 'X-a: 1', 'x-b: 2', 'X-a: 3']
    const names = parse(`BYE sip:placeholder SIP/2.0\r\n${lines.join('\r\n')}\r\n\r\n`)?.rest.fields
    expect(names?.map(({ name, value }) => `${name}=${value}`)).toEqual(['Route=<sip:a>', 'X-a=1', 'x-b=2', 'X-a=3'])
  })

  it('leaves out a name that is no token and says so', () => {
    const message = parse('OPTIONS sip:a SIP/2.0\r\nbad name: 1\r\nno colon\r\nSubject: ok\r\n\r\n')
    expect(message?.rest.skipped).toEqual(['bad name', ''])
    expect(message?.rest.fields).toHaveLength(1)
  })

  it('joins a folded value', () => {
    expect(parse('INFO sip:a SIP/2.0\r\nSubject: one\r\n two\r\n\tthree\r\n\r\n')?.rest.fields[0]?.value).toBe(
      'one two three'
    )
  })

  it.each(['', 'HELLO', 'INVITE sip:a', 'IN VITE sip:a SIP/2.0', 'SIP/2.0 99 x', 'SIP/2.0 abc', 'A sip:a b SIP/2.0'])(
    'is no message: "%s"',
    text => expect(parse(text)).toBeNull()
  )

  it('refuses more fields or bytes than its bounds', () => {
    const line = 'X-A: 1\r\n'
    expect(parse(`INFO sip:a SIP/2.0\r\n${line.repeat(textLimits.headersMax - 1)}\r\n`)).not.toBeNull()
    expect(parse(`INFO sip:a SIP/2.0\r\n${line.repeat(textLimits.headersMax + 1)}\r\n`)).toBeNull()
    expect(parse(`INFO sip:a SIP/2.0\r\nX-A: ${'x'.repeat(textLimits.headerBytesMax)}\r\n\r\n`)).toBeNull()
  })
})

describe('names of header fields', () => {
  it.each([
    ['call-id', 'Call-ID'],
    ['cseq', 'CSeq'],
    ['p-asserted-identity', 'P-Asserted-Identity'],
    ['p-charging-vector', 'P-Charging-Vector'],
    ['session-expires', 'Session-Expires'],
    ['www-authenticate', 'WWW-Authenticate'],
    ['x-custom', 'x-custom'],
    ['X-Custom', 'X-Custom'],
    ['some-thing', 'Some-Thing']
  ])('%s is written %s', (name, written) => expect(headerName(name)?.name).toBe(written))

  it('what is no token is none', () => expect(headerName('bad name')).toBeNull())

  it('remembers no more names than its bound', () => {
    for (let index = 0; index < nameLimits.rememberedMax * 2; index++) headerName(`n${index}`)
    expect(headerName('n1')).toMatchObject({ name: 'N1', key: 'n1' })
  })
})

describe('the phrase of a peer', () => {
  it('is told as it is, unless it would break the line that applications read', () => {
    expect(readableReason(486, 'Besetzt, später')).toBe('Besetzt, später')
    for (const odd of ['\u2028', '\u2029', '\0', '\u0085']) expect(readableReason(486, `Bu${odd}sy`)).toBe('Busy Here')
  })
})
