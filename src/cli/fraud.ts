// `isthmus fraud`: what looks like fraud, which calls are refused because of it, and letting them go.

import { Command, InvalidArgumentError, Option } from 'commander'
import { fraudRules, ruleWords } from '../clearing/fraud/model.ts'
import type { Block, CallScope } from '../clearing/fraud/model.ts'
import { activeBlocks, addBlock, listSignals, releaseBlock, suspectCalls } from '../clearing/fraud/store.ts'
import { printAmount } from '../clearing/money.ts'
import type { Config } from '../config.ts'
import { HubError } from '../errors.ts'
import { readConfig } from '../config.ts'
import { say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import { numberArgument, rangeArgument } from './dispute.ts'

const count = (text: string): number => {
  if (!/^[1-9][0-9]{0,4}$/.test(text)) throw new InvalidArgumentError('a number from 1 to 99999')
  return Number(text)
}
const minutes = (text: string): number => {
  if (!/^[1-9][0-9]{0,5}$/.test(text) || Number(text) > 525_600) throw new InvalidArgumentError('1 to 525600 minutes')
  return Number(text)
}

function scopeWords({ from, to, callingPrefix, calledPrefix }: CallScope): string {
  const parts = [
    from === null ? null : `from ${from}`,
    to === null ? null : `to ${to}`,
    callingPrefix === null ? null : `by +${callingPrefix}`,
    calledPrefix === null ? null : `to numbers +${calledPrefix}`
  ]
  return parts.filter(part => part !== null).join(', ')
}

function blockLine({ id, rule, reason, expiresAt, signalId, by, ...scope }: Block): string {
  const why = signalId === null ? reason : `${reason} (signal ${signalId})`
  return `block ${id}: calls ${scopeWords(scope)} until ${expiresAt.toISOString()}, by ${by}, ${rule}: ${why}`
}

interface ListOptions extends Common {
  readonly rule?: string
  readonly max: number
}

const listCommand = (): Command =>
  withCommon(new Command('list'))
    .description('what the rules have seen, the last first, and the blocks in force')
    .addOption(new Option('--rule <rule>', 'of this rule alone').choices(fraudRules))
    .option('--max <n>', 'so many signals', count, 50)
    .action((options: ListOptions) =>
      withDatabase(options, async ({ database }) => {
        const signals = await listSignals(database, { rule: options.rule ?? null, max: options.max })
        const blocks = await activeBlocks(database)
        if (options.json) return sayJson({ signals, blocks })
        for (const { id, rule, toldAt, text } of signals) say(`signal ${id} ${toldAt.toISOString()} ${rule}: ${text}`)
        for (const block of blocks) say(blockLine(block))
        if (signals.length + blocks.length === 0) say('none')
      })
    )

const callsCommand = (): Command =>
  withCommon(new Command('calls'))
    .description('the charged records that a signal casts suspicion on')
    .argument('<signal>', 'which one', numberArgument)
    .option('--max <n>', 'so many', count, 1_000)
    .action((id: bigint, options: Common & { readonly max: number }) =>
      withDatabase(options, async ({ database }) => {
        const calls = await suspectCalls(database, id, options.max)
        if (options.json) return sayJson({ signal: id, calls })
        for (const { cdrId, called, calling, endedAt, durationMs, amountMicros, currency } of calls) {
          const price = amountMicros === null ? 'not charged' : `${printAmount(amountMicros)} ${currency ?? ''}`
          const ended = endedAt.toISOString()
          say(`${cdrId} ${ended} ${calling ?? 'unknown'} -> ${called}, ${Number(durationMs) / 1_000} s, ${price}`)
        }
        if (calls.length === 0) say('none')
      })
    )

interface BlockOptions extends Common {
  readonly from?: string
  readonly to?: string
  readonly calling?: string
  readonly called?: string
  readonly minutes?: number
  readonly reason: string
}

/** A block of somebody who does not exist would refuse nobody. */
function requireParty({ islands, operators }: Config, name: string | undefined): void {
  if (name === undefined) return
  const parties = new Set([...islands, ...operators].map(peer => peer.provider ?? peer.id))
  if (parties.has(name)) return
  throw new HubError('HUB_CONFIG', `no party is called ${name}; there is ${[...parties].join(', ') || 'none'}`)
}

const blockCommand = (): Command =>
  withCommon(new Command('block'), { signs: true })
    .description('refuse the calls that match all that is named, until it expires; never calls for help')
    .option('--from <provider>', 'of this provider')
    .option('--to <provider>', 'to this provider')
    .option('--calling <digits>', 'by callers whose numbers begin so', rangeArgument)
    .option('--called <digits>', 'to numbers that begin so', rangeArgument)
    .option('--minutes <n>', 'for so long; fraud.blockMinutes unless named', minutes)
    .requiredOption('--reason <text>', 'why')
    .action((options: BlockOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const { from, to, calling, called, reason, by } = options
        requireParty(config, from)
        requireParty(config, to)
        const block = await addBlock(database, {
          from: from ?? null,
          to: to ?? null,
          callingPrefix: calling ?? null,
          calledPrefix: called ?? null,
          rule: 'manual',
          signalId: null,
          reason,
          minutes: options.minutes ?? config.fraud.blockMinutes,
          by
        })
        if (options.json) return sayJson(block)
        say(blockLine(block))
      })
    )

const releaseCommand = (): Command =>
  withCommon(new Command('release'), { signs: true })
    .description('let the calls of a block go before it expires')
    .argument('<block>', 'which one', numberArgument)
    .requiredOption('--reason <text>', 'why')
    .action((id: bigint, options: Common & { readonly reason: string }) =>
      withDatabase(options, async ({ database }) => {
        await releaseBlock(database, { id, reason: options.reason, by: options.by })
        if (options.json) return sayJson({ released: id })
        say(`block ${id} is released; running hubs know within 5 s`)
      })
    )

const rulesCommand = (): Command =>
  new Command('rules')
    .description('the rules, their bounds, and which of them block')
    .option('--config <file>', 'the configuration of the hub', 'isthmus.yaml')
    .option('--json', 'one JSON object instead of words', false)
    .action(({ config: file, json }: { readonly config: string; readonly json: boolean }) => {
      const { fraud } = readConfig(file)
      const of = {
        'irsf-money': fraud.irsf,
        'irsf-range': fraud.irsf,
        wangiri: fraud.wangiri,
        fas: fraud.fas,
        spike: fraud.spike
      }
      const rules = fraudRules.map(rule => {
        const { enabled, block, ...bounds } = of[rule]
        const isOn = fraud.enabled && enabled
        return { rule, words: ruleWords[rule], enabled: isOn, blocks: isOn && block, bounds }
      })
      if (json) return sayJson({ blockMinutes: fraud.blockMinutes, rules })
      for (const { rule, words, enabled, blocks, bounds } of rules) {
        const does = enabled ? (blocks ? `tells and blocks for ${fraud.blockMinutes} minutes` : 'tells') : 'off'
        say(`${rule.padEnd(11)} ${does}: ${words}`)
        const shown = Object.entries(bounds).map(
          ([name, value]) => `${name} ${Array.isArray(value) ? `(${value.length})` : String(value)}`
        )
        say(`            ${shown.join(', ')}`)
      }
    })

export function fraudCommand(): Command {
  return new Command('fraud')
    .description('signals of fraud, blocks, and their release')
    .addCommand(listCommand())
    .addCommand(callsCommand())
    .addCommand(blockCommand())
    .addCommand(releaseCommand())
    .addCommand(rulesCommand())
}
