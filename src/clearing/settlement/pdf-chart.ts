// Horizontal bars in a PDF, drawn as lines and text.

import type { PDFDocument } from 'pdfkit'
import { grouped, inFont } from './pdf-text.ts'

export const limits = {
  /** Bars; the others are one more. */
  barsMax: 8
} as const

const barHeight = 11
const step = 17
const labelWidth = 130
const valueWidth = 112

/** Largest first; returns where it ends. */
export function barChart(
  pdf: PDFDocument,
  bars: readonly (readonly [name: string, value: number])[],
  {
    x,
    y,
    width,
    currency
  }: { readonly x: number; readonly y: number; readonly width: number; readonly currency: string }
): number {
  const shown = bars.slice(0, limits.barsMax)
  const rest = bars.slice(limits.barsMax)
  const others = rest.reduce((sum, [, value]) => sum + value, 0)
  const all = rest.length === 0 ? shown : [...shown, [`${rest.length} others`, others] as const]
  const largest = Math.max(...shown.map(([, value]) => value))
  const total = bars.reduce((sum, [, value]) => sum + value, 0)
  const room = width - labelWidth - valueWidth
  for (const [n, [name, value]] of all.entries()) {
    const top = y + n * step
    pdf.font('Helvetica').fontSize(8).fillColor('#1b2733')
    const label = { width: labelWidth - 8, height: 10, ellipsis: true, lineBreak: false }
    pdf.text(inFont(name), x, top + 2, label)
    // The others together are no bar to compare with.
    if (n < shown.length) {
      pdf.rect(x + labelWidth, top, room, barHeight).fill('#f2f5f8')
      pdf.rect(x + labelWidth, top, Math.max(1, (room * value) / largest), barHeight).fill('#1f5c99')
    }
    const percent = ((100 * value) / total).toFixed(1)
    pdf
      .fillColor('#1b2733')
      .text(`${grouped(value.toFixed(2))} ${currency}  ${percent} %`, x + width - valueWidth, top + 2, {
        width: valueWidth,
        align: 'right',
        lineBreak: false
      })
  }
  return y + all.length * step
}
