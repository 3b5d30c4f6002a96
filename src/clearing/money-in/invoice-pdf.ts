// A document as a page to send: A4, drawn by pdfkit with its built-in fonts.

import PDFDocument from 'pdfkit'
import { HubError } from '../../errors.ts'
import { printAmount } from '../money.ts'
import { printMoney } from './currency.ts'
import type { Document, DocumentLine } from './document.ts'
import { describe, printPercent, printUnits, taxNote, unitNames } from './invoice-output.ts'
import type { PartyFields } from './parties.ts'
import { categoryCodes } from './tax.ts'

export const limits = {
  /** Lines that are drawn; the CSV has them all. */
  linesMax: 5_000
} as const

const margin = 56
const width = 595.28 - margin * 2
const bottom = 841.89 - 90
const ink = '#1b2430'
const quiet = '#667080'
const rule = '#c9d0d9'
const accent = '#1f4e79'

/** The built-in fonts have the letters of western Europe; of others the plain letter is drawn, or a question mark. */
export const drawable = (text: string): string =>
  text.replaceAll(/[^\u0020-\u007e\u00a0-\u00ff\u20ac\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026]/gu, letter => {
    const plain = letter.normalize('NFKD').replaceAll(/\p{M}/gu, '')
    return /^[\u0020-\u007e]+$/.test(plain) ? plain : (others[letter] ?? '?')
  })
const others: Readonly<Record<string, string>> = { ł: 'l', Ł: 'L', đ: 'd', Đ: 'D', ı: 'i', œ: 'oe', Œ: 'OE' }

const titleOf = ({ kind, selfBilled }: Document): string => {
  const title = kind === 'invoice' ? 'Invoice' : 'Credit note'
  return selfBilled ? `${title} (self-billing)` : title
}

/** Throws HUB_LIMIT for more lines than anybody reads. */
export async function documentPdf(document: Document, lines: readonly DocumentLine[]): Promise<Buffer> {
  if (lines.length > limits.linesMax) {
    throw new HubError('HUB_LIMIT', `${lines.length} lines are too many for PDF (${limits.linesMax}); export CSV`)
  }
  const title = `${titleOf(document)} ${document.number}`
  // The same document makes the same file.
  const info = {
    Title: title,
    Author: document.sellerParty.name,
    CreationDate: new Date(`${document.issuedOn}T00:00:00Z`)
  }
  const pdf = new PDFDocument({ size: 'A4', margin, bufferPages: true, info, lang: 'en', displayTitle: true })
  const chunks: Buffer[] = []
  const done = new Promise<Buffer>((resolve, reject) => {
    pdf.on('data', chunk => void chunks.push(chunk))
    pdf.on('end', () => resolve(Buffer.concat(chunks)))
    pdf.on('error', reject)
  })
  // Below the text area nothing breaks to a new page by itself.
  pdf.page.margins.bottom = 0
  drawHead(pdf, document)
  drawLines(pdf, document, lines)
  drawTotals(pdf, document)
  drawNotes(pdf, document)
  drawFeet(pdf, title)
  pdf.end()
  return done
}

interface Cell {
  readonly x: number
  readonly width: number
  readonly align?: 'left' | 'right'
}

function write(pdf: PDFDocument, text: string, y: number, { x, width, align = 'left' }: Cell): number {
  const shown = drawable(text)
  const options = { width, align } as const
  const height = pdf.heightOfString(shown, options)
  pdf.text(shown, x, y, options)
  return height
}

function line(pdf: PDFDocument, y: number, colour: string = rule, thick = 0.6): void {
  pdf
    .lineWidth(thick)
    .moveTo(margin, y)
    .lineTo(margin + width, y)
    .stroke(colour)
}

function drawParty(pdf: PDFDocument, what: string, party: PartyFields, cell: Cell, y: number): number {
  let at = y
  pdf.font('Helvetica', 8).fillColor(quiet)
  at += write(pdf, what, at, cell) + 3
  pdf.font('Helvetica-Bold', 10).fillColor(ink)
  at += write(pdf, party.name, at, cell) + 1
  pdf.font('Helvetica', 9)
  for (const text of [...party.address, party.country]) if (text !== null) at += write(pdf, text, at, cell) + 1
  if (party.vatId !== null) at += write(pdf, `VAT ${party.vatId}`, at, cell) + 1
  return at
}

function drawHead(pdf: PDFDocument, document: Document): void {
  pdf.rect(margin, 48, 34, 4).fill(accent)
  pdf.font('Helvetica-Bold', 20).fillColor(ink)
  write(pdf, titleOf(document), 60, { x: margin, width: 300 })
  pdf.font('Helvetica', 11).fillColor(quiet)
  write(pdf, document.number, 86, { x: margin, width: 300 })
  const facts: (readonly [string, string])[] = [
    ['Date', document.issuedOn],
    [document.kind === 'invoice' ? 'Due' : 'Value date', document.dueOn],
    ['Agreement', document.agreementId]
  ]
  if (document.periodFrom !== null && document.periodTo !== null) {
    facts.push(['Period', `${document.periodFrom} to ${document.periodTo}`])
  }
  if (document.statementId !== null) facts.push(['Statement', document.statementId])
  if (document.credits !== null) facts.push(['Credits', document.credits])
  let at = 60
  for (const [name, value] of facts) {
    pdf.font('Helvetica', 9).fillColor(quiet)
    write(pdf, name, at, { x: 370, width: 60 })
    pdf.fillColor(ink)
    at += write(pdf, value, at, { x: 430, width: margin + width - 430, align: 'right' }) + 4
  }
  const top = Math.max(at, 112) + 18
  const half = width / 2 - 12
  const ends = [
    drawParty(pdf, 'Seller', document.sellerParty, { x: margin, width: half }, top),
    drawParty(pdf, 'Buyer', document.buyerParty, { x: margin + half + 24, width: half }, top)
  ]
  pdf.y = Math.max(...ends) + 24
}

