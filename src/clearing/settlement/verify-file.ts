// Whether a statement file is what the hub sealed: by itself, without a database or the hub. Pure.

import { z } from 'zod'
import { HubError } from '../../errors.ts'
import { parseAmount, roundingModes } from '../money.ts'
import { totalOf } from '../models.ts'
import { statementFormat } from './document.ts'
import type { ProvenRecord, RecordsProof } from './records.ts'
import { digestOf, sealFault } from './seal.ts'

const decimal = z.string().regex(/^-?[0-9]{1,18}\.[0-9]{6}$/)
const line = z.looseObject({ kind: z.string(), gross: decimal, discounts: decimal, net: decimal })
const statement = z.looseObject({
  format: z.literal(statementFormat),
  statementId: z.string(),
  merkleRoot: z.string().nullable(),
  minorDigits: z.int().min(0).max(6),
  cdrCount: z.int(),
  terms: z.looseObject({
    rounding: z.looseObject({ mode: z.enum(roundingModes), stage: z.enum(['line', 'invoice']) })
  }),
  lines: z.array(line),
  totals: z.looseObject({ gross: decimal, discounts: decimal, adjustments: decimal, net: decimal, invoice: decimal })
})
const seal = z.strictObject({
  number: z.int().min(1),
  statementId: z.string(),
  previous: z.string(),
  body: z.string(),
  hash: z.string(),
  signature: z.string(),
  publicKey: z.string()
})
const file = z.looseObject({ statement, seal: seal.nullable() })

export type ReadStatement = z.infer<typeof file>

/** Throws HUB_CONFIG for what is no statement. */
export function readStatementFile(text: string): ReadStatement {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch (cause) {
    throw new HubError('HUB_CONFIG', 'this is no JSON; statements are verified as JSON files', { cause })
  }
  const parsed = file.safeParse(given)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new HubError('HUB_CONFIG', `this is no statement: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`)
}

const record = z.strictObject({
  view: z.record(z.string(), z.unknown()),
  salt: z
    .string()
    .regex(/^[\w-]{22}$/)
    .nullable(),
  leaf: z.string().regex(/^[0-9a-f]{64}$/)
})

/** Null: this line is no record. */
export function readRecordLine(text: string): ProvenRecord | null {
  try {
    return record.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/**
 * What is wrong with it, in words; nothing: it was sealed so, and adds up. `publicKey`: no other key's seal counts.
 */
export function statementFaults({ statement, seal }: ReadStatement, publicKey: string | null): readonly string[] {
  if (seal === null) return ['it is not sealed: a draft proves nothing']
  const sealed = sealFault(seal, { digest: digestOf(statement), merkleRoot: statement.merkleRoot ?? '' })
  return [
    ...(seal.statementId === statement.statementId ? [] : ['the seal is that of another statement']),
    ...(sealed === null ? [] : [sealed]),
    ...(publicKey === null || seal.publicKey === publicKey
      ? []
      : ['it was sealed with another key than the one given']),
    ...sumFaults(statement)
  ]
}

function sumFaults({ lines, totals, terms, minorDigits }: ReadStatement['statement']): readonly string[] {
  const isUsage = ({ kind }: { readonly kind: string }): boolean => kind === 'usage' || kind === 'late'
  const sum = (of: 'gross' | 'discounts' | 'net', keep: (line: { readonly kind: string }) => boolean): bigint =>
    lines.filter(keep).reduce((total, line) => total + parseAmount(line[of]), 0n)
  const { mode, stage } = terms.rounding
  const nets = lines.map(({ net }) => parseAmount(net))
  const expected: readonly (readonly [string, bigint, string])[] = [
    ['gross', sum('gross', isUsage), totals.gross],
    ['discounts', sum('discounts', isUsage), totals.discounts],
    ['adjustments', sum('net', kept => !isUsage(kept)), totals.adjustments],
    ['net', sum('net', () => true), totals.net],
    ['invoice', totalOf(nets, stage, { scale: minorDigits, mode }), totals.invoice]
  ]
  return expected.flatMap(([name, amount, told]) =>
    amount === parseAmount(told) ? [] : [`the lines do not add up to the total ${name}`]
  )
}

/** What is wrong with the records behind a statement. */
export function recordsFaults({ statement }: ReadStatement, proof: RecordsProof): readonly string[] {
  const net = statement.lines
    .filter(({ kind }) => kind === 'usage' || kind === 'late')
    .reduce((sum, { net }) => sum + parseAmount(net), 0n)
  return [
    ...proof.faults,
    ...(proof.root === statement.merkleRoot ? [] : ['the records are not those of the statement: another Merkle root']),
    ...(proof.amountMicros === net ? [] : ['the records do not add up to the lines'])
  ]
}
