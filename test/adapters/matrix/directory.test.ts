// Users of a Matrix island by the numbers of a table: both ways, and a number belongs to one island alone.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createAddresses } from '../../../src/adapters/matrix/addresses.ts'
import { systemClock } from '../../../src/compose.ts'
import { parseNumbers } from '../../../src/routing/directory-csv.ts'
import { createDirectory, directoryMigrations, importNumbers, ownersOf } from '../../../src/routing/directory.ts'
import type { Entry } from '../../../src/routing/directory.ts'
import { createRouter } from '../../../src/routing/routing.ts'
import type { Leg } from '../../../src/session/model.ts'
import { startTestPostgres } from '../../support/database.ts'
import type { TestPostgres } from '../../support/database.ts'
import { matrixIsland, quiet, serverName } from '../../support/matrix-fakes.ts'

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startTestPostgres()
}, 120_000)
afterAll(() => postgres.stop(), 60_000)

const islands = [matrixIsland(), matrixIsland({ id: 'other', domain: 'other.example', users: [] })]
const configured = ownersOf(islands)
function table(...rows: readonly string[]): readonly Entry[] {
  const read = parseNumbers(['number,user,proof,proven_on', ...rows.map(row => `${row},letter,2026-11-22`)].join('\n'))
  if (!read.ok) throw new Error(read.problems.join())
  return read.entries
}

describe('a table of numbers', () => {
  it('makes users of a homeserver reachable by number, and shows them with it', async () => {
    const database = await postgres.fresh(directoryMigrations)
    await importNumbers(database, {
      island: 'rooms',
      entries: table('+4930111003,carol', '+4930111004,dan/phone=1'),
      replace: false,
      configured
    })
    const directory = createDirectory({ islands, database, clock: systemClock, log: quiet })
    await directory.start()
    const router = createRouter({ islands, operators: [], ownerOf: number => directory.ownerOf(number) })
    const addresses = createAddresses({
      island: matrixIsland(),
      numberOf: (island, user) => directory.numberOf(island, user)
    })
    try {
      for (const [number, name] of [
        ['+4930111001', 'alice'],
        ['+4930111003', 'carol'],
        ['+4930111004', 'dan/phone=1']
      ] as const) {
        const routed = await router.route(`tel:${number}`, {} as Leg, 'voice', {} as never)
        const [target] = 'targets' in routed ? routed.targets : []
        const id = `@${name}:${serverName}`
        expect([target?.peerId, addresses.userOf(target?.uri ?? '')]).toEqual(['rooms', id])
        expect(addresses.caller(id)?.presented).toBe(`tel:${number}`)
      }
    } finally {
      directory.stop()
    }
  })

  it('is refused whole where another island or the configuration has claimed one of them', async () => {
    const database = await postgres.fresh(directoryMigrations)
    const take = (island: string, ...rows: readonly string[]) =>
      importNumbers(database, { island, entries: table(...rows), replace: false, configured })
    await take('rooms', '+4930111003,carol')
    await expect(take('other', '+4930111009,erin', '+4930111003,carol')).rejects.toThrow(
      /\+4930111003 belongs to rooms/
    )
    await expect(take('other', '+4930111001,alice')).rejects.toThrow(/\+4930111001 is given to alice of rooms/)
    const { rows } = await database.query<{ readonly number: string }>('select number from directory')
    expect(rows.map(({ number }) => number)).toEqual(['+4930111003'])
  })
})
