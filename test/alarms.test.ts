// needs: openssl
// Alarms against a real web server that fails, hangs and restarts.

import { createHmac } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, it } from '@jest/globals'
import { deepEqual as equal, match, ok } from 'node:assert/strict'
import { createAlarms } from '../src/alarms.ts'
import type { AlarmLimits, Alarms } from '../src/alarms.ts'
import { parseConfig } from '../src/config.ts'
import { createLog } from '../src/log.ts'
import type { Alarm } from '../src/log.ts'
import { authority } from './support/certificates.ts'
import { until } from './support/until.ts'

const secret = 'correct horse'
const quick = { retryMs: 5, retryMsMax: 20, closeMs: 60_000 } as const

interface Heard {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}
interface Receiver {
  readonly port: number
  readonly heard: readonly Heard[]
  /** What it answers with; null: nothing at all. */
  status: number | null
  close(): Promise<void>
}

const receivers: Receiver[] = []
const senders: Alarms[] = []
afterEach(async () => {
  for (const receiver of receivers.splice(0)) await receiver.close()
  for (const sender of senders.splice(0)) await sender.close()
})

async function listen(port = 0, tls: { readonly cert: string; readonly key: string } | null = null): Promise<Receiver> {
  const heard: Heard[] = []
  const server: Server = (tls === null ? createServer() : (createTlsServer(tls) as unknown as Server)).on(
    'request',
    (request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      request.on('end', () => {
        heard.push({ headers: request.headers, body })
        if (receiver.status !== null) response.writeHead(receiver.status, { location: '/elsewhere' }).end('thanks')
      })
    }
  )
  await new Promise<void>(done => server.listen(port, '127.0.0.1', done))
  const receiver: Receiver = {
    port: (server.address() as AddressInfo).port,
    heard,
    status: 200,
    close: () =>
      new Promise(done => {
        server.close(() => done())
        server.closeAllConnections()
      })
  }
  receivers.push(receiver)
  return receiver
}

function sender(port: number, limits: Partial<AlarmLimits> = {}, more: { url?: string; caFile?: string } = {}) {
  const lines: Readonly<Record<string, unknown>>[] = []
  const log = createLog('info', { write: line => void lines.push(JSON.parse(line) as never) })
  const webhook = { url: `http://127.0.0.1:${port}/in/token-4711`, ...more }
  const alarms = createAlarms({ webhook, secret, hubId: 'hub-1', node: 'n', log, limits: { ...quick, ...limits } })
  senders.push(alarms)
  return { alarms, lines }
}

const alarm = (n: number, facts: Readonly<Record<string, unknown>> = {}): Alarm => ({
  name: 'credit-low',
  severity: 'warning',
  at: Date.now(),
  text: `an account runs low: ${n}`,
  facts
})
const bodies = ({ heard }: Receiver) => heard.map(({ body }) => JSON.parse(body) as Record<string, unknown>)
const texts = (receiver: Receiver) => bodies(receiver).map(({ text }) => text)

describe('an alarm', () => {
  it('is posted as JSON with its facts, and signed so that nobody can change or replay it', async () => {
    const receiver = await listen()
    const { alarms } = sender(receiver.port)
    alarms.tell(alarm(1, { agreement: 'a', left: 12n }))
    await until(() => receiver.heard.length === 1)
    const [{ headers, body }] = receiver.heard as [Heard]
    const { id, at, ...message } = JSON.parse(body) as Record<string, unknown>
    equal(message, {
      alarm: 'credit-low',
      severity: 'warning',
      hub: 'hub-1',
      node: 'n',
      text: 'an account runs low: 1',
      times: 1,
      dropped: 0,
      facts: { agreement: 'a', left: '12' }
    })
    ok(Math.abs(Date.parse(String(at)) - Date.now()) < 600_000)
    equal(headers['content-type'], 'application/json')
    equal(headers['x-isthmus-delivery'], id)
    const [, seconds, given] = /^t=([0-9]+),v1=([0-9a-f]{64})$/.exec(String(headers['x-isthmus-signature'])) ?? []
    equal(given, createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex'))
  })

  it('is a line of the log with a field `alarm`: without secrets, an error by its words', () => {
    const told: Alarm[] = []
    const log = createLog('warn', { write: () => undefined }, one => void told.push(one))
    log.error({ alarm: 'journal-stuck', err: new Error('disk full'), link: { token: 't', host: 'h' } }, 'no room')
    log.child({ part: 'x' }).warn({ alarm: 'fraud', counters: { calls: 3 } }, 'many calls')
    log.info({ alarm: 'below the level' }, 'not told')
    log.error({ err: new Error('no alarm') }, 'not told')
    equal(
      told.map(({ at: _at, ...rest }) => rest),
      [
        {
          name: 'journal-stuck',
          severity: 'error',
          text: 'no room',
          facts: { link: { token: '[redacted]', host: 'h' }, reason: 'disk full' }
        },
        { name: 'fraud', severity: 'warning', text: 'many calls', facts: { counters: { calls: 3 } } }
      ]
    )
  })

  it('has a row in docs/alarms.md, and each row is an alarm', () => {
    const root = join(import.meta.dirname, '..')
    const raised = globSync('src/**/*.ts', { cwd: root }).flatMap(file =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/\balarm: '([a-z-]+)'/g)].map(([, name]) => name)
    )
    const rows = [
      ...readFileSync(join(root, 'docs/alarms.md'), 'utf8').matchAll(/^\| `([a-z-]+)` \| (?:error|warning)/gm)
    ]
    equal(new Set(rows.map(([, name]) => name)), new Set(raised))
  })
})

