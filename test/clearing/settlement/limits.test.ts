import { equal, rejects, throws } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { LineSums } from '../../../src/clearing/settlement/lines.ts'
import type { StatementFile } from '../../../src/clearing/settlement/document.ts'
import type { StatedCharge } from '../../../src/clearing/settlement/stated.ts'
import { limits, statementXlsx } from '../../../src/clearing/settlement/statement-table.ts'
import { readRecordLine, readStatementFile } from '../../../src/clearing/settlement/verify-file.ts'

const charge = (trunk: string): StatedCharge => ({
  cdr_id: '019a0000-0001-7000-8000-000000000001',
  revision: 0n,
  sign: 1,
  leg: 'ingress',
  attempt: 1n,
  service: 'voice',
  provider: 'island',
  other_provider: null,
  rn: null,
  quality_class: null,
  emergency: false,
  side: 'sell',
  gross: null,
  rate: '0.06',
  calling: null,
  called: 'tel:+49',
  dialled: 'tel:+49',
  trunk,
  t_request: new Date(0),
  t_answer: new Date(0),
  t_end: new Date(60_000),
  duration_ms: 60_000n,
  cause: 'normal',
  rule: 'call',
  rate_id: null,
  destination: null,
  currency: 'EUR',
  billed_units: 60n,
  amount_micros: 60_000n,
  day: '2026-11-01'
})

describe('the bounds of a statement', () => {
  it('more lines than it may have are an error, not a shorter statement', () => {
    const sums = new LineSums('voice', 2)
    const place = { kind: 'usage', ofPeriod: '2026-11' } as const
    for (const trunk of ['a', 'b', 'a', 'b']) sums.add(charge(trunk), null, place)
    equal(sums.lines().length, 2)
    throws(() => sums.add(charge('c'), null, place), /a statement of more than 2 lines/)
  })

  it('XLSX says that CSV takes more', async () => {
    const lines = Array.from({ length: limits.xlsxRowsMax + 1 }, () => ({}))
    await rejects(statementXlsx({ statement: { lines } } as unknown as StatementFile), /ask for CSV/)
  })

  it('what is no record or no statement is neither', () => {
    for (const text of ['', '{', '[]', '{"view":{},"salt":null,"leaf":"ab"}']) equal(readRecordLine(text), null)
    throws(() => readStatementFile('[]'), /this is no statement/)
    throws(() => readStatementFile('{"statement":{"format":"other"},"seal":null}'), /statement\.format/)
  })
})
