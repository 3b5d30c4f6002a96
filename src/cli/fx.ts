// `isthmus fx`: the table of exchange rates.

import { Command } from 'commander'
import { limits, printFx } from '../clearing/money-in/fx.ts'
import { addFxRates, listFxRates, readFxFile } from '../clearing/money-in/fx-table.ts'
import { say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import { countArgument, fileBytes } from './money-commands.ts'

const importCommand = (): Command =>
  withCommon(new Command('import'), { signs: true })
    .description('rates of a CSV file: date, base, quote, rate, source')
    .argument('<file>', 'for one unit of base so much of quote; all of it is taken or nothing')
    .option('--source <name>', 'who fixed them, for a file without that column')
    .action((file: string, options: Common & { readonly source?: string }) => {
      const { name, bytes } = fileBytes(file, limits.fileBytesMax)
      const rates = readFxFile(name, bytes, options.source ?? null)
      return withDatabase(options, async ({ database }) => {
        const done = await database.transaction(sql => addFxRates(sql, rates, { fileName: name, by: options.by }))
        if (options.json) return sayJson(done)
        say(`${done.added} rates imported, ${done.repeated} were here already`)
      })
    })

const listCommand = (): Command =>
  withCommon(new Command('list'))
    .description('the rates that there are, the latest first')
    .option('--source <name>', 'only of this source')
    .option('--max <n>', 'how many', countArgument, 100)
    .action((options: Common & { readonly source?: string; readonly max: number }) =>
      withDatabase(options, async ({ database }) => {
        const rates = await listFxRates(database, { source: options.source ?? null, max: options.max })
        if (options.json)
          return sayJson({ rates: rates.map(({ ratePicos, ...rate }) => ({ ...rate, rate: printFx(ratePicos) })) })
        if (rates.length === 0) return say('there are none')
        for (const { base, quote, ratePicos, fixedOn, source, fileName, importedBy } of rates) {
          say(`${fixedOn} 1 ${base} = ${printFx(ratePicos)} ${quote}, ${source} (${fileName}, by ${importedBy})`)
        }
      })
    )

export const fxCommand = (): Command =>
  new Command('fx')
    .description('exchange rates: dated, with their source, never guessed')
    .addCommand(importCommand())
    .addCommand(listCommand())