describe('a server that does not take it', () => {
  it('fails for a while: the same message comes again, in order, and the log says it once', async () => {
    const receiver = await listen()
    receiver.status = 503
    const { alarms, lines } = sender(receiver.port)
    for (const n of [1, 2, 3]) alarms.tell(alarm(n))
    await until(() => receiver.heard.length >= 4)
    receiver.status = 429
    const before = receiver.heard.length
    await until(() => receiver.heard.length > before + 1)
    receiver.status = 204
    await until(() => alarms.waiting === 0)
    equal(
      [...new Set(texts(receiver))],
      [1, 2, 3].map(n => `an account runs low: ${n}`)
    )
    const ids = bodies(receiver).map(({ id }) => id)
    equal(new Set(ids).size, 3)
    // None comes again once the next one has come.
    equal(
      ids,
      [...new Set(ids)].flatMap(id => ids.filter(other => other === id))
    )
    equal(
      lines.map(({ msg, reason }) => [msg, reason]),
      [
        ['alarms cannot be told, trying again', 'HTTP 503'],
        ['alarms are told again', undefined]
      ]
    )
  })

  it('refuses it, or sends it elsewhere: that one is given up with an error, the next one is sent', async () => {
    const receiver = await listen()
    const { alarms, lines } = sender(receiver.port)
    for (const [status, n] of [
      [400, 1],
      [302, 2],
      [200, 3]
    ] as const) {
      receiver.status = status
      alarms.tell(alarm(n))
      await until(() => alarms.waiting === 0)
    }
    equal(
      texts(receiver),
      [1, 2, 3].map(n => `an account runs low: ${n}`)
    )
    equal(
      lines.map(({ msg, reason }) => `${String(msg)}: ${String(reason)}`),
      ['an alarm was refused: HTTP 400', 'an alarm was refused: HTTP 302']
    )
  })

  it('hangs: after the bound it is asked again', async () => {
    const receiver = await listen()
    receiver.status = null
    const { alarms, lines } = sender(receiver.port, { answerMs: 50 })
    alarms.tell(alarm(1))
    await until(() => receiver.heard.length >= 2)
    receiver.status = 200
    await until(() => alarms.waiting === 0)
    equal(new Set(bodies(receiver).map(({ id }) => id)).size, 1)
    equal(lines[0]?.['reason'], 'no answer in time')
  })

  it('is away and comes back at the same place: nothing is lost', async () => {
    const first = await listen()
    const { alarms, lines } = sender(first.port)
    alarms.tell(alarm(1))
    await until(() => alarms.waiting === 0)
    await first.close()
    for (const n of [2, 3]) alarms.tell(alarm(n))
    await until(() => lines.length > 0)
    match(String(lines[0]?.['reason']), /ECONNREFUSED|ECONNRESET/)
    const second = await listen(first.port)
    await until(() => alarms.waiting === 0)
    equal(
      [...texts(first), ...texts(second)],
      [1, 2, 3].map(n => `an account runs low: ${n}`)
    )
  })

  it('is away for longer than the bound: the alarm is given up with an error', async () => {
    const gone = await listen()
    await gone.close()
    const { alarms, lines } = sender(gone.port, { ageMs: 30 })
    alarms.tell(alarm(1))
    await until(() => alarms.waiting === 0)
    equal(lines.at(-1)?.['msg'], 'an alarm could not be told in time')
  })
})

