// A statement as a PDF for people: who owes what, for what, and how to check it. Fonts of every reader, no pictures.

import type { PDFDocument } from 'pdfkit'
import { barChart } from './pdf-chart.ts'
import { columnsOf, groupLines, noteOfLine } from './pdf-lines.ts'
import type { Column, PdfRow } from './pdf-lines.ts'
import { dateOf, grouped, inFont, money, nameInFont } from './pdf-text.ts'
import { headOf } from './statement-table.ts'
import type { StatementFile } from './document.ts'

export const limits = {
  /** Rows of the table; more are added up by destination, then cut with a word about it. */
  rowsMax: 2_000
} as const

const margin = 42
const ink = '#1b2733'
const soft = '#66737f'
const rule = '#d5dbe1'
const accent = '#1f5c99'
const band = '#f2f5f8'

type Pdf = PDFDocument

/** The whole file in memory: a few hundred kilobytes. */
export async function statementPdf(file: StatementFile): Promise<Buffer> {
  const { statement } = file
  const made = new Date(statement.closedAt ?? file.draft?.asOf ?? 0)
  // Thirteen megabytes that only who prints needs.
  const { PDFDocument } = await import('pdfkit')
  const pdf = new PDFDocument({
    size: 'A4',
    margin: 0,
    bufferPages: true,
    info: {
      Title: `Settlement statement ${statement.statementId}`,
      Producer: 'Isthmus',
      CreationDate: made,
      ModDate: made
    }
  })
  const chunks: Buffer[] = []
  const whole = new Promise<Buffer>((resolve, reject) => {
    pdf.on('data', (chunk: Buffer) => chunks.push(chunk))
    pdf.on('end', () => resolve(Buffer.concat(chunks)))
    pdf.on('error', reject)
  })
  const width = pdf.page.width - 2 * margin
  let y = title(pdf, file, width)
  y = summary(pdf, file, width, y + 18)
  y = chart(pdf, file, width, y + 20)
  y = table(pdf, file, width, y + 20)
  y = facts(pdf, file, width, y + 22)
  pageNumbers(pdf, file, width)
  pdf.end()
  return whole
}

function title(pdf: Pdf, { statement, draft }: StatementFile, width: number): number {
  pdf.rect(0, 0, pdf.page.width, 6).fill(accent)
  pdf.font('Helvetica-Bold').fontSize(20).fillColor(ink).text('Settlement statement', margin, 34)
  const state = draft === null ? 'CLOSED' : 'DRAFT'
  pdf
    .font('Helvetica-Bold')
    .fontSize(9)
    .fillColor(draft === null ? accent : '#b3541e')
  pdf.text(state, margin, 40, { width, align: 'right', characterSpacing: 1 })
  const { period, timeZone, agreementId } = statement
  const days = `${dateOf(period.from)} to ${dateOf(period.to, -1)} (${timeZone})`
  pdf.font('Helvetica').fontSize(10).fillColor(soft)
  pdf.text(inFont(`Agreement ${agreementId}  ·  ${period.name}  ·  ${days}`), margin, 60)
  return 76
}

