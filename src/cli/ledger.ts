// `isthmus ledger verify`: whether the book is what its entries, records and seals say.

import { Command } from 'commander'
import type { LogReader } from '../clearing/verify/kafka-chain.ts'
import { verifyLedger } from '../clearing/verify/verify.ts'
import { kafkaOf } from '../compose-events.ts'
import type { Config } from '../config.ts'
import { cdrTopic } from '../events/event-log.ts'
import { briefRetry } from '../events/kafka-client.ts'
import { readTopic } from '../events/kafka-read.ts'
import { createLog } from '../log.ts'
import { progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'

const after = `
Balances and daily sums are added up again from the entries and charges, each charge is computed again from its
explanation, the chain of each node's records is followed in the event log (the table, or Kafka), and each closed
statement is compared with its records, postings and seal. Nothing is changed; the hub may be running. Run it every
night.
Exit codes: 0 all is as it should be, 1 something differs, 2 bad arguments.`

const verifyCommand = (): Command =>
  withCommon(new Command('verify'))
    .description('compute the whole book again and say what differs')
    .addHelpText('after', after)
    .action((options: Common) =>
      withDatabase(options, async ({ config, database }) => {
        const bar = progressOf('verifying')
        const { ok, checks } = await verifyLedger(database, (_what, done) => bar.at(done, null), logReaderOf(config))
        bar.end()
        if (options.json) sayJson({ ok, checks })
        for (const { name, looked, wrong, faults, skipped } of options.json ? [] : checks) {
          const outcome = wrong > 0 ? `${wrong} WRONG` : (skipped ?? 'right')
          say(`${name.padEnd(12)} ${String(looked).padStart(12)}  ${outcome}`)
          for (const fault of faults) say(`  ${fault}`)
        }
        if (!ok) process.exitCode = 1
      })
    )

/** The records that are in Kafka; null: they are in the database. */
function logReaderOf(config: Config): LogReader | null {
  const kafka = kafkaOf(config, createLog('error'), briefRetry)
  const { kafka: settings } = config.events
  if (kafka === null || settings === undefined) return null
  return take => readTopic({ kafka, topic: cdrTopic, group: settings.group, take })
}

export const ledgerCommand = (): Command =>
  new Command('ledger').description('the book of double entry').addCommand(verifyCommand())
