// Composition of the islands: an adapter for each access that the configuration has.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createMatrix } from './adapters/matrix/matrix.ts'
import { createSipWs } from './adapters/sip-ws/sip-ws.ts'
import { createRoster } from './adapters/xmpp/roster.ts'
import { createXmpp } from './adapters/xmpp/xmpp.ts'
import { linkSecretOf, passwordOf } from './config.ts'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'
import type { Directory } from './routing/directory.ts'
import type { Clock, SignallingAdapter } from './session/ports.ts'
import type { Database } from './store/database.ts'

export interface Islands {
  readonly adapters: readonly (SignallingAdapter & { close(): Promise<void> })[]
  /** What listens, and where links go; after the start. */
  listening(): readonly { readonly what: string; readonly where: string }[]
}

interface IslandsParts {
  readonly database: Database
  readonly directory: Directory
  readonly clock: Clock
  readonly log: Logger
}

export function createIslands(config: Config, { database, directory, clock, log }: IslandsParts): Islands {
  const { islands, hub, emergency, matrix: matrixConfig } = config
  const has = (access: string): boolean => islands.some(island => island.access === access && island.enabled)
  const numberOf = (islandId: string, user: string): string | null => directory.numberOf(islandId, user)
  const sipWs = createSipWs({ config: { sipWs: config.sipWs, islands, hub, emergency }, log, clock, passwordOf })
  const common = { log, clock, secretOf: linkSecretOf, numberOf }
  const xmpp = has('xmpp')
    ? createXmpp({
        ...common,
        config: { islands, hub: { domain: hub.domain, version } },
        roster: createRoster({ database, log })
      })
    : null
  const matrix = has('matrix') ? createMatrix({ ...common, config: { matrix: matrixConfig, islands }, database }) : null
  return {
    adapters: [sipWs, ...(xmpp === null ? [] : [xmpp]), ...(matrix === null ? [] : [matrix])],
    listening: () => [
      { what: 'SIP over WebSocket', where: sipWs.url },
      ...(xmpp?.links ?? []).map(where => ({ what: 'XMPP', where })),
      ...(matrix === null ? [] : [{ what: 'Matrix homeservers', where: matrix.url }])
    ]
  }
}

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
  readonly version: string
}
