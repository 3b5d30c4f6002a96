// `npm run bench`: how fast the hub is, beside Kamailio in the same run. Figures, never assertions.

import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { inspect, parseArgs } from 'node:util'
import { benchCalls } from './calls.ts'
import { benchCore } from './core.ts'
import { benchCredit, creditTable } from './credit.ts'
import { benchDecks } from './decks.ts'
import { benchKafka } from './kafka.ts'
import { benchLive, liveLimits } from './live.ts'
import { benchMatrix, matrixLines } from './matrix.ts'
import { liveTable, page, ratioTable, stepLine, stepTable } from './page.ts'
import { benchRating } from './rating.ts'
import { benchSipParse } from './sip-parse.ts'
import { benchStatement } from './statement.ts'
import { benchConversions, benchTrips, tripTable } from './xmpp.ts'

const help = `npm run bench [-- PART... OPTIONS]     measure the hub; needs Debian's sip-tester and kamailio

  PART             one or more of these, else the first four:
                     parse   SIP messages parsed and printed
                     core    calls through the core
                     calls   calls/s, CPU and latency against Kamailio, and twice what each sustains
                     live    memory of a live call, CPU of calls beside thousands of others
                     xmpp    the XMPP access behind Prosody (Debian's prosody)
                     matrix  the Matrix access behind a homeserver that only does as it is told
                     rating  records priced and posted
                     decks   a rate deck of 100,000 rows, from CSV and XLSX
                     credit  prepaid: reserve, refresh, debit, durable
                     kafka   from Kafka to the ledger (needs Java and Maven)
                     statement
                             the statement of a month with a million records; a close and verification
  --quick          three rates for a few seconds each, 1,000 live calls, about three minutes; writes nothing
  --seconds N      length of a step of calls (10, quick: 4)
  --rates A,B,...  calls per second of the steps
  --live N         live calls (10000, quick: 1000)
  --out FILE       where the page goes; a run of everything writes docs/performance.md
  --help           this text`

const parts = [
  'parse',
  'core',
  'calls',
  'live',
  'xmpp',
  'matrix',
  'rating',
  'decks',
  'credit',
  'kafka',
  'statement'
] as const
type Part = (typeof parts)[number]
const usual: readonly Part[] = ['parse', 'core', 'calls', 'live']
const rates = [100, 200, 300, 450, 600, 800, 1_000, 1_200, 1_500, 2_000, 2_500, 3_000]
const quickRates = [100, 200, 400]
const quickLive = 1_000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rates: { type: 'string' },
    live: { type: 'string' },
    out: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false }
  }
})

function numbers(text: string, name: string, max: number): readonly number[] {
  const found = text.split(',').map(Number)
  if (found.some(number => !Number.isInteger(number) || number < 1 || number > max)) {
    throw new Error(`--${name}: whole numbers from 1 to ${max}`)
  }
  return found
}

const isPart = (name: string): name is Part => parts.some(part => part === name)

async function main(): Promise<void> {
  if (values.help) return console.log(help)
  const unknown = positionals.find(name => !isPart(name))
  if (unknown !== undefined) throw new Error(`${unknown}: no such part; there are ${parts.join(', ')}`)
  const asked = positionals.filter(isPart)
  const wanted = (part: Part): boolean => (asked.length === 0 ? usual : asked).includes(part)
  const [seconds = 10] = numbers(values.seconds ?? (values.quick ? '4' : '10'), 'seconds', 600)
  const steps =
    values.rates === undefined ? (values.quick ? quickRates : rates) : numbers(values.rates, 'rates', 20_000)
  const [many] = numbers(values.live ?? String(values.quick ? quickLive : liveLimits.many), 'live', 50_000)
  const [loadAverage = 0] = loadavg()
  const say = (text: string): void => console.log(text)

  const parse = wanted('parse') ? benchSipParse() : null
  if (parse !== null) say(`${parse.name}: ${parse.perSecond} per CPU-second`)
  const core = wanted('core') ? benchCore() : null
  if (core !== null) say(`core: ${core.callsPerSecond} calls of ${core.stepsPerCall} steps per CPU-second`)
  const calls = wanted('calls') ? await benchCalls({ rates: steps, seconds }, step => say(stepLine(step))) : []
  if (calls.length > 0) say(`\n${stepTable(calls)}\n\n${ratioTable(calls)}`)
  const live = wanted('live') ? await benchLive({ many: many ?? liveLimits.many, seconds }, say) : null
  if (live !== null) say(`\n${liveTable(live)}`)
  if (wanted('xmpp')) await xmpp(say)
  if (wanted('matrix')) say(matrixLines(await benchMatrix(say)))
  if (wanted('rating')) say(inspect(benchRating()))
  if (wanted('decks')) await benchDecks()
  if (wanted('credit')) say(creditTable(await benchCredit(values.quick ? 3 : seconds)))
  if (wanted('kafka')) say(inspect(await benchKafka()))
  if (wanted('statement')) say(inspect(await benchStatement()))

  const everything = !values.quick && asked.length === 0
  const out = values.out ?? (everything ? join(import.meta.dirname, '../../docs/performance.md') : null)
  if (out === null) return
  const command = ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ')
  writeFileSync(out, page({ parse, core, calls, live, seconds, command, loadAverage }))
  say(`\nwritten: ${out}`)
}

async function xmpp(say: (text: string) => void): Promise<void> {
  const { jingleToSdpPerSecond, sdpToJinglePerSecond, offerBytes } = benchConversions()
  say(`Jingle to SDP, ${offerBytes} bytes: ${jingleToSdpPerSecond} per CPU-second`)
  say(`SDP to Jingle: ${sdpToJinglePerSecond} per CPU-second`)
  say(tripTable(await benchTrips(say)))
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
