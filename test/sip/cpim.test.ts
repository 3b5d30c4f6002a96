import { describe, expect, it } from '@jest/globals'
import { cpimNotification, cpimText, parseCpim, parseImdn, wishesOf } from '../../src/sip/cpim.ts'

const ends = { from: 'sip:a@one.example', to: 'sip:b@two.example', at: '2026-01-02T03:04:05.000Z' }
const asking = (...lines: readonly string[]): string =>
  ['From: <im:a@one.example>', ...lines, '', 'Content-Type: text/plain;charset=UTF-8', '', 'Grüße\r\n\r\nAnna'].join(
    '\r\n'
  )

describe('CPIM', () => {
  it('of ours is read back as it was written, with what it asks for', () => {
    const cpim = parseCpim(cpimText(ends, 'm1', 'Grüße\r\n\r\n👋'))
    expect(cpim).toMatchObject({ type: 'text/plain', body: 'Grüße\r\n\r\n👋' })
    expect(cpim?.headers.get('from')).toBe('<sip:a@one.example>')
    expect(cpim === null ? null : wishesOf(cpim)).toEqual({
      id: 'm1',
      wants: ['positive-delivery', 'negative-delivery', 'display']
    })
  })

  it('may call the namespace of notifications whatever it likes, and end its lines as it likes', () => {
    const text = asking(
      'NS: note <urn:ietf:params:imdn>',
      'note.Message-ID: x1',
      'note.Disposition-Notification: display'
    )
    for (const one of [text, text.replaceAll('\r\n', '\n')]) {
      const cpim = parseCpim(one)
      expect(cpim === null ? null : wishesOf(cpim)).toEqual({ id: 'x1', wants: ['display'] })
      expect(cpim?.body.startsWith('Grüße')).toBe(true)
    }
  })

  it.each([
    ['no namespace', ['imdn.Message-ID: x1', 'imdn.Disposition-Notification: display']],
    ['another namespace', ['NS: imdn <urn:other>', 'imdn.Message-ID: x1', 'imdn.Disposition-Notification: display']],
    ['no name', ['NS: imdn <urn:ietf:params:imdn>', 'imdn.Disposition-Notification: display']],
    ['no wish', ['NS: imdn <urn:ietf:params:imdn>', 'imdn.Message-ID: x1']],
    [
      'a name too long',
      ['NS: i <urn:ietf:params:imdn>', `i.Message-ID: ${'x'.repeat(256)}`, 'i.Disposition-Notification: display']
    ]
  ])('with %s asks for nothing', (_, lines) => {
    const cpim = parseCpim(asking(...lines))
    expect(cpim).not.toBeNull()
    expect(cpim === null ? null : wishesOf(cpim)).toBeNull()
  })

  it.each(['', 'From: <im:a@b>', 'From: <im:a@b>\r\n\r\nContent-Type: text/plain'])('%j is none', text => {
    expect(parseCpim(text)).toBeNull()
  })

  it('a sender cannot write lines into it', () => {
    const cpim = parseCpim(cpimText({ ...ends, from: 'sip:a@b>\r\nimdn.Message-ID: other' }, 'm1', 'x'))
    expect(cpim === null ? null : wishesOf(cpim)?.id).toBe('m1')
  })
})

describe('notifications', () => {
  it.each(['delivered', 'displayed', 'failed'] as const)('%s is read back as it was written', said => {
    const cpim = parseCpim(cpimNotification(ends, 'n1', { about: 'a<&">b', said }))
    expect(cpim?.type).toBe('message/imdn+xml')
    expect(parseImdn(cpim?.body ?? '')).toEqual({ id: 'a<&">b', said })
  })

  it('that of the specification is understood, with a prefix and white space, too', () => {
    const xml = (prefix: string, kind: string, status: string): string => `<?xml version="1.0"?>
      <${prefix}imdn xmlns="urn:ietf:params:xml:ns:imdn"> <${prefix}message-id>34jk324j</${prefix}message-id>
      <${prefix}datetime>2008-04-04T12:16:49-05:00</${prefix}datetime>
      <${prefix}${kind}-notification> <${prefix}status> <${prefix}${status}/> </${prefix}status></${prefix}${kind}-notification></${prefix}imdn>`
    for (const prefix of ['', 'i:']) {
      expect(parseImdn(xml(prefix, 'delivery', 'delivered'))).toEqual({ id: '34jk324j', said: 'delivered' })
      expect(parseImdn(xml(prefix, 'display', 'displayed'))).toEqual({ id: '34jk324j', said: 'displayed' })
      expect(parseImdn(xml(prefix, 'delivery', 'error'))).toEqual({ id: '34jk324j', said: 'failed' })
    }
  })

  it.each([
    '<imdn><message-id>1</message-id><processing-notification><status><stored/></status></processing-notification></imdn>',
    '<imdn><message-id>1</message-id><display-notification><status><forbidden/></status></display-notification></imdn>',
    '<imdn><delivery-notification><status><delivered/></status></delivery-notification></imdn>',
    'x'
  ])('%s says nothing', xml => {
    expect(parseImdn(xml)).toBeNull()
  })
})
