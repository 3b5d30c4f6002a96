// One ICE-UDP transport of Jingle (XEP-0176, 0320) and the lines of one SDP media section, both ways. Pure.

import { isIP } from 'node:net'
import { attributesOf, childrenOf, Element, xml } from './elements.ts'
import { namespaces } from './namespaces.ts'
import { attribute, attributeOf, valueOf } from '../../session/sdp.ts'
import type { SdpLine } from '../../session/sdp.ts'

const taken: ReadonlySet<string> = new Set([
  'ice-ufrag',
  'ice-pwd',
  'candidate',
  'end-of-candidates',
  'fingerprint',
  'setup'
])

export const transportLimits = { candidatesMax: 64, fingerprintsMax: 8 } as const

/** Null where the section has no ICE of its own nor from its session. */
export function transportOf(
  lines: readonly SdpLine[],
  session: readonly SdpLine[]
): { readonly element: Element | null; readonly left: readonly SdpLine[] } {
  const either = (name: string): string | null => valueOf(lines, name) ?? valueOf(session, name)
  const [ufrag, pwd] = [either('ice-ufrag'), either('ice-pwd')]
  if (ufrag === null || pwd === null) return { element: null, left: lines }
  const own = all(lines, 'fingerprint')
  const setup = either('setup')
  const fingerprints = (own.length > 0 ? own : all(session, 'fingerprint')).flatMap(text => {
    const [hash, value] = text.trim().split(/ +/)
    return value === undefined ? [] : [xml('fingerprint', { xmlns: namespaces.dtls, hash, setup }, value)]
  })
  // A setup says nothing where there is no fingerprint, and has no place then.
  const said = (name: string): boolean => taken.has(name) && (name !== 'setup' || fingerprints.length > 0)
  const left = lines.filter(each => !said(attributeOf(each)?.name ?? ''))
  const candidates = all(lines, 'candidate').map((text, index) => ({ text, element: candidateOf(text, index) }))
  const element = xml(
    'transport',
    { xmlns: namespaces.iceUdp, ufrag, pwd },
    ...fingerprints,
    ...candidates.map(candidate => candidate.element),
    valueOf(lines, 'end-of-candidates') === null ? null : xml('gathering-complete')
  )
  const unsaid = candidates.flatMap(({ text, element }) => (element === null ? [attribute('candidate', text)] : []))
  return { element, left: [...left, ...unsaid] }
}

const all = (lines: readonly SdpLine[], name: string): readonly string[] =>
  lines.flatMap(each => {
    const found = attributeOf(each)
    return found?.name === name && found.value !== null ? [found.value] : []
  })

/** Extensions of SDP that have another name in XML; the rest keeps its own. */
const toXml: Readonly<Record<string, string>> = { raddr: 'rel-addr', rport: 'rel-port' }
const toText: Readonly<Record<string, string>> = { 'rel-addr': 'raddr', 'rel-port': 'rport' }

/** RFC 8839, 5.1. Null for what is no candidate. */
export function candidateOf(text: string, index: number): Element | null {
  const [foundation, component, protocol, priority, ip, port, typ, type, ...more] = text.trim().split(/ +/)
  if (typ !== 'typ' || type === undefined || more.length % 2 !== 0) return null
  const attrs: Record<string, string> = {}
  for (let at = 0; at < more.length; at += 2) {
    const [name = '', value = ''] = [more[at], more[at + 1]]
    const said = toXml[name] ?? name
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(said) || ownNames.has(said) || said in attrs) return null
    attrs[said] = value
  }
  return xml('candidate', {
    component,
    foundation,
    generation: attrs['generation'] ?? '0',
    id: `c${index + 1}`,
    ip,
    network: '0',
    port,
    priority,
    protocol: protocol?.toLowerCase(),
    type,
    ...attrs
  })
}
const ownNames: ReadonlySet<string> = new Set([
  'component',
  'foundation',
  'id',
  'ip',
  'network',
  'port',
  'priority',
  'protocol',
  'type',
  'xmlns'
])

