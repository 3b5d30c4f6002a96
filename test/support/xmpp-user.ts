// A user of an XMPP server for tests: logs in, sends what it is told and remembers what it gets.

import { client } from '@xmpp/client'
import type { ClientEntity } from '@xmpp/client'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { eventually } from './hub.ts'

export interface XmppUserOptions {
  readonly service: string
  readonly domain: string
  readonly name: string
  readonly password: string
  readonly resource?: string
  /** Its answer to a question; null: service-unavailable. */
  readonly onIq?: (iq: Element) => Element | 'silence' | null
}

export interface XmppUser {
  readonly jid: string
  readonly bare: string
  readonly heard: readonly Element[]
  send(stanza: Element): Promise<void>
  /** Sends an IQ and waits for its result or error. */
  ask(iq: Element): Promise<Element>
  /** The first stanza that fits, from the ones that came already on. */
  wait(what: string, fits: (stanza: Element) => boolean): Promise<Element>
  messages(fits?: (stanza: Element) => boolean): readonly Element[]
  close(): Promise<void>
}

let asked = 0

export async function openXmppUser(options: XmppUserOptions): Promise<XmppUser> {
  const { service, domain, name, password, resource = 'phone', onIq } = options
  const entity: ClientEntity = client({
    service,
    domain,
    resource,
    username: name,
    credentials: async (authenticate, mechanisms) =>
      authenticate({ username: name, password }, mechanisms.includes('SCRAM-SHA-1') ? 'SCRAM-SHA-1' : 'PLAIN')
  })
  entity.reconnect.stop()
  entity.on('error', () => {})
  const heard: Element[] = []
  const taken = entity._onElement.bind(entity)
  let online = false
  entity._onElement = stanza => {
    if (!online) return taken(stanza)
    heard.push(stanza)
    const { type, from, id } = stanza.attrs
    const isQuestion = stanza.is('iq') && (type === 'get' || type === 'set')
    const reply = isQuestion ? (onIq?.(stanza) ?? null) : null
    if (reply === null) return taken(stanza)
    if (reply === 'silence') return
    Object.assign(reply.attrs, { to: from, id })
    void entity.send(reply)
  }
  await entity.start()
  online = true
  const jid = String(entity.jid)
  const wait: XmppUser['wait'] = (what, fits) =>
    eventually(what, () => heard.find(fits)).catch((error: unknown) => {
      throw new Error(`${String(error)}; heard: ${heard.map(String).join('\n')}`)
    })
  return {
    jid,
    bare: jid.slice(0, jid.indexOf('/')),
    heard,
    send: stanza => entity.send(stanza),
    ask: async iq => {
      asked += 1
      iq.attrs['id'] ??= `ask-${asked}`
      await entity.send(iq)
      const { id } = iq.attrs
      return wait(
        `an answer to ${id}`,
        stanza =>
          stanza.is('iq') &&
          stanza.attrs['id'] === id &&
          stanza.attrs['type'] !== 'get' &&
          stanza.attrs['type'] !== 'set'
      )
    },
    wait,
    messages: (fits = () => true) => heard.filter(stanza => stanza.is('message') && fits(stanza)),
    close: async () => {
      await entity.stop().catch(() => {})
    }
  }
}

export const presence = (attrs: Readonly<Record<string, string>> = {}): Element => xml('presence', attrs)
