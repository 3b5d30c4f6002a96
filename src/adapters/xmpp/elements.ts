// Small helpers over XML elements: always by namespace, never by prefix.

import { Element, xml } from '@xmpp/xml'

export { Element, xml }

/** All attributes but namespace declarations, which stay where they are needed. */
export const attributesOf = (element: Element): readonly (readonly [string, string])[] =>
  Object.entries(element.attrs).filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'))

/**
 * The same element as a tree of its own: each name without prefix and each namespace where it changes, so that it means
 * the same under any parent.
 */
export function portable(element: Element, around: string | null = null): Element {
  const own = element.getNS() ?? ''
  const attrs: Record<string, string> = own === around ? {} : { xmlns: own }
  for (const [name, value] of attributesOf(element)) {
    const colon = name.indexOf(':')
    if (colon > 0 && !name.startsWith('xml:')) {
      const declared = element.findNS(name.slice(0, colon))
      if (declared !== undefined) attrs[`xmlns:${name.slice(0, colon)}`] = declared
    }
    attrs[name] = value
  }
  const copy = new Element(element.getName(), attrs)
  for (const child of element.children) copy.append(typeof child === 'string' ? child : portable(child, own))
  return copy
}

/** Two elements that say the same: names by namespace, attributes in any order, text but for white space around it. */
export function same(a: Element, b: Element): boolean {
  return canonical(a) === canonical(b)
}

/** One text for all elements that say the same. */
export function canonical(element: Element): string {
  const attrs = attributesOf(element)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .sort()
  const children = element.children.flatMap(child =>
    typeof child === 'string' ? (child.trim() === '' ? [] : [JSON.stringify(child.trim())]) : [canonical(child)]
  )
  return `{${element.getNS() ?? ''}}${element.getName()}[${attrs.join(' ')}](${children.join(' ')})`
}

export const childrenOf = (element: Element): readonly Element[] =>
  element.children.filter((child): child is Element => typeof child !== 'string')
