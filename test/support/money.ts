// Closed statements, parties and open items for tests of money: valid as they are, changed by what a test names.

import { parseConfig } from '../../src/config.ts'
import type { AgreementConfig, Config } from '../../src/config.ts'
import { issueInvoice } from '../../src/clearing/money-in/invoice.ts'
import type { Document } from '../../src/clearing/money-in/document.ts'
import { createPartyBook } from '../../src/clearing/money-in/parties.ts'
import { parseAmount } from '../../src/clearing/money.ts'
import { postTransfers } from '../../src/clearing/settlement/post.ts'
import type { Sql } from '../../src/store/sql.ts'
import { clearingPeers } from './clearing.ts'
import type { TestDatabase } from './database.ts'

/** What the island buys from the hub, the hub from two operators, and one operator from the other. */
export const moneyAgreements = `
agreements:
  - { id: sell, buyer: island, seller: hub }
  - { id: dollars, buyer: isle, seller: hub, currency: USD }
  - { id: buy, buyer: hub, seller: operator }
  - { id: buy-more, buyer: hub, seller: carrier }
  - { id: sell-back, buyer: operator, seller: hub }
  - { id: past, buyer: operator, seller: carrier }
`
export const moneyParties = `
parties:
  - { id: hub, name: Hub GmbH, vatId: DE123456789, country: DE, iban: DE02120300000000202051, address: [Street 1, 10115 Berlin] }
  - { id: island, name: Island Ltd, vatId: IE1234567T, country: IE, payerNames: [Island Limited] }
  - { id: operator, name: Operator SA, iban: FR7630006000011234567890189 }
  - { id: carrier, name: Carrier BV }
netting:
  - { id: circle, parties: [hub, operator, carrier] }
`

export const moneyConfig = (agreements: string = moneyAgreements): Config =>
  parseConfig(clearingPeers + agreements + moneyParties)

export const agreementIn = (config: Config, id: string): AgreementConfig => {
  const found = config.agreements.find(agreement => agreement.id === id)
  if (found === undefined) throw new Error(`no agreement ${id}`)
  return found
}

export interface StatementGiven {
  readonly agreement: string
  readonly period?: string
  /** Amounts of its lines, by destination. */
  readonly lines: Readonly<Record<string, string>>
  /** What it comes to for an invoice; the sum rounded to two digits unless named. */
  readonly invoice?: string
}

/** A closed statement as settlement leaves it: with its lines, and its usage unbilled in the book. */
export async function closeStatement(sql: Sql, config: Config, given: StatementGiven): Promise<string> {
  const { buyer, seller, service, currency, model } = agreementIn(config, given.agreement)
  const { agreement, period = '2026-11', lines } = given
  const [from, month] = [`${period}-01`, Number(period.slice(5))]
  const to = `2026-${String(month + 1).padStart(2, '0')}-01`
  const net = Object.values(lines).reduce((sum, amount) => sum + parseAmount(amount), 0n)
  const half = net < 0n ? -5_000n : 5_000n
  const invoiced = given.invoice === undefined ? ((net + half) / 10_000n) * 10_000n : parseAmount(given.invoice)
  const side = seller === 'hub' ? 'sell' : buyer === 'hub' ? 'buy' : 'bilateral'
  const statementId = `${agreement}/${period}`
  const row = {
    statement_id: statementId,
    agreement_id: agreement,
    period,
    from_day: from,
    to_day: to,
    time_zone: 'UTC',
    calendar: 'month',
    model: model ?? 'cascade',
    service,
    buyer,
    seller,
    side,
    currency,
    minor_digits: 2,
    due_day: '2026-12-31',
    received: 1,
    expected: 1,
    open_gaps: 0,
    suspense_count: 0,
    suspense_ms: 0,
    late_count: 0,
    late_micros: 0,
    outdated_count: 0,
    outdated_micros: 0,
    cdr_count: 1,
    gross_micros: net,
    discount_micros: 0,
    adjustment_micros: 0,
    net_micros: net,
    invoice_micros: invoiced,
    account: 'a',
    account_debit_micros: 0,
    account_credit_micros: 0,
    terms: '{}',
    carried: '{}',
    recharge_seen: 0,
    merkle_root: 'none'
  }
  await insert(sql, 'statement', await withDefaults(sql, 'statement', row))
  for (const [n, [destination, amount]] of Object.entries(lines).entries()) {
    const micros = parseAmount(amount)
    const line = {
      statement_id: statementId,
      line: n + 1,
      kind: 'usage',
      of_period: period,
      destination,
      attempts: 1,
      answered: 1,
      effective: 1,
      duration_ms: 60_000,
      increments: 60,
      billed_units: 60,
      unit: 'second',
      setup_micros: 0,
      gross_micros: micros,
      discount_micros: 0,
      net_micros: micros,
      detail: '{}'
    }
    await insert(sql, 'statement_line', await withDefaults(sql, 'statement_line', line))
  }
  if (net !== 0n) {
    const pair = {
      sell: [`unbilled-receivable/${buyer}`, `revenue/${buyer}`],
      buy: [`cost/${seller}`, `unbilled-payable/${seller}`],
      bilateral: [`bilateral/${agreement}/${buyer}`, `bilateral/${agreement}/${seller}`]
    } as const
    const [debit, credit] = net > 0n ? pair[side] : (pair[side].toReversed() as [string, string])
    const amountMicros = net < 0n ? -net : net
    await postTransfers(sql, [
      { entryId: `statement/${statementId}/usage`, debit, credit, amountMicros, currency, day: from }
    ])
  }
  return statementId
}

