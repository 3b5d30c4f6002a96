// `isthmus clearing`: the clearing role as a process of its own, several side by side.

import { existsSync } from 'node:fs'
import { Command } from 'commander'
import { openLog } from '../alarms.ts'
import { startClearing } from '../clearing-role.ts'
import type { RunningClearing } from '../clearing-role.ts'
import { parseConfig, readConfig } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'

const defaultFile = 'isthmus.yaml'
const after = `
Reads the event log (Kafka where events.kafka is configured, else the table), rates each final record and posts it with
the position of the log in one transaction. Processes of one group share the partitions; one that dies loses nothing.
The hub beside them runs with --role hub. SIGTERM and Ctrl-C finish the batches under way; a second one leaves at once.
Exit codes: 0 drained, 1 could not start, or Kafka refuses us, 2 bad arguments.`

const say = (text: string): void => void process.stdout.write(`${text}\n`)

interface Options {
  readonly config?: string
  readonly json?: true
  readonly every: string
}

/** One line of what was done since the last one; nothing while nothing is. */
function reportProgress(running: RunningClearing, log: Logger, everyMs: number): NodeJS.Timeout {
  let before = 0
  return setInterval(() => {
    const { status } = running
    if (status === null || (status.read === before && status.behind === 0n)) return
    const { read, charged, suspended, rejected, repeated, behind, partitions, jumped, restarts } = status
    const perSecond = Math.round(((read - before) * 1_000) / everyMs)
    before = read
    const memoryMb = Math.round(process.memoryUsage.rss() / 1_048_576)
    const waiting = behind === null ? null : Number(behind)
    const totals = { read, charged, suspended, rejected, repeated }
    log.info({ perSecond, waiting, ...totals, partitions, jumped, restarts, memoryMb }, 'clearing')
  }, everyMs)
}

async function run(options: Options): Promise<number> {
  const file = options.config ?? (existsSync(defaultFile) ? defaultFile : null)
  const config = file === null ? parseConfig('') : readConfig(file)
  const { log, close: closeLog } = openLog(config)
  let end: (code: number) => void = () => undefined
  const ended = new Promise<number>(resolve => (end = resolve))
  let asked = false
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (asked) process.exit(1)
      asked = true
      log.info({ signal }, 'draining')
      end(0)
    })
  }
  const running = await startClearing(config, {
    log,
    onFault: error => {
      log.error({ alarm: 'clearing-stands', err: error }, 'clearing stands still: records wait in the event log')
      if (error instanceof HubError && error.facts['refused'] === true) end(1)
    }
  })
  const timer = reportProgress(running, log, Number(options.every) * 1_000)
  if (options.json === true) say(JSON.stringify({ ready: true, pid: process.pid, places: running.places }))
  else {
    say('Clearing is up')
    for (const { what, where } of running.places) say(`  ${what.padEnd(12)} ${where}`)
    say('Ctrl-C drains and stops it.')
  }
  const code = await ended
  clearInterval(timer)
  await running.stop()
  await closeLog()
  return code
}

export const clearingCommand = (): Command =>
  new Command('clearing')
    .description('run the clearing role as its own process: from the event log to the ledger')
    .option('--config <file>', `the configuration; ${defaultFile} unless named`)
    .option('--every <seconds>', 'between two lines of progress in the log', '10')
    .option('--json', 'print one JSON line once it runs, and nothing else on standard output')
    .addHelpText('after', after)
    .action(async (options: Options, command: Command) => {
      if (!/^[1-9][0-9]{0,3}$/.test(options.every))
        command.error('--every takes whole seconds, 1 to 9999', { exitCode: 2 })
      try {
        process.exit(await run(options))
      } catch (error) {
        process.stderr.write(`${messageOf(error)}\n`)
        process.exit(1)
      }
    })