/** Null for a candidate that lacks what ICE needs. */
export function candidateText({ attrs }: Element): string | null {
  const { component, foundation, priority, ip, port, type, protocol = 'udp' } = attrs
  const fields = [foundation, component, protocol, priority, ip, port]
  if (![...fields, type].every(field => field !== undefined && /^[^\s]+$/.test(field))) return null
  const number = Number(port)
  if (!Number.isInteger(number) || number < 0 || number > 65_535) return null
  const first = ['raddr', 'rport', 'tcptype']
  const more = attributesOf(new Element('candidate', attrs))
    .filter(([name, value]) => !ownNames.has(name) && name !== 'xmlns' && !name.includes(':') && /^[^\s]+$/.test(value))
    .filter(([name, value]) => name !== 'generation' || value !== '0')
    .map(([name, value]) => [toText[name] ?? name, value] as const)
  // RFC 8839 wants the related address first.
  const sorted = [...more].sort(([a], [b]) => place(a, first) - place(b, first))
  return [...fields, 'typ', type, ...sorted.flat()].join(' ')
}
const place = (name: string, first: readonly string[]): number => {
  const at = first.indexOf(name)
  return at < 0 ? first.length : at
}

export interface Transported {
  readonly lines: readonly SdpLine[]
  readonly left: readonly Element[]
  readonly secure: boolean
}

/** The lines of a transport; what it does not say (a transport-info may carry candidates alone) is not there. */
export function transportLines(transport: Element): Transported {
  const lines: SdpLine[] = []
  const left: Element[] = []
  const { ufrag, pwd } = transport.attrs
  if (token(ufrag)) lines.push(attribute('ice-ufrag', ufrag))
  if (token(pwd)) lines.push(attribute('ice-pwd', pwd))
  let setup: string | null = null
  let fingerprints = 0
  const candidates: string[] = []
  let complete = false
  for (const child of childrenOf(transport)) {
    const within = child.getNS() === transport.getNS()
    if (child.is('fingerprint', namespaces.dtls)) {
      const text = fingerprintOf(child)
      if (text === null || fingerprints === transportLimits.fingerprintsMax) continue
      fingerprints += 1
      lines.push(attribute('fingerprint', text))
      if (token(child.attrs['setup'])) setup ??= child.attrs['setup']
    } else if (within && child.getName() === 'candidate') {
      const text = candidateText(child)
      if (text !== null && candidates.length < transportLimits.candidatesMax) candidates.push(text)
    } else if (within && child.getName() === 'gathering-complete') {
      complete = true
    } else {
      left.push(child)
    }
  }
  if (setup !== null) lines.push(attribute('setup', setup))
  lines.push(...candidates.map(text => attribute('candidate', text)))
  if (complete) lines.push(attribute('end-of-candidates'))
  return { lines, left, secure: fingerprints > 0 }
}

/** Null for one that says nothing. */
function fingerprintOf(element: Element): string | null {
  const { hash } = element.attrs
  const value = element.getText().trim()
  return token(hash) && token(value) ? `${hash} ${value}` : null
}

export const hasCredentials = ({ attrs: { ufrag, pwd } }: Element): boolean => token(ufrag) && token(pwd)
/** It names a key for DTLS (XEP-0320). */
export const isSecure = (transport: Element): boolean =>
  childrenOf(transport).some(child => child.is('fingerprint', namespaces.dtls) && fingerprintOf(child) !== null)

const token = (text: string | undefined): text is string => text !== undefined && /^[^\s]+$/.test(text)

/** Where a peer without ICE would send: the most reachable UDP candidate (RFC 8839, 4.2.1.2). */
export function defaultAddress(lines: readonly SdpLine[]): { readonly host: string; readonly port: number } | null {
  let best: { readonly host: string; readonly port: number; readonly rank: number } | null = null
  for (const text of all(lines, 'candidate')) {
    const [, component, protocol, , host = '', port, , type = ''] = text.split(' ')
    const rank = ['host', 'prflx', 'srflx', 'relay'].indexOf(type) - (isIP(host) === 6 ? 0.5 : 0)
    if (component !== '1' || protocol?.toLowerCase() !== 'udp' || isIP(host) === 0) continue
    if (best === null || rank > best.rank) best = { host, port: Number(port), rank }
  }
  return best
}
