// `isthmus netting`: what parties owe each other set off, and the few payments that are left.

import { Command, InvalidArgumentError } from 'commander'
import { printMoney } from '../clearing/money-in/currency.ts'
import {
  cancelNetting,
  confirmNetting,
  listNettings,
  proposeNetting,
  readNetting
} from '../clearing/money-in/netting-store.ts'
import type { StoredNetting } from '../clearing/money-in/netting-store.ts'
import { printAmount } from '../clearing/money.ts'
import type { Config } from '../config.ts'
import { HubError } from '../errors.ts'
import { say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import { countArgument, currencyArgument, dayOption, withMoney } from './money-commands.ts'

const jsonOf = (netting: StoredNetting): Readonly<Record<string, unknown>> => ({
  ...netting,
  positions: netting.positions.map(({ party, netMicros }) => ({ party, net: printAmount(netMicros) })),
  items: netting.items.map(({ amountMicros, ...item }) => ({ ...item, amount: printAmount(amountMicros) })),
  payments: netting.payments.map(({ amountMicros, exactMicros, ...payment }) => ({
    ...payment,
    amount: printMoney(amountMicros, netting.currency),
    exact: printAmount(exactMicros)
  }))
})

function show(netting: StoredNetting, json: boolean): void {
  if (json) return sayJson(jsonOf(netting))
  const { nettingId, kind, currency, items, positions, payments, state, dueOn } = netting
  say(`${nettingId} ${kind}, ${state}: ${items.length} items in ${currency}, due ${dueOn}`)
  for (const { party, netMicros } of positions) {
    const amount = printAmount(netMicros < 0n ? -netMicros : netMicros)
    say(`  ${party} ${netMicros === 0n ? 'is even' : netMicros > 0n ? `gets ${amount}` : `pays ${amount}`}`)
  }
  for (const { paymentId, payer, payee, amountMicros } of payments) {
    say(`  ${paymentId}: ${payer} pays ${payee} ${printMoney(amountMicros, currency)} ${currency}`)
  }
}

const list = (text: string): readonly string[] => {
  const parties = text.split(',').map(part => part.trim())
  if (parties.length < 2 || parties.includes('') || new Set(parties).size < parties.length) {
    throw new InvalidArgumentError('two or more parties, such as hub,acme')
  }
  return parties
}

interface ProposeOptions extends Common {
  readonly currency: string
  readonly parties?: readonly string[]
  readonly group?: string
  readonly due: number
  readonly day: string
}

/** Two parties may always net; more of them only as a group that has agreed to it (SET-11). */
function partiesOf({ netting, agreements }: Config, { parties, group }: ProposeOptions): readonly string[] {
  if ((parties === undefined) === (group === undefined))
    throw new HubError('HUB_CONFIG', 'say either --parties or --group')
  if (parties === undefined) {
    const found = netting.find(({ id }) => id === group)
    if (found !== undefined) return found.parties
    const known = netting.map(({ id }) => id).join(', ') || 'none'
    throw new HubError('HUB_CONFIG', `no netting group is called ${group}; there is ${known}`)
  }
  const all = new Set(['hub', ...agreements.flatMap(({ buyer, seller }) => [buyer, seller])])
  for (const party of parties) {
    if (!all.has(party)) throw new HubError('HUB_CONFIG', `no agreement has a party ${party}`)
  }
  if (parties.length === 2 || netting.some(group => parties.every(party => group.parties.includes(party))))
    return parties
  throw new HubError(
    'HUB_CONFIG',
    'more than two parties net only as members of one group (netting, in the configuration)'
  )
}

const proposeCommand = (): Command =>
  withCommon(new Command('propose'), { signs: true })
    .description('what would be set off and who would pay whom; nothing is moved yet')
    .requiredOption('--currency <code>', 'in which currency', currencyArgument)
    .option('--parties <ids>', 'two parties, such as hub,acme, or members of one group', list)
    .option('--group <id>', 'all members of a group of the configuration')
    .option('--due <days>', 'until the payments are due', countArgument, 14)
    .addOption(dayOption('the day of the proposal'))
    .action((options: ProposeOptions) =>
      withMoney(
        options,
        (sql, { config }) => {
          const parties = partiesOf(config, options)
          const kind = parties.length === 2 ? 'bilateral' : 'multilateral'
          const { currency, day, due: paymentDays, by } = options
          return proposeNetting(sql, { kind, parties, currency, day, paymentDays, by })
        },
        netting => show(netting, options.json)
      )
    )

const confirmCommand = (): Command =>
  withCommon(new Command('confirm'), { signs: true })
    .description('sets the items off and makes the payments owed')
    .argument('<id>', 'such as NET-2026-000001')
    .addOption(dayOption('the day of the posting'))
    .action((nettingId: string, options: Common & { readonly day: string }) =>
      withMoney(
        options,
        sql => confirmNetting(sql, { nettingId, reason: null, day: options.day, by: options.by }),
        netting => show(netting, options.json)
      )
    )

const cancelCommand = (): Command =>
  withCommon(new Command('cancel'), { signs: true })
    .description('takes a proposal back, or reverses a netting of which nothing was paid yet')
    .argument('<id>', 'such as NET-2026-000001')
    .requiredOption('--reason <text>', 'why; it is kept')
    .addOption(dayOption('the day of the posting'))
    .action((nettingId: string, options: Common & { readonly reason: string; readonly day: string }) =>
      withMoney(
        options,
        sql => cancelNetting(sql, { nettingId, reason: options.reason, day: options.day, by: options.by }),
        netting => show(netting, options.json)
      )
    )

const showCommand = (): Command =>
  withCommon(new Command('show'))
    .description('one netting, or the latest ones')
    .argument('[id]', 'such as NET-2026-000001')
    .option('--max <n>', 'how many', countArgument, 20)
    .action((nettingId: string | undefined, options: Common & { readonly max: number }) =>
      withDatabase(options, async ({ database }) => {
        if (nettingId === undefined) {
          const nettings = await listNettings(database, options.max)
          if (options.json) return sayJson({ nettings: nettings.map(jsonOf) })
          if (nettings.length === 0) say('there are none')
          for (const netting of nettings) show(netting, false)
          return
        }
        const netting = await readNetting(database, nettingId)
        if (netting === null) throw new HubError('HUB_CONFIG', `there is no netting ${nettingId}`)
        show(netting, options.json)
      })
    )

export const nettingCommand = (): Command =>
  new Command('netting')
    .description('netting of undisputed items: bilateral and multilateral, in one currency')
    .addCommand(proposeCommand())
    .addCommand(confirmCommand())
    .addCommand(cancelCommand())
    .addCommand(showCommand())
