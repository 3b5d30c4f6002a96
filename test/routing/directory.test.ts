// Numbers of island users: imported, claimed, looked up.

import { afterAll, beforeAll, describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok, rejects } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { migrations } from '../../src/compose.ts'
import { parseConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { parseNumbers, printNumbers } from '../../src/routing/directory-csv.ts'
import { createDirectory, directoryLimits, importNumbers, listNumbers, ownersOf } from '../../src/routing/directory.ts'
import type { Entry } from '../../src/routing/directory.ts'
import { openTempDir, startTestPostgres } from '../support/database.ts'
import type { TestDatabase, TestPostgres } from '../support/database.ts'
import { FakeClock } from '../support/world.ts'

const root = resolve(import.meta.dirname, '../..')
const { islands } = parseConfig(`
islands:
  - { id: acme, access: sip-ws, domain: acme.example, users: [{ name: alice, password: x, number: "+4930111" }] }
  - { id: jabber, access: xmpp, domain: x.example, gateway: p.x.example, connection: { kind: component, host: 127.0.0.1, secret: x } }
  - { id: talk, access: xmpp, domain: t.example, gateway: p.t.example, connection: { kind: component, host: 127.0.0.1, secret: x } }
`)
const configured = ownersOf(islands)
const entry = (number: string, user: string, proof = 'sms'): Entry => ({ number, user, proof, provenOn: '2026-11-01' })

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 60_000)
afterAll(() => postgres.stop())

const take = (database: TestDatabase, island: string, entries: readonly Entry[], replace = false) =>
  importNumbers(database, { island, entries, replace, configured })

describe('number table as CSV', () => {
  const head = 'number,user,proof,proven_on\n'
  it('is read whatever the order of its columns, and printed so that it reads the same', () => {
    const table = parseNumbers('\uFEFFUser;x,Number,proven_on,User,Proof\r\nz,+4930222,2026-11-01,"juliet, c",sms\r\n')
    equal(table, { ok: true, entries: [entry('+4930222', 'juliet, c')] })
    ok(table.ok)
    equal(parseNumbers(printNumbers(table.entries)), table)
  })
  it('tells every problem with its line', () => {
    const rows = [
      '030222,a,sms,2026-11-01',
      '+4930222,,sms,2026-11-01',
      '+4930222,b,,2026-13-01',
      '+4930223,b,sms,2026-11-01'
    ]
    equal(parseNumbers(head + rows.join('\n')), {
      ok: false,
      problems: [
        'line 2: "030222" is no E.164 number such as +4930123456',
        'line 3: the user is empty or too long',
        "line 4: no proof: how the provider knows that the number is this user's",
        'line 4: "2026-13-01" is no day such as 2026-11-22',
        'line 4: +4930222 is in line 3 already',
        'line 5: user b is in line 4 already'
      ]
    })
    equal(parseNumbers('a,b\n1,2'), { ok: false, problems: ['line 1: no column number, user, proof, proven_on'] })
  })
})

