// What documents use of pdfkit, which comes without types.

declare module 'pdfkit' {
  export interface TextOptions {
    readonly width?: number
    readonly height?: number
    readonly align?: 'left' | 'center' | 'right' | 'justify'
    readonly lineBreak?: boolean
    readonly lineGap?: number
    readonly ellipsis?: boolean | string
    readonly characterSpacing?: number
    readonly continued?: boolean
    readonly link?: string
  }
  export interface DocumentOptions {
    readonly size?: string | readonly [number, number]
    readonly layout?: 'portrait' | 'landscape'
    readonly margin?: number
    readonly margins?: { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number }
    /** Pages stay open until the end, so that each may say how many there are. */
    readonly bufferPages?: boolean
    readonly autoFirstPage?: boolean
    readonly compress?: boolean
    readonly lang?: string
    readonly displayTitle?: boolean
    readonly info?: Readonly<Record<string, string | Date>>
  }
  class PDFDocument extends NodeJS.EventEmitter {
    constructor(options?: DocumentOptions)
    x: number
    y: number
    readonly page: {
      readonly width: number
      readonly height: number
      readonly margins: { top: number; bottom: number; left: number; right: number }
    }
    font(name: string, size?: number): this
    fontSize(size: number): this
    fillColor(colour: string, opacity?: number): this
    strokeColor(colour: string, opacity?: number): this
    lineWidth(width: number): this
    text(text: string, options?: TextOptions): this
    text(text: string, x: number, y: number, options?: TextOptions): this
    widthOfString(text: string, options?: TextOptions): number
    heightOfString(text: string, options?: TextOptions): number
    moveDown(lines?: number): this
    moveTo(x: number, y: number): this
    lineTo(x: number, y: number): this
    rect(x: number, y: number, width: number, height: number): this
    roundedRect(x: number, y: number, width: number, height: number, radius: number): this
    circle(x: number, y: number, radius: number): this
    path(path: string): this
    dash(length: number, options?: { readonly space?: number }): this
    undash(): this
    stroke(colour?: string): this
    fill(colour?: string): this
    fillAndStroke(fill?: string, stroke?: string): this
    clip(): this
    save(): this
    restore(): this
    translate(x: number, y: number): this
    rotate(degrees: number, options?: { readonly origin?: readonly [number, number] }): this
    addPage(options?: DocumentOptions): this
    bufferedPageRange(): { readonly start: number; readonly count: number }
    switchToPage(page: number): void
    flushPages(): void
    end(): void
    on(event: 'data', listener: (chunk: Buffer) => void): this
    on(event: 'end', listener: () => void): this
    on(event: 'error', listener: (error: Error) => void): this
    pipe(stream: NodeJS.WritableStream): NodeJS.WritableStream
  }
  export { PDFDocument as default }
}
