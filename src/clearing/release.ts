// Charges what waited in suspense and can now be priced, page after page.

import type { Database } from '../store/database.ts'
import type { AgreementBook } from './agreements.ts'
import { releaseSuspense } from './ledger.ts'
import type { PostOptions } from './ledger.ts'

export interface ReleaseOptions extends PostOptions {
  /** Records of one transaction. */
  readonly pageMax: number
  readonly signal: AbortSignal
}

/** Returns how many were charged; ends early, at the edge of a page, when told to. */
export async function releaseAll(
  database: Database,
  book: AgreementBook,
  { pageMax, signal, publish = false }: ReleaseOptions
): Promise<number> {
  let from = '00000000-0000-0000-0000-000000000000'
  let total = 0
  while (!signal.aborted) {
    const page = { from, max: pageMax, publish }
    const { looked, charged, last } = await database.transaction(sql => releaseSuspense(sql, book, page))
    total += charged
    from = last
    if (looked < pageMax) break
  }
  return total
}
