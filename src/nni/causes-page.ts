// docs/causes.md, written from the tables in causes.ts.

import { releaseCauses } from '../session/model.ts'
import { reasonPhrase } from '../sip/message.ts'
import { causeOfQ850, causeOfStatus, ownHop, vagueStatuses, wordings } from './causes.ts'

const rows = (table: Readonly<Record<number, string>>, head: (key: number) => string): readonly string[] =>
  Object.entries(table).map(([key, cause]) => `| ${head(Number(key))} | ${cause} |`)
const list = (statuses: ReadonlySet<number>): string => [...statuses].join(', ')

/** The whole page. A test holds docs/causes.md to it. */
export function causesPage(): string {
  return [
    '# Causes at the operator border',
    '',
    'Why a call ended is one of a closed list of causes. This page is printed from `src/nni/causes.ts` by `causesPage`',
    'and checked by a test. The tables follow RFC 3398 and TS 29.163; a status or Q.850 value that a peer gave itself',
    'is passed on unchanged to a peer of the same kind.',
    '',
    '## What a peer is told',
    '',
    'The status answers an INVITE or MESSAGE; the Q.850 value goes into `Reason`: of answers to trusted peers,',
    'of BYE and of CANCEL.',
    '',
    '| cause | SIP status | Q.850 |',
    '|---|---|---|',
    ...releaseCauses.map(cause => {
      const { status, q850 } = wordings[cause]
      return `| ${cause} | ${status} ${reasonPhrase(status)} | ${q850} |`
    }),
    '',
    `Not passed on though a peer said so: every 3xx, and ${list(ownHop)}. A 503 of the other side becomes 500.`,
    '',
    '## What a status of a peer means',
    '',
    '| SIP status | cause |',
    '|---|---|',
    ...rows(causeOfStatus, status => `${status} ${reasonPhrase(status)}`),
    '| other 3xx | unreachable |',
    '| other 4xx, 5xx | peer-failed |',
    '| other 6xx | declined |',
    '',
    `With ${list(vagueStatuses)} a Q.850 value of a trusted peer decides instead, unless it is 16 or 31.`,
    'A 408 after ringing means no-answer.',
    '',
    '## What a Q.850 value of a peer means',
    '',
    '| Q.850 | cause |',
    '|---|---|',
    ...rows(causeOfQ850, String),
    '| other | peer-failed |',
    ''
  ].join('\n')
}
