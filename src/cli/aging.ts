// `isthmus aging`: what is open and how late, by party and currency.

import { Command } from 'commander'
import { readAccrued } from '../clearing/money-in/interest-store.ts'
import { readAging } from '../clearing/money-in/aging-report.ts'
import { agingBands } from '../clearing/money-in/aging.ts'
import { printMoney } from '../clearing/money-in/currency.ts'
import { say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import { interestJson, interestText } from './invoice-interest.ts'
import { dayArgument } from './money-commands.ts'

interface AgingOptions extends Common {
  readonly asOf: string
  readonly party?: string
}

export const agingCommand = (): Command =>
  withCommon(new Command('aging'))
    .description('what is open by how late it is: current, 1-30, 31-60, 61-90 and over 90 days')
    .option('--as-of <day>', 'late on which day', dayArgument, new Date().toISOString().slice(0, 10))
    .option('--party <id>', 'only what it owes and is owed')
    .action((options: AgingOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const { asOf, party = null } = options
        const report = await readAging(database, { asOf, party })
        const accrued = await readAccrued(database, { agreements: config.agreements, party, until: asOf })
        const interest = accrued.filter(({ micros, chargedMicros }) => micros !== chargedMicros)
        if (options.json) {
          const rows = report.rows.map(({ bands, heldMicros, totalMicros, ...row }) => ({
            ...row,
            bands: Object.fromEntries(agingBands.map(band => [band, printMoney(bands[band], row.currency)])),
            disputed: printMoney(heldMicros, row.currency),
            total: printMoney(totalMicros, row.currency)
          }))
          const unapplied = report.unapplied.map(({ amountMicros, ...row }) => ({
            ...row,
            amount: printMoney(amountMicros, row.currency)
          }))
          return sayJson({ asOf, rows, unapplied, interest: interest.map(interestJson) })
        }
        if (report.rows.length === 0) say(`nothing is open as of ${asOf}`)
        else {
          const lines = [['owes', 'to', '', ...agingBands, 'disputed', 'total']]
          for (const { debtor, creditor, currency, bands, heldMicros, totalMicros } of report.rows) {
            const amounts = [...agingBands.map(band => bands[band]), heldMicros, totalMicros]
            lines.push([debtor, creditor, currency, ...amounts.map(micros => printMoney(micros, currency))])
          }
          const widths = lines[0]?.map((_cell, at) => Math.max(...lines.map(line => (line[at] ?? '').length))) ?? []
          for (const line of lines) {
            const cells = line.map((cell, at) =>
              at < 3 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)
            )
            say(cells.join('  ').trimEnd())
          }
        }
        for (const { party, currency, amountMicros } of report.unapplied) {
          say(`${party} has paid ${printMoney(amountMicros, currency)} ${currency} that pays nothing yet`)
        }
        for (const item of interest) say(`${interestText(item)}, not charged yet`)
      })
    )
