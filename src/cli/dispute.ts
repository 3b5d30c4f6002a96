// `isthmus dispute`: what is disputed between us and a partner, from the first draft to the credit note.

import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { stringify } from 'csv-stringify/sync'
import { ageOf, evidencePages, listDisputes, readDispute, stepsOf } from '../clearing/disputes/read.ts'
import type { Dispute } from '../clearing/disputes/read.ts'
import { holdAgain, moveDispute, resolveDispute } from '../clearing/disputes/move.ts'
import { openDispute } from '../clearing/disputes/open.ts'
import type { DisputeAsked } from '../clearing/disputes/open.ts'
import { disputeStates, disputeTypes } from '../clearing/disputes/states.ts'
import type { DisputeState, DisputeType } from '../clearing/disputes/states.ts'
import { tellCredit } from '../clearing/money-in/credit-link.ts'
import { printAmount } from '../clearing/money.ts'
import { HubError } from '../errors.ts'
import type { Sql } from '../store/sql.ts'
import { agreementOf, bookOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import { amountArgument, dayOption } from './money-commands.ts'

export const momentArgument = (text: string): number => {
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T.*(Z|[+-][0-9]{2}:[0-9]{2})$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new InvalidArgumentError('a moment such as 2026-12-01T00:00:00+01:00')
  return at
}
export const rangeArgument = (text: string): string => {
  const digits = text.replace(/^\+/, '')
  if (!/^[0-9]{1,15}$/.test(digits)) throw new InvalidArgumentError('the beginning of numbers, such as +8835100')
  return digits
}
export const numberArgument = (text: string): bigint => {
  if (!/^[1-9][0-9]{0,17}$/.test(text)) throw new InvalidArgumentError('a number, as a list shows it')
  return BigInt(text)
}
const jsonOf = (dispute: Dispute, day: string): Readonly<Record<string, unknown>> => ({
  ...dispute,
  amount: printAmount(dispute.amountMicros),
  held: printAmount(dispute.heldMicros),
  ...ageOf(dispute, day)
})

function lineOf(dispute: Dispute, day: string): string {
  const { id, agreementId, period, state, type, amountMicros, currency, heldMicros, dueDay } = dispute
  const { days, overdueDays, owner } = ageOf(dispute, day)
  const held = heldMicros === 0n ? '' : `, ${printAmount(heldMicros)} held out`
  const due = dueDay === null ? '' : `; ${owner} until ${dueDay}${overdueDays > 0 ? `, ${overdueDays} days late` : ''}`
  const what = `${type}, ${printAmount(amountMicros)} ${currency}${held}`
  return `${id} ${agreementId} ${period}: ${state}, ${what}, ${days} days old${due}`
}

interface OpenOptions extends Common {
  readonly agreement: string
  readonly period: string
  readonly type: DisputeType
  readonly reason: string
  readonly invoice?: string
  readonly amount?: bigint
  readonly raisedBy: 'us' | 'partner'
  readonly reconciliation?: bigint
  readonly range?: string
  readonly from?: number
  readonly to?: number
  readonly draft: boolean
  readonly day: string
}

function evidenceOf({ reconciliation, range, from, to }: OpenOptions): DisputeAsked['evidence'] {
  const isRange = range !== undefined || from !== undefined || to !== undefined
  if (reconciliation !== undefined && isRange) {
    throw new HubError('HUB_CONFIG', 'the evidence is a reconciliation, or a range of calls, not both')
  }
  if (reconciliation !== undefined) return { kind: 'reconciliation', id: reconciliation }
  if (!isRange) return { kind: 'none' }
  const [first, end] = [from ?? 0, to ?? Date.UTC(2100)]
  if (first >= end) throw new HubError('HUB_CONFIG', '--to is not after --from')
  return { kind: 'calls', range: { prefix: range ?? '', from: first, to: end } }
}

const openCommand = (): Command =>
  withCommon(new Command('open'), { signs: true })
    .description('raise a dispute about an invoice, or a period; its amount is held out of what is due')
    .requiredOption('--agreement <id>', 'the agreement')
    .requiredOption('--period <name>', 'the period, such as 2026-11')
    .addOption(new Option('--type <type>', 'what it is about').choices(disputeTypes).makeOptionMandatory())
    .requiredOption('--reason <text>', 'why, as the partner reads it')
    .option('--invoice <id>', 'the invoice; that of the period unless named')
    .option('--amount <amount>', 'before tax; what the evidence comes to unless named', amountArgument)
    .addOption(new Option('--raised-by <side>', 'who disputes').choices(['us', 'partner']).default('us'))
    .option('--reconciliation <number>', 'the evidence: what differed in it', numberArgument)
    .option('--range <digits>', 'the evidence: calls to numbers that begin so', rangeArgument)
    .option('--from <moment>', 'of these calls, those answered from then on', momentArgument)
    .option('--to <moment>', 'and before then', momentArgument)
    .option('--draft', 'only prepare it: nothing is held out', false)
    .addOption(dayOption('on which it happens'))
    .action((options: OpenOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const evidence = evidenceOf(options)
        const agreement = agreementOf(bookOf(config), options.agreement)
        const { period, type, reason, raisedBy, draft, day, by } = options
        const invoiceId = options.invoice ?? null
        const amountMicros = options.amount ?? null
        const asked = { agreement, period, invoiceId, raisedBy, type, amountMicros, reason, evidence, draft, day, by }
        const dispute = await database.transaction(sql => openDispute(sql, asked))
        if (options.json) return sayJson(jsonOf(dispute, day))
        say(lineOf(dispute, day))
      })
    )

