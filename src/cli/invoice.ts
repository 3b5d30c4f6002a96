// `isthmus invoice`: from closed statements to invoices, credit notes, and the invoices of those who sell to the hub.

import { Command, Option } from 'commander'
import { acceptMore } from '../clearing/money-in/accept.ts'
import { tellCredit } from '../clearing/money-in/credit-link.ts'
import { issueCreditNote } from '../clearing/money-in/credit-note.ts'
import { printMoney } from '../clearing/money-in/currency.ts'
import { listDocuments, readDocument, readLines } from '../clearing/money-in/document.ts'
import type { Document } from '../clearing/money-in/document.ts'
import { issueInvoice } from '../clearing/money-in/invoice.ts'
import type { Issued } from '../clearing/money-in/invoice.ts'
import { documentCsv, documentJson, invoiceFormats } from '../clearing/money-in/invoice-output.ts'
import type { InvoiceFormat } from '../clearing/money-in/invoice-output.ts'
import { documentPdf } from '../clearing/money-in/invoice-pdf.ts'
import { readOpenItems } from '../clearing/money-in/open-items.ts'
import { createPartyBook } from '../clearing/money-in/parties.ts'
import { limits as receiveLimits, readClaims, readMatch, receiveInvoice } from '../clearing/money-in/received.ts'
import { listUnbilled } from '../clearing/money-in/statement-read.ts'
import { statementIdOf } from '../clearing/settlement/model.ts'
import { printAmount, printScaled } from '../clearing/money.ts'
import { HubError } from '../errors.ts'
import { interestCommand } from './invoice-interest.ts'
import { agreementOf, bookOf, progressOf, say, sayJson, withCommon, withDatabase } from './clearing-commands.ts'
import type { Common } from './clearing-commands.ts'
import {
  amountArgument,
  countArgument,
  dayArgument,
  dayOption,
  fileBytes,
  transactAgain,
  withMoney,
  writeOut
} from './money-commands.ts'
import type { MoneyGiven } from './money-commands.ts'

const lineOf = (document: Document): string => {
  const { invoiceId, kind, seller, buyer, agreementId, period, issuedOn, dueOn, currency } = document
  const gross = printMoney(document.grossMicros, currency)
  const about = `${agreementId}${period === null ? '' : ` ${period}`}`
  return `${invoiceId} ${kind} of ${issuedOn}: ${seller} to ${buyer}, ${about}, ${gross} ${currency}, due ${dueOn}`
}

const words = {
  already: 'is invoiced already',
  nothing: 'comes to nothing',
  'seller-writes': 'waits for the invoice of the seller (isthmus invoice receive)',
  'paid-in-advance': 'was paid in advance'
} as const

interface IssueOptions extends Common {
  readonly agreement?: string
  readonly period?: string
  readonly day: string
}

const issueCommand = (): Command =>
  withCommon(new Command('issue'), { signs: true })
    .description('invoices for closed statements that have none')
    .option('--agreement <id>', 'only of this agreement')
    .option('--period <name>', 'only of this period, such as 2026-11')
    .addOption(dayOption('the day of the invoices'))
    .action((options: IssueOptions) =>
      withDatabase(options, async ({ config, database }) => {
        const book = bookOf(config)
        const { agreement = null, period = null } = options
        if (agreement !== null) agreementOf(config, agreement)
        const statements = await listUnbilled(database, { agreementId: agreement, period })
        const bar = progressOf('invoices')
        const done: IssueTold[] = []
        for (const [n, { statementId, agreementId }] of statements.entries()) {
          done.push(await issueOne({ config, database, book }, options, statementId, agreementId))
          bar.at(n + 1, statements.length)
        }
        bar.end()
        tellIssued(done, options.json)
        const failed = done.filter(({ outcome }) => outcome === 'failed').length
        if (failed > 0) throw new HubError('HUB_CONFIG', `${failed} of ${done.length} statements could not be invoiced`)
      })
    )

interface IssueTold {
  readonly statementId: string
  readonly outcome: Issued['outcome'] | 'failed'
  readonly document: Document | null
  readonly problem: string | null
}

