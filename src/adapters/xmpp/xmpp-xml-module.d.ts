// The part of @xmpp/xml 0.14 (ltx 3.1) that is used; it brings no types of its own.
declare module '@xmpp/xml' {
  export type Attributes = Record<string, string>
  export type Child = Element | string

  export class Element {
    constructor(name: string, attrs?: Readonly<Record<string, string | undefined>>)
    /** With its prefix: compare by `is`. */
    name: string
    parent: Element | null
    children: Child[]
    attrs: Attributes
    is(name: string, xmlns?: string): boolean
    getName(): string
    getNS(): string | undefined
    /** The namespace that a prefix stands for here. */
    findNS(prefix?: string): string | undefined
    getChild(name: string, xmlns?: string): Element | undefined
    getChildren(name: string, xmlns?: string): Element[]
    getChildElements(): Element[]
    getChildText(name: string, xmlns?: string): string | null
    getText(): string
    append(...nodes: Child[]): void
    remove(child: Element): this
    toString(): string
  }

  /** Leaves out attributes that are null or undefined and children that are empty. */
  export function xml(
    name: string,
    attrs?: Readonly<Record<string, string | number | null | undefined>>,
    ...children: readonly (Child | readonly Child[] | null | undefined | false)[]
  ): Element

  export class Parser {
    /** The tokeniser below (ltx): `startElement` and `endElement` before anything is built. */
    readonly parser: { prependListener(event: 'startElement' | 'endElement', listener: () => void): void }
    protected readonly root: Element | null
    protected readonly cursor: Element | null
    protected onStartElement(name: string, attrs: Attributes): void
    protected onEndElement(name: string): void
    protected onText(text: string): void
    on(event: 'start' | 'element' | 'end', listener: (element: Element) => void): this
    on(event: 'error', listener: (error: Error) => void): this
    write(data: string): void
    end(data?: string): void
  }
}