const columns = {
  description: { x: margin, width: 250 },
  units: { x: margin + 255, width: 75, align: 'right' },
  unit: { x: margin + 336, width: 50 },
  net: { x: margin + 386, width: width - 386, align: 'right' }
} as const satisfies Record<string, Cell>

function drawLineHead(pdf: PDFDocument, currency: string): void {
  const { y } = pdf
  pdf.font('Helvetica-Bold', 8).fillColor(quiet)
  write(pdf, 'Description', y, columns.description)
  write(pdf, 'Units', y, columns.units)
  write(pdf, `Net ${currency}`, y, columns.net)
  line(pdf, y + 14, ink, 0.8)
  pdf.y = y + 20
}

function newPage(pdf: PDFDocument): void {
  pdf.addPage({ size: 'A4', margin })
  pdf.page.margins.bottom = 0
  pdf.y = margin
}

function drawLines(pdf: PDFDocument, document: Document, lines: readonly DocumentLine[]): void {
  drawLineHead(pdf, document.currency)
  for (const item of lines) {
    const text = drawable(describe(item, document.period))
    pdf.font('Helvetica', 9)
    const height = pdf.heightOfString(text, { width: columns.description.width })
    if (pdf.y + height > bottom) {
      newPage(pdf)
      drawLineHead(pdf, document.currency)
      pdf.font('Helvetica', 9)
    }
    const { y } = pdf
    pdf.fillColor(ink)
    write(pdf, text, y, columns.description)
    write(pdf, printUnits(item), y, columns.units)
    pdf.fillColor(quiet)
    write(pdf, unitNames[item.unit] ?? '', y, columns.unit)
    pdf.fillColor(ink)
    write(pdf, printAmount(item.netMicros), y, columns.net)
    line(pdf, y + height + 3)
    pdf.y = y + height + 8
  }
}

function drawTotals(pdf: PDFDocument, document: Document): void {
  if (pdf.y + 80 > bottom) newPage(pdf)
  const { currency, tax } = document
  const money = (micros: bigint): string => `${printMoney(micros, currency)} ${currency}`
  const rows = [
    ['Net', money(document.netMicros)],
    [`Tax ${printPercent(tax)} % (${categoryCodes[tax.category]})`, money(document.taxMicros)]
  ] as const
  let at = pdf.y + 8
  const name = { x: margin + 255, width: 120 }
  const amount = { x: margin + 376, width: width - 376, align: 'right' } as const
  pdf.font('Helvetica', 9).fillColor(ink)
  for (const [what, value] of rows) {
    write(pdf, what, at, name)
    at += write(pdf, value, at, amount) + 5
  }
  pdf
    .lineWidth(0.8)
    .moveTo(name.x, at)
    .lineTo(margin + width, at)
    .stroke(ink)
  pdf.font('Helvetica-Bold', 11)
  write(pdf, 'Total', at + 7, name)
  write(pdf, money(document.grossMicros), at + 7, amount)
  pdf.y = at + 40
}

function drawNotes(pdf: PDFDocument, document: Document): void {
  const { fx, reason, kind, sellerParty, selfBilled, tax } = document
  const notes = [taxNote(tax)]
  if (reason !== null) notes.push(`Reason: ${reason}`)
  if (fx !== null) {
    const way = fx.inverse ? `1 ${fx.base} = ${fx.rate} ${fx.quote}, divided` : `1 ${fx.base} = ${fx.rate} ${fx.quote}`
    notes.push(`Converted from ${fx.from} ${fx.fromCurrency}: ${way}, fixed on ${fx.fixedOn} by ${fx.source}.`)
  }
  if (selfBilled) notes.push('Issued by the hub in the name of the seller.')
  if (kind === 'invoice' && sellerParty.iban !== null) {
    notes.push(`Please pay to ${sellerParty.iban} and name ${document.number} as the purpose.`)
  }
  pdf.font('Helvetica', 9).fillColor(ink)
  for (const note of notes) {
    if (note === null) continue
    if (pdf.y + 30 > bottom) newPage(pdf)
    pdf.font('Helvetica', 9).fillColor(ink)
    const { y } = pdf
    pdf.y = y + write(pdf, note, y, { x: margin, width }) + 6
  }
}

function drawFeet(pdf: PDFDocument, title: string): void {
  const { start, count } = pdf.bufferedPageRange()
  for (let page = start; page < start + count; page++) {
    pdf.switchToPage(page)
    pdf.page.margins.bottom = 0
    line(pdf, 841.89 - 62)
    pdf.font('Helvetica', 8).fillColor(quiet)
    write(pdf, title, 841.89 - 54, { x: margin, width: width - 100 })
    const of = `Page ${page - start + 1} of ${count}`
    write(pdf, of, 841.89 - 54, { x: margin + width - 100, width: 100, align: 'right' })
  }
}
