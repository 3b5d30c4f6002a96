// Bytes of a stream to stanzas, within bounds: size, depth, no DTD, no comments, no instructions (RFC 6120, 11.1).

import { StringDecoder } from 'node:string_decoder'
import { Parser } from '@xmpp/xml'
import type { Attributes, Element } from '@xmpp/xml'
import { messageOf } from '../../errors.ts'
import type { Limits } from './limits.ts'

/** What a stream did wrong, as the stream error that says so (RFC 6120, 4.9.3). */
export type StreamFault = 'not-well-formed' | 'restricted-xml' | 'policy-violation' | 'bad-format'

export class BrokenStream extends Error {
  override readonly name = 'BrokenStream'
  readonly condition: StreamFault

  constructor(condition: StreamFault, text: string) {
    super(text)
    this.condition = condition
  }
}

export type ReaderLimits = Pick<Limits, 'stanzaBytesMax' | 'elementDepthMax' | 'elementsPerStanzaMax'>

export interface ReaderEvents {
  onStart(root: Element): void
  onElement(element: Element): void
  onEnd(): void
}

/** Markup that opens what a stream must not contain; CDATA may be cut off by the end of a chunk. */
const cdata = '<![CDATA['

/** Watches the bytes and elements of one stream. Throws BrokenStream where a bound is passed. */
export class StreamGuard {
  readonly #limits: ReaderLimits
  readonly #framed: boolean
  readonly #decoder = new StringDecoder('utf8')
  #bytes = 0
  #depth = 0
  #elements = 0
  #carry = ''
  #started = false

  /** `framed`: a WebSocket, where every message is a whole element and the stream itself is none (RFC 7395). */
  constructor(limits: ReaderLimits, framed: boolean) {
    this.#limits = limits
    this.#framed = framed
    this.#started = framed
  }

  /** The text of a chunk, once it has been looked at. */
  admit(chunk: Buffer | string): string {
    const text = typeof chunk === 'string' ? chunk : this.#decoder.write(chunk)
    this.#refuseMarkup(text)
    this.#bytes += chunk.length
    if (this.#framed && chunk.length > this.#limits.stanzaBytesMax) this.#tooLarge()
    return text
  }

  opened(): void {
    this.#started = true
    this.#depth += 1
    this.#elements = this.#depth <= (this.#framed ? 1 : 2) ? 1 : this.#elements + 1
    const { elementDepthMax, elementsPerStanzaMax } = this.#limits
    if (this.#depth > elementDepthMax) throw new BrokenStream('policy-violation', 'elements are nested too deeply')
    if (this.#elements > elementsPerStanzaMax) throw new BrokenStream('policy-violation', 'too many elements')
  }

  closed(): void {
    this.#depth -= 1
    if (this.#depth <= (this.#framed ? 0 : 1)) this.#bytes = 0
  }

  /** After the chunk was parsed: a stanza may be begun, and be as long as allowed. */
  parsed(): void {
    if (this.#bytes > this.#limits.stanzaBytesMax) this.#tooLarge()
  }

  #tooLarge(): never {
    throw new BrokenStream('policy-violation', `a stanza of more than ${this.#limits.stanzaBytesMax} bytes`)
  }

  #refuseMarkup(text: string): void {
    const all = this.#carry + text
    this.#carry = all.endsWith('<') ? '<' : ''
    for (let at = all.indexOf('<!'); at >= 0; at = all.indexOf('<!', at + 2)) {
      const opening = all.slice(at, at + cdata.length)
      if (opening === cdata) continue
      if (at + cdata.length <= all.length || !cdata.startsWith(opening)) {
        throw new BrokenStream('restricted-xml', 'a stream holds no comments, DTDs or entities')
      }
      this.#carry = opening
    }
    if (this.#started && all.includes('<?')) {
      throw new BrokenStream('restricted-xml', 'a stream holds no processing instructions')
    }
  }
}

/** Counts what its elements would cost before they are built. */
class BoundedParser extends Parser {
  guard: StreamGuard | null = null

  protected override onStartElement(name: string, attrs: Attributes): void {
    this.guard?.opened()
    super.onStartElement(name, attrs)
  }

  protected override onEndElement(name: string): void {
    if (this.cursor === null) throw new BrokenStream('not-well-formed', `</${name}> closes nothing`)
    this.guard?.closed()
    super.onEndElement(name)
  }

  /** White space between stanzas keeps a connection alive and is not kept. */
  protected override onText(text: string): void {
    if (this.cursor !== null && this.cursor !== this.root) return super.onText(text)
    if (text.trim() !== '') throw new BrokenStream('bad-format', 'text between stanzas')
  }
}

export class StreamReader {
  readonly #guard: StreamGuard
  readonly #parser = new BoundedParser()
  #elements = 0
  #fault: Error | null = null

  constructor(limits: ReaderLimits, events: ReaderEvents) {
    this.#guard = new StreamGuard(limits, false)
    this.#parser.guard = this.#guard
    this.#parser.on('start', root => events.onStart(root))
    this.#parser.on('element', element => {
      this.#elements += 1
      events.onElement(element)
    })
    this.#parser.on('end', () => events.onEnd())
    this.#parser.on('error', error => {
      this.#fault ??= error
    })
  }

  /** How many stanzas these bytes completed. Throws BrokenStream, after which nothing may be written any more. */
  write(chunk: Buffer): number {
    this.#elements = 0
    guarded(this.#guard, chunk, text => this.#parser.write(text))
    if (this.#fault !== null) throw new BrokenStream('not-well-formed', messageOf(this.#fault))
    return this.#elements
  }
}

/** Parses a chunk under guard; whatever a parser throws (illegal entities, wrong order of tags) is a broken stream. */
export function guarded(guard: StreamGuard, chunk: Buffer | string, parse: (text: string) => void): void {
  const text = guard.admit(chunk)
  try {
    parse(text)
  } catch (error) {
    if (error instanceof BrokenStream) throw error
    throw new BrokenStream('not-well-formed', messageOf(error))
  }
  guard.parsed()
}