/** In a transaction of its own: what one statement lacks keeps none of the others from being invoiced. */
async function issueOne(
  { config, database, book }: MoneyGiven,
  { day, by }: IssueOptions,
  statementId: string,
  agreementId: string
): Promise<IssueTold> {
  try {
    const asked = {
      statementId,
      agreement: agreementOf(config, agreementId),
      parties: createPartyBook(config),
      day,
      by
    }
    const { outcome, document } = await transactAgain(database, async sql => {
      const issued = await issueInvoice(sql, asked)
      await tellCredit(sql, book, by)
      return issued
    })
    return { statementId, outcome, document, problem: null }
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'HUB_CONFIG') throw error
    return { statementId, outcome: 'failed', document: null, problem: error.message }
  }
}

function tellIssued(done: readonly IssueTold[], json: boolean): void {
  if (json) {
    return sayJson({
      statements: done.map(({ statementId, outcome, document, problem }) => ({
        statement: statementId,
        outcome,
        number: document?.number ?? null,
        problem
      }))
    })
  }
  if (done.length === 0) say('no closed statement waits for an invoice')
  for (const { statementId, outcome, document, problem } of done) {
    if (outcome === 'issued' && document !== null) say(lineOf(document))
    else if (outcome === 'failed') say(`${statementId} is not invoiced: ${problem ?? ''}`)
    else if (outcome !== 'issued') say(`${statementId} ${words[outcome]}`)
  }
}

interface ListOptions extends Common {
  readonly party?: string
  readonly agreement?: string
  readonly period?: string
  readonly max: number
}

const listCommand = (): Command =>
  withCommon(new Command('list'))
    .description('invoices and credit notes, the latest first')
    .option('--party <id>', 'only where it is seller or buyer')
    .option('--agreement <id>', 'only of this agreement')
    .option('--period <name>', 'only of this period')
    .option('--max <n>', 'how many', countArgument, 100)
    .action((options: ListOptions) =>
      withDatabase(options, async ({ database }) => {
        const { party = null, agreement: agreementId = null, period = null, max } = options
        const documents = await listDocuments(database, { party, agreementId, period, max })
        const open = new Map((await readOpenItems(database)).map(item => [item.itemId, item.openMicros]))
        if (options.json) {
          const told = documents.map(document => {
            const { lines: _lines, format: _format, ...fields } = documentJson(document, [])
            return {
              id: document.invoiceId,
              ...fields,
              open: printMoney(open.get(document.invoiceId) ?? 0n, document.currency)
            }
          })
          return sayJson({ invoices: told })
        }
        if (documents.length === 0) return say('there are none')
        for (const document of documents) {
          const left = open.get(document.invoiceId) ?? 0n
          say(`${lineOf(document)}${left === 0n ? '' : `, open ${printMoney(left, document.currency)}`}`)
        }
      })
    )

async function mustRead(database: Parameters<typeof readDocument>[0], invoiceId: string): Promise<Document> {
  const document = await readDocument(database, invoiceId)
  if (document === null) throw new HubError('HUB_CONFIG', `there is no invoice or credit note ${invoiceId}`)
  return document
}

