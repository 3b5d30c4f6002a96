// `npm run bench`: how fast the hub is, beside Kamailio in the same run. Figures, never assertions.

import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { benchCalls } from './calls.ts'
import { benchCore } from './core.ts'
import { page, ratioTable, stepLine, stepTable } from './page.ts'
import { benchSipParse } from './sip-parse.ts'

const help = `npm run bench [-- OPTIONS]     measure the hub; needs Debian's sip-tester and kamailio

  --quick          three rates for a few seconds each, about a minute; prints and writes nothing
  --only PART      parse, core or calls; may be given again
  --seconds N      length of a step of calls (10, quick: 4)
  --rates A,B,...  calls per second of the steps
  --out FILE       where the page goes; a run of everything writes docs/performance.md
  --help           this text`

const parts = ['parse', 'core', 'calls'] as const
const rates = [100, 200, 300, 450, 600, 800, 1_000, 1_200, 1_500, 2_000, 2_500, 3_000]
const quickRates = [100, 200, 400]

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    seconds: { type: 'string' },
    rates: { type: 'string' },
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

async function main(): Promise<void> {
  if (values.help) return console.log(help)
  const unknown = values.only.find(name => !parts.some(part => part === name))
  if (unknown !== undefined) throw new Error(`--only: ${parts.join(', ')}; not "${unknown}"`)
  const wanted = (part: (typeof parts)[number]): boolean => values.only.length === 0 || values.only.includes(part)
  const [seconds = 10] = numbers(values.seconds ?? (values.quick ? '4' : '10'), 'seconds', 600)
  const steps =
    values.rates === undefined ? (values.quick ? quickRates : rates) : numbers(values.rates, 'rates', 20_000)
  const [loadAverage = 0] = loadavg()

  const parse = wanted('parse') ? benchSipParse() : null
  if (parse !== null) console.log(`${parse.name}: ${parse.perSecond} per CPU-second`)
  const core = wanted('core') ? benchCore() : null
  if (core !== null) console.log(`core: ${core.callsPerSecond} calls of ${core.stepsPerCall} steps per CPU-second`)
  const calls = wanted('calls') ? await benchCalls({ rates: steps, seconds }, step => console.log(stepLine(step))) : []
  if (calls.length > 0) console.log(`\n${stepTable(calls)}\n\n${ratioTable(calls)}`)

  const everything = !values.quick && values.only.length === 0
  const out = values.out ?? (everything ? join(import.meta.dirname, '../../docs/performance.md') : null)
  if (out === null) return
  const command = ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ')
  writeFileSync(out, page({ parse, core, calls, seconds, command, loadAverage }))
  console.log(`\nwritten: ${out}`)
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
