// Who watches whom outlives the hub: one that starts anew, on Prosody and ejabberd, with PostgreSQL between its lives.
// needs: prosody ejabberd

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { xml } from '@xmpp/xml'
import type { Element } from '@xmpp/xml'
import { createRoster, rosterMigrations } from '../../src/adapters/xmpp/roster.ts'
import { createLog } from '../../src/log.ts'
import { startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { startEjabberd } from '../support/ejabberd.ts'
import { eventually } from '../support/hub.ts'
import { startProsody } from '../support/prosody.ts'
import { startAdapter } from '../support/xmpp-adapter.ts'
import type { AdapterUnderTest } from '../support/xmpp-adapter.ts'
import { openXmppUser, presence } from '../support/xmpp-user.ts'
import type { XmppUser } from '../support/xmpp-user.ts'
import type { XmppServer } from '../support/xmpp-server.ts'

jest.setTimeout(120_000)

const domain = 'ott.test'
const gateway = 'ims.ott.test'
const number = `+4930123456@${gateway}`
const watch = { user: `alice@${domain}`, contact: '+4930123456' }
const isThere = (stanza: Element): boolean =>
  stanza.is('presence') && stanza.attrs['from'] === `${number}/gw` && stanza.attrs['type'] === undefined

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
})
afterAll(() => postgres?.stop())

describe.each([
  ['Prosody', startProsody],
  ['ejabberd', startEjabberd]
] as const)('a user of %s', (_, startServer) => {
  let server: XmppServer
  let database: TestDatabase
  let hub: AdapterUnderTest
  let alice: XmppUser

  const kept = () => createRoster({ database, log: createLog('silent') })
  const startHub = async (): Promise<void> => {
    const connection = { kind: 'component', host: '127.0.0.1', port: server.componentPort, secret: 's3cr3t' }
    hub = await startAdapter([{ id: 'ott', domain, gateway, connection, users: [{ name: 'alice' }] }], {
      roster: kept()
    })
    await hub.ready('ott')
  }
  const logIn = async (resource: string): Promise<void> => {
    alice = await openXmppUser({ service: server.tcp, domain, name: 'alice', password: 'pw-alice', resource })
    await alice.ask(xml('iq', { type: 'get' }, xml('query', { xmlns: 'jabber:iq:roster' })))
    await alice.send(presence())
    await alice.wait('its own presence', stanza => stanza.is('presence') && stanza.attrs['from'] === alice.jid)
  }

  beforeAll(async () => {
    server = await startServer({ domain, components: [{ domain: gateway }], users: { alice: 'pw-alice' } })
    database = await postgres.fresh(rosterMigrations)
    await startHub()
    await logIn('first')
  })
  afterAll(async () => {
    await alice?.close()
    await hub?.close()
    await server?.stop()
  })

  it('that logged in while the hub was away sees its contact come back, and can be called as the device it is', async () => {
    await alice.send(presence({ to: number, type: 'subscribe' }))
    await alice.wait('subscribe', stanza => stanza.attrs['type'] === 'subscribe')
    await alice.send(presence({ to: number, type: 'subscribed' }))
    await alice.wait('presence', isThere)
    await hub.close()
    expect(await kept().read('ott')).toEqual([watch])
    await alice.close()
    await logIn('second')
    expect(alice.heard.some(isThere)).toBe(false)
    await startHub()
    await alice.wait('presence', isThere)
    const { presences } = hub.calls('ott').parts
    await eventually('the device is known', () => presences.devices(alice.bare).some(({ jid }) => jid === alice.jid))
  })

  it('that gives the contact up is forgotten by the next life, too', async () => {
    await alice.send(presence({ to: number, type: 'unsubscribe' }))
    await eventually('it is forgotten', async () => (await kept().read('ott')).length === 0)
    await hub.close()
    await startHub()
    expect(await kept().read('ott')).toEqual([])
  })
})
