// `npm run report`: the settlement report of a period, from the database of a running or a stopped hub.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { clearingMigrations } from '../clearing/migrations.ts'
import { printReport, reportFormats } from '../clearing/report-print.ts'
import type { ReportFormat } from '../clearing/report-print.ts'
import { settlementReport } from '../clearing/report.ts'
import type { Period } from '../clearing/report.ts'
import { databaseUrl, parseConfig, readConfig } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import { createLog } from '../log.ts'
import { openDatabase } from '../store/database.ts'
import type { DatabasePlace } from '../store/database.ts'

const defaultFile = 'isthmus.yaml'

const help = `npm run report -- --from DAY --to DAY [OPTIONS]     what providers exchanged and owe, per pair

  --from DAY       the first day, such as 2026-11-01, in the time zone of each agreement
  --to DAY         the day after the last one, such as 2026-12-01
  --format FORMAT  ${reportFormats.join(', ')} (default: text)
  --config FILE    the configuration of the hub; ${defaultFile} unless named, embedded defaults if there is none
  --database URL   this PostgreSQL instead of the one that the configuration names
  --help           this text

The hub may be running. Exit codes: 0 printed, 1 the database cannot be read, 2 bad arguments.`

/** What the caller has to write differently. */
class Usage extends Error {}

interface Asked {
  readonly period: Period
  readonly format: ReportFormat
  readonly config: string | undefined
  readonly database: string | undefined
}

function read(args: readonly string[]): Asked | 'help' {
  const text = { type: 'string' } as const
  const options = { from: text, to: text, format: text, config: text, database: text } as const
  const { values } = parseArgs({ args: [...args], options: { ...options, help: { type: 'boolean', short: 'h' } } })
  if (values.help === true) return 'help'
  const { from, to, format = 'text', config, database } = values
  if (from === undefined || to === undefined) throw new Usage('--from and --to are needed; --help explains')
  for (const [name, day] of [
    ['--from', from],
    ['--to', to]
  ] as const) {
    if (!isDay(day)) throw new Usage(`${name} ${day} is no day; days look like 2026-11-01`)
  }
  if (from >= to) throw new Usage(`--to ${to} is not after --from ${from}`)
  const known = reportFormats.find(name => name === format)
  if (known === undefined) throw new Usage(`--format ${format} is none of ${reportFormats.join(', ')}`)
  return { period: { from, to }, format: known, config, database }
}

function isDay(text: string): boolean {
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text)
}

function placeOf({ config: file, database }: Asked): DatabasePlace {
  if (database !== undefined) return { url: database }
  const config = file !== undefined || existsSync(defaultFile) ? readConfig(file ?? defaultFile) : parseConfig('')
  const url = databaseUrl(config)
  if (url !== null) return { url }
  const { dataDir } = config.hub
  if (!existsSync(join(dataDir, 'postgres'))) {
    throw new HubError('HUB_DATABASE', `there is no database in ${dataDir}: no hub has run there yet`)
  }
  return { dataDir, join: true }
}

async function main(args: readonly string[]): Promise<void> {
  const asked = read(args)
  if (asked === 'help') {
    process.stdout.write(`${help}\n`)
    return
  }
  const log = createLog('error')
  const database = await openDatabase({ place: placeOf(asked), poolMax: 1, migrations: clearingMigrations, log })
  try {
    const report = await settlementReport(database, asked.period)
    process.stdout.write(printReport[asked.format](report))
  } finally {
    await database.close()
  }
}

// Through `exit`: a PostgreSQL that this command has started is shut down with it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`)
  const parsing = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  const usage = parsing || error instanceof Usage
  if (!usage && !(error instanceof HubError) && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`)
  process.exitCode = usage ? 2 : 1
})