interface ListOptions extends Common {
  readonly agreement?: string
  readonly state?: DisputeState
  readonly all: boolean
  readonly day: string
}

const listCommand = (): Command =>
  withCommon(new Command('list'))
    .description('disputes that are open, the oldest first, with their age and whose move it is')
    .option('--agreement <id>', 'of this agreement alone')
    .addOption(new Option('--state <state>', 'in this state alone').choices(disputeStates))
    .option('--all', 'also those that are over', false)
    .addOption(dayOption('on which it happens'))
    .action((options: ListOptions) =>
      withDatabase(options, async ({ database }) => {
        const { agreement = null, state = null, all, day } = options
        const disputes = await listDisputes(database, { agreementId: agreement, state, all })
        if (options.json) return sayJson({ disputes: disputes.map(dispute => jsonOf(dispute, day)) })
        for (const dispute of disputes) say(lineOf(dispute, day))
        if (disputes.length === 0) say('none')
      })
    )

async function* evidenceCsv(sql: Sql, id: bigint): AsyncGenerator<string> {
  yield stringify([['cdr_id', 'called', 'calling', 't_answer', 'duration_ms', 'units', 'amount', 'disputed_amount']])
  for await (const page of evidencePages(sql, id)) {
    yield stringify(
      page.map(({ cdrId, called, calling, at, durationMs, units, amountMicros, disputedMicros }) => [
        cdrId,
        called.replace(/^[=@+-]/, "'$&"),
        (calling ?? '').replace(/^[=@+-]/, "'$&"),
        at.toISOString(),
        String(durationMs),
        String(units ?? ''),
        amountMicros === null ? '' : printAmount(amountMicros),
        printAmount(disputedMicros)
      ])
    )
  }
}

interface ShowOptions extends Common {
  readonly out?: string
  readonly day: string
}

const showCommand = (): Command =>
  withCommon(new Command('show'))
    .description('one dispute with everything that happened, and its records as a sheet')
    .argument('<number>', 'which one', numberArgument)
    .option('--out <file>', 'write its records to this CSV')
    .addOption(dayOption('on which it happens'))
    .action((id: bigint, options: ShowOptions) =>
      withDatabase(options, async ({ database }) => {
        const dispute = await readDispute(database, id)
        const steps = await stepsOf(database, id)
        if (options.out !== undefined) {
          await pipeline(Readable.from(evidenceCsv(database, id)), createWriteStream(options.out))
        }
        if (options.json) return sayJson({ ...jsonOf(dispute, options.day), steps, out: options.out ?? null })
        say(lineOf(dispute, options.day))
        const { raisedBy, party, reason, windowEnds, invoiceId, calls, reconciliationId } = dispute
        const evidence = reconciliationId === null ? '' : ` of reconciliation ${reconciliationId}`
        say(`  ${raisedBy === 'us' ? 'we dispute' : `${party} disputes`}: ${reason}`)
        say(
          `  invoice ${invoiceId ?? 'of the period'}; could be raised until ${windowEnds}; ${calls} records${evidence}`
        )
        for (const step of steps) {
          const conceded = step.concededMicros === null ? '' : `, ${printAmount(step.concededMicros)} conceded`
          const document = step.document === null ? '' : `, credit note ${step.document}`
          say(`  ${step.onDay} ${step.state}${conceded}${document}, by ${step.by}: ${step.reason}`)
        }
      })
    )

