// `npm run sandbox -- operator | user`: the sandbox endpoints from the command line.

import { sandbox } from './command.ts'

process.exitCode = await sandbox(process.argv.slice(2), {
  say: line => void process.stdout.write(`${line}\n`),
  complain: line => void process.stderr.write(`${line}\n`)
})
