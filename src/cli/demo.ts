// `npm run demo`: one real call, from an island's user to a phone number at an operator, with audio, settled.
// Everything runs on embedded defaults and free ports, in a folder that is removed afterwards.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { printReport } from '../clearing/report-print.ts'
import { settlementReport } from '../clearing/report.ts'
import { statementOf } from '../clearing/statement.ts'
import type { CallStatement } from '../clearing/statement.ts'
import { startHub } from '../compose.ts'
import type { RunningHub } from '../compose.ts'
import { parseConfig } from '../config.ts'
import { messageOf } from '../errors.ts'
import { createLog } from '../log.ts'
import { createIslandUser } from '../sandbox/island-user.ts'
import type { IslandUser } from '../sandbox/island-user.ts'
import { createOperator } from '../sandbox/operator.ts'
import type { Operator } from '../sandbox/operator.ts'
import type { PhoneCall } from '../sandbox/phone-call.ts'
import { createLadder } from './ladder.ts'
import { printStatement } from './statement-print.ts'

const help = `npm run demo [-- OPTIONS]     one real call, settled

  --seconds N   how long the two talk (default 3, at most 60)
  --help        this text

Starts a hub on embedded defaults (SIP engine, PostgreSQL, event log, media anchor), a sandbox island and a sandbox
operator; a SIP-over-WebSocket user calls a phone number, hears its own tone back, hangs up. Prints the call ladder
as it happens, then records, charges, ledger entries and the settlement report. Exit code 0: proven; 1: not, with the
reason.`

const limits = { settleMs: 15_000, connectMs: 10_000, pollMs: 50, packetsMin: 50, secondsMax: 60 } as const
/** In Opus the sandbox can tell this tone. */
const toneHz = 1_000
const dialled = '+4930123456'
const password = 'sandbox'

const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const title = (text: string): void => say(`\n${text}\n${'─'.repeat(text.length)}`)

/** Why the demo did not prove what it should; a plain sentence. */
class NotProven extends Error {}

function demoConfig(dataDir: string, operatorPort: number): string {
  const rates = (rate: string) => [{ prefix: '+49', destination: 'Germany', rate }]
  return stringify({
    hub: { id: 'isthmus', node: 'demo', domain: 'hub.example', ioi: 'hub.example', dataDir },
    log: { level: 'warn' },
    media: { portMin: 40_000, portMax: 41_999 },
    sipWs: { port: 0 },
    nni: { listen: [{ transport: 'udp', port: 0 }] },
    islands: [
      {
        id: 'acme',
        access: 'sip-ws',
        domain: 'acme.example',
        origins: ['https://app.acme.example'],
        users: [{ name: 'alice', password, number: '+4930111001', display: 'Alice' }]
      }
    ],
    operators: [
      {
        id: 'telco',
        address: { host: '127.0.0.1', port: operatorPort },
        trust: 'network',
        ioi: 'telco.example',
        routes: [{ prefix: '+49' }]
      }
    ],
    agreements: [
      { id: 'acme-hub', buyer: 'acme', seller: 'hub', rates: rates('0.0345') },
      { id: 'hub-telco', buyer: 'hub', seller: 'telco', rates: rates('0.0300') }
    ]
  })
}

/** Polls until there is something; null when the time is over. */
async function eventually<T>(look: () => Promise<T | null> | T | null, withinMs: number): Promise<T | null> {
  const until = Date.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== null || Date.now() > until) return found
    await new Promise(next => setTimeout(next, limits.pollMs))
  }
}

interface Talked {
  readonly alice: PhoneCall['media']['heard']
  readonly phone: PhoneCall['media']['heard']
  readonly tone: boolean
}

/** The call itself: answered, audio both ways for a while, hung up. */
async function talk(user: IslandUser, operator: Operator, seconds: number): Promise<Talked> {
  const call = await user.call(dialled, { toneHz })
  const answered = await Promise.race([call.answered, timeout(limits.connectMs)])
  if (answered !== true) throw new NotProven(`the call was not answered (${call.end?.how ?? 'no answer in time'})`)
  const phone = operator.calls.at(-1)
  if (phone === undefined) throw new NotProven('the operator saw no call')
  const packetsMin = Math.max(limits.packetsMin, seconds * 40)
  const enough = () =>
    (call.media.heard.packetsReceived >= packetsMin && phone.media.heard.packetsReceived >= packetsMin) || null
  const flowed = await eventually(enough, seconds * 1_000 + limits.connectMs)
  const tone = call.media.hears(toneHz)
  call.hangUp()
  await Promise.race([Promise.all([call.ended, phone.ended]), timeout(limits.connectMs)])
  const talked = { alice: call.media.heard, phone: phone.media.heard, tone }
  if (flowed === null) throw new NotProven(`too little audio: ${JSON.stringify(talked)}`)
  return talked
}

