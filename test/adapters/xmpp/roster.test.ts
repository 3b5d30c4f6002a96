import { describe, expect, it } from '@jest/globals'
import { createRoster, rosterLimits } from '../../../src/adapters/xmpp/roster.ts'
import { createLog } from '../../../src/log.ts'
import type { Database } from '../../../src/store/database.ts'

const watch = { user: 'alice@ott.test', contact: '+49301' }

function rosterOn(query: (text: string) => Promise<{ readonly rows: readonly Record<string, unknown>[] }>) {
  const told: string[] = []
  const log = Object.assign(createLog('silent'), { warn: (_: object, text: string) => void told.push(text) })
  const database = { query } as unknown as Database
  return { told, roster: createRoster({ database, log }) }
}

describe('who watches whom', () => {
  it('is changed in the order of what happened, whatever the database makes of one change', async () => {
    const done: string[] = []
    const { roster, told } = rosterOn(async text => {
      done.push(text.split(' ')[0] ?? '')
      if (done.length === 2) throw new Error('away')
      return { rows: [] }
    })
    roster.add('ott', watch)
    roster.remove('ott', watch)
    roster.add('ott', watch)
    await roster.settled()
    expect(done).toEqual(['insert', 'delete', 'insert'])
    expect(told).toEqual(['who watches whom could not be kept'])
  })

  it('changes that wait for the database are bounded', async () => {
    let done = 0
    let goOn = (): void => {}
    const away = new Promise<void>(resolve => {
      goOn = resolve
    })
    const { roster, told } = rosterOn(async () => {
      await away
      done += 1
      return { rows: [] }
    })
    for (let at = 0; at < rosterLimits.changesWaitingMax + 2; at++) roster.add('ott', watch)
    expect(told).toHaveLength(2)
    goOn()
    await roster.settled()
    expect(done).toBe(rosterLimits.changesWaitingMax)
  })
})
