// `isthmus credit`: what is left of an agreement, money paid in, and corrections.

import { Argument, Command, InvalidArgumentError } from 'commander'
import { adjust, topUp } from '../clearing/credit/movements.ts'
import type { Given, Moved } from '../clearing/credit/movements.ts'
import { viewCredit } from '../clearing/credit/view.ts'
import type { CreditView } from '../clearing/credit/view.ts'
import { parseAmount, printAmount } from '../clearing/money.ts'
import { HubError } from '../errors.ts'
import type { Sql } from '../store/sql.ts'
import { agreementOf, bookOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'

const amountOf = (text: string): bigint => {
  try {
    return parseAmount(text)
  } catch {
    throw new InvalidArgumentError('an amount such as 100 or 12.50')
  }
}
const countOf = (text: string): number => {
  if (!/^[1-9][0-9]{0,3}$/.test(text)) throw new InvalidArgumentError('a whole number, 1 to 9999')
  return Number(text)
}

const agreementArgument = (): Argument => new Argument('<agreement>', 'which agreement')

function sayView(view: CreditView): void {
  const { currency, limitMicros, leftMicros, reservations, movements, quotas, agreed } = view
  const line = (name: string, micros: bigint): void => say(`${name.padEnd(10)} ${printAmount(micros)} ${currency}`)
  line('balance', view.balanceMicros)
  line('reserved', view.reservedMicros)
  if (limitMicros !== null) line('limit', limitMicros)
  if (leftMicros === null) say('left       without limit')
  else line('left', leftMicros)
  for (const { period, used, reserved } of quotas) say(`free units ${period}: ${used} used, ${reserved} reserved`)
  if (reservations.length > 0) say('reservations')
  for (const { callId, attempt, amountMicros, freeUnits, grantedMs, ended, expiresAt } of reservations) {
    const what = ended ? 'ended, not charged yet' : `${grantedMs / 1_000n} s, until ${expiresAt.toISOString()}`
    say(
      `  ${callId}/${attempt} ${printAmount(amountMicros)}${freeUnits > 0n ? ` and ${freeUnits} free` : ''} (${what})`
    )
  }
  if (movements.length > 0) say('movements, newest first')
  for (const { movementId, amountMicros, reason, by, at } of movements) {
    const why = [reason, by === '' ? '' : `by ${by}`].filter(text => text !== '').join(', ')
    say(`  ${at.toISOString()} ${printAmount(amountMicros)} ${movementId}${why === '' ? '' : ` (${why})`}`)
  }
  const difference = agreed.balanceMicros - agreed.ledgerMicros
  if (difference !== 0n) line('apart from the ledger by', difference)
}

const inWords = (view: CreditView): object => ({
  agreement: view.agreementId,
  currency: view.currency,
  balance: printAmount(view.balanceMicros),
  reserved: printAmount(view.reservedMicros),
  limit: view.limitMicros === null ? null : printAmount(view.limitMicros),
  left: view.leftMicros === null ? null : printAmount(view.leftMicros),
  ledger: printAmount(view.agreed.ledgerMicros),
  quotas: view.quotas,
  reservations: view.reservations.map(({ amountMicros, ...rest }) => ({ ...rest, amount: printAmount(amountMicros) })),
  movements: view.movements.map(({ amountMicros, ...rest }) => ({ ...rest, amount: printAmount(amountMicros) }))
})

const showCommand = (): Command =>
  withCommon(new Command('show'))
    .description('balance, what calls hold of it, and what has changed it')
    .addArgument(agreementArgument())
    .option('--max <n>', 'how many reservations and movements', countOf, 20)
    .action((id: string, options: Common & { readonly max: number }) =>
      withDatabase(options, async ({ config, database }) => {
        const agreement = agreementOf(bookOf(config), id)
        const view = await viewCredit(database, agreement, options.max)
        if (view === null) {
          throw new HubError('HUB_CONFIG', `the account of ${id} is opened when the hub starts, or by a top-up`)
        }
        if (options.json) return sayJson(inWords(view))
        sayView(view)
      })
    )

interface Asked extends Common {
  readonly amount: bigint
  readonly reference: string
  readonly reason?: string
}

const change = async (id: string, options: Asked, move: (sql: Sql, given: Given) => Promise<Moved>): Promise<void> => {
  await withDatabase(options, async ({ config, database }) => {
    const agreement = agreementOf(bookOf(config), id)
    const { amount: micros, reference, reason = '', by } = options
    const day = agreement.zone.day(Date.now())
    const { moved, balanceMicros } = await database.transaction(sql =>
      move(sql, { agreement, micros, reference, reason, by, day })
    )
    const balance = printAmount(balanceMicros)
    if (options.json) return sayJson({ agreement: id, moved, balance, currency: agreement.currency })
    say(`${moved ? 'done' : `${reference} had counted before`}; balance ${balance} ${agreement.currency}`)
  })
}

const topUpCommand = (): Command =>
  withCommon(new Command('top-up'), { signs: true })
    .description('money that was paid in advance; the same reference counts once')
    .addArgument(agreementArgument())
    .requiredOption('--amount <amount>', 'how much, such as 100.00', amountOf)
    .requiredOption('--reference <text>', 'what names the payment, such as the number of a bank statement')
    .option('--reason <text>', 'kept with it')
    .action((id: string, options: Asked) => change(id, options, topUp))

const adjustCommand = (): Command =>
  withCommon(new Command('adjust'), { signs: true })
    .description('a correction of the balance, up or down; the same reference counts once')
    .addArgument(agreementArgument())
    .requiredOption('--amount <amount>', 'how much more, or less: --amount=-5.00', amountOf)
    .requiredOption('--reference <text>', 'what names the correction')
    .requiredOption('--reason <text>', 'why; it is kept with it')
    .action((id: string, options: Asked) => change(id, options, adjust))

export const creditCommand = (): Command =>
  new Command('credit')
    .description('accounts of agreements that are paid in advance or have a limit')
    .addCommand(showCommand())
    .addCommand(topUpCommand())
    .addCommand(adjustCommand())
