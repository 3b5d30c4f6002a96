import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { HubError } from '../../src/errors.ts'
import { createZone, limits } from '../../src/clearing/zone.ts'

const utc = (text: string): number => Date.parse(text)
const iso = (at: number): string => new Date(at).toISOString()

describe('an agreement’s time zone', () => {
  it('knows the offset on both sides of a change of the clock', () => {
    const berlin = createZone('Europe/Berlin')
    equal(berlin.offsetMs(utc('2026-10-25T00:59:59Z')), 7_200_000)
    equal(berlin.offsetMs(utc('2026-10-25T01:00:00Z')), 3_600_000)
    equal(berlin.offsetMs(utc('2026-03-29T00:59:59Z')), 3_600_000)
    equal(berlin.offsetMs(utc('2026-03-29T01:00:00Z')), 7_200_000)
    const lordHowe = createZone('Australia/Lord_Howe')
    equal(lordHowe.offsetMs(utc('2026-04-04T14:59:59Z')), 39_600_000)
    equal(lordHowe.offsetMs(utc('2026-04-04T15:00:00Z')), 37_800_000)
  })

  it('agrees with Intl through a whole year of changes', () => {
    for (const name of ['Europe/Berlin', 'Asia/Kolkata', 'America/Havana', 'America/St_Johns', 'Pacific/Apia']) {
      const zone = createZone(name)
      const format = new Intl.DateTimeFormat('en-GB', { timeZone: name, hourCycle: 'h23', timeStyle: 'short' })
      for (let at = utc('2026-01-01T00:00:00Z'); at < utc('2027-01-01T00:00:00Z'); at += 13_027_000) {
        const { minute } = zone.local(at)
        const text = `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
        equal(text, format.format(at), `${name} at ${iso(at)}`)
      }
    }
  })

  it('names the local weekday, minute and the moment of a later minute of that day', () => {
    const local = createZone('Asia/Kolkata').local(utc('2026-10-31T18:45:30Z'))
    deepEqual([local.weekday, local.minute], [0, 15])
    equal(iso(local.at(60)), '2026-10-31T19:30:00.000Z')
    equal(iso(local.steadyUntil), '2026-10-31T19:00:00.000Z')
  })

  it('says on which local day a moment falls (R29)', () => {
    equal(createZone('Asia/Kolkata').day(utc('2026-10-31T18:45:00Z')), '2026-11-01')
    equal(createZone('UTC').day(utc('2026-10-31T18:45:00Z')), '2026-10-31')
  })

  it('says when a local day begins, also where the clock changes at midnight', () => {
    const starts = (name: string, day: string): string => iso(createZone(name).startOf(day))
    equal(starts('UTC', '2026-11-01'), '2026-11-01T00:00:00.000Z')
    equal(starts('Europe/Berlin', '2026-10-25'), '2026-10-24T22:00:00.000Z')
    equal(starts('Europe/Berlin', '2026-10-26'), '2026-10-25T23:00:00.000Z')
    // Cuba skips 00:00 to 01:00 in spring and has 00:00 to 01:00 twice in autumn.
    equal(starts('America/Havana', '2026-03-08'), '2026-03-08T05:00:00.000Z')
    equal(starts('America/Havana', '2026-11-01'), '2026-11-01T04:00:00.000Z')
    throws(() => createZone('UTC').startOf('2026-13-01'), RangeError)
  })

  it('keeps at most as many offsets as its limit and stays right beyond', () => {
    const zone = createZone('Europe/Berlin')
    for (let n = 0; n <= limits.offsetsMax; n++) zone.offsetMs(n * 900_000)
    equal(zone.offsetMs(utc('2026-07-01T00:00:00Z')), 7_200_000)
  })

  it('a name that is no zone is a mistake of the configuration', () => {
    throws(
      () => createZone('Europe/Atlantis'),
      (error: unknown) => error instanceof HubError && error.code === 'HUB_CONFIG' && /Atlantis/.test(error.message)
    )
  })
})