const showCommand = (): Command =>
  withCommon(new Command('show'))
    .description('one of them with its lines, what is open, and the match of one that was received')
    .argument('<number>', 'its number; of one that was received <seller>:<number>')
    .action((invoiceId: string, options: Common) =>
      withDatabase(options, async ({ database }) => {
        const document = await mustRead(database, invoiceId)
        const lines = await readLines(database, invoiceId)
        const [open] = await readOpenItems(database, { itemId: invoiceId })
        const match = await readMatch(database, invoiceId)
        const { currency } = document
        const left = printMoney(open?.openMicros ?? 0n, currency)
        const held = printMoney(open?.heldMicros ?? 0n, currency)
        if (options.json) return sayJson({ ...documentJson(document, lines), open: left, held, match })
        say(lineOf(document))
        for (const [name, micros] of [
          ['net', document.netMicros],
          ['tax', document.taxMicros],
          ['total', document.grossMicros]
        ] as const) {
          say(`  ${name.padEnd(6)} ${printMoney(micros, currency).padStart(16)} ${currency}`)
        }
        say(`  open   ${left.padStart(16)} ${currency}${held === printMoney(0n, currency) ? '' : `, ${held} held`}`)
        if (match === null) return
        say(`  ${match.outcome}: ours ${printAmount(match.own_micros)}, theirs ${printAmount(match.their_micros)},`)
        say(
          `    accepted ${printMoney(match.accepted_micros, currency)}, ${printScaled(match.percent_micros, 6)} % apart`
        )
        for (const line of match.lines.filter(({ outcome }) => outcome !== 'same')) {
          const [ours, theirs] = [printAmount(line.own_micros), printAmount(line.their_micros)]
          say(`    ${line.outcome}: ${line.destination || 'all'}: ours ${ours}, theirs ${theirs}`)
        }
      })
    )

interface ExportOptions extends Common {
  readonly format: InvoiceFormat
  readonly out?: string
}

const exportCommand = (): Command =>
  withCommon(new Command('export'))
    .description('one of them as a file to send')
    .argument('<number>', 'its number')
    .addOption(new Option('--format <format>', 'how').choices(invoiceFormats).default('pdf'))
    .option('--out <file>', 'where to; the number with the format as its ending unless named')
    .action((invoiceId: string, options: ExportOptions) =>
      withDatabase(options, async ({ database }) => {
        const document = await mustRead(database, invoiceId)
        const lines = await readLines(database, invoiceId)
        const out = options.out ?? `${invoiceId.replaceAll(/[^A-Za-z0-9.-]+/g, '-')}.${options.format}`
        const made = {
          json: () => `${JSON.stringify(documentJson(document, lines), null, 2)}\n`,
          csv: () => documentCsv(document, lines),
          pdf: () => documentPdf(document, lines)
        } as const satisfies Record<InvoiceFormat, () => string | Promise<Buffer>>
        writeOut(out, await made[options.format]())
        if (options.json) return sayJson({ file: out, number: document.number, lines: lines.length })
        say(`${out}: ${lineOf(document)}`)
      })
    )

interface ReceiveOptions extends Common {
  readonly agreement: string
  readonly period: string
  readonly number: string
  readonly date: string
  readonly due?: string
  readonly net?: bigint
  readonly tax: bigint
  readonly lines?: string
  readonly dispute: boolean
}

const receiveCommand = (): Command =>
  withCommon(new Command('receive'), { signs: true })
    .description("a seller's own invoice, held against our statement of the period (COM-06)")
    .requiredOption('--agreement <id>', 'by which the hub buys')
    .requiredOption('--period <name>', 'which it is for, such as 2026-11')
    .requiredOption('--number <number>', 'as the seller numbers it')
    .requiredOption('--date <day>', 'its day', dayArgument)
    .option('--due <day>', 'when it is due; by the payment term unless named', dayArgument)
    .option('--net <amount>', 'before tax; the sum of the lines unless named', amountArgument)
    // With a text for the help: it cannot print a BigInt.
    .addOption(new Option('--tax <amount>', 'the tax it asks for').argParser(amountArgument).default(0n, '0'))
    .option('--lines <file>', 'its lines, CSV: destination, units, amount')
    .option('--dispute', 'what is not accepted will be disputed', false)
    .action((options: ReceiveOptions) =>
      withMoney(
        options,
        (sql, { config }) => {
          if (options.net === undefined && options.lines === undefined) {
            throw new HubError('HUB_CONFIG', 'say what it comes to: --net, --lines, or both')
          }
          const file = options.lines === undefined ? null : fileBytes(options.lines, receiveLimits.fileBytesMax)
          return receiveInvoice(sql, {
            statementId: statementIdOf(options.agreement, options.period),
            agreement: agreementOf(config, options.agreement),
            parties: createPartyBook(config),
            number: options.number,
            issuedOn: options.date,
            netMicros: options.net ?? null,
            taxMicros: options.tax,
            dueOn: options.due ?? null,
            claims: file === null ? [] : readClaims(file.name, file.bytes),
            disputes: options.dispute,
            by: options.by
          })
        },
        ({ document, match, outcome }) => {
          const { currency, invoiceId } = document
          const sums = {
            ours: printAmount(match.ownMicros),
            theirs: printAmount(match.theirMicros),
            accepted: printMoney(match.acceptedMicros, currency),
            refused: printMoney(match.refusedMicros, currency),
            unbilled: printAmount(match.leftMicros),
            percent: printScaled(match.percentMicros, 6)
          }
          if (options.json) return sayJson({ id: invoiceId, outcome, currency, ...sums, lines: match.lines })
          say(`${invoiceId} ${outcome}: ours ${sums.ours}, theirs ${sums.theirs} ${currency}, ${sums.percent} % apart`)
          say(`  accepted ${sums.accepted}, not accepted ${sums.refused}, left unbilled ${sums.unbilled}`)
          for (const line of match.lines.filter(line => line.outcome !== 'same')) {
            const [ours, theirs] = [printAmount(line.ownMicros), printAmount(line.theirMicros)]
            say(`  ${line.outcome}: ${line.destination || 'all'}: ours ${ours}, theirs ${theirs}`)
          }
        }
      )
    )

