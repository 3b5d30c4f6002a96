// `isthmus settlement`: periods closed, and the statements they came to.

import { closeSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { printAmount } from '../clearing/money.ts'
import type { Agreement } from '../clearing/agreements.ts'
import { periodNamed } from '../clearing/periods.ts'
import type { SettlementPeriod } from '../clearing/periods.ts'
import { closePeriod } from '../clearing/settlement/close.ts'
import type { CloseOutcome } from '../clearing/settlement/close.ts'
import { documentOf } from '../clearing/settlement/document.ts'
import type { StatementFile } from '../clearing/settlement/document.ts'
import { draftOf } from '../clearing/settlement/draft.ts'
import { duePeriods } from '../clearing/settlement/due.ts'
import { statementIdOf } from '../clearing/settlement/model.ts'
import { listStatements, readLines, readSeal, readStatement } from '../clearing/settlement/read.ts'
import { readRecords } from '../clearing/settlement/records.ts'
import { loadSigningKey, passingKey } from '../clearing/settlement/seal.ts'
import { readSince } from '../clearing/settlement/since.ts'
import { statementPdf } from '../clearing/settlement/statement-pdf.ts'
import { headOf, statementCsv, statementXlsx } from '../clearing/settlement/statement-table.ts'
import { HubError } from '../errors.ts'
import type { Database } from '../store/database.ts'
import { agreementOf, bookOf, progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'

interface CloseAsked extends Common {
  readonly agreement?: string
  readonly all: boolean
  readonly period?: string
  readonly override?: string
  readonly dryRun: boolean
}

const closeCommand = (): Command =>
  withCommon(new Command('close'), { signs: true })
    .description('make a period final: what is owed, stated and sealed; it never changes again')
    .option('--agreement <id>', 'of this agreement')
    .option('--all', 'of every agreement', false)
    .option('--period <name>', 'such as 2026-11, 2026-Q4 or 2026-W45; without it all that are over and open')
    .option('--override <reason>', 'in spite of missing records and calls without a price; kept with the name')
    .option('--dry-run', 'only tell what it would come to', false)
    .action((options: CloseAsked) =>
      withDatabase(options, ({ config, database }) => closeAll(options, config, database))
    )

type Given = Parameters<Parameters<typeof withDatabase>[1]>[0]

async function closeAll(options: CloseAsked, config: Given['config'], database: Database): Promise<void> {
  const { agreement: id, all, period, override = null, dryRun, by } = options
  if ((id === undefined) === !all) throw new HubError('HUB_CONFIG', 'name one --agreement, or say --all')
  if (override?.trim() === '') throw new HubError('HUB_CONFIG', '--override is empty')
  const book = bookOf(config)
  const agreements = id === undefined ? book.agreements : [agreementOf(book, id)]
  const key = dryRun ? passingKey() : loadSigningKey(resolve(config.hub.dataDir))
  const done: { readonly statementId: string; readonly outcome: CloseOutcome }[] = []
  for (const agreement of agreements) {
    for (const of of await periodsOf(database, agreement, period)) {
      const bar = progressOf(`closing ${agreement.id} ${of.name}`)
      const progress = (records: number): void => bar.at(records, null)
      const asked = { agreement, period: of, by, override, dryRun, key, now: Date.now(), progress }
      const outcome = await closePeriod(database, book, asked)
      bar.end()
      done.push({ statementId: statementIdOf(agreement.id, of.name), outcome })
      // What follows waits for this one, and a trial leaves nothing to go on from.
      if (!outcome.closed || dryRun) break
    }
  }
  if (options.json) sayJson({ dryRun, periods: done.map(jsonOf) })
  else sayClosed(done, dryRun)
  if (done.some(({ outcome }) => !outcome.closed)) process.exitCode = 1
}

const periodsOf = (database: Database, agreement: Agreement, name: string | undefined) =>
  name === undefined
    ? duePeriods(database, agreement, Date.now())
    : Promise.resolve([periodNamed(name, agreement.calendar)])

type Done = readonly { readonly statementId: string; readonly outcome: CloseOutcome }[]

const jsonOf = ({ statementId, outcome }: Done[number]) =>
  outcome.closed
    ? { ...documentOf(outcome.statement, []), lines: outcome.lines.length, closed: true, fresh: outcome.fresh }
    : { statementId, ...outcome }

function sayClosed(done: Done, dryRun: boolean): void {
  if (done.length === 0) return say('nothing is due')
  for (const { statementId, outcome } of done) {
    if (!outcome.closed) {
      say(`${statementId} stays open`)
      for (const { detail, overridable } of outcome.refusals) {
        say(`  ${detail}${overridable ? '; --override REASON closes in spite of it' : ''}`)
      }
      continue
    }
    const { netMicros, currency, cdrCount, lateCount, dueDay } = outcome.statement
    const verb = dryRun ? 'would come to' : outcome.fresh ? 'closed:' : 'was closed before:'
    const late = lateCount === 0n ? '' : `, ${lateCount} of them late`
    say(`${statementId} ${verb} ${printAmount(netMicros)} ${currency}, ${cdrCount} records${late}, due ${dueDay}`)
  }
}

const listCommand = (): Command =>
  withCommon(new Command('list'))
    .description('the statements there are, and the periods that could be closed')
    .option('--agreement <id>', 'of this agreement only')
    .action((options: Common & { readonly agreement?: string }) =>
      withDatabase(options, async ({ config, database }) => {
        const book = bookOf(config)
        const agreements = options.agreement === undefined ? book.agreements : [agreementOf(book, options.agreement)]
        const statements = await listStatements(database, options.agreement ?? null)
        const due = await Promise.all(
          agreements.map(async agreement => ({
            agreementId: agreement.id,
            periods: (await duePeriods(database, agreement, Date.now())).map(({ name }) => name)
          }))
        )
        if (options.json) return sayJson({ statements: statements.map(one => documentOf(one, [])), due })
        for (const { statementId, netMicros, currency, closedBy, closedAt, dueDay } of statements) {
          const who = `closed by ${closedBy} on ${closedAt.toISOString().slice(0, 10)}`
          say(`${statementId}  ${printAmount(netMicros)} ${currency}, due ${dueDay}, ${who}`)
        }
        for (const { agreementId, periods } of due) {
          if (periods.length > 0) say(`${agreementId}  to close: ${periods.join(', ')}`)
        }
        if (statements.length === 0 && due.every(({ periods }) => periods.length === 0)) say('nothing to settle yet')
      })
    )

const formats = ['text', 'json', 'csv', 'xlsx', 'pdf'] as const
type Format = (typeof formats)[number]

interface StatementAsked extends Common {
  readonly agreement: string
  readonly period: string
  readonly format: Format
  readonly out?: string
}

const statementCommand = (): Command =>
  withCommon(new Command('statement'))
    .description('a statement as it is sent; of an open period a draft from the daily sums')
    .requiredOption('--agreement <id>', 'of this agreement')
    .requiredOption('--period <name>', 'such as 2026-11')
    .addOption(new Option('--format <format>', 'JSON can be verified').choices(formats).default('text'))
    .option('--out <file>', 'where to; standard output unless named')
    .action((options: StatementAsked) =>
      withDatabase(options, async ({ config, database }) => {
        const format = options.json ? 'json' : options.format
        const book = bookOf(config)
        const agreement = agreementOf(book, options.agreement)
        const period = periodNamed(options.period, agreement.calendar)
        const file = await fileOf(database, agreement, period)
        const made = await printed(file, format)
        if (options.out !== undefined) {
          writeWhole(options.out, made)
          return say(`${options.out}: ${file.seal === null ? 'a draft' : 'the closed statement'} as ${format}`)
        }
        if (typeof made !== 'string') throw new HubError('HUB_CONFIG', `${format} needs --out FILE`)
        process.stdout.write(made)
      })
    )

/** The closed statement, or the draft of one that is not closed. */
const fileOf = (database: Database, agreement: Agreement, period: SettlementPeriod): Promise<StatementFile> =>
  database.transaction(async sql => {
    const statementId = statementIdOf(agreement.id, period.name)
    const statement = await readStatement(sql, statementId)
    if (statement === null) return draftOf(sql, agreement, period, Date.now())
    const lines = await readLines(sql, statementId)
    const [seal, since] = [await readSeal(sql, statementId), await readSince(sql, statement)]
    return { statement: documentOf(statement, lines), seal, draft: null, since }
  })

function printed(file: StatementFile, format: Format): string | Promise<Buffer> {
  switch (format) {
    case 'json':
      return `${JSON.stringify(file, null, 2)}\n`
    case 'csv':
      return statementCsv(file)
    case 'xlsx':
      return statementXlsx(file)
    case 'pdf':
      return statementPdf(file)
    default:
      return textOf(file)
  }
}

function textOf(file: StatementFile): string {
  const { statement, draft } = file
  const head = headOf(file).filter(([name]) => name !== 'Terms')
  const width = Math.max(...head.map(([name]) => name.length))
  const lines = statement.lines.map(line => {
    const { rule } = line.detail
    const what = line.destination ?? (typeof rule === 'string' ? rule : line.kind)
    const late = line.kind === 'late' ? ` (late, ${line.ofPeriod})` : ''
    const units = line.unit === 'none' ? '' : `  ${line.billedMinutes ?? line.messages ?? ''} ${unitWord(line.unit)}`
    return `  ${what}${late}  ${line.answered}/${line.attempts} answered${units}  ${line.net} ${statement.currency}`
  })
  const forecast = Object.entries(draft?.forecast ?? {}).map(([name, value]) => `  ${name} ${value}`)
  const more = forecast.length === 0 ? [] : ['If the rest of the period is like this:', ...forecast]
  return `${[...head.map(([name, value]) => `${name.padEnd(width)}  ${value}`), ...lines, ...more].join('\n')}\n`
}
const unitWord = (unit: string): string => (unit === 'message' ? 'messages' : 'minutes')

/** All of it or nothing: a reader never sees half a file. Throws HUB_CONFIG. */
function writeWhole(file: string, content: string | Buffer): void {
  const draft = `${file}.${process.pid}.new`
  try {
    writeFileSync(draft, content, { flag: 'wx' })
    renameSync(draft, file)
  } catch (cause) {
    rmSync(draft, { force: true })
    throw new HubError('HUB_CONFIG', `${file} cannot be written`, { cause })
  }
}

const recordsCommand = (): Command =>
  withCommon(new Command('records'))
    .description('the records behind a closed statement, one JSON object a line, each with what proves it')
    .requiredOption('--agreement <id>', 'of this agreement')
    .requiredOption('--period <name>', 'such as 2026-11')
    .requiredOption('--out <file>', 'where to')
    .action((options: Common & { readonly agreement: string; readonly period: string; readonly out: string }) =>
      withDatabase(options, async ({ database }) => {
        const statementId = statementIdOf(options.agreement, options.period)
        const statement = await readStatement(database, statementId)
        if (statement === null) throw new HubError('HUB_CONFIG', `${statementId} is not closed`)
        const bar = progressOf('writing records')
        const draft = `${options.out}.${process.pid}.new`
        const out = openSync(draft, 'wx')
        let records = 0
        try {
          await database.transaction(sql =>
            readRecords(sql, statementId, page => {
              writeSync(out, page.map(record => `${JSON.stringify(record)}\n`).join(''))
              bar.at((records += page.length), Number(statement.cdrCount))
            })
          )
          renameSync(draft, options.out)
        } finally {
          closeSync(out)
          rmSync(draft, { force: true })
          bar.end()
        }
        if (options.json) return sayJson({ statementId, records, out: options.out })
        say(`${options.out}: ${records} records of ${statementId}`)
      })
    )

export const settlementCommand = (): Command =>
  new Command('settlement')
    .description('close periods, and the statements of what is owed')
    .addCommand(closeCommand())
    .addCommand(listCommand())
    .addCommand(statementCommand())
    .addCommand(recordsCommand())
