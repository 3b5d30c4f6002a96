// A document as a page to send: A4, drawn by pdfkit with its built-in fonts.

import type { PDFDocument } from 'pdfkit'
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

/** `12,345.68`: easier on the eye than in a file for programs. */
export const grouped = (text: string): string =>
  text.replace(/^(-?)([0-9]+)/, (_all, sign: string, whole: string) => {
    const groups = whole.replaceAll(/\B(?=([0-9]{3})+$)/g, ',')
    return `${sign}${groups}`
  })

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
  // Thirteen megabytes that only who prints needs.
  const { PDFDocument } = await import('pdfkit')
  const pdf = new PDFDocument({ size: 'A4', margin: 0, bufferPages: true, info })
  const chunks: Buffer[] = []
  const done = new Promise<Buffer>((resolve, reject) => {
    pdf.on('data', (chunk: Buffer) => void chunks.push(chunk))
    pdf.on('end', () => resolve(Buffer.concat(chunks)))
    pdf.on('error', reject)
  })
  const sheet: Sheet = { pdf, y: margin }
  drawHead(sheet, document)
  drawLines(sheet, document, lines)
  drawTotals(sheet, document)
  drawNotes(sheet, document)
  drawFeet(sheet, title)
  pdf.end()
  return done
}

/** A page without margins, on which nothing breaks by itself, and how far down it is written. */
interface Sheet {
  readonly pdf: PDFDocument
  y: number
}

interface Cell {
  readonly x: number
  readonly width: number
  readonly align?: 'left' | 'right'
}

function write({ pdf }: Sheet, text: string, y: number, { x, width, align = 'left' }: Cell): number {
  const shown = drawable(text)
  const options = { width, align } as const
  const height = pdf.heightOfString(shown, options)
  pdf.text(shown, x, y, options)
  return height
}

function line({ pdf }: Sheet, y: number, colour: string = rule, thick = 0.6): void {
  pdf.lineWidth(thick).strokeColor(colour)
  pdf.moveTo(margin, y)
  pdf.lineTo(margin + width, y).stroke()
}

function drawParty(sheet: Sheet, what: string, party: PartyFields, cell: Cell, y: number): number {
  const { pdf } = sheet
  let at = y
  pdf.font('Helvetica').fontSize(8).fillColor(quiet)
  at += write(sheet, what, at, cell) + 3
  pdf.font('Helvetica-Bold').fontSize(10).fillColor(ink)
  at += write(sheet, party.name, at, cell) + 1
  pdf.font('Helvetica').fontSize(9)
  for (const text of [...party.address, party.country]) if (text !== null) at += write(sheet, text, at, cell) + 1
  if (party.vatId !== null) at += write(sheet, `VAT ${party.vatId}`, at, cell) + 1
  return at
}

function drawHead(sheet: Sheet, document: Document): void {
  const { pdf } = sheet
  pdf.rect(margin, 48, 34, 4).fill(accent)
  pdf.font('Helvetica-Bold').fontSize(20).fillColor(ink)
  write(sheet, titleOf(document), 60, { x: margin, width: 300 })
  pdf.font('Helvetica').fontSize(11).fillColor(quiet)
  write(sheet, document.number, 86, { x: margin, width: 300 })
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
    pdf.font('Helvetica').fontSize(9).fillColor(quiet)
    write(sheet, name, at, { x: 370, width: 60 })
    pdf.fillColor(ink)
    at += write(sheet, value, at, { x: 430, width: margin + width - 430, align: 'right' }) + 4
  }
  const top = Math.max(at, 112) + 18
  const half = width / 2 - 12
  const ends = [
    drawParty(sheet, 'Seller', document.sellerParty, { x: margin, width: half }, top),
    drawParty(sheet, 'Buyer', document.buyerParty, { x: margin + half + 24, width: half }, top)
  ]
  sheet.y = Math.max(...ends) + 24
}

const columns = {
  description: { x: margin, width: 250 },
  units: { x: margin + 255, width: 75, align: 'right' },
  unit: { x: margin + 336, width: 50 },
  net: { x: margin + 386, width: width - 386, align: 'right' }
} as const satisfies Record<string, Cell>

