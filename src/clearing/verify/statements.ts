// Closed statements against what they were made of: totals, records, roots, postings, and the chain of their seals.

import type { Sql } from '../../store/sql.ts'
import { printAmount } from '../money.ts'
import { documentOf } from '../settlement/document.ts'
import type { ClosedStatement, StatementLine } from '../settlement/model.ts'
import { listStatements, readLines, readSeals } from '../settlement/read.ts'
import { createProof, readRecords } from '../settlement/records.ts'
import { digestOf, firstSeal, sealFault } from '../settlement/seal.ts'
import { Findings } from './model.ts'
import type { Check } from './model.ts'

/** `sql` is a transaction. */
export async function checkStatements(sql: Sql, progress: (done: number) => void): Promise<Check> {
  const found = new Findings('statements')
  const seals = new Map((await readSeals(sql)).map(seal => [seal.statementId, seal]))
  for (const statement of await listStatements(sql, null)) {
    const { statementId } = statement
    const lines = await readLines(sql, statementId)
    const seal = seals.get(statementId)
    const digest = digestOf(documentOf(statement, lines))
    const sealed = seal === undefined ? 'it has no seal' : sealFault(seal, { digest, merkleRoot: statement.merkleRoot })
    const faults = [
      ...(sealed === null ? [] : [sealed]),
      ...totalFaults(statement, lines),
      ...(await recordFaults(sql, statement, lines)),
      ...(await postingFaults(sql, statement, lines))
    ]
    for (const fault of faults) found.fault(`${statementId}: ${fault}`)
    found.look(1)
    progress(found.looked)
  }
  const { rows } = await sql.query<{ statement_id: string }>(
    `select statement_id from statement_seal full join statement using (statement_id)
       full join period_close using (statement_id)
     where statement.from_day is null or number is null or closed_at is null order by 1`
  )
  for (const { statement_id } of rows) found.fault(`${statement_id}: the statement, its seal or its close is missing`)
  let previous = firstSeal
  let number = 0
  for (const seal of seals.values()) {
    number += 1
    if (seal.number !== number) found.fault(`seal ${number} is missing`)
    else if (seal.previous !== previous) found.fault(`seal ${seal.number} does not follow the one before`)
    number = seal.number
    previous = seal.hash
  }
  return found.done()
}

function totalFaults(statement: ClosedStatement, lines: readonly StatementLine[]): readonly string[] {
  const isUsage = ({ kind }: StatementLine): boolean => kind === 'usage' || kind === 'late'
  const sum = (of: readonly StatementLine[], what: 'grossMicros' | 'netMicros' | 'attempts'): bigint =>
    of.reduce((total, line) => total + line[what], 0n)
  const pairs: readonly (readonly [string, bigint, bigint])[] = [
    ['the gross total', statement.grossMicros, sum(lines.filter(isUsage), 'grossMicros')],
    [
      'the adjustments',
      statement.adjustmentMicros,
      sum(
        lines.filter(line => !isUsage(line)),
        'netMicros'
      )
    ],
    ['the net total', statement.netMicros, sum(lines, 'netMicros')],
    ['the count of records', statement.cdrCount, sum(lines.filter(isUsage), 'attempts')]
  ]
  return pairs.flatMap(([name, stands, follows]) => (stands === follows ? [] : [`${name} is not that of its lines`]))
}

/** Each record still is what its leaf was made of; the leaves make the root, and come to the lines. */
async function recordFaults(
  sql: Sql,
  { statementId, merkleRoot }: ClosedStatement,
  lines: readonly StatementLine[]
): Promise<readonly string[]> {
  const proof = createProof()
  let changed = 0n
  await readRecords(sql, statementId, page => {
    for (const record of page) proof.add(record)
    changed += BigInt(page.length)
  })
  const { root, amountMicros, faults } = proof.done()
  const net = lines
    .filter(({ kind }) => kind === 'usage' || kind === 'late')
    .reduce((sum, { netMicros }) => sum + netMicros, 0n)
  const { rows } = await sql.query<{ leaves: bigint }>(
    'select count(*) as leaves from statement_leaf where statement_id = $1',
    [statementId]
  )
  return [
    ...faults,
    ...(root === merkleRoot ? [] : ['its records do not make its Merkle root']),
    ...(amountMicros === net
      ? []
      : [`its records come to ${printAmount(amountMicros)}, its lines to ${printAmount(net)}`]),
    ...(rows[0]?.leaves === changed ? [] : ['records or charges of it are missing'])
  ]
}

/** What no single call owes stands in the book as it stands on the statement. */
async function postingFaults(
  sql: Sql,
  { statementId }: ClosedStatement,
  lines: readonly StatementLine[]
): Promise<readonly string[]> {
  const { rows } = await sql.query<{ entry_id: string; amount_micros: bigint }>(
    `select entry_id, amount_micros from posting where cdr_id is null and entry_id like 'statement/%'
       and left(entry_id, length($1)) = $1`,
    [`statement/${statementId}/`]
  )
  const posted = new Map(rows.map(row => [row.entry_id, row.amount_micros]))
  const owed = lines.filter(({ kind, netMicros }) => kind !== 'usage' && kind !== 'late' && netMicros !== 0n)
  const faults = owed.flatMap(({ kind, ofPeriod, netMicros }) => {
    const id = `statement/${statementId}/${kind}/${ofPeriod}`
    return posted.get(id) === (netMicros < 0n ? -netMicros : netMicros)
      ? []
      : [`the posting ${id} is missing or another`]
  })
  return posted.size === owed.length ? faults : [...faults, 'the book has other postings of it than its lines say']
}