/** Columns that settlement has added since and that matter to nobody here. */
async function withDefaults(
  sql: Sql,
  table: string,
  row: Readonly<Record<string, unknown>>
): Promise<Readonly<Record<string, unknown>>> {
  const { rows } = await sql.query<{ name: string; type: string }>(
    `select column_name as name, data_type as type from information_schema.columns
     where table_name = $1 and is_nullable = 'NO' and column_default is null`,
    [table]
  )
  const missing = rows.filter(({ name }) => !(name in row))
  const zero = (type: string): unknown => (type === 'text' ? '' : type === 'jsonb' ? '{}' : 0)
  return { ...row, ...Object.fromEntries(missing.map(({ name, type }) => [name, zero(type)])) }
}

async function insert(sql: Sql, table: string, row: Readonly<Record<string, unknown>>): Promise<void> {
  const names = Object.keys(row)
  const places = names.map((_name, n) => `$${n + 1}`).join(', ')
  await sql.query(`insert into ${table} (${names.join(', ')}) values (${places})`, Object.values(row))
}

/** Closes and invoices at once. */
export async function invoiced(
  database: TestDatabase,
  config: Config,
  given: StatementGiven & { readonly day?: string }
): Promise<Document> {
  return database.transaction(async sql => {
    const statementId = await closeStatement(sql, config, given)
    const agreement = agreementIn(config, given.agreement)
    const parties = createPartyBook(config)
    const issued = await issueInvoice(sql, {
      statementId,
      agreement,
      parties,
      day: given.day ?? '2026-12-03',
      by: 'anna'
    })
    if (issued.outcome !== 'issued') throw new Error(`${statementId}: ${issued.outcome}`)
    return issued.document
  })
}

/** What stands on accounts, debit less credit, as text; accounts at zero are left out. */
export async function balances(sql: Sql): Promise<Readonly<Record<string, string>>> {
  const { rows } = await sql.query<{ account: string; currency: string; sum: string }>(
    `select account, currency, (debit_micros - credit_micros)::text as sum from balance
     where debit_micros <> credit_micros order by 1, 2`
  )
  return Object.fromEntries(
    rows.map(({ account, currency, sum }) => [currency === 'EUR' ? account : `${account} ${currency}`, decimal(sum)])
  )
}

const decimal = (micros: string): string => {
  const digits = micros.replace('-', '').padStart(7, '0')
  const text = `${digits.slice(0, -6)}.${digits.slice(-6)}`.replace(/\.?0+$/, '')
  return micros.startsWith('-') ? `-${text}` : text
}

/** Of every currency the sum of all balances, which is nothing else than zero. */
export async function outOfBalance(sql: Sql): Promise<readonly unknown[]> {
  const { rows } = await sql.query(
    'select currency, sum(debit_micros - credit_micros) as sum from balance group by 1 having sum(debit_micros - credit_micros) <> 0'
  )
  return rows
}

/** Where accounts of debts and the open items behind them differ: nowhere (LED-01). */
export async function apartFromItems(sql: Sql): Promise<readonly unknown[]> {
  const { rows } = await sql.query(`
    with items as (
      select case when creditor = 'hub' then 'receivable/' || debtor else 'payable/' || creditor end as account,
        currency, sum(case when creditor = 'hub' then 1 else -1 end * (open_micros - held_micros)) as sum
      from open_item where 'hub' in (debtor, creditor) group by 1, 2
      union all
      select case when creditor = 'hub' then 'disputed-receivable/' || debtor else 'disputed-payable/' || creditor end,
        currency, sum(case when creditor = 'hub' then 1 else -1 end * held_micros)
      from open_item where 'hub' in (debtor, creditor) group by 1, 2
      union all
      select coalesce('unapplied/' || party, 'payment-suspense'), p.currency, -sum(o.amount_micros)
      from payment_open o join payment p using (payment_id) group by 1, 2
      union all
      select 'payments-under-way', currency, -sum(amount_micros) from payment_order o
      where not exists (select from payment_order_end e where e.order_id = o.order_id) group by 1, 2
    ), accounts as (
      select account, currency, debit_micros - credit_micros as sum from balance
      where account ~ '^(receivable|payable|disputed-receivable|disputed-payable|unapplied)/'
        or account in ('payment-suspense', 'payments-under-way')
    )
    select account, currency, a.sum as stands, i.sum as follows
    from accounts a full join items i using (account, currency)
    where coalesce(a.sum, 0) <> coalesce(i.sum, 0) order by 1, 2`)
  return rows
}
