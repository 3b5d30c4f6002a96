// `npm start`: reads the configuration, runs the hub until SIGTERM or Ctrl-C, drains it, and leaves.

import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openLog } from './alarms.ts'
import { startHub } from './compose.ts'
import type { RunningHub } from './compose.ts'
import { parseConfig, readConfig } from './config.ts'
import type { Config } from './config.ts'
import { HubError, messageOf } from './errors.ts'
import type { Logger } from './log.ts'

const defaultFile = 'isthmus.yaml'
/** A signal so soon after the first is the same one: npm passes on what the terminal has sent to the whole group. */
const sameSignalMs = 1_000

const help = `npm start [-- OPTIONS]     run the hub

  --config FILE   the configuration; ${defaultFile} unless named, embedded defaults if there is none
  --role ROLE     all, or hub: calls alone, while \`isthmus clearing\` runs beside it
  --json          print one JSON line once everything listens, and nothing else on standard output
  --check         check the configuration and leave
  --help          this text

isthmus.example.yaml shows every key of the configuration; a port 0 means any free port. SIGTERM and Ctrl-C drain:
no new calls, live ones may finish for hub.drainMs, every record is durable before the process leaves; a second
Ctrl-C ends live calls at once. Exit codes: 0 drained, 1 could not start or could not drain, 2 bad arguments.

Other commands: npm run demo, npm run report, npm run sandbox, npm run bench (each has --help).`

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const complain = (text: string): void => void process.stderr.write(`${text}\n`)

function configuration(file: string | undefined): { readonly config: Config; readonly from: string } {
  if (file !== undefined) return { config: readConfig(file), from: file }
  if (existsSync(defaultFile)) return { config: readConfig(defaultFile), from: defaultFile }
  return { config: parseConfig(''), from: `no ${defaultFile}: embedded defaults, no islands and no operators yet` }
}

function announce({ listening }: RunningHub, from: string): void {
  say(`Isthmus is up (${from})`)
  for (const { what, where } of listening) say(`  ${what.padEnd(22)} ${where}`)
  say('Ctrl-C drains and stops it.')
}

interface Stopper {
  /** Somebody has asked for the end, perhaps before there was a hub. */
  readonly asked: boolean
  /** Settles with the exit code once the hub has been stopped: at the first request, or at once where it has come. */
  left(hub: RunningHub): Promise<number>
}

/** Hears signals from now on: one that comes while the hub starts ends it once all that it has started can be ended. */
function createStopper(log: Logger): Stopper {
  let firstAt: number | null = null
  let running: RunningHub | null = null
  let stop: (hurry: boolean) => void = () => undefined
  const ask = (hurry: boolean, why: Readonly<Record<string, unknown>>): void => {
    firstAt ??= performance.now()
    log.info({ ...why, sessions: running?.sessionCount ?? 0 }, hurry ? 'ending live calls now' : 'draining')
    stop(hurry)
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstAt !== null && performance.now() - firstAt < sameSignalMs) return
    ask(firstAt !== null, { signal })
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, onSignal)
  return {
    get asked() {
      return firstAt !== null
    },
    left: hub =>
      new Promise(settle => {
        running = hub
        stop = hurry => {
          void hub.stop({ hurry }).then(
            left => settle(left === 0 ? 0 : 1),
            (error: unknown) => {
              complain(`could not stop cleanly: ${messageOf(error)}`)
              settle(1)
            }
          )
        }
        if (firstAt !== null) stop(false)
      })
  }
}

async function main(args: readonly string[]): Promise<number> {
  const words = { config: { type: 'string' }, role: { type: 'string', default: 'all' } } as const
  const flags = { json: { type: 'boolean' }, check: { type: 'boolean' } } as const
  const asked = { help: { type: 'boolean', short: 'h' } } as const
  const { values } = parseArgs({ args: [...args], options: { ...words, ...flags, ...asked } })
  if (values.help === true) {
    say(help)
    return 0
  }
  const { role } = values
  if (role !== 'all' && role !== 'hub') {
    complain(`--role is all or hub, not ${role}; clearing alone is \`isthmus clearing\``)
    return 2
  }
  const { config, from } = configuration(values.config)
  if (values.check === true) {
    say(`${from}: ok`)
    return 0
  }
  const { log, close: closeLog } = openLog(config)
  // Before anything is started that could stay behind.
  const stopper = createStopper(log)
  const hub = await startHub(config, { log, role })
  const left = stopper.left(hub).finally(closeLog)
  if (stopper.asked) return left
  if (values.json === true) say(JSON.stringify({ ready: true, pid: process.pid, listening: hub.listening }))
  else announce(hub, from)
  return left
}

main(process.argv.slice(2)).then(
  code => process.exit(code),
  (error: unknown) => {
    complain(messageOf(error))
    const usage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
    if (!usage && !(error instanceof HubError) && error instanceof Error) complain(error.stack ?? '')
    process.exit(usage ? 2 : 1)
  }
)
