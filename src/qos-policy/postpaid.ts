// The Credit port where every agreement is postpaid: a grant carries no credit, so nothing is reserved and nothing due.

import type { Credit } from '../session/ports.ts'

export const postpaid: Credit = {
  reserve: () => Promise.resolve('no-credit'),
  refresh: () => Promise.resolve('no-credit'),
  settle: () => Promise.resolve()
}
