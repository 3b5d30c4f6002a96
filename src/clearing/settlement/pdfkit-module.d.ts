// What we use of pdfkit 0.20, which brings no types of its own.

declare module 'pdfkit' {
  import type { Readable } from 'node:stream'

  interface TextOptions {
    readonly width?: number
    readonly align?: 'left' | 'right' | 'center'
    readonly lineBreak?: boolean
    readonly ellipsis?: boolean
    readonly height?: number
    readonly characterSpacing?: number
  }

  export class PDFDocument extends Readable {
    constructor(options: {
      readonly size: string
      readonly margin: number
      readonly bufferPages?: boolean
      readonly autoFirstPage?: boolean
      readonly info?: Readonly<Record<string, string | Date>>
    })
    readonly page: { readonly width: number; readonly height: number }
    readonly y: number
    addPage(): this
    bufferedPageRange(): { readonly start: number; readonly count: number }
    switchToPage(page: number): this
    font(name: string): this
    fontSize(points: number): this
    fillColor(colour: string): this
    strokeColor(colour: string): this
    lineWidth(points: number): this
    rect(x: number, y: number, width: number, height: number): this
    moveTo(x: number, y: number): this
    lineTo(x: number, y: number): this
    fill(colour?: string): this
    stroke(): this
    text(text: string, x: number, y: number, options?: TextOptions): this
    widthOfString(text: string): number
    heightOfString(text: string, options?: TextOptions): number
    end(): void
  }
}
