// A stored deck as a sheet again: CSV of any size, XLSX up to what a spreadsheet is good for.

import { stringify } from 'csv-stringify/sync'
import writeXlsxFile from 'write-excel-file/node'
import { HubError } from '../../errors.ts'
import type { AgreementConfig } from '../../config.ts'
import { printRate } from '../money.ts'
import { columns } from './columns.ts'
import type { Column } from './columns.ts'
import type { DeckRow } from './deck-row.ts'
import { hub } from '../agreements.ts'

export const limits = { xlsxRowsMax: 20_000 } as const

/** Who the other side of a deck is, and whether the hub buys there. */
export const sideOf = ({ buyer, seller }: Pick<AgreementConfig, 'buyer' | 'seller'>) =>
  seller === hub ? ({ provider: buyer, direction: 'sell' } as const) : ({ provider: seller, direction: 'buy' } as const)

function cellsOf(config: AgreementConfig, row: DeckRow): Readonly<Record<Column, string>> {
  const time = (at: number | null): string => (at === null ? '' : new Date(at).toISOString())
  const { provider, direction } = sideOf(config)
  return {
    prefix: row.prefix === '+' ? '+' : row.prefix.slice(1),
    destination_name: row.destination,
    orig_set: row.origin ?? '',
    rate: printRate(row.rateNanos),
    currency: config.currency,
    unit: config.service === 'message' ? 'msg' : 'min',
    setup_fee: printRate(row.setupFeeNanos),
    min_seconds: String(row.minimumSeconds),
    initial_increment: String(row.initialSeconds),
    next_increment: String(row.nextSeconds),
    time_class: row.timeClass,
    tz: config.timeZone,
    effective_from: time(row.effectiveFrom),
    effective_to: time(row.effectiveTo),
    change: '',
    blocked: row.blocked ? 'yes' : 'no',
    quality_class: row.quality ?? '',
    provider,
    direction,
    service: config.service
  }
}

const ordered = (rows: readonly DeckRow[]): readonly DeckRow[] =>
  rows.toSorted((a, b) => (a.prefix < b.prefix ? -1 : Number(a.prefix > b.prefix)))

export function deckCsv(config: AgreementConfig, rows: readonly DeckRow[]): string {
  const lines = ordered(rows).map(row => {
    const cells = cellsOf(config, row)
    return columns.map(name => cells[name])
  })
  return stringify([[...columns], ...lines])
}

/** Every cell is text: no spreadsheet rounds a code or reads a formula. Throws HUB_LIMIT for too long a deck. */
export async function deckXlsx(config: AgreementConfig, rows: readonly DeckRow[]): Promise<Buffer> {
  if (rows.length > limits.xlsxRowsMax) {
    throw new HubError('HUB_LIMIT', `${rows.length} rows are too many for XLSX (${limits.xlsxRowsMax}); export CSV`)
  }
  const text = (value: string) => ({ value, type: String })
  const lines = ordered(rows).map(row => {
    const cells = cellsOf(config, row)
    return columns.map(name => text(cells[name]))
  })
  return writeXlsxFile([columns.map(name => text(name)), ...lines]).toBuffer()
}
