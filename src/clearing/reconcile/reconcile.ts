// The reconciliation of a partner's file with what we charged: read, matched, explained, and kept with its result
// (SET-02, SET-03). All of it happens or nothing of it.

import { basename } from 'node:path'
import { HubError } from '../../errors.ts'
import type { Database } from '../../store/database.ts'
import type { Sql } from '../../store/sql.ts'
import type { Agreement, AgreementBook } from '../agreements.ts'
import { Problems } from '../decks/sheet.ts'
import type { SheetLine } from '../decks/sheet.ts'
import { periodNamed } from '../periods.ts'
import type { SettlementPeriod } from '../periods.ts'
import { readCall, readDeclared, readHeader } from './columns.ts'
import type { Column, Declared, FileOf, Header } from './columns.ts'
import { compareDeclared } from './declaration.ts'
import { matchStreams } from './stream.ts'
import { limits } from './model.ts'
import type { Item, TheirCall } from './model.ts'
import { clockOffset } from './offset.ts'
import { onlyOurs, onlyTheirs, pairOf } from './outcome.ts'
import { createPricer } from './pricer.ts'
import { linesOf, sha256OfFile } from './read.ts'
import { resultOf } from './result.ts'
import type { Reconciliation } from './result.ts'
import {
  addItems,
  addTheirs,
  clockSample,
  itemRowsOf,
  namedPairs,
  ownSums,
  unnamedOurs,
  unnamedTheirs
} from './store.ts'
import type { ItemRow, Scope } from './store.ts'
import { Tally } from './tally.ts'

export interface ReconcileOptions {
  readonly file: string
  readonly agreementId: string
  /** By its name, such as `2026-11`. */
  readonly period: string
  /** Our column by the name that the file has for it. */
  readonly mapping: ReadonlyMap<string, Column>
  readonly fileOf: Omit<FileOf, 'currency' | 'service'>
  /** How far apart the times of one call may be. */
  readonly toleranceMs: number
  /** Null: estimated from calls that cannot be mistaken. */
  readonly offsetMs: number | null
  readonly by: string
  readonly progress?: (what: 'reading' | 'matching', done: number, of: number | null) => void
}

/** Throws HUB_CONFIG for what is wrong with the file, with its lines; nothing is kept then. */
export async function reconcile(
  database: Database,
  book: AgreementBook,
  options: ReconcileOptions
): Promise<Reconciliation> {
  const agreement = book.agreements.find(({ id }) => id === options.agreementId)
  if (agreement === undefined) throw new HubError('HUB_CONFIG', `no agreement is called ${options.agreementId}`)
  const period = periodNamed(options.period, agreement.calendar)
  const scope = scopeOf(agreement, period)
  const sha256 = await sha256OfFile(options.file)
  return database.transaction(async sql => {
    const { rows } = await sql.query<{ id: bigint }>("select nextval('reconciliation_number') as id")
    const id = rows[0]?.id ?? 0n
    const run: Run = { sql, id, agreement, scope, options, tally: new Tally(), items: 0n, kept: [] }
    const read = await readFile(run)
    const offsetMs = read.header.kind === 'calls' ? await matchAll(run, book) : await declared(run, book, read)
    await flush(run)
    const { header, lines } = read
    const made = { id, agreement, period, kind: header.kind, lines, offsetMs, hasAmounts: header.hasAmounts, sha256 }
    const result = resultOf(run.tally, { ...made, fileName: basename(options.file), by: options.by })
    await keep(sql, scope, result)
    return result
  })
}

export function scopeOf({ id, zone }: Pick<Agreement, 'id' | 'zone'>, { from, to }: SettlementPeriod): Scope {
  return { agreementId: id, from, to, startsAt: zone.startOf(from), endsAt: zone.startOf(to) }
}

interface Run {
  readonly sql: Sql
  readonly id: bigint
  readonly agreement: Agreement
  readonly scope: Scope
  readonly options: ReconcileOptions
  readonly tally: Tally
  items: bigint
  kept: ItemRow[]
}

interface ReadFile {
  readonly header: Header
  readonly declared: readonly Declared[]
  readonly lines: number
}

const progressEvery = 2_000