function drawLineHead(sheet: Sheet, currency: string): void {
  const { pdf } = sheet
  const { y } = sheet
  pdf.font('Helvetica-Bold').fontSize(8).fillColor(quiet)
  write(sheet, 'Description', y, columns.description)
  write(sheet, 'Units', y, columns.units)
  write(sheet, `Net ${currency}`, y, columns.net)
  line(sheet, y + 14, ink, 0.8)
  sheet.y = y + 20
}

function newPage(sheet: Sheet): void {
  const { pdf } = sheet
  pdf.addPage()
  sheet.y = margin
}

function drawLines(sheet: Sheet, document: Document, lines: readonly DocumentLine[]): void {
  const { pdf } = sheet
  drawLineHead(sheet, document.currency)
  for (const item of lines) {
    const text = drawable(describe(item, document.period))
    pdf.font('Helvetica').fontSize(9)
    const height = pdf.heightOfString(text, { width: columns.description.width })
    if (sheet.y + height > bottom) {
      newPage(sheet)
      drawLineHead(sheet, document.currency)
      pdf.font('Helvetica').fontSize(9)
    }
    const { y } = sheet
    pdf.fillColor(ink)
    write(sheet, text, y, columns.description)
    write(sheet, grouped(printUnits(item)), y, columns.units)
    pdf.fillColor(quiet)
    write(sheet, unitNames[item.unit] ?? '', y, columns.unit)
    pdf.fillColor(ink)
    write(sheet, grouped(printAmount(item.netMicros)), y, columns.net)
    line(sheet, y + height + 3)
    sheet.y = y + height + 8
  }
}

function drawTotals(sheet: Sheet, document: Document): void {
  const { pdf } = sheet
  if (sheet.y + 80 > bottom) newPage(sheet)
  const { currency, tax } = document
  const money = (micros: bigint): string => `${grouped(printMoney(micros, currency))} ${currency}`
  const rows = [
    ['Net', money(document.netMicros)],
    [`Tax ${printPercent(tax)} % (${categoryCodes[tax.category]})`, money(document.taxMicros)]
  ] as const
  let at = sheet.y + 8
  const name = { x: margin + 255, width: 120 }
  const amount = { x: margin + 376, width: width - 376, align: 'right' } as const
  pdf.font('Helvetica').fontSize(9).fillColor(ink)
  for (const [what, value] of rows) {
    write(sheet, what, at, name)
    at += write(sheet, value, at, amount) + 5
  }
  pdf.lineWidth(0.8).strokeColor(ink)
  pdf.moveTo(name.x, at)
  pdf.lineTo(margin + width, at).stroke()
  pdf.font('Helvetica-Bold').fontSize(11)
  write(sheet, 'Total', at + 7, name)
  write(sheet, money(document.grossMicros), at + 7, amount)
  sheet.y = at + 40
}

function drawNotes(sheet: Sheet, document: Document): void {
  const { pdf } = sheet
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
  pdf.font('Helvetica').fontSize(9).fillColor(ink)
  for (const note of notes) {
    if (note === null) continue
    if (sheet.y + 30 > bottom) newPage(sheet)
    pdf.font('Helvetica').fontSize(9).fillColor(ink)
    const { y } = sheet
    sheet.y = y + write(sheet, note, y, { x: margin, width }) + 6
  }
}

function drawFeet(sheet: Sheet, title: string): void {
  const { pdf } = sheet
  const { start, count } = pdf.bufferedPageRange()
  for (let page = start; page < start + count; page++) {
    pdf.switchToPage(page)
    line(sheet, 841.89 - 62)
    pdf.font('Helvetica').fontSize(8).fillColor(quiet)
    write(sheet, title, 841.89 - 54, { x: margin, width: width - 100 })
    const of = `Page ${page - start + 1} of ${count}`
    write(sheet, of, 841.89 - 54, { x: margin + width - 100, width: 100, align: 'right' })
  }
}
