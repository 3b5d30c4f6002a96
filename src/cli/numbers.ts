// `npm run numbers`: which numbers belong to which users of an island: import, list.

import { readFileSync, statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { migrations, placeOf } from '../compose.ts'
import { parseConfig, readConfig } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import { createLog } from '../log.ts'
import { parseNumbers, printNumbers } from '../routing/directory-csv.ts'
import { importNumbers, listNumbers, ownersOf, refused } from '../routing/directory.ts'
import { openDatabase } from '../store/database.ts'

const fileBytesMax = 256 * 1_048_576
const defaultFile = 'isthmus.yaml'

const help = `npm run numbers -- import FILE --island ISLAND [OPTIONS]   take a provider's number table
npm run numbers -- list --island ISLAND [OPTIONS]          print it

  --island ISLAND  the id of the island in the configuration
  --replace        import: the island's numbers are these and no others; without it they are added or changed
  --json           one JSON object instead of words or CSV
  --config FILE    the configuration of the hub; ${defaultFile} unless named
  --help           this text

FILE is CSV with a header: number (E.164), user (the user part of the address), proof (how the provider knows that the
number is the user's), proven_on (2026-11-22). All of it is taken or nothing: a number that another island or the
configuration has given to somebody is refused. A running hub knows imported numbers within 5 s.
Exit codes: 0 done, 1 refused or the database cannot be used, 2 bad arguments.`

class Usage extends Error {}

const say = (text: string): void => void process.stdout.write(text)

async function main(args: readonly string[]): Promise<void> {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const options = {
    island: text,
    config: text,
    replace: flag,
    json: flag,
    help: { type: 'boolean', short: 'h' }
  } as const
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
  if (values.help === true) return say(`${help}\n`)
  const [what, file] = positionals
  const { island, json = false } = values
  if (what !== 'import' && what !== 'list') throw new Usage('import or list? --help explains')
  if (island === undefined) throw new Usage('--island is needed; --help explains')
  const config = values.config === undefined ? readConfigOrDefaults() : readConfig(values.config)
  if (!config.islands.some(({ id }) => id === island)) throw new HubError('HUB_CONFIG', `no island is called ${island}`)
  const entries = what === 'import' ? entriesOf(file) : []
  const database = await openDatabase({
    place: placeOf(config, true),
    poolMax: 1,
    migrations,
    log: createLog('warn')
  })
  try {
    if (what === 'list') {
      const list = await listNumbers(database, island)
      return say(json ? `${JSON.stringify(list)}\n` : printNumbers(list))
    }
    const configured = ownersOf(config.islands)
    const done = await importNumbers(database, { island, entries, replace: values.replace === true, configured })
    const { added, changed, removed, unchanged } = done
    const words = `${island}: ${added} added, ${changed} changed, ${removed} removed, ${unchanged} unchanged`
    say(json ? `${JSON.stringify({ island, ...done })}\n` : `${words}\n`)
  } finally {
    await database.close()
  }
}

function readConfigOrDefaults() {
  try {
    return readConfig(defaultFile)
  } catch (error) {
    if (error instanceof HubError && /ENOENT/.test(error.message)) return parseConfig('')
    throw error
  }
}

function entriesOf(file: string | undefined) {
  if (file === undefined) throw new Usage('which file? --help explains')
  let text: string
  try {
    const { size } = statSync(file)
    if (size > fileBytesMax) throw new HubError('HUB_CONFIG', `${file} is larger than ${fileBytesMax} bytes`)
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw cause instanceof HubError ? cause : new HubError('HUB_CONFIG', `cannot read ${file}: ${messageOf(cause)}`)
  }
  const table = parseNumbers(text)
  if (!table.ok) throw refused(table.problems)
  return table.entries
}

// Through `exit`: a PostgreSQL that this command has started is shut down with it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    const usage = error instanceof Usage || (error instanceof TypeError && 'code' in error)
    process.stderr.write(`${messageOf(error)}\n`)
    process.exit(usage ? 2 : 1)
  }
)