/** Calls go to the database page by page; a declaration has few lines. */
async function readFile(run: Run): Promise<ReadFile> {
  const { options, agreement, sql, id } = run
  const of: FileOf = { ...options.fileOf, currency: agreement.currency, service: agreement.service }
  const name = basename(options.file)
  const problems = new Problems()
  let header: Header | null = null
  let page: TheirCall[] = []
  const declared: Declared[] = []
  let lines = 0
  for await (const { line, cells } of linesOf(options.file)) {
    if (cells.every(cell => cell.trim() === '')) continue
    if (header === null) {
      header = headerOf(name, { line, cells }, options.mapping)
      continue
    }
    lines += 1
    if (lines % progressEvery === 0) options.progress?.('reading', lines, null)
    const read = header.kind === 'calls' ? readCall(line, cells, header, of) : readDeclared(line, cells, header, of)
    if (typeof read === 'string') problems.add(line, read)
    else if ('number' in read) page.push(read)
    else declared.push(read)
    if (declared.length > limits.destinationsMax) {
      throw new HubError('HUB_CONFIG', `${name}: a declaration of more than ${limits.destinationsMax} lines`)
    }
    if (page.length < limits.pageRows) continue
    await addTheirs(sql, id, page)
    page = []
  }
  if (header === null) throw new HubError('HUB_CONFIG', `${name}: it is empty`)
  problems.check(name)
  await addTheirs(sql, id, page)
  return { header, declared, lines }
}

function headerOf(name: string, { line, cells }: SheetLine, mapping: ReadonlyMap<string, Column>): Header {
  const found = readHeader(cells, mapping)
  if (typeof found === 'string') throw new HubError('HUB_CONFIG', `${name}: line ${line}: ${found}`)
  return found
}

/** Those that are named first, then all others by number and time. Returns the offset of their clock. */
async function matchAll(run: Run, book: AgreementBook): Promise<number> {
  const { sql, id, scope, options, agreement } = run
  const { toleranceMs } = options
  const pricer = createPricer(agreement, book)
  const ready = (calls: readonly { readonly at: number }[]): Promise<void> =>
    book.prepare(
      sql,
      calls.map(({ at }) => at)
    )
  for await (const page of namedPairs(sql, id, scope, toleranceMs)) {
    await ready(page.flatMap(({ own, their }) => [own, their]))
    for (const { own, their, nth } of page) {
      await add(run, nth === 1 ? pairOf(own, their, pricer) : onlyTheirs(their, true, pricer))
    }
  }
  const offsetMs = options.offsetMs ?? clockOffset(await clockSample(sql, id, scope), toleranceMs)
  const streams = [unnamedOurs(sql, id, scope, toleranceMs), unnamedTheirs(sql, id, scope)] as const
  for await (const matched of matchStreams(...streams, { timeMs: toleranceMs, offsetMs })) {
    const { pairs, onlyOurs: left, onlyTheirs: foreign, repeatedOurs, repeatedTheirs } = matched
    await ready([...pairs.flat(), ...foreign])
    for (const [own, their] of pairs) await add(run, pairOf(own, their, pricer))
    for (const own of left) if (own.inPeriod) await add(run, onlyOurs(own, repeatedOurs.has(own)))
    for (const their of foreign) await add(run, onlyTheirs(their, repeatedTheirs.has(their), pricer))
  }
  return offsetMs
}

async function declared(run: Run, book: AgreementBook, read: ReadFile): Promise<number> {
  const { sql, scope, agreement, tally } = run
  await book.prepare(sql, [scope.startsAt, scope.endsAt - 1])
  const nameOf = (code: string): string | null =>
    book.rowOf(agreement, { number: `+${code}`, calling: null, at: scope.endsAt - 1 })?.destination ?? null
  const rows = compareDeclared(await ownSums(sql, scope), read.declared, nameOf, tally)
  run.kept.push(...rows)
  return 0
}

const keepEvery = 1_000

async function add(run: Run, item: Item): Promise<void> {
  run.tally.add(item)
  if (item.parts.length > 0) run.kept.push(...itemRowsOf(item))
  if (run.kept.length >= keepEvery) await flush(run)
}

async function flush(run: Run): Promise<void> {
  if (run.kept.length > 0) await addItems(run.sql, run.id, run.items, run.kept)
  run.items += BigInt(run.kept.length)
  run.kept = []
  const { ours, theirs } = run.tally
  run.options.progress?.('matching', Number(ours.count > theirs.count ? ours.count : theirs.count), null)
}

async function keep(sql: Sql, { from, to }: Scope, result: Reconciliation): Promise<void> {
  const { id, agreementId, period, kind, fileName, sha256, currency, by } = result
  const money = [result.ours.amountMicros.toString(), result.theirs.amountMicros.toString()]
  const json = JSON.stringify(result, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
  await sql.query(
    `insert into reconciliation (reconciliation_id, agreement_id, period, from_day, to_day, kind, file_name,
       file_sha256, currency, our_amount_micros, their_amount_micros, result, made_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [id, agreementId, period, from, to, kind, fileName, sha256, currency, ...money, json, by]
  )
}