/** The two parties on the left, what is to be paid on the right. */
function summary(pdf: Pdf, { statement }: StatementFile, width: number, top: number): number {
  const { buyer, seller, totals, currency, minorDigits, dueDay, service, model } = statement
  const half = width * 0.52
  const height = 96
  const party = (label: string, name: string, y: number): void => {
    pdf.font('Helvetica').fontSize(8).fillColor(soft).text(label, margin, y)
    pdf.font('Helvetica-Bold').fontSize(12).fillColor(ink)
    pdf.text(inFont(name), margin, y + 11, { width: half - 12, height: 15, ellipsis: true, lineBreak: false })
  }
  party('Seller (is paid)', seller, top)
  party('Buyer (pays)', buyer, top + 34)
  pdf
    .font('Helvetica')
    .fontSize(8)
    .fillColor(soft)
    .text('Traffic', margin, top + 68)
  pdf
    .fontSize(10)
    .fillColor(ink)
    .text(`${service}, ${model.replaceAll('-', ' ')}`, margin, top + 79)
  const left = margin + half
  pdf.rect(left, top, width - half, height).fill(band)
  const inner = { x: left + 14, width: width - half - 28 }
  pdf
    .font('Helvetica')
    .fontSize(8)
    .fillColor(soft)
    .text('Amount to be invoiced', inner.x, top + 12)
  pdf.font('Helvetica-Bold').fontSize(20).fillColor(ink)
  pdf.text(`${money(totals.invoice, minorDigits)} ${currency}`, inner.x, top + 24, {
    width: inner.width,
    lineBreak: false
  })
  const rows = [
    ['Usage', totals.gross],
    ['Discounts', totals.discounts],
    ['Adjustments', totals.adjustments]
  ] as const
  pdf.font('Helvetica').fontSize(8)
  for (const [n, [name, value]] of rows.entries()) {
    pdf.fillColor(soft).text(name, inner.x, top + 50 + n * 11)
    pdf.fillColor(ink).text(grouped(value), inner.x, top + 50 + n * 11, { width: inner.width, align: 'right' })
  }
  pdf.fillColor(soft).text(`Due ${dateOf(dueDay)}`, inner.x, top + 84)
  return top + height
}

function heading(pdf: Pdf, text: string, width: number, y: number): number {
  pdf.font('Helvetica-Bold').fontSize(11).fillColor(ink).text(text, margin, y)
  pdf
    .lineWidth(0.7)
    .strokeColor(rule)
    .moveTo(margin, y + 16)
    .lineTo(margin + width, y + 16)
    .stroke()
  return y + 24
}

/** Only where there is more than one bar to compare. */
function chart(pdf: Pdf, { statement }: StatementFile, width: number, y: number): number {
  const sums = new Map<string, number>()
  for (const { kind, destination, destCode, net } of statement.lines) {
    if (kind !== 'usage' && kind !== 'late') continue
    const name = destination === null ? 'no destination' : nameInFont(destination, destCode)
    sums.set(name, (sums.get(name) ?? 0) + Number(net))
  }
  const bars = [...sums].filter(([, net]) => net > 0).toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
  if (bars.length < 2) return y - 20
  const top = heading(pdf, 'Net amount by destination', width, y)
  return barChart(pdf, bars, { x: margin, y: top, width, currency: statement.currency })
}

const rowHeight = 14
const bottom = (pdf: Pdf): number => pdf.page.height - 56

function table(pdf: Pdf, { statement }: StatementFile, width: number, from: number): number {
  const { rows, note } = groupLines(statement.lines, limits.rowsMax)
  const columns = columnsOf(statement, width)
  let y = from
  if (y + 90 > bottom(pdf)) y = nextPage(pdf)
  y = heading(pdf, 'Lines', width, y)
  y = tableHead(pdf, columns, y)
  for (const [n, row] of rows.entries()) {
    const more = noteOfLine(row)
    if (y + rowHeight * (more === null ? 1 : 2) > bottom(pdf)) y = tableHead(pdf, columns, nextPage(pdf))
    const height = rowHeight + (more === null ? 0 : 10)
    if (n % 2 === 1) pdf.rect(margin, y - 2, width, height).fill(band)
    tableRow(pdf, columns, row, y + 1)
    if (more !== null) {
      pdf.font('Helvetica').fontSize(6.5).fillColor(soft)
      pdf.text(inFont(more), margin + 4, y + rowHeight - 2, {
        width: width - 8,
        height: 9,
        ellipsis: true,
        lineBreak: false
      })
    }
    y += height
  }
  if (rows.length === 0) {
    pdf
      .font('Helvetica')
      .fontSize(8.5)
      .fillColor(soft)
      .text('No traffic in this period.', margin + 4, y + 2)
    y += rowHeight
  }
  if (y + 70 > bottom(pdf)) y = nextPage(pdf)
  y = totals(pdf, statement, width, y)
  if (note === null) return y
  pdf
    .font('Helvetica')
    .fontSize(7)
    .fillColor(soft)
    .text(note, margin, y + 4, { width })
  return y + 14
}

function nextPage(pdf: Pdf): number {
  pdf.addPage()
  return margin
}