interface MoveOptions extends Common {
  readonly reason: string
  readonly conceded?: bigint
  readonly number?: string
  readonly day: string
}

const moveCommand = (): Command =>
  withCommon(new Command('move'), { signs: true })
    .description('take a dispute to its next state')
    .argument('<number>', 'which one', numberArgument)
    .argument('<state>', disputeStates.slice(1).join(', '))
    .requiredOption('--reason <text>', 'why')
    .option('--conceded <amount>', 'partly: how much of the amount, before tax', amountArgument)
    .option('--number <text>', "settled: the number of the seller's own credit note")
    .addOption(dayOption('on which it happens'))
    .action((id: bigint, name: string, options: MoveOptions, command: Command) => {
      const state = disputeStates.find(known => known === name)
      if (state === undefined) command.error(`${name} is none of ${disputeStates.join(', ')}`, { exitCode: 2 })
      return withDatabase(options, async ({ config, database }) => {
        const { reason, day, by, number } = options
        const concededMicros = options.conceded ?? null
        const asked = { id, state, reason, day, by, concededMicros, number }
        const dispute = await database.transaction(async sql => {
          const moved = await moveDispute(sql, asked)
          await tellCredit(sql, bookOf(config), by)
          return moved
        })
        if (options.json) return sayJson(jsonOf(dispute, day))
        say(lineOf(dispute, day))
      })
    })

interface ResolveOptions extends Omit<MoveOptions, 'conceded'> {
  readonly conceded: 'all' | 'none' | bigint
}
const conceded = (text: string): 'all' | 'none' | bigint =>
  text === 'all' || text === 'none' ? text : amountArgument(text)

const resolveCommand = (): Command =>
  withCommon(new Command('resolve'), { signs: true })
    .description('decide and settle at once: what is conceded becomes a credit note, the rest is due again')
    .argument('<number>', 'which one', numberArgument)
    .requiredOption('--conceded <amount>', 'how much of it, before tax; all or none', conceded)
    .requiredOption('--reason <text>', 'why')
    .option('--number <text>', "of an invoice that was received: the number of the seller's credit note")
    .addOption(dayOption('on which it happens'))
    .action((id: bigint, options: ResolveOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const { reason, day, by, number } = options
        const dispute = await database.transaction(async sql => {
          const { amountMicros } = await readDispute(sql, id)
          const given = options.conceded
          const concededMicros = given === 'all' ? amountMicros : given === 'none' ? 0n : given
          const resolved = await resolveDispute(sql, { id, concededMicros, reason, day, by, number })
          await tellCredit(sql, bookOf(config), by)
          return resolved
        })
        if (options.json) return sayJson(jsonOf(dispute, day))
        say(lineOf(dispute, day))
        if (dispute.document !== null) say(`  credit note ${dispute.document}`)
      })
    )

const holdCommand = (): Command =>
  withCommon(new Command('hold'), { signs: true })
    .description('hold its amount out of the invoice that was issued since; each move does that too')
    .argument('<number>', 'which one', numberArgument)
    .addOption(dayOption('on which it happens'))
    .action((id: bigint, options: Common & { readonly day: string }) =>
      withDatabase(options, async ({ database }) => {
        const { day, by } = options
        const dispute = await database.transaction(sql => holdAgain(sql, { id, day, by }))
        if (options.json) return sayJson(jsonOf(dispute, day))
        say(lineOf(dispute, day))
      })
    )

export function disputeCommand(): Command {
  return new Command('dispute')
    .description('disputes of invoices and periods: raised, answered, held out, settled by credit notes')
    .addCommand(openCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(moveCommand())
    .addCommand(resolveCommand())
    .addCommand(holdCommand())
}
