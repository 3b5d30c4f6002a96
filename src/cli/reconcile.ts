// `isthmus reconcile`: a partner's file of calls, or its declaration, held against what we charged.

import { createWriteStream, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { columns } from '../clearing/reconcile/columns.ts'
import type { Column } from '../clearing/reconcile/columns.ts'
import { exchangeCsv } from '../clearing/reconcile/exchange.ts'
import { reconciliationCsv, reconciliationText, reconciliationXlsx } from '../clearing/reconcile/print.ts'
import { reconcile, scopeOf } from '../clearing/reconcile/reconcile.ts'
import { keptResult } from '../clearing/reconcile/result.ts'
import type { Reconciliation } from '../clearing/reconcile/result.ts'
import { pseudonymsOf } from '../clearing/pseudonym.ts'
import { periodNamed } from '../clearing/periods.ts'
import { createZone } from '../clearing/zone.ts'
import type { Sql } from '../store/sql.ts'
import { agreementOf, bookOf, progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'

const secondsMs = (text: string): number => {
  if (!/^-?[0-9]{1,4}(\.[0-9]{1,3})?$/.test(text)) throw new InvalidArgumentError('seconds, such as 5 or 0.5')
  return Math.round(Number(text) * 1_000)
}
const tolerance = (text: string): number => {
  const ms = secondsMs(text)
  if (ms < 0 || ms > 3_600_000) throw new InvalidArgumentError('0 to 3600 seconds')
  return ms
}
const mapped = (text: string, before: ReadonlyMap<string, Column>): ReadonlyMap<string, Column> => {
  const at = text.indexOf('=')
  const column = columns.find(name => name === text.slice(0, at))
  if (column === undefined || at === text.length - 1) {
    throw new InvalidArgumentError(`such as called="B number"; columns are ${columns.join(', ')}`)
  }
  return new Map([...before, [text.slice(at + 1), column]])
}
const identifier = (text: string): bigint => {
  if (!/^[1-9][0-9]{0,17}$/.test(text)) throw new InvalidArgumentError('the number of a reconciliation')
  return BigInt(text)
}

interface RunOptions extends Common {
  readonly agreement: string
  readonly period: string
  readonly map: ReadonlyMap<string, Column>
  readonly zone?: string
  readonly decimal: 'point' | 'comma'
  readonly tolerance: number
  readonly clockOffset?: number
  readonly out?: string
}

/** The differences as a sheet, by the ending of the file's name. */
async function writeOut(sql: Sql, found: Reconciliation, file: string): Promise<void> {
  if (/\.xlsx$/i.test(file)) writeFileSync(file, await reconciliationXlsx(sql, found))
  else await pipeline(Readable.from(reconciliationCsv(sql, found)), createWriteStream(file))
}

const runCommand = (): Command =>
  withCommon(new Command('run'), { signs: true })
    .description('hold a file (CSV or XLSX) of calls, or a declaration of sums, against what we charged')
    .argument('<file>', "the partner's file")
    .requiredOption('--agreement <id>', 'the agreement it is about')
    .requiredOption('--period <name>', 'the period, such as 2026-11')
    .option('--map <column=name>', 'what a column is called in the file; may be repeated', mapped, new Map())
    .option('--zone <name>', 'of times without an offset; that of the agreement unless named')
    .addOption(new Option('--decimal <sign>', 'how numbers are written').choices(['point', 'comma']).default('point'))
    .option('--tolerance <seconds>', 'how far apart the times of one call may be', tolerance, 5_000)
    .option('--clock-offset <seconds>', 'by how much their clock is ahead; estimated unless given', secondsMs)
    .option('--out <file>', 'write every difference to this sheet: .xlsx, else CSV')
    .addHelpText('after', '\nExit codes: 0 compared, whatever came out; 1 the file or the database cannot be read; 2.')
    .action((file: string, options: RunOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const agreement = agreementOf(config, options.agreement)
        const bars = { reading: progressOf('reading'), matching: progressOf('matching') }
        const found = await reconcile(database, bookOf(config), {
          file,
          agreementId: agreement.id,
          period: options.period,
          mapping: options.map,
          fileOf: {
            zone: createZone(options.zone ?? agreement.timeZone),
            decimal: options.decimal === 'comma' ? ',' : '.'
          },
          toleranceMs: options.tolerance,
          offsetMs: options.clockOffset ?? null,
          by: options.by,
          progress: (what, done, of) => bars[what].at(done, of)
        })
        for (const bar of Object.values(bars)) bar.end()
        if (options.out !== undefined) await writeOut(database, found, options.out)
        if (options.json) return sayJson({ ...found, out: options.out ?? null })
        say(reconciliationText(found))
      })
    )

interface ShowOptions extends Common {
  readonly out?: string
}

const showCommand = (): Command =>
  withCommon(new Command('show'))
    .description('a reconciliation that was made, and its differences as a sheet')
    .argument('<number>', 'which one', identifier)
    .option('--out <file>', 'write every difference to this sheet: .xlsx, else CSV')
    .action((id: bigint, options: ShowOptions) =>
      withDatabase(options, async ({ database }) => {
        const found = await keptResult(database, id)
        if (options.out !== undefined) await writeOut(database, found, options.out)
        if (options.json) return sayJson({ ...found, out: options.out ?? null })
        say(reconciliationText(found))
      })
    )

interface ListRow {
  readonly id: bigint
  readonly agreement: string
  readonly period: string
  readonly kind: string
  readonly file: string
  readonly standing: string
  readonly at: Date
  readonly by: string
}

const listCommand = (): Command =>
  withCommon(new Command('list'))
    .description('the reconciliations that were made, the last first')
    .option('--agreement <id>', 'of this agreement alone')
    .action((options: Common & { readonly agreement?: string }) =>
      withDatabase(options, async ({ database }) => {
        const { rows } = await database.query<ListRow>(
          `select reconciliation_id as id, agreement_id as agreement, period, kind, file_name as file,
             result->>'standing' as standing, made_at as at, made_by as by
           from reconciliation where $1::text is null or agreement_id = $1
           order by reconciliation_id desc limit 1000`,
          [options.agreement ?? null]
        )
        if (options.json) return sayJson({ reconciliations: rows })
        for (const { id, agreement, period, kind, file, standing, at, by } of rows) {
          say(`${id} ${agreement} ${period}: ${standing}, ${kind} in ${file}, ${at.toISOString()} by ${by}`)
        }
        if (rows.length === 0) say('none')
      })
    )

interface ExchangeOptions extends Common {
  readonly agreement: string
  readonly period: string
  readonly destination: readonly string[]
  readonly out: string
  readonly pseudonymise: boolean
}

const exchangeCommand = (): Command =>
  withCommon(new Command('export'))
    .description('write our own records of a period, in the columns that are read, for the partner to compare')
    .requiredOption('--agreement <id>', 'the agreement')
    .requiredOption('--period <name>', 'the period, such as 2026-11')
    .option('--destination <name...>', 'these destinations alone', [])
    .option('--pseudonymise', 'numbers as keyed pseudonyms instead of in full', false)
    .requiredOption('--out <file>', 'where to write the CSV')
    .action((options: ExchangeOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const book = bookOf(config)
        const agreement = agreementOf(book, options.agreement)
        const scope = scopeOf(agreement, periodNamed(options.period, agreement.calendar))
        const hide = options.pseudonymise ? pseudonymsOf(config.privacy) : (number: string) => number
        const csv = exchangeCsv(database, scope, { destinations: options.destination, hide })
        await pipeline(Readable.from(csv), createWriteStream(options.out))
        if (options.json) return sayJson({ out: options.out, agreement: agreement.id, period: options.period })
        say(`${options.out}: our records of ${agreement.id}, ${options.period}`)
      })
    )

export function reconcileCommand(): Command {
  return new Command('reconcile')
    .description("hold a partner's calls or declaration against what we charged, and explain the difference")
    .addCommand(runCommand(), { isDefault: true })
    .addCommand(showCommand())
    .addCommand(listCommand())
    .addCommand(exchangeCommand())
}
