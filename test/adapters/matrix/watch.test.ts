// Whether a homeserver is there: noticed when it goes, asked again with growing waits, told that we are there.

import { describe, expect, it } from '@jest/globals'
import { limits } from '../../../src/adapters/matrix/limits.ts'
import { Watch } from '../../../src/adapters/matrix/watch.ts'
import { FakeHomeserver, no, quiet } from '../../support/matrix-fakes.ts'
import { until } from '../../support/until.ts'
import { FakeClock, settle } from '../../support/world.ts'

function watch() {
  const homeserver = new FakeHomeserver()
  const clock = new FakeClock()
  let recovered = 0
  let fallen = 0
  let recover: () => Promise<void> = async () => undefined
  /** The sync that is under way: a test lets it end. */
  let over: (answer: object | Error) => void = () => undefined
  const hangs = ({ signal }: { readonly signal?: AbortSignal }): Promise<object | Error> =>
    new Promise(done => {
      over = done
      signal?.addEventListener('abort', () => done(no(0)))
    })
  const healthy: FakeHomeserver['answer'] = asked =>
    asked.path !== '/v3/sync' ? {} : asked.query?.['timeout'] === '0' ? { next_batch: 's1' } : hangs(asked)
  homeserver.answer = healthy
  const watching = new Watch({
    islandId: 'rooms',
    serviceId: 'isthmus-rooms',
    watcher: '@_isthmus_watch:rooms.example',
    homeserver,
    limits,
    clock,
    log: quiet,
    onDown: () => void (fallen += 1),
    recover: async () => {
      recovered += 1
      await recover()
    },
    random: () => 1
  })
  return {
    watching,
    homeserver,
    clock,
    healthy,
    recovered: () => recovered,
    fallen: () => fallen,
    recovers: (how: () => Promise<void>) => void (recover = how),
    end: (answer: object | Error) => over(answer)
  }
}
const pings = ({ asked }: FakeHomeserver): number => asked.filter(({ path }) => path.endsWith('/ping')).length

describe('a homeserver that answers', () => {
  it('is pinged first, read again, and then waited on by one long request after the other', async () => {
    const { watching, homeserver, end, recovered } = watch()
    watching.start()
    await until(() => watching.up)
    await settle()
    expect(homeserver.asked[0]?.path).toBe('/v1/appservice/isthmus-rooms/ping')
    expect(recovered()).toBe(1)
    end({ next_batch: 's2' })
    await settle()
    const last = homeserver.asked.at(-1)
    // Synapse answers the service's own user with an error.
    expect(last?.as).toBe('@_isthmus_watch:rooms.example')
    expect(last?.query).toMatchObject({ since: 's2', timeout: String(limits.pingMs), set_presence: 'offline' })
    expect(watching.up).toBe(true)
    await watching.close()
  })

  it('has the user that listens, also from before, and does not answer without it', async () => {
    const { watching, homeserver, healthy } = watch()
    homeserver.answer = asked => (asked.path === '/v3/register' ? no(400, 'M_USER_IN_USE') : healthy(asked))
    watching.start()
    await until(() => watching.up)
    await settle()
    expect(homeserver.asked.at(-1)?.path).toBe('/v3/sync')
    expect(watching.up).toBe(true)
    await watching.close()
  })

  it('that knows no pings is up all the same', async () => {
    const { watching, homeserver, healthy } = watch()
    homeserver.answer = asked => (asked.path.endsWith('/ping') ? no(404, 'M_UNRECOGNIZED') : healthy(asked))
    watching.start()
    await until(() => watching.up)
    await watching.close()
  })

  it('lets go of what waits before everything is read again', async () => {
    const { watching, recovers } = watch()
    const { promise, resolve } = Promise.withResolvers<void>()
    recovers(() => promise)
    const back = watching.back(60_000)
    watching.start()
    await back
    expect(watching.up).toBe(false)
    resolve()
    await until(() => watching.up)
    expect(await watching.back(60_000)).toBeUndefined()
    await watching.close()
  })
})

describe('a homeserver that does not answer', () => {
  it('is asked again after waits that double up to their bound', async () => {
    const { watching, homeserver, clock, healthy } = watch()
    homeserver.answer = () => no(0)
    watching.start()
    await settle()
    for (const ms of [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const before = pings(homeserver)
      await clock.advance(ms - 1)
      expect(pings(homeserver)).toBe(before)
      await clock.advance(1)
      expect([ms, pings(homeserver)]).toEqual([ms, before + 1])
    }
    homeserver.answer = healthy
    await clock.advance(30_000)
    await until(() => watching.up)
    await watching.close()
  })

  it('is noticed at once when the long request ends, or when somebody else was not answered', async () => {
    const { watching, clock, end, recovered } = watch()
    watching.start()
    await until(() => watching.up)
    await settle()
    end(no(0))
    await settle()
    expect(watching.up).toBe(false)
    await clock.advance(limits.backOffMs)
    await until(() => watching.up)
    expect(recovered()).toBe(2)
    watching.down('a send was not answered')
    expect(watching.up).toBe(false)
    await settle()
    await clock.advance(limits.backOffMs)
    await until(() => watching.up)
    expect(recovered()).toBe(3)
    await watching.close()
  })

  it('is asked at once where it pushes something, but not at every push; each fall is told once', async () => {
    const { watching, homeserver, clock, healthy, fallen, end } = watch()
    watching.start()
    await until(() => watching.up)
    await settle()
    homeserver.answer = () => no(0)
    end(no(0))
    await settle()
    await clock.advance(500)
    expect(fallen()).toBe(1)
    const before = pings(homeserver)
    for (let n = 1; n < 9; n++) {
      watching.pushed(String(n))
      await settle()
    }
    expect(pings(homeserver)).toBe(before + 1)
    homeserver.answer = healthy
    await clock.advance(4_000)
    await until(() => watching.up)
    expect(fallen()).toBe(1)
    await watching.close()
  })

  it('lets nobody wait longer than he wants to', async () => {
    const { watching, clock, homeserver } = watch()
    homeserver.answer = () => no(0)
    watching.start()
    const back = watching.back(2_000)
    await settle()
    await clock.advance(2_000)
    await back
    await watching.close()
    expect(await watching.back(60_000)).toBeUndefined()
  })

  it('is read again until that has come to an end', async () => {
    const { watching, clock, recovers, recovered } = watch()
    let fails = 2
    recovers(async () => {
      if (fails-- > 0) throw no(502)
    })
    watching.start()
    await settle()
    await clock.advance(10_000)
    await until(() => watching.up)
    expect(recovered()).toBe(3)
    await watching.close()
  })
})

describe('transaction numbers', () => {
  it('that start again tell of a restart; repeated ones, other forms and growing ones do not', async () => {
    const { watching, clock, recovered } = watch()
    watching.start()
    await until(() => watching.up)
    for (const txnId of ['7', '7', '8', '1732300000000000000', 'x', '8', '9']) watching.pushed(txnId)
    expect(watching.up).toBe(true)
    watching.pushed('1')
    expect(watching.up).toBe(false)
    await settle()
    await clock.advance(limits.backOffMs)
    await until(() => watching.up)
    expect(recovered()).toBe(2)
    await watching.close()
  })
})
