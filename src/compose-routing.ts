// The router from the configuration, with ENUM: a resolver of its own for each tree of numbers.

import type { Config } from './config.ts'
import type { Logger } from './log.ts'
import { createLookUp } from './routing/enum.ts'
import type { LookUp } from './routing/enum.ts'
import type { Directory } from './routing/directory.ts'
import { createRouter } from './routing/routing.ts'
import type { HealthyRouter } from './routing/routing.ts'
import { createResolver } from './sip/resolver.ts'

/** Null where nothing is to be looked up. */
export function openLookUp({ routing }: Pick<Config, 'routing'>, log: Logger, now?: () => number): LookUp | null {
  if (routing.enum.length === 0) return null
  const trees = routing.enum.map(({ prefix, suffix, servers, timeoutMs, tries, keptMs, unknownMs }) => {
    const limits = { timeoutMs, tries, untoldTtlMs: keptMs, negativeTtlMs: unknownMs }
    const resolver = createResolver({ servers, limits, ...(now === undefined ? {} : { now }) })
    return { prefix, suffix, naptr: (name: string) => resolver.naptr(name) }
  })
  return createLookUp(trees, log)
}

export function openRouter(config: Config, directory: Pick<Directory, 'ownerOf'>, log: Logger): HealthyRouter {
  const { islands, operators } = config
  const lookUp = openLookUp(config, log)
  const ownerOf = (number: string) => directory.ownerOf(number)
  return createRouter({ islands, operators, ownerOf, ...(lookUp === null ? {} : { lookUp }) })
}
