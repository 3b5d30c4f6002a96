// `isthmus rate simulate`, `isthmus rerate` and `isthmus suspense`: a price explained, charged again, or waited for.

import { Command, InvalidArgumentError } from 'commander'
import { printAmount } from '../clearing/money.ts'
import { releaseAll } from '../clearing/release.ts'
import { rerate } from '../clearing/rerate.ts'
import { simulate } from '../clearing/simulate.ts'
import { suspenseReasons } from '../clearing/charging.ts'
import { limits as suspenseLimits, listSuspense, sumSuspense } from '../clearing/suspense.ts'
import { HubError } from '../errors.ts'
import { isE164 } from '../session/dial-plan.ts'
import { agreementOf, bookOf, progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import { countArgument } from './money-commands.ts'

const moment = (text: string): number => {
  const at = Date.parse(text)
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}T.*(Z|[+-][0-9]{2}:[0-9]{2})$/.test(text) || Number.isNaN(at)) {
    throw new InvalidArgumentError('a moment such as 2026-11-02T12:00:00Z')
  }
  return at
}
const day = (text: string): string => {
  const at = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(at) || !new Date(at).toISOString().startsWith(text)) {
    throw new InvalidArgumentError('a day such as 2026-11-01')
  }
  return text
}
const number = (text: string): string => {
  if (!isE164(text)) throw new InvalidArgumentError('a number such as +4930123456')
  return text
}
const milliseconds = (text: string): number => {
  if (!/^[0-9]{1,7}(\.[0-9]{1,3})?$/.test(text)) throw new InvalidArgumentError('seconds such as 61 or 61.2')
  return Math.round(Number(text) * 1_000)
}

interface SimulateOptions extends Common {
  readonly agreement: string
  readonly called: string
  readonly calling?: string
  readonly at: number
  readonly duration: number
  readonly quality?: string
}

const simulateCommand = (): Command =>
  withCommon(new Command('simulate'))
    .description('why a call would cost what it costs, step by step')
    .requiredOption('--agreement <id>', 'by which agreement')
    .requiredOption('--called <number>', 'where to', number)
    .option('--calling <number>', 'where from; without it the caller has no number', number)
    .requiredOption('--at <moment>', 'when it is answered', moment)
    .option('--duration <seconds>', 'how long; no matter for a message', milliseconds, 60_000)
    .option('--quality <class>', 'the quality class it was let in with')
    .action((options: SimulateOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const book = bookOf(config)
        const agreement = agreementOf(book, options.agreement)
        await database.transaction(sql => book.prepare(sql, [options.at]))
        const { called, calling = null, at, duration: durationMs, quality = null } = options
        const simulation = simulate(book, agreement, { called, calling, at, durationMs, quality })
        if (options.json) return sayJson(simulation)
        const width = Math.max(...simulation.steps.map(({ step }) => step.length))
        for (const { step, detail } of simulation.steps) say(`${step.padEnd(width)}  ${detail}`)
      })
    )

export const rateCommand = (): Command =>
  new Command('rate').description('what calls would cost').addCommand(simulateCommand())

interface RerateAsked extends Common {
  readonly from: string
  readonly to: string
  readonly agreement?: string
  readonly call?: string
  readonly reason: string
  readonly dryRun: boolean
}

export const rerateCommand = (): Command =>
  withCommon(new Command('rerate'), { signs: true })
    .description('charge again what was charged, by the rates as they are known now: reversal and new entry')
    .requiredOption('--from <day>', 'the first day, in the time zone of each agreement', day)
    .requiredOption('--to <day>', 'the day after the last one', day)
    .option('--agreement <id>', 'only by this agreement')
    .option('--call <id>', 'only this call')
    .requiredOption('--reason <text>', 'why; it is kept with every new charge')
    .option('--dry-run', 'only tell what would change', false)
    .action((options: RerateAsked) =>
      withDatabase(options, async ({ config, database }) => {
        const { from, to, agreement = null, call = null, reason, by, dryRun } = options
        if (from >= to) throw new HubError('HUB_CONFIG', `--to ${to} is not after --from ${from}`)
        if (reason.trim() === '') throw new HubError('HUB_CONFIG', '--reason is empty')
        const book = bookOf(config)
        if (agreement !== null) agreementOf(book, agreement)
        const bar = progressOf('rating again')
        const scope = { agreementId: agreement, from, to, callId: call }
        const done = await rerate(database, book, { scope, reason, by, dryRun, progress: (at, of) => bar.at(at, of) })
        bar.end()
        const sums = done.sums.map(({ agreementId, currency, before, after }) => ({
          agreement: agreementId,
          currency,
          before: printAmount(before),
          after: printAmount(after),
          difference: printAmount(after - before)
        }))
        if (options.json) return sayJson({ ...done, sums, dryRun })
        const verb = dryRun ? 'would change' : 'changed'
        say(`${done.looked} charges looked at, ${done.changed} ${verb}, ${done.unpriced} that nothing prices now`)
        for (const sum of sums) {
          say(`  ${sum.agreement}: ${sum.before} -> ${sum.after} ${sum.currency} (${sum.difference})`)
        }
      })
    )

const reasonOf = (text: string): string => {
  if (!suspenseReasons.some(reason => reason === text)) throw new InvalidArgumentError(suspenseReasons.join(', '))
  return text
}

const suspenseList = (): Command =>
  withCommon(new Command('list'))
    .description('answered calls that nothing prices, and what is missing')
    .option('--reason <reason>', suspenseReasons.join(', '), reasonOf)
    .option('--max <n>', `how many are listed, up to ${suspenseLimits.listMax}`, countArgument, 20)
    .action((options: Common & { readonly reason?: string; readonly max: number }) =>
      withDatabase(options, async ({ database }) => {
        const reason = options.reason ?? null
        const [sums, calls] = [await sumSuspense(database, reason), await listSuspense(database, reason, options.max)]
        if (options.json) return sayJson({ sums, calls })
        if (sums.length === 0) return say('nothing waits for a price')
        for (const { reason, provider, otherProvider, service, records, durationMs } of sums) {
          const minutes = (BigInt(durationMs) / 60_000n).toString()
          say(
            `${reason}: ${records} ${service} records of ${provider} with ${otherProvider ?? 'nobody'}, ${minutes} min`
          )
        }
        for (const { cdrId, reason, leg, called, answeredAt } of calls) {
          say(`  ${cdrId} ${reason} ${leg} to ${called} at ${answeredAt?.toISOString() ?? ''}`)
        }
      })
    )

const suspenseRelease = (): Command =>
  withCommon(new Command('release'))
    .description('charge those that the agreements and decks can price now')
    .action((options: Common) =>
      withDatabase(options, async ({ config, database }) => {
        const publish = config.events.kafka !== undefined
        const signal = new AbortController().signal
        const charged = await releaseAll(database, bookOf(config), { pageMax: 500, signal, publish })
        const left = (await sumSuspense(database, null)).reduce((sum, { records }) => sum + records, 0n)
        if (options.json) return sayJson({ charged, left })
        say(`${charged} charged, ${left} still wait`)
      })
    )

export const suspenseCommand = (): Command =>
  new Command('suspense')
    .description('answered calls that wait for a price: never free, never lost')
    .addCommand(suspenseList())
    .addCommand(suspenseRelease())
