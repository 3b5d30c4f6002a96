// `isthmus invoice interest`: a document of its own for what late payment costs.

import { Command } from 'commander'
import { chargeInterest } from '../clearing/money-in/interest-store.ts'
import type { Accrued, Charged } from '../clearing/money-in/interest-store.ts'
import { printMoney } from '../clearing/money-in/currency.ts'
import { createPartyBook } from '../clearing/money-in/parties.ts'
import { printAmount } from '../clearing/money.ts'
import { HubError } from '../errors.ts'
import type { Sql } from '../store/sql.ts'
import { agreementOf, say, sayJson, withCommon } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import { dayArgument, dayOption, withMoney } from './money-commands.ts'
import type { MoneyGiven } from './money-commands.ts'

const after = `
Interest is simple, by the actual days over 365 or 360 (invoicing.interest of the agreement): from the day after the due
day to the day of the payment, on what was open and undisputed, never on interest. Each run charges what no document has
charged before; isthmus aging says what that is. --dry-run takes all of it back.

  isthmus invoice interest --until 2026-12-31 --dry-run
  isthmus invoice interest --agreement north-hub --by anna`

interface InterestOptions extends Common {
  readonly agreement?: string
  readonly party?: string
  readonly until?: string
  readonly day: string
  readonly dryRun: boolean
}

/** Takes everything back. */
class DryRun extends Error {
  readonly done: Charged

  constructor(done: Charged) {
    super('dry run')
    this.done = done
  }
}

export const interestCommand = (): Command =>
  withCommon(new Command('interest'), { signs: true })
    .description('charge what late payment costs, by a document for each agreement and currency')
    .option('--agreement <id>', 'only of this agreement')
    .option('--party <id>', 'only what it owes')
    .option('--until <day>', 'the last day that is charged; that of the document unless named', dayArgument)
    .addOption(dayOption('the day of the documents'))
    .option('--dry-run', 'say what would be charged, and charge nothing', false)
    .addHelpText('after', after)
    .action(async (options: InterestOptions) => {
      const tell = (done: Charged): void => tellCharged(done, options)
      try {
        await withMoney(
          options,
          async (sql, given) => {
            const done = await chargeAll(sql, given, options)
            if (options.dryRun) throw new DryRun(done)
            return done
          },
          tell
        )
      } catch (error) {
        if (!(error instanceof DryRun)) throw error
        tell(error.done)
      }
    })

async function chargeAll(sql: Sql, { config }: MoneyGiven, options: InterestOptions): Promise<Charged> {
  const { agreement, party = null, day, until = day, by } = options
  const parties = createPartyBook(config)
  const chosen = agreement === undefined ? config.agreements : [agreementOf(config, agreement)]
  const bearing = chosen.filter(({ invoicing }) => invoicing.interest !== undefined)
  if (bearing.length === 0) throw new HubError('HUB_CONFIG', 'no such agreement has invoicing.interest')
  const all: Charged[] = []
  for (const one of bearing) all.push(await chargeInterest(sql, { agreement: one, parties, party, until, day, by }))
  return { documents: all.flatMap(({ documents }) => documents), left: all.flatMap(({ left }) => left) }
}

function tellCharged({ documents, left }: Charged, { json, dryRun }: InterestOptions): void {
  if (json) {
    return sayJson({
      dryRun,
      documents: documents.map(({ number, agreementId, debtor, currency, netMicros, taxMicros, dueOn }) => ({
        number,
        agreement: agreementId,
        debtor,
        currency,
        net: printMoney(netMicros, currency),
        tax: printMoney(taxMicros, currency),
        dueOn
      })),
      left: left.map(interestJson)
    })
  }
  if (documents.length === 0) say('nothing is charged')
  for (const { number, agreementId, debtor, currency, grossMicros, dueOn, reason } of documents) {
    const verb = dryRun ? 'would be charged' : 'is charged'
    say(`${number} ${agreementId}: ${debtor} ${verb} ${printMoney(grossMicros, currency)} ${currency}, due ${dueOn}`)
    say(`  ${reason ?? ''}`)
  }
  for (const item of left) say(`${interestText(item)}, too little for a document`)
}

const openOf = ({ micros, chargedMicros }: Accrued): bigint => micros - chargedMicros

export const interestJson = (item: Accrued): Readonly<Record<string, unknown>> => ({
  invoice: item.invoiceId,
  agreement: item.agreementId,
  debtor: item.debtor,
  creditor: item.creditor,
  currency: item.currency,
  days: item.days,
  interest: printAmount(item.micros),
  charged: printAmount(item.chargedMicros),
  open: printAmount(openOf(item))
})

export const interestText = (item: Accrued): string =>
  `${item.invoiceId}: ${item.debtor} owes ${item.creditor} ${printAmount(openOf(item))} ${item.currency} ` +
  `of interest for ${item.days} days`
