// Room messages as a phone reads them.

import { describe, expect, it } from '@jest/globals'
import { readMessage } from '../../../src/adapters/matrix/message.ts'
import { roomEvent } from '../../support/matrix-fakes.ts'

const read = (content: object, more: Parameters<typeof roomEvent>[2] = {}) =>
  readMessage(roomEvent('m.room.message', { ...content }, more), 'Alice')
const said = (text: string, replaces: string | null = null) => ({ kind: 'text', text, replaces })
const nothing = { kind: 'nothing' }

describe('a message', () => {
  it('is its plain body, formatted or not, said or noticed', () => {
    const formatted = { format: 'org.matrix.custom.html', formatted_body: '<b>hello</b>' }
    expect(read({ msgtype: 'm.text', body: '**hello**', ...formatted })).toEqual(said('**hello**'))
    expect(read({ msgtype: 'm.notice', body: 'a bot says' })).toEqual(said('a bot says'))
    expect(read({ msgtype: 'm.of.tomorrow', body: 'in words' })).toEqual(said('in words'))
    expect(read({ msgtype: 'm.location', body: 'Berlin', geo_uri: 'geo:52,13' })).toEqual(said('Berlin'))
  })

  it('of the third person names who acts', () => {
    expect(read({ msgtype: 'm.emote', body: 'waves' })).toEqual(said('* Alice waves'))
  })

  it('that replies leaves out what it quotes, and a quote of its own stays', () => {
    const reply = { 'm.relates_to': { 'm.in_reply_to': { event_id: '$1' } } }
    const body = '> <@bob:x> first\n> second\n>\n> third\n\nyes\n> a quote'
    expect(read({ msgtype: 'm.text', body, ...reply })).toEqual(said('yes\n> a quote'))
    expect(read({ msgtype: 'm.text', body: 'yes', ...reply })).toEqual(said('yes'))
    expect(read({ msgtype: 'm.text', body: '> only a quote', ...reply })).toEqual(said('> only a quote'))
    expect(read({ msgtype: 'm.text', body: '> quoted\n\nmine' })).toEqual(said('> quoted\n\nmine'))
  })

  it('that corrects another says so, with the new words', () => {
    const edit = { 'm.relates_to': { rel_type: 'm.replace', event_id: '$1' } }
    const corrected = { 'm.new_content': { msgtype: 'm.text', body: 'five' } }
    expect(read({ msgtype: 'm.text', body: '* five', ...corrected, ...edit })).toEqual(said('* five', '$1'))
    expect(read({ msgtype: 'm.text', body: 'five', ...edit })).toEqual(said('* five', '$1'))
    expect(read({ msgtype: 'm.text', body: 'five', 'm.new_content': 7, ...edit })).toEqual(said('* five', '$1'))
  })

  it('is nothing without words, without type, as state, or as something else', () => {
    expect(read({ msgtype: 'm.text', body: ' \n ' })).toEqual(nothing)
    expect(read({ body: 'no type' })).toEqual(nothing)
    expect(read({ msgtype: 'm.text', body: 7 })).toEqual(nothing)
    // A redacted message has no content left.
    expect(read({})).toEqual(nothing)
    expect(read({ msgtype: 'm.text', body: 'x' }, { stateKey: '' })).toEqual(nothing)
    expect(readMessage(roomEvent('m.reaction', { body: 'x', msgtype: 'm.text' }), 'Alice')).toEqual(nothing)
  })
})

describe('a file', () => {
  it('is its name and place, with the words that came with it', () => {
    const file = { msgtype: 'm.image', url: 'mxc://x/1', body: 'cat.png' }
    expect(read(file)).toEqual({ kind: 'file', name: 'cat.png', words: null, mxc: 'mxc://x/1' })
    expect(read({ ...file, filename: 'cat.png' })).toMatchObject({ name: 'cat.png', words: null })
    expect(read({ ...file, filename: 'cat.png', body: 'look' })).toMatchObject({ name: 'cat.png', words: 'look' })
    for (const msgtype of ['m.file', 'm.audio', 'm.video'])
      expect(read({ ...file, msgtype })).toMatchObject({ kind: 'file' })
  })

  it('of an encrypted room cannot be read, and one without a place is nothing', () => {
    expect(read({ msgtype: 'm.file', body: 'x', file: { url: 'mxc://x/1' } })).toEqual({ kind: 'encrypted' })
    expect(read({ msgtype: 'm.file', body: 'x' })).toEqual(nothing)
  })
})

describe('other events', () => {
  it('are encrypted, or take a message back: in both places where rooms say so', () => {
    expect(readMessage(roomEvent('m.room.encrypted', { algorithm: 'x' }), 'Alice')).toEqual({ kind: 'encrypted' })
    expect(readMessage(roomEvent('m.room.redaction', { redacts: '$1' }), 'Alice')).toEqual({
      kind: 'redaction',
      of: '$1'
    })
    expect(readMessage(roomEvent('m.room.redaction', {}, { redacts: '$2' }), 'Alice')).toEqual({
      kind: 'redaction',
      of: '$2'
    })
    expect(readMessage(roomEvent('m.room.redaction', { redacts: 7 }), 'Alice')).toEqual(nothing)
  })
})