const timeout = (ms: number): Promise<null> => new Promise(resolve => setTimeout(() => resolve(null), ms).unref())

/** Waits until both legs of the only call are charged. */
async function settled({ database }: RunningHub): Promise<CallStatement> {
  const statement = await eventually(async () => {
    const { rows } = await database.query<{ call_id: string }>('select distinct call_id from cdr_final')
    const [row] = rows
    if (row === undefined) return null
    const found = await statementOf(database, row.call_id)
    return found.records.length === 2 && found.records.every(({ charge }) => charge !== null) ? found : null
  }, limits.settleMs)
  if (statement === null) throw new NotProven('the call was not charged in time')
  return statement
}

/** What goes on between the two, on a hub that is up; returns the sentence. */
async function prove(hub: RunningHub, user: IslandUser, operator: Operator, seconds: number): Promise<string> {
  await user.connect()
  const { alice, phone, tone } = await talk(user, operator, seconds)
  title('Audio')
  say(`alice sent ${alice.packetsSent} and received ${alice.packetsReceived} packets (${alice.codec ?? '?'})`)
  say(`the phone sent ${phone.packetsSent} and received ${phone.packetsReceived} packets (${phone.codec ?? '?'})`)
  say(`alice played a tone of ${toneHz} Hz and ${tone ? 'heard it come back' : 'did not hear it'}`)
  if (!tone) throw new NotProven('the tone did not come back')
  const statement = await settled(hub)
  printStatement(statement, { title, say })
  const today = new Date()
  const day = (plus: number) => new Date(today.getTime() + plus * 86_400_000).toISOString().slice(0, 10)
  const report = await settlementReport(hub.database, { from: day(-1), to: day(2) })
  title('Settlement report')
  say(printReport.text(report).trimEnd())
  const [sell, buy] = statement.records.map(({ charge }) => `${charge?.amount} ${charge?.currency}`)
  return (
    `Proven: alice of acme called ${dialled} at telco through the hub, ${alice.packetsReceived} and ` +
    `${phone.packetsReceived} packets of audio went each way, and the call was settled: acme owes ${sell}, ` +
    `telco is owed ${buy}, the ledger sums to zero.`
  )
}

/** Ctrl-C ends the demo as any failure does: what was started is ended in order. */
function interruption(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => reject(new NotProven('interrupted')))
  })
  interrupted.catch(() => undefined)
  return interrupted
}

async function run(seconds: number): Promise<string> {
  const interrupted = interruption()
  await using parts = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-demo-'))
  chmodSync(folder, 0o755)
  parts.defer(() => rmSync(folder, { recursive: true, force: true }))
  const from = performance.now()
  const ladder = createLadder(say)
  const operator = createOperator({ tap: ladder.tap('operator'), transports: ['udp'] })
  await operator.start()
  parts.defer(() => operator.close())
  const config = parseConfig(demoConfig(join(folder, 'data'), operator.listening[0]?.port ?? 0), 'demo')
  say('Starting the hub, its PostgreSQL, a sandbox operator and a sandbox island ...')
  const hub = await startHub(config, { log: createLog(config.log.level) })
  parts.defer(async () => void (await hub.stop({ hurry: true })))
  for (const { what, where } of hub.listening) say(`  ${what.padEnd(22)} ${where}`)
  const url = hub.listening[0]?.where ?? ''
  const user = createIslandUser({
    url,
    name: 'alice',
    password,
    domain: 'acme.example',
    origin: 'https://app.acme.example',
    display: 'Alice',
    tap: ladder.tap('alice')
  })
  parts.defer(() => user.close())
  title(`Call ladder: alice (island acme) calls ${dialled} (operator telco)`)
  const sentence = await Promise.race([prove(hub, user, operator, seconds), interrupted])
  title('Result')
  say(`${sentence} (${((performance.now() - from) / 1_000).toFixed(1)} s)`)
  // What is printed after this is the two taking their leave.
  ladder.mute()
  return sentence
}

async function main(args: readonly string[]): Promise<number> {
  const options = { seconds: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const
  const { values } = parseArgs({ args: [...args], options })
  if (values.help === true) {
    say(help)
    return 0
  }
  const seconds = Number(values.seconds ?? 3)
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > limits.secondsMax) {
    process.stderr.write(`--seconds is a whole number from 1 to ${limits.secondsMax}\n`)
    return 2
  }
  await run(seconds)
  return 0
}

main(process.argv.slice(2)).then(
  code => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof NotProven ? 'Not proven: ' : ''}${messageOf(error)}\n`)
    process.exit(1)
  }
)
