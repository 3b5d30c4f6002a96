// `isthmus payment`: lines of the bank, what waits in suspense, what the hub pays.

import { Command, Option } from 'commander'
import { readWaiting } from '../clearing/money-in/aging-report.ts'
import type { Payer } from '../clearing/money-in/apply.ts'
import { assignPayment, declarePayment } from '../clearing/money-in/assign.ts'
import { limits as bankLimits, readBankFile } from '../clearing/money-in/bank-file.ts'
import { createTopUp, prepaidOf } from '../clearing/money-in/credit-link.ts'
import { printMoney } from '../clearing/money-in/currency.ts'
import { createPartyBook } from '../clearing/money-in/parties.ts'
import { cancelOrder, payDue, runCsv } from '../clearing/money-in/payment-run.ts'
import { importPayments } from '../clearing/money-in/payments.ts'
import type { Rest } from '../clearing/money-in/payments.ts'
import { reversePayment } from '../clearing/money-in/reversal.ts'
import type { Config } from '../config.ts'
import { HubError } from '../errors.ts'
import { progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import {
  amountArgument,
  countArgument,
  currencyArgument,
  dayArgument,
  dayOption,
  fileBytes,
  withMoney,
  writeOut
} from './money-commands.ts'

/** Under which names and accounts a bank may show the parties of agreements. */
function payersOf(config: Config): readonly Payer[] {
  const book = createPartyBook(config)
  const ids = new Set(config.agreements.flatMap(({ buyer, seller }) => [buyer, seller]))
  ids.delete('hub')
  const others = new Map(config.parties.map(({ id, payerNames }) => [id, payerNames]))
  return [...ids].map(party => {
    const { name, iban } = book(party)
    return { party, names: [party, name, ...(others.get(party) ?? [])], iban }
  })
}

const restLine = ({ paymentId, party, reason, detail, amountMicros, currency }: Rest): string => {
  const where = party === null ? 'in suspense' : `on the account of ${party}`
  return `  ${paymentId}: ${printMoney(amountMicros, currency)} ${currency} ${where}, ${reason}: ${detail}`
}

const importCommand = (): Command =>
  withCommon(new Command('import'), { signs: true })
    .description(
      'lines of the bank: date, amount, currency, reference, payer, and iban and purpose where it tells them'
    )
    .argument('<file>', 'CSV; all of it is taken or nothing, and a reference counts once')
    .addOption(new Option('--decimal <mark>', 'how amounts are written').choices(['point', 'comma']).default('point'))
    .action((file: string, options: Common & { readonly decimal: 'point' | 'comma' }) => {
      const { name, bytes } = fileBytes(file, bankLimits.fileBytesMax)
      const lines = readBankFile(name, bytes, options.decimal === 'comma' ? ',' : '.')
      const bar = progressOf('payments')
      return withMoney(
        options,
        (sql, { config, book }) =>
          importPayments(sql, lines, {
            fileName: name,
            by: options.by,
            payers: payersOf(config),
            prepaid: prepaidOf(book),
            topUp: createTopUp(book),
            progress: (done, of) => bar.at(done, of)
          }),
        done => {
          bar.end()
          if (options.json) {
            const rests = done.rests.map(rest => ({ ...rest, amount: printMoney(rest.amountMicros, rest.currency) }))
            return sayJson({ ...done, rests })
          }
          const paid = done.paid.length === 1 ? '1 item paid' : `${done.paid.length} items paid`
          say(`${done.added} lines imported, ${done.repeated} were here already, ${paid}`)
          for (const { paymentId, agreementId } of done.topUps) say(`  ${paymentId}: top-up of ${agreementId}`)
          for (const orderId of done.carriedOut) say(`  ${orderId} was carried out`)
          for (const paymentId of done.returned) say(`  ${paymentId} went back: what it paid is open again`)
          for (const rest of done.rests) say(restLine(rest))
        }
      )
    })

const suspenseCommand = (): Command =>
  withCommon(new Command('suspense'))
    .description('money that pays nothing yet, and why')
    .option('--max <n>', 'how many', countArgument, 100)
    .action((options: Common & { readonly max: number }) =>
      withDatabase(options, async ({ database }) => {
        const waiting = await readWaiting(database, options.max)
        if (options.json) {
          return sayJson({
            payments: waiting.map(row => ({ ...row, amount: printMoney(row.amountMicros, row.currency) }))
          })
        }
        if (waiting.length === 0) return say('all money has its place')
        for (const { paymentId, party, reason, detail, amountMicros, currency, bookedOn, payer } of waiting) {
          const amount = `${printMoney(amountMicros, currency)} ${currency}`
          say(`${paymentId} of ${bookedOn}, ${amount}, payer "${payer}", ${party ?? 'suspense'}: ${reason}: ${detail}`)
        }
      })
    )

interface AssignOptions extends Common {
  readonly party: string
  readonly invoice?: string
  readonly fxSource?: string
  readonly fxDaysBefore: number
  readonly settle: boolean
  readonly day: string
}

const assignCommand = (): Command =>
  withCommon(new Command('assign'), { signs: true })
    .description('gives money that waits its place: a party, and an invoice or its oldest ones')
    .argument('<reference>', 'the payment')
    .requiredOption('--party <id>', 'whose money it is')
    .option('--invoice <number>', 'what it pays; the oldest first unless named')
    .option('--fx-source <name>', 'whose rate counts, for an invoice in another currency')
    .option('--fx-days-before <n>', 'how many days old the rate may be', countArgument, 0)
    .option('--settle', 'what a converted payment is short of is a difference of exchange', false)
    .addOption(dayOption('the day of the posting'))
    .action((paymentId: string, options: AssignOptions) =>
      withMoney(
        options,
        (sql, { config }) => {
          const { party, invoice = null, fxSource, fxDaysBefore: daysBefore, settle, day, by } = options
          if (!payersOf(config).some(known => known.party === party)) {
            throw new HubError('HUB_CONFIG', `no agreement has a party ${party}`)
          }
          const fx = fxSource === undefined ? null : { source: fxSource, daysBefore, settles: settle }
          return assignPayment(sql, { paymentId, party, invoiceId: invoice, fx, day, by })
        },
        ({ paid, unappliedMicros, currency }) => {
          const left = printMoney(unappliedMicros, currency)
          if (options.json) return sayJson({ paid, unapplied: left, currency })
          for (const item of paid) {
            say(`${item.itemId}: ${printMoney(item.amountMicros, item.currency)} ${item.currency} paid`)
          }
          if (unappliedMicros > 0n) say(`${left} ${currency} stay on the account of ${options.party}`)
        }
      )
    )

const reverseCommand = (): Command =>
  withCommon(new Command('reverse'), { signs: true })
    .description('takes a payment back: what it paid is open again. A line of the bank that names it does the same')
    .argument('<reference>', 'the payment')
    .requiredOption('--reason <text>', 'why; it is kept')
    .addOption(dayOption('the day of the posting'))
    .action((paymentId: string, options: Common & { readonly reason: string; readonly day: string }) =>
      withMoney(
        options,
        sql => reversePayment(sql, { paymentId, reason: options.reason, day: options.day, by: options.by }),
        () => (options.json ? sayJson({ reversed: paymentId }) : say(`${paymentId} is reversed`))
      )
    )

interface RunOptions extends Common {
  readonly currency: string
  readonly until?: string
  readonly out?: string
  readonly dryRun: boolean
  readonly day: string
}

const runCommand = (): Command =>
  withCommon(new Command('run'), { signs: true })
    .description('pays what is due and undisputed: one order for each party')
    .requiredOption('--currency <code>', 'in which currency', currencyArgument)
    .option('--until <day>', 'what is due until this day; today unless named', dayArgument)
    .option('--out <file>', 'the orders for the bank, CSV')
    .option('--dry-run', 'only tell', false)
    .addOption(dayOption('the day of the posting'))
    .action((options: RunOptions) =>
      withMoney(
        options,
        (sql, { config }) => {
          const { currency, until = options.day, day, by, dryRun } = options
          return payDue(sql, { currency, until, parties: createPartyBook(config), day, by, dryRun })
        },
        run => {
          if (options.out !== undefined && !options.dryRun) writeOut(options.out, runCsv(run))
          const told = {
            run: run.runId,
            orders: run.orders.map(order => ({ ...order, amount: printMoney(order.amountMicros, order.currency) })),
            leftOut: run.leftOut.map(left => ({ ...left, amount: printMoney(left.amountMicros, options.currency) }))
          }
          if (options.json) return sayJson(told)
          if (run.orders.length === 0) say('nothing is due')
          for (const { orderId, party, iban, amount } of told.orders) {
            say(`${orderId}: ${amount} ${options.currency} to ${party}, ${iban}`)
          }
          for (const { party, amount, why } of told.leftOut) say(`left out: ${amount} to ${party}: ${why}`)
        }
      )
    )

const cancelCommand = (): Command =>
  withCommon(new Command('cancel'), { signs: true })
    .description('a payment order that the bank will not carry out')
    .argument('<order>', 'such as PAY-2026-000001-1')
    .requiredOption('--reason <text>', 'why; it is kept')
    .addOption(dayOption('the day of the posting'))
    .action((orderId: string, options: Common & { readonly reason: string; readonly day: string }) =>
      withMoney(
        options,
        sql => cancelOrder(sql, { orderId, reason: options.reason, day: options.day, by: options.by }),
        () => (options.json ? sayJson({ cancelled: orderId }) : say(`${orderId} is cancelled`))
      )
    )

interface DeclareOptions extends Common {
  readonly item: string
  readonly amount: bigint
  readonly reference: string
  readonly day: string
}

const declareCommand = (): Command =>
  withCommon(new Command('declare'), { signs: true })
    .description('what one party paid another past the hub')
    .requiredOption('--item <number>', 'the invoice, or the payment of a netting')
    .requiredOption('--amount <amount>', 'how much', amountArgument)
    .requiredOption('--reference <text>', 'their name of the payment; it counts once')
    .addOption(dayOption('the day of the payment'))
    .action((options: DeclareOptions) =>
      withMoney(
        options,
        sql => {
          const { item: itemId, amount: amountMicros, reference, day, by } = options
          return declarePayment(sql, { itemId, amountMicros, reference, day, by })
        },
        isNew => {
          if (options.json) return sayJson({ item: options.item, declared: isNew })
          say(isNew ? `${options.item} is paid by so much` : `${options.reference} was declared before`)
        }
      )
    )

export const paymentCommand = (): Command =>
  new Command('payment')
    .description('money that arrives and money that the hub pays')
    .addCommand(importCommand())
    .addCommand(suspenseCommand())
    .addCommand(assignCommand())
    .addCommand(reverseCommand())
    .addCommand(runCommand())
    .addCommand(cancelCommand())
    .addCommand(declareCommand())
