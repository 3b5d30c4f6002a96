// A process that runs an embedded PostgreSQL until it is told to go: `node embedded-child.ts DATA_DIR [SHARED_DIR]`.
// Lines out: `ready {...}`, `draining`, `stopped`. After a signal it waits for its standard input to end, like a drain.

import { startEmbeddedPostgres } from '../../src/store/embedded-postgres.ts'
import type { EmbeddedOptions } from '../../src/store/embedded-postgres.ts'

const [dataDir = '', sharedDir] = process.argv.slice(2)
const say = (line: string): boolean => process.stdout.write(`${line}\n`)
const quiet = (): void => undefined
const log = { warn: quiet, error: quiet, info: quiet } as unknown as EmbeddedOptions['log']

try {
  const server = await startEmbeddedPostgres({ dataDir, log, ...(sharedDir === undefined ? {} : { sharedDir }) })
  const { host, port, superuser, passwords, pid } = server
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      say('draining')
      process.stdin.on('end', () => void server.stop().then(() => process.exit(say('stopped') ? 0 : 0)))
    })
  }
  process.on('SIGUSR2', () => process.exit(3))
  process.stdin.resume()
  say(`ready ${JSON.stringify({ host, port, superuser, passwords, pid })}`)
} catch (error) {
  say(`failed ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