interface AcceptOptions extends Common {
  readonly net: bigint
  readonly reason: string
  readonly day: string
}

const acceptCommand = (): Command =>
  withCommon(new Command('accept'), { signs: true })
    .description("a part of a seller's invoice that was refused, accepted after all")
    .argument('<id>', 'the invoice, <seller>:<number>')
    .requiredOption('--net <amount>', 'how much, before tax', amountArgument)
    .requiredOption('--reason <text>', 'why; it is kept')
    .addOption(dayOption('the day of the posting'))
    .action((invoiceId: string, options: AcceptOptions) =>
      withMoney(
        options,
        sql => {
          const { net: netMicros, reason, day, by } = options
          return acceptMore(sql, { invoiceId, netMicros, reason, day, by })
        },
        ({ netMicros, taxMicros, currency }) => {
          const [net, tax] = [printMoney(netMicros, currency), printMoney(taxMicros, currency)]
          if (options.json) return sayJson({ id: invoiceId, net, tax, currency })
          say(`${invoiceId}: ${net} ${currency} and a tax of ${tax} are owed, too`)
        }
      )
    )

interface CreditOptions extends Common {
  readonly net: bigint
  readonly reason: string
  readonly number?: string
  readonly day: string
}

const creditCommand = (): Command =>
  withCommon(new Command('credit'), { signs: true })
    .description('a credit note that takes back a part of an invoice')
    .argument('<number>', 'the invoice')
    .requiredOption('--net <amount>', 'how much, before tax', amountArgument)
    .requiredOption('--reason <text>', 'why; the note says it')
    .option('--number <number>', "of a received invoice: the number of the seller's own credit note")
    .addOption(dayOption('the day of the note'))
    .action((invoiceId: string, options: CreditOptions) =>
      withMoney(
        options,
        sql => {
          const { net: netMicros, reason, number, day, by } = options
          const numbered = number === undefined ? {} : { number }
          return issueCreditNote(sql, { invoiceId, netMicros, reason, day, by, ...numbered })
        },
        note => {
          const owed = printMoney(note.owedMicros, note.currency)
          if (options.json) return sayJson({ id: note.invoiceId, ...documentJson(note, []) })
          say(lineOf(note))
          if (note.owedMicros > 0n) say(`  ${owed} ${note.currency} of it was paid already: ${note.debtor} owes it`)
        }
      )
    )

export const invoiceCommand = (): Command =>
  new Command('invoice')
    .description('invoices and credit notes: issued from closed statements, received from sellers')
    .addCommand(issueCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(exportCommand())
    .addCommand(receiveCommand())
    .addCommand(acceptCommand())
    .addCommand(creditCommand())
    .addCommand(interestCommand())