function tableHead(pdf: Pdf, columns: readonly Column[], y: number): number {
  pdf.font('Helvetica-Bold').fontSize(7.5).fillColor(soft)
  for (const { label, x, width, align } of columns) {
    pdf.text(label, margin + x, y, { width: width - 4, align, lineBreak: false })
  }
  const last = columns.at(-1)
  pdf
    .lineWidth(0.5)
    .strokeColor(rule)
    .moveTo(margin, y + 11)
  pdf.lineTo(margin + (last === undefined ? 0 : last.x + last.width), y + 11).stroke()
  return y + 16
}

function tableRow(pdf: Pdf, columns: readonly Column[], row: PdfRow, y: number): void {
  pdf.font('Helvetica').fontSize(8).fillColor(ink)
  for (const { value, x, width, align } of columns) {
    const options = { width: width - 4, align, height: 10, ellipsis: true, lineBreak: false }
    pdf.text(inFont(value(row)), margin + x + (align === 'left' ? 4 : 0), y, options)
  }
}

function totals(
  pdf: Pdf,
  { totals: sums, currency, minorDigits }: StatementFile['statement'],
  width: number,
  from: number
): number {
  let y = from + 2
  pdf
    .lineWidth(0.7)
    .strokeColor(ink)
    .moveTo(margin, y)
    .lineTo(margin + width, y)
    .stroke()
  const rows = [
    ['Net', `${grouped(sums.net)} ${currency}`],
    [`Invoice amount, rounded`, `${money(sums.invoice, minorDigits)} ${currency}`]
  ] as const
  y += 6
  for (const [name, value] of rows) {
    pdf
      .font('Helvetica-Bold')
      .fontSize(9)
      .fillColor(ink)
      .text(name, margin + 4, y)
    pdf.text(value, margin, y, { width: width - 4, align: 'right' })
    y += 14
  }
  return y
}

/** Terms, completeness, account and the proof: what else a partner asks for. */
function facts(pdf: Pdf, file: StatementFile, width: number, from: number): number {
  const known = new Set(['Statement', 'Buyer', 'Seller', 'Period', 'Net amount', 'To be invoiced', 'Currency', 'Terms'])
  const { terms } = file.statement
  const rows = [
    ...headOf(file).filter(([name]) => !known.has(name)),
    ['Terms', termsText(terms)],
    ['Formulas', Object.values(file.statement.formulas).join('; ')]
  ] as const
  let y = from
  if (y + 60 > bottom(pdf)) y = nextPage(pdf)
  y = heading(pdf, 'Particulars', width, y)
  for (const [name = '', value = ''] of rows) {
    pdf.font('Helvetica').fontSize(8)
    const options = { width: width - 130 }
    const height = Math.max(11, pdf.heightOfString(inFont(value), options) + 2)
    if (y + height > bottom(pdf)) y = nextPage(pdf)
    pdf.fillColor(soft).text(name, margin + 4, y)
    pdf.fillColor(ink).text(inFont(value), margin + 130, y, options)
    y += height
  }
  return y
}

/** `{ paymentDays: 30, rounding: { scale: 6 } }` as `payment days 30, rounding scale 6`. */
function termsText(terms: Readonly<Record<string, unknown>>, within = ''): string {
  return Object.entries(terms)
    .map(([key, value]) => {
      const name = `${within}${key.replaceAll(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`)}`
      if (Array.isArray(value)) return `${name} ${value.join(' ')}`
      if (typeof value === 'object' && value !== null) return termsText({ ...value }, `${name} `)
      return `${name} ${String(value)}`
    })
    .join(', ')
}

function pageNumbers(pdf: Pdf, { statement, draft }: StatementFile, width: number): void {
  const { start, count } = pdf.bufferedPageRange()
  for (let n = 0; n < count; n++) {
    pdf.switchToPage(start + n)
    const y = pdf.page.height - 34
    pdf.font('Helvetica').fontSize(7.5).fillColor(soft)
    pdf.text(inFont(`${statement.statementId}${draft === null ? '' : ' (draft)'}`), margin, y, {
      width,
      lineBreak: false
    })
    pdf.text(`Page ${n + 1} of ${count}`, margin, y, { width, align: 'right', lineBreak: false })
  }
}
