// The blocks in force, in memory, where each call is held against them; by the beginnings of called numbers. Pure.

import type { Block } from './model.ts'

/** The commercial parties and numbers of a call that wants to be let in; digits without a sign. */
export interface CallAsked {
  readonly from: string
  readonly to: string
  readonly calling: string | null
  readonly called: string
}

export interface BlockList {
  readonly size: number
  /** The first that matches and has not expired. */
  find(call: CallAsked, now: number): Block | null
}

export function createBlockList(blocks: readonly Block[]): BlockList {
  const byCalled = new Map<string, Block[]>()
  for (const block of blocks) {
    const prefix = block.calledPrefix ?? ''
    const known = byCalled.get(prefix)
    if (known === undefined) byCalled.set(prefix, [block])
    else known.push(block)
  }
  const lengths = [...new Set([...byCalled.keys()].map(prefix => prefix.length))]
  return {
    size: blocks.length,
    find(call, now) {
      for (const length of lengths) {
        if (length > call.called.length) continue
        const found = byCalled.get(call.called.slice(0, length))?.find(block => isFor(block, call, now))
        if (found !== undefined) return found
      }
      return null
    }
  }
}

const isFor = ({ from, to, callingPrefix, startsAt, expiresAt }: Block, call: CallAsked, now: number): boolean =>
  (from === null || from === call.from) &&
  (to === null || to === call.to) &&
  (callingPrefix === null || call.calling?.startsWith(callingPrefix) === true) &&
  now >= startsAt.getTime() &&
  now < expiresAt.getTime()
