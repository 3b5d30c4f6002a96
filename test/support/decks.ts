// Deck sheets and rows for tests.

import { readCsv } from '../../src/clearing/decks/read-csv.ts'
import { readSheet } from '../../src/clearing/decks/sheet.ts'
import type { Sheet } from '../../src/clearing/decks/sheet.ts'
import type { DeckRow } from '../../src/clearing/decks/deck-row.ts'
import { parseRate } from '../../src/clearing/money.ts'
import { createZone } from '../../src/clearing/zone.ts'

/** A sheet of an agreement that sells voice to `island` in EUR, with the origin set `eea` and the time class `peak`. */
export function sheetOf(
  text: string | Buffer,
  { decimal = '.', timeZone = 'UTC' }: { readonly decimal?: '.' | ','; readonly timeZone?: string } = {}
): Sheet {
  return readSheet('deck.csv', readCsv('deck.csv', Buffer.from(text)), {
    agreementId: 'sell',
    service: 'voice',
    currency: 'EUR',
    zone: createZone(timeZone),
    timeClasses: ['peak'],
    origins: ['eea'],
    provider: 'island',
    direction: 'sell',
    decimal
  })
}

export const deckRow = (prefix: string, rate: string, over: Partial<DeckRow> = {}): DeckRow => ({
  prefix,
  destination: `code ${prefix.slice(1)}`,
  origin: null,
  quality: null,
  timeClass: 'off',
  rateNanos: parseRate(rate),
  setupFeeNanos: 0n,
  minimumSeconds: 0,
  initialSeconds: 1,
  nextSeconds: 1,
  effectiveFrom: null,
  effectiveTo: null,
  blocked: false,
  ...over
})

/** As a sheet would bring them. */
export const sheetOfRows = (rows: readonly DeckRow[], deleted: readonly string[] = []): Sheet => ({
  rows,
  deleted: new Set(deleted),
  lineOf: new Map(rows.map((row, n) => [row, n + 2]))
})
