// What the commands around clearing share: the database of a running or a stopped hub, who asks, and progress.

import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { Option } from 'commander'
import type { Command } from 'commander'
import { createAgreementBook } from '../clearing/agreements.ts'
import type { AgreementBook } from '../clearing/agreements.ts'
import { createDeckVersions } from '../clearing/decks/versions.ts'
import { clearingMigrations } from '../clearing/migrations.ts'
import { createNumberOf } from '../clearing/numbers.ts'
import { databaseUrl, readConfig } from '../config.ts'
import type { Config } from '../config.ts'
import { HubError } from '../errors.ts'
import { createLog } from '../log.ts'
import { openDatabase } from '../store/database.ts'
import type { Database } from '../store/database.ts'

export interface Common {
  readonly config: string
  readonly database?: string
  readonly json: boolean
  readonly by: string
}

/** `--config`, `--database`, `--json` and, where somebody has to answer for it, `--by`. */
export function withCommon(command: Command, { signs = false } = {}): Command {
  command
    .option('--config <file>', 'the configuration of the hub', 'isthmus.yaml')
    .option('--database <url>', 'this PostgreSQL instead of the one that the configuration names')
    .option('--json', 'one JSON object instead of words', false)
  const by = new Option('--by <name>', 'who answers for it').default(userName())
  return signs ? command.addOption(by) : command.addOption(by.hideHelp())
}

/** In a container the user may have no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return 'unknown'
  }
}

export const say = (text: string): void => void process.stdout.write(`${text}\n`)

/** BigInts and moments as text. */
export const sayJson = (value: unknown): void =>
  say(JSON.stringify(value, (_name, item: unknown) => (typeof item === 'bigint' ? item.toString() : item)))

/** Opens the database, runs, and closes it; a PostgreSQL that this command has started goes down with it. */
export async function withDatabase<T>(
  { config: file, database: url }: Common,
  work: (given: { readonly config: Config; readonly database: Database }) => Promise<T>
): Promise<T> {
  const config = readConfig(file)
  const server = url ?? databaseUrl(config)
  const place = server === null ? { dataDir: resolve(config.hub.dataDir), join: true } : { url: server }
  const database = await openDatabase({ place, poolMax: 2, migrations: clearingMigrations, log: createLog('error') })
  const stop = (): void => process.exit(130)
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    return await work({ config, database })
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    await database.close()
  }
}

/** One of those of a configuration, or of a book. Throws HUB_CONFIG. */
export function agreementOf<T extends { readonly id: string }>(
  { agreements }: { readonly agreements: readonly T[] },
  id: string
): T {
  const found = agreements.find(agreement => agreement.id === id)
  if (found !== undefined) return found
  const known = agreements.map(agreement => agreement.id).join(', ') || 'none'
  throw new HubError('HUB_CONFIG', `no agreement is called ${id}; there is ${known}`)
}

/** The agreements with all their decks. */
export const bookOf = ({ agreements, islands }: Config): AgreementBook =>
  createAgreementBook(agreements, createNumberOf(islands), createDeckVersions(agreements))

const barWidth = 30

/** A bar on standard error, on a terminal only. */
export function progressOf(what: string, stream: NodeJS.WriteStream = process.stderr) {
  let shown = -1
  return {
    at(done: number, of: number | null): void {
      if (!stream.isTTY) return
      const percent = of === null || of === 0 ? null : Math.floor((done * 100) / of)
      if ((percent ?? done) === shown) return
      shown = percent ?? done
      const filled = Math.floor(((percent ?? 0) * barWidth) / 100)
      const bar = percent === null ? `${done}` : `[${'='.repeat(filled).padEnd(barWidth)}] ${percent} %`
      stream.write(`\r${what} ${bar}\u001b[K`)
    },
    end(): void {
      if (stream.isTTY && shown !== -1) stream.write('\r\u001b[K')
    }
  }
}
