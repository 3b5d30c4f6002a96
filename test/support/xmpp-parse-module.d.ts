// The part of @xmpp/xml that only tests use; it brings no types of its own.
declare module '@xmpp/xml/lib/parse.js' {
  import type { Element } from '@xmpp/xml'
  /** One whole document. Throws for what is not well-formed. */
  export default function parse(text: string): Element
}
