// `isthmus rates`: rate decks in and out: import, diff, activate, export, list.

import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { activateDeck } from '../clearing/decks/activate.ts'
import { limits, sha256Of } from '../clearing/decks/deck-row.ts'
import { changes, diffDecks } from '../clearing/decks/diff.ts'
import type { DeckDiff } from '../clearing/decks/diff.ts'
import { deckCsv, deckXlsx, sideOf } from '../clearing/decks/export.ts'
import { deckModes } from '../clearing/decks/merge.ts'
import type { DeckMode } from '../clearing/decks/merge.ts'
import { readCsv } from '../clearing/decks/read-csv.ts'
import { readXlsx } from '../clearing/decks/read-xlsx.ts'
import { readSheet } from '../clearing/decks/sheet.ts'
import type { Sheet, SheetLine } from '../clearing/decks/sheet.ts'
import { activationsOf, anyRowsOf, clockOf, importDeck, versionAt, versionsOf } from '../clearing/decks/store.ts'
import { createZone } from '../clearing/zone.ts'
import type { AgreementConfig } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import { agreementOf, progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'

const agreementOption = (): Option =>
  new Option('--agreement <id>', 'the agreement whose deck it is').makeOptionMandatory()

const whole = (text: string): number => {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number')
  return Number(text)
}
const moment = (text: string): number => {
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T.*(Z|[+-][0-9]{2}:[0-9]{2})$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new InvalidArgumentError('a moment such as 2026-12-01T00:00:00+01:00')
  return at
}

async function linesOf(file: string): Promise<{ readonly lines: readonly SheetLine[]; readonly bytes: Buffer }> {
  const name = basename(file)
  let bytes: Buffer
  try {
    const { size } = statSync(file)
    if (size > limits.fileBytesMax)
      throw new HubError('HUB_CONFIG', `${name}: larger than ${limits.fileBytesMax} bytes`)
    bytes = readFileSync(file)
  } catch (cause) {
    throw cause instanceof HubError ? cause : new HubError('HUB_CONFIG', `cannot read ${file}: ${messageOf(cause)}`)
  }
  const isXlsx = /\.xlsx$/i.test(file) || bytes.subarray(0, 4).toString('latin1') === 'PK\u0003\u0004'
  return { lines: isXlsx ? await readXlsx(name, file) : readCsv(name, bytes), bytes }
}

function sheetOf(file: string, lines: readonly SheetLine[], config: AgreementConfig, decimal: '.' | ','): Sheet {
  const bar = progressOf('reading')
  const of = {
    agreementId: config.id,
    service: config.service,
    currency: config.currency,
    zone: createZone(config.timeZone),
    timeClasses: Object.keys(config.timeClasses),
    origins: Object.keys(config.origins),
    ...sideOf(config),
    decimal
  }
  try {
    return readSheet(basename(file), lines, of, done => bar.at(done, lines.length))
  } finally {
    bar.end()
  }
}

function sayDiff(diff: DeckDiff, shown: number): void {
  const counts = changes.map(change => `${diff.counts[change]} ${change}`).join(', ')
  say(`${counts}; ${diff.closedCodes} of ${diff.codes} codes closed`)
  for (const change of diff.changes.slice(0, shown)) {
    const { prefix, destination, origin, quality, timeClass, before, after, from, nowPricedBy } = change
    const kinds = [origin, quality, timeClass === 'off' ? null : timeClass].filter(kind => kind !== null).join(' ')
    const when = from === null ? '' : ` from ${new Date(from).toISOString()}`
    const price = `${before ?? '-'} -> ${after ?? '-'}`
    const instead = nowPricedBy === null ? '' : `, then priced by ${nowPricedBy}`
    say(`  ${change.change.padEnd(9)} ${prefix} ${destination}${kinds && ` (${kinds})`}: ${price}${when}${instead}`)
  }
  if (diff.changes.length > shown) say(`  and ${diff.changes.length - shown} more; --json tells all`)
}

const shownMax = 50
const jsonDiff = (diff: DeckDiff): unknown => ({
  ...diff,
  changes: diff.changes.map(change => ({ ...change, from: change.from === null ? null : new Date(change.from) }))
})

interface ImportOptions extends Common {
  readonly agreement: string
  readonly mode: DeckMode
  readonly decimal: 'point' | 'comma'
}

const importCommand = (): Command =>
  withCommon(new Command('import'), { signs: true })
    .description('take a deck sheet (CSV or XLSX) as a new version; it prices nothing before it is activated')
    .argument('<file>', 'the sheet')
    .addOption(agreementOption())
    .addOption(
      new Option('--mode <mode>', 'full: what is missing is closed; country: the same for the countries in it; partial')
        .choices(deckModes)
        .makeOptionMandatory()
    )
    .addOption(new Option('--decimal <sign>', 'how rates are written').choices(['point', 'comma']).default('point'))
    .action(async (file: string, options: ImportOptions) => {
      const { lines, bytes } = await linesOf(file)
      await withDatabase(options, async ({ config, database }) => {
        const agreement = agreementOf(config, options.agreement)
        const sheet = sheetOf(file, lines, agreement, options.decimal === 'comma' ? ',' : '.')
        const bar = progressOf('storing')
        const done = await importDeck(database, {
          config: agreement,
          sheet,
          mode: options.mode,
          fileName: basename(file),
          fileSha256: sha256Of(bytes),
          by: options.by,
          progress: rows => bar.at(rows, Math.max(rows, sheet.rows.length))
        })
        bar.end()
        if (options.json) return sayJson({ agreement: agreement.id, ...done, diff: jsonDiff(done.diff) })
        say(`${agreement.id}: version ${done.version} of ${done.rows} rows, compared with version ${done.baseVersion}`)
        sayDiff(done.diff, shownMax)
        for (const warning of done.warnings) say(`  warning: ${warning}`)
        say(`to use it: isthmus rates activate --agreement ${agreement.id} --version ${done.version}`)
      })
    })

interface DiffOptions extends Common {
  readonly agreement: string
  readonly version: number
  readonly to?: number
}

const diffCommand = (): Command =>
  withCommon(new Command('diff'))
    .description('what a version changes against the one in force')
    .addOption(agreementOption())
    .requiredOption('--version <n>', 'the version', whole)
    .option('--to <n>', 'against this one; 0: the rates of the configuration', whole)
    .action((options: DiffOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const agreement = agreementOf(config, options.agreement)
        const diff = await database.transaction(async sql => {
          const now = await clockOf(sql)
          const base = options.to ?? versionAt(await activationsOf(sql, agreement.id), now)
          const known = (await versionsOf(sql, agreement.id)).map(({ version }) => version)
          for (const version of [base, options.version]) {
            if (version === 0 || known.includes(version)) continue
            throw new HubError('HUB_CONFIG', `agreement ${agreement.id}: there is no version ${version}`)
          }
          return diffDecks(await anyRowsOf(sql, agreement, base), await anyRowsOf(sql, agreement, options.version), now)
        })
        if (options.json) return sayJson(jsonDiff(diff))
        sayDiff(diff, shownMax)
      })
    )

