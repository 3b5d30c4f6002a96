import { describe, expect, it } from '@jest/globals'
import { HubError } from '../src/errors.ts'
import { createLog } from '../src/log.ts'

/** The line that a log call writes, as an object. */
function lineOf(write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown> {
  let text = ''
  write(createLog('info', { write: line => void (text += line) }))
  const { time, ...fields } = JSON.parse(text) as Record<string, unknown>
  expect(time).toEqual(expect.any(Number))
  return fields
}

describe('a line of the log', () => {
  it('shows no secret, whether on top, inside or one level deeper; the object itself stays as it is', () => {
    const fields = {
      peer: 'a',
      token: 't',
      link: { host: 'h', secret: 's', tls: { cert: 'c', port: 1 } },
      list: [{ key: 'k' }]
    }
    expect(lineOf(log => log.info(fields, 'linked'))).toEqual({
      level: 30,
      msg: 'linked',
      peer: 'a',
      token: '[redacted]',
      link: { host: 'h', secret: '[redacted]', tls: { cert: '[redacted]', port: 1 } },
      list: expect.anything()
    })
    expect(JSON.stringify(lineOf(log => log.info(fields, 'linked')))).not.toContain('"k"')
    expect(fields.link.tls.cert).toBe('c')
  })

  it('shows no secret of an error or of the fields of a child', () => {
    const error = new HubError('HUB_INTERNAL', 'it broke', { password: 'p', host: 'h' })
    const line = JSON.stringify(lineOf(log => log.child({ key: 'k1', call: 'c' }).error({ err: error }, 'failed')))
    expect(line).toContain('it broke')
    expect(line).toContain('"call":"c"')
    expect(line).not.toMatch(/"p"|"k1"/)
  })

  it('says null, numbers and texts as they are', () => {
    expect(lineOf(log => log.warn({ a: null, b: 2, c: 'x' }))).toEqual({ level: 40, a: null, b: 2, c: 'x' })
  })
})
