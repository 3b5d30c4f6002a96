import { describe, expect, it } from '@jest/globals'
import { BrokenStream, StreamGuard, StreamReader, guarded } from '../../../src/adapters/xmpp/reader.ts'

const limits = { stanzaBytesMax: 1_000, elementDepthMax: 4, elementsPerStanzaMax: 10 }
const opening = `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='urn:s'>`

function reader() {
  const heard: string[] = []
  const made = new StreamReader(limits, {
    onStart: root => void heard.push(`start ${root.getName()}`),
    onElement: element => void heard.push(element.toString()),
    onEnd: () => void heard.push('end')
  })
  return { heard, write: (text: string) => made.write(Buffer.from(text)) }
}
const fault = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return error instanceof BrokenStream ? error.condition : String(error)
  }
  return 'fine'
}

describe('a stream', () => {
  it('is a start, stanzas and an end; each write tells how many stanzas it completed', () => {
    const { heard, write } = reader()
    expect([write(opening), write('<a/><b>x</b><c'), write('/> \n'), write('</stream:stream>')]).toEqual([0, 2, 1, 0])
    expect(heard).toEqual(['start stream', '<a/>', '<b>x</b>', '<c/>', 'end'])
  })
  it('may go on for ever: bounds are those of one stanza', () => {
    const { heard, write } = reader()
    write(opening)
    for (let n = 0; n < 1_000; n++) write(`<a><b/><c><d/></c>${'x'.repeat(50)}</a>`)
    for (let n = 0; n < 100; n++) write(' '.repeat(10))
    expect(heard).toHaveLength(1_001)
  })
  it('one byte, level or element too many is its end', () => {
    const inside = (text: string): string => {
      const { write } = reader()
      write(opening)
      return fault(() => write(text))
    }
    expect(inside(`<a>${'x'.repeat(900)}`)).toBe('fine')
    expect(inside(`<a>${'x'.repeat(1_000)}`)).toBe('policy-violation')
    expect(inside('<a><b><c/></b></a>')).toBe('fine')
    expect(inside('<a><b><c><d/></c></b></a>')).toBe('policy-violation')
    expect(inside(`<a>${'<b/>'.repeat(9)}</a>`)).toBe('fine')
    expect(inside(`<a>${'<b/>'.repeat(10)}</a>`)).toBe('policy-violation')
  })
  it.each(['<!DOCTYPE a>', '<!ENTITY b "c">', '<!-- d -->', '<?e?>'])('%s is refused wherever it is cut', markup => {
    for (let cut = 1; cut < markup.length; cut++) {
      const { write } = reader()
      write(opening)
      const told = fault(() => {
        write(`<a>${markup.slice(0, cut)}`)
        write(markup.slice(cut))
      })
      expect(told).toBe('restricted-xml')
    }
  })
})

describe('a stream of whole messages (WebSocket)', () => {
  const framed = (text: string): string => {
    const guard = new StreamGuard(limits, true)
    return fault(() => guarded(guard, text, () => {}))
  }
  it('has the same bounds, each message by itself', () => {
    expect(framed('x'.repeat(1_000))).toBe('fine')
    expect(framed('x'.repeat(1_001))).toBe('policy-violation')
    expect(framed('<?xml version="1.0"?>')).toBe('restricted-xml')
    expect(framed('<!DOCTYPE a>')).toBe('restricted-xml')
    const guard = new StreamGuard(limits, true)
    for (let n = 0; n < 4; n++) guard.opened()
    expect(fault(() => guard.opened())).toBe('policy-violation')
  })
  it('what a parser throws is a broken stream', () => {
    const throwing = (): never => {
      throw new TypeError('no cursor')
    }
    expect(fault(() => guarded(new StreamGuard(limits, true), '<a/>', throwing))).toBe('not-well-formed')
  })
})