interface ActivateOptions extends Common {
  readonly agreement: string
  readonly version: number
  readonly at?: number
  readonly force?: string
  readonly confirmClosed: boolean
}

const activateCommand = (): Command =>
  withCommon(new Command('activate'), { signs: true })
    .description('let a version price all calls answered from now on, or from a moment')
    .addOption(agreementOption())
    .requiredOption('--version <n>', 'the version', whole)
    .option('--at <moment>', 'from this moment on', moment)
    .option('--force <reason>', 'take increases without notice, or a moment that has passed; the reason is kept')
    .option('--confirm-closed', `more than ${limits.closedPercentMax} % of the codes are closed on purpose`, false)
    .action((options: ActivateOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const done = await activateDeck(database, {
          config: agreementOf(config, options.agreement),
          version: options.version,
          at: options.at ?? null,
          by: options.by,
          force: options.force ?? null,
          closedAreMeant: options.confirmClosed
        })
        const from = new Date(done.from).toISOString()
        if (options.json) return sayJson({ ...done, from, diff: jsonDiff(done.diff) })
        say(`${options.agreement}: version ${done.version} prices calls from ${from}, instead of ${done.replaces}`)
        for (const version of done.later) say(`  version ${version} still begins after that`)
      })
    )

interface ExportOptions extends Common {
  readonly agreement: string
  readonly version?: number
  readonly format?: 'csv' | 'xlsx'
  readonly out?: string
}

