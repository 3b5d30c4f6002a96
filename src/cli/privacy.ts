// `isthmus privacy`: numbers of people are taken out of records whose time is over.

import { Command } from 'commander'
import { cutOffs, eraseNumbers } from '../clearing/privacy.ts'
import { progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'

const purgeCommand = (): Command =>
  withCommon(new Command('purge'), { signs: true })
    .description('take the numbers out of records older than privacy.retentionDays; amounts and sums stay')
    .addHelpText('after', '\nWhat an open dispute is about stays until it is over. It cannot be undone.')
    .action((options: Common) =>
      withDatabase(options, async ({ config, database }) => {
        const bar = progressOf('erasing')
        const cut = cutOffs(config.privacy, Date.now())
        const erased = await eraseNumbers(database, cut, { by: options.by, progress: done => bar.at(done, null) })
        bar.end()
        if (options.json) return sayJson({ ...erased, cutOffs: cut })
        say(`numbers of ${erased.records} records and ${erased.partnerCalls} lines of partners' files were erased`)
      })
    )

export const privacyCommand = (): Command =>
  new Command('privacy').description('how long numbers of people are kept').addCommand(purgeCommand())