describe('number directory', () => {
  it('imports, changes, and with replace removes; a user that gets another number lets the old one go', async () => {
    const database = await postgres.fresh(migrations)
    equal(await take(database, 'jabber', [entry('+491', 'a'), entry('+492', 'b')]), {
      added: 2,
      changed: 0,
      removed: 0,
      unchanged: 0
    })
    equal(await take(database, 'jabber', [entry('+491', 'a', 'letter'), entry('+493', 'b')]), {
      added: 1,
      changed: 1,
      removed: 1,
      unchanged: 0
    })
    equal(await take(database, 'jabber', [entry('+493', 'b')], true), {
      added: 0,
      changed: 0,
      removed: 1,
      unchanged: 1
    })
    equal(await listNumbers(database, 'jabber'), [entry('+493', 'b')])
  })
  it('two users may swap their numbers', async () => {
    const database = await postgres.fresh(migrations)
    await take(database, 'jabber', [entry('+491', 'a'), entry('+492', 'b')])
    await take(database, 'jabber', [entry('+491', 'b'), entry('+492', 'a')])
    equal(
      (await listNumbers(database, 'jabber')).map(({ user }) => user),
      ['b', 'a']
    )
  })
  it('a number claimed by another island, or given in the configuration, refuses the whole import', async () => {
    const database = await postgres.fresh(migrations)
    await take(database, 'jabber', [entry('+491', 'a')])
    await rejects(
      take(database, 'talk', [entry('+492', 'x'), entry('+491', 'y'), entry('+4930111', 'z')]),
      /nothing was imported:\n {2}\+491 belongs to jabber\n {2}\+4930111 is given to alice of acme in the configuration/
    )
    equal(await listNumbers(database, 'talk'), [])
  })
  it('problems beyond the bound are counted', async () => {
    const database = await postgres.fresh(migrations)
    const many = Array.from({ length: directoryLimits.problemsMax + 7 }, (_, n) => entry(`+49${n + 10}`, `u${n}`))
    await take(database, 'jabber', many)
    await rejects(take(database, 'talk', many), /\.\.\. and 7 more/)
  })
  it('a running hub knows an import after its next look, both ways, and keeps what it knows when the database is away', async () => {
    const database = await postgres.fresh(migrations)
    const clock = new FakeClock()
    const directory = createDirectory({ islands, database, clock, log: createLog('silent') })
    await directory.start()
    equal(directory.ownerOf('+4930111'), { islandId: 'acme', user: 'alice' })
    equal(directory.numberOf('acme', 'alice'), '+4930111')
    equal(directory.ownerOf('+491'), null)
    await take(database, 'jabber', [entry('+491', 'a')])
    await clock.advance(directoryLimits.refreshMs)
    for (let n = 0; directory.ownerOf('+491') === null; n++) {
      ok(n < 1_000)
      await new Promise(next => setTimeout(next, 5))
    }
    equal([directory.numberOf('jabber', 'a'), directory.numberOf('jabber', 'A')], ['+491', '+491'])
    equal(directory.proofOf('+491'), { islandId: 'jabber', proof: entry('+491', 'a').proof })
    equal(directory.proofOf('+4930111'), { islandId: 'acme', proof: 'configuration' })
    equal(directory.proofOf('+4999'), null)
    await database.close()
    await clock.advance(directoryLimits.refreshMs)
    equal(directory.ownerOf('+491'), { islandId: 'jabber', user: 'a' })
    directory.stop()
    equal(clock.timers, 0)
  })
})

describe('npm run numbers', () => {
  it('imports a file, lists it, and refuses what it must in plain words', async () => {
    const url = await postgres.freshUrl()
    const folder = openTempDir()
    const config = join(folder, 'isthmus.yaml')
    const file = join(folder, 'numbers.csv')
    writeFileSync(
      config,
      'islands: [{ id: jabber, access: xmpp, domain: x.example, gateway: p.x.example, connection: { kind: component, host: localhost, secret: x } }]'
    )
    writeFileSync(file, 'number,user,proof,proven_on\n+4930222,juliet,sms,2026-11-01\n')
    const run = (...args: readonly string[]) => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['src/cli/numbers.ts', ...args, '--config', config],
        { cwd: root, encoding: 'utf8', env: { ...process.env, DATABASE_URL: url } }
      )
      return [status, stdout, stderr]
    }
    equal(run('import', file, '--island', 'jabber'), [0, 'jabber: 1 added, 0 changed, 0 removed, 0 unchanged\n', ''])
    equal(run('list', '--island', 'jabber'), [0, 'number,user,proof,proven_on\n+4930222,juliet,sms,2026-11-01\n', ''])
    equal(run('import', file, '--island', 'nobody'), [1, '', 'no island is called nobody\n'])
    equal(run('import', '--island', 'jabber'), [2, '', 'which file? --help explains\n'])
    match(String(run('import', join(folder, 'none.csv'), '--island', 'jabber')[2]), /cannot read .*none\.csv/)
    rmSync(folder, { recursive: true })
  }, 60_000)
})