const exportCommand = (): Command =>
  withCommon(new Command('export'))
    .description('write a version as a sheet that can be imported again')
    .addOption(agreementOption())
    .option('--version <n>', 'the version; the one in force unless given', whole)
    .addOption(new Option('--format <format>', 'csv unless the file says otherwise').choices(['csv', 'xlsx']))
    .option('--out <file>', 'where to; CSV goes to standard output without it')
    .action((options: ExportOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const agreement = agreementOf(config, options.agreement)
        const rows = await database.transaction(async sql => {
          const inForce = versionAt(await activationsOf(sql, agreement.id), await clockOf(sql))
          return anyRowsOf(sql, agreement, options.version ?? inForce)
        })
        if (rows.length === 0) throw new HubError('HUB_CONFIG', `agreement ${agreement.id}: that version has no rates`)
        const format = options.format ?? (/\.xlsx$/i.test(options.out ?? '') ? 'xlsx' : 'csv')
        if (format === 'xlsx' && options.out === undefined) throw new HubError('HUB_CONFIG', 'XLSX needs --out FILE')
        const sheet = format === 'xlsx' ? await deckXlsx(agreement, rows) : deckCsv(agreement, rows)
        if (options.out === undefined) return void process.stdout.write(sheet)
        writeFileSync(options.out, sheet)
        if (options.json) return sayJson({ file: options.out, rows: rows.length })
        say(`${options.out}: ${rows.length} rows`)
      })
    )

const listCommand = (): Command =>
  withCommon(new Command('list'))
    .description('the versions of decks, and from when each prices calls')
    .option('--agreement <id>', 'only of this agreement')
    .action((options: Common & { readonly agreement?: string }) =>
      withDatabase(options, async ({ database }) => {
        const versions = await versionsOf(database, options.agreement ?? null)
        const activations = await activationsOf(database, options.agreement ?? null)
        const of = (agreementId: string, version: number) =>
          activations.filter(known => known.agreementId === agreementId && known.version === version)
        if (options.json) {
          return sayJson(
            versions.map(version => ({
              ...version,
              activations: of(version.agreementId, version.version).map(({ from, activatedBy, forcedReason }) => ({
                from: new Date(from),
                activatedBy,
                forcedReason
              }))
            }))
          )
        }
        if (versions.length === 0) say('no deck was imported yet; the rates of the configuration are in force')
        for (const { agreementId, version, mode, rows, fileName, importedAt, importedBy } of versions) {
          const when = importedAt.toISOString()
          say(`${agreementId} version ${version}: ${rows} rows, ${mode}, ${fileName}, ${when} by ${importedBy}`)
          for (const { from, activatedBy, forcedReason } of of(agreementId, version)) {
            const why = forcedReason === null ? '' : `, forced: ${forcedReason}`
            say(`  prices calls from ${new Date(from).toISOString()}, by ${activatedBy}${why}`)
          }
        }
      })
    )

export const ratesCommand = (): Command =>
  new Command('rates')
    .description('rate decks: import, compare, activate, export')
    .addCommand(importCommand())
    .addCommand(diffCommand())
    .addCommand(activateCommand())
    .addCommand(exportCommand())
    .addCommand(listCommand())