describe('bounds', () => {
  it('more than may wait: the oldest are dropped, and the next message says how many', async () => {
    const receiver = await listen()
    receiver.status = 503
    const { alarms, lines } = sender(receiver.port, { waitingMax: 3 })
    for (let n = 1; n <= 8; n++) alarms.tell(alarm(n))
    equal(alarms.waiting, 3)
    receiver.status = 200
    await until(() => alarms.waiting === 0)
    const taken = [...new Set(texts(receiver))]
    // The first was under way.
    equal(
      taken,
      [1, 7, 8].map(n => `an account runs low: ${n}`)
    )
    equal(bodies(receiver).at(-1)?.['dropped'], 0)
    ok(bodies(receiver).some(({ dropped }) => dropped === 5))
    equal(lines.filter(({ msg }) => msg === 'too many alarms wait: the oldest are dropped').length, 1)
  })

  it('the same words and facts again, while they wait, are counted', async () => {
    const receiver = await listen()
    receiver.status = 503
    const { alarms } = sender(receiver.port)
    alarms.tell(alarm(1))
    for (let n = 0; n < 4; n++) alarms.tell(alarm(2, { agreement: 'a' }))
    alarms.tell(alarm(2, { agreement: 'b' }))
    equal(alarms.waiting, 3)
    receiver.status = 200
    await until(() => alarms.waiting === 0)
    const last = bodies(receiver).slice(-2)
    equal(
      last.map(({ times, facts }) => [times, facts]),
      [
        [4, { agreement: 'a' }],
        [1, { agreement: 'b' }]
      ]
    )
  })

  it('facts that make a message too long, or cannot be written, are left out', async () => {
    const receiver = await listen()
    const { alarms } = sender(receiver.port, { bodyBytesMax: 1_000 })
    alarms.tell(alarm(1, { text: 'x'.repeat(2_000) }))
    await until(() => receiver.heard.length === 1)
    equal([bodies(receiver)[0]?.['facts'], bodies(receiver)[0]?.['truncated']], [{}, true])
  })

  it('the end: what waits is tried until the bound, and the log says what was not told', async () => {
    const receiver = await listen()
    receiver.status = 503
    const { alarms, lines } = sender(receiver.port, { closeMs: 50 })
    for (const n of [1, 2]) alarms.tell(alarm(n))
    await alarms.close()
    equal([lines.at(-1)?.['msg'], lines.at(-1)?.['waiting']], ['alarms were not told before the end', 2])
    alarms.tell(alarm(3))
    equal(alarms.waiting, 2)
    const other = sender(receiver.port)
    receiver.status = 200
    other.alarms.tell(alarm(4))
    await other.alarms.close()
    equal([other.alarms.waiting, texts(receiver).at(-1)], [0, 'an account runs low: 4'])
  })
})

describe('where they go', () => {
  it('by TLS, to whom the named authority vouches for; to nobody else', async () => {
    const ca = authority()
    const receiver = await listen(0, ca.issue('alarms', 'IP:127.0.0.1'))
    const caFile = join(mkdtempSync(join(tmpdir(), 'isthmus-alarms-')), 'ca.pem')
    writeFileSync(caFile, ca.cert)
    const url = `https://127.0.0.1:${receiver.port}/in`
    const stranger = sender(receiver.port, { ageMs: 0 }, { url })
    stranger.alarms.tell(alarm(1))
    await until(() => stranger.lines.length > 0 && stranger.alarms.waiting === 0)
    equal(receiver.heard.length, 0)
    match(String(stranger.lines[0]?.['reason']), /SELF_SIGNED|UNABLE_TO|DEPTH_ZERO/)
    const known = sender(receiver.port, {}, { url, caFile })
    known.alarms.tell(alarm(2))
    await until(() => receiver.heard.length === 1)
    rmSync(dirname(caFile), { recursive: true })
  })

  it('neither the key nor the path of the address is ever logged', async () => {
    const receiver = await listen()
    receiver.status = 401
    const { alarms, lines } = sender(receiver.port)
    alarms.tell(alarm(1))
    await until(() => alarms.waiting === 0)
    const logged = JSON.stringify(lines)
    ok(lines.length > 0 && !logged.includes('token-4711') && !logged.includes(secret))
  })

  it('plain text off this machine, a login in the address, no key, or a log without warnings is an error', () => {
    const problemOf = (webhook: string, more = ''): string => {
      try {
        parseConfig(`alarms: { webhook: { ${webhook} } }\n${more}`)
      } catch (error) {
        return (error as Error).message
      }
      return 'accepted'
    }
    const key = 'secretEnv: KEY'
    match(
      problemOf(`url: 'http://alarms.example/in', ${key}`),
      /alarms.webhook.url: plain text off loopback: use https/
    )
    match(problemOf(`url: 'http://127.evil.example/in', ${key}`), /plain text off loopback/)
    match(problemOf(`url: 'https://me:word@alarms.example/', ${key}`), /no login in the address/)
    match(problemOf(`url: 'ftp://alarms.example/', ${key}`), /an address such as/)
    match(problemOf(`url: 'https://alarms.example/'`), /name the place of the key/)
    match(
      problemOf(`url: 'https://alarms.example/', ${key}`, 'log: { level: error }'),
      /log.level error would keep back/
    )
    for (const url of [
      'https://alarms.example/in',
      'http://127.0.0.1:8000/',
      'http://[::1]:8000/',
      'http://localhost/'
    ]) {
      equal(problemOf(`url: '${url}', ${key}`), 'accepted')
    }
  })
})
