// The tables of money: invoices, payments, exchange rates, netting. Only ever added to, the counters of numbers apart.

import type { Migration } from '../../store/migrations.ts'

const documents = `
  -- The last number of each seller's documents in a year: taken by the transaction that issues, so without gaps.
  create table document_series (
    seller text not null,
    kind text not null check (kind in ('invoice', 'credit-note')),
    year int not null,
    last int not null check (last >= 1),
    last_day date not null,
    primary key (seller, kind, year)
  );

  -- An invoice or a credit note: issued by the hub, or received from the seller.
  create table invoice (
    invoice_id text primary key,
    kind text not null check (kind in ('invoice', 'credit-note')),
    origin text not null check (origin in ('issued', 'received')),
    -- As its seller numbers it.
    number text not null,
    seller text not null,
    buyer text not null check (buyer <> seller),
    year int,
    sequence int,
    agreement_id text not null,
    statement_id text references statement,
    -- What a credit note takes back a part of.
    credits text references invoice,
    period text,
    period_from date,
    period_to date,
    issued_on date not null,
    due_on date not null,
    currency text not null,
    net_micros bigint not null check (net_micros >= 0),
    tax_micros bigint not null check (tax_micros >= 0),
    gross_micros bigint not null check (gross_micros = net_micros + tax_micros),
    -- Who owes what by it: of an invoice that was received what was accepted, of a credit note what it sets not off.
    debtor text not null,
    creditor text not null check (creditor <> debtor),
    owed_micros bigint not null check (owed_micros between 0 and gross_micros),
    tax_category text not null,
    tax_percent_micros bigint not null,
    tax_note text,
    -- The parties as they were on the day: name, address, country, VAT number, account.
    seller_party jsonb not null,
    buyer_party jsonb not null,
    self_billed boolean not null,
    -- By which rate it came from the agreement's currency; null: it did not.
    fx jsonb,
    reason text,
    issued_by text not null,
    made_at timestamptz not null default now(),
    unique (seller, kind, origin, number),
    unique (seller, kind, year, sequence),
    check ((origin = 'issued') = (sequence is not null)),
    check (credits is null or kind = 'credit-note')
  );
  -- A statement is invoiced once by the hub; a seller that billed too little may bill the rest.
  create unique index invoice_statement on invoice (statement_id) where credits is null and origin = 'issued';
  create index invoice_of_statement on invoice (statement_id);
  create index invoice_credits on invoice (credits) where credits is not null;

  create table invoice_line (
    invoice_id text not null references invoice,
    line int not null check (line >= 1),
    kind text not null,
    of_period text,
    destination text,
    units numeric not null,
    unit text not null,
    net_micros bigint not null,
    primary key (invoice_id, line)
  );

  -- An invoice that was received, beside the statement of what we owe (COM-06).
  create table invoice_match (
    invoice_id text primary key references invoice,
    statement_id text not null references statement,
    own_micros bigint not null,
    their_micros bigint not null,
    percent_micros bigint not null,
    within boolean not null,
    outcome text not null check (outcome in ('accepted', 'under-billed', 'short-paid', 'disputed')),
    accepted_micros bigint not null,
    refused_micros bigint not null,
    -- Billed below our own figure: left unbilled.
    left_micros bigint not null
  );
  create table invoice_match_line (
    invoice_id text not null references invoice_match,
    line int not null check (line >= 1),
    destination text not null,
    own_units numeric,
    their_units numeric,
    own_micros bigint not null,
    their_micros bigint not null,
    accepted_micros bigint not null,
    outcome text not null check (outcome in ('same', 'within', 'above', 'below', 'only-ours', 'only-theirs')),
    primary key (invoice_id, line)
  );

  -- What was refused of an invoice at first and accepted later.
  create table invoice_acceptance (
    invoice_id text not null references invoice_match,
    n int not null check (n >= 1),
    net_micros bigint not null check (net_micros > 0),
    tax_micros bigint not null check (tax_micros >= 0),
    reason text not null,
    day date not null,
    made_by text not null,
    made_at timestamptz not null default now(),
    primary key (invoice_id, n)
  );
`

const payments = `
  -- What was paid, credited or netted of an item; below zero: taken back.
  create table allocation (
    id bigint generated always as identity primary key,
    item_id text not null,
    -- Such as payment/BANK-77, credit-note/CN-hub-2026-000001, netting/NET-2026-000001.
    source text not null,
    amount_micros bigint not null check (amount_micros <> 0),
    day date not null,
    made_by text not null,
    made_at timestamptz not null default now()
  );
  create index allocation_item on allocation (item_id);
  create index allocation_source on allocation (source);

  -- Held out of what is due while it is disputed (SET-04); below zero: released.
  create table item_hold (
    id bigint generated always as identity primary key,
    item_id text not null,
    dispute_id text not null,
    amount_micros bigint not null check (amount_micros <> 0),
    day date not null,
    made_by text not null,
    made_at timestamptz not null default now()
  );
  create index item_hold_item on item_hold (item_id);

  -- Lines of the bank, each once.
  create table payment (
    payment_id text primary key,
    direction text not null check (direction in ('in', 'out')),
    booked_on date not null,
    currency text not null,
    amount_micros bigint not null check (amount_micros > 0),
    payer text not null,
    iban text,
    purpose text not null,
    content_hash text not null,
    file_name text not null,
    line int not null,
    imported_by text not null,
    imported_at timestamptz not null default now()
  );

  -- Money of a payment that pays nothing yet: on the account of a party, or (null) in suspense; below zero: moved on.
  create table payment_rest (
    id bigint generated always as identity primary key,
    payment_id text not null references payment,
    party text,
    reason text not null,
    detail text not null,
    amount_micros bigint not null check (amount_micros <> 0),
    day date not null,
    made_by text not null,
    made_at timestamptz not null default now()
  );
  create index payment_rest_payment on payment_rest (payment_id);

  create table payment_top_up (
    payment_id text not null references payment,
    agreement_id text not null,
    amount_micros bigint not null check (amount_micros > 0),
    primary key (payment_id, agreement_id)
  );

  create table payment_reversal (
    payment_id text primary key references payment,
    reason text not null,
    day date not null,
    reversed_by text not null,
    reversed_at timestamptz not null default now()
  );

  -- What the hub has told its bank to pay.
  create table payment_run (
    run_id text primary key,
    currency text not null,
    due_until date not null,
    day date not null,
    made_by text not null,
    made_at timestamptz not null default now()
  );
  create table payment_order (
    order_id text primary key,
    run_id text not null references payment_run,
    party text not null,
    name text not null,
    iban text,
    currency text not null,
    amount_micros bigint not null check (amount_micros > 0)
  );
  create table payment_order_end (
    order_id text primary key references payment_order,
    outcome text not null check (outcome in ('paid', 'cancelled')),
    payment_id text references payment,
    reason text,
    day date not null,
    made_by text not null,
    made_at timestamptz not null default now()
  );
`

const rates = `
  -- For one unit of base one gets rate_picos of 10^-12 units of quote (SET-06).
  create table fx_rate (
    base text not null,
    quote text not null check (quote <> base),
    fixed_on date not null,
    source text not null,
    rate_picos bigint not null check (rate_picos > 0),
    file_name text not null,
    imported_by text not null,
    imported_at timestamptz not null default now(),
    primary key (base, quote, source, fixed_on)
  );
`

const netting = `
  create table netting (
    netting_id text primary key,
    kind text not null check (kind in ('bilateral', 'multilateral')),
    currency text not null,
    parties jsonb not null,
    positions jsonb not null,
    day date not null,
    due_on date not null,
    proposed_by text not null,
    proposed_at timestamptz not null default now()
  );
  create table netting_item (
    netting_id text not null references netting,
    item_id text not null,
    agreement_id text,
    debtor text not null,
    creditor text not null,
    amount_micros bigint not null check (amount_micros > 0),
    primary key (netting_id, item_id)
  );
  create table netting_payment (
    payment_id text primary key,
    netting_id text not null references netting,
    payer text not null,
    payee text not null check (payee <> payer),
    exact_micros bigint not null check (exact_micros > 0),
    amount_micros bigint not null check (amount_micros >= 0)
  );
  create table netting_event (
    netting_id text not null references netting,
    state text not null check (state in ('confirmed', 'cancelled')),
    reason text,
    day date not null,
    made_by text not null,
    made_at timestamptz not null default now(),
    primary key (netting_id, state)
  );
`

const views = `
  -- What somebody still owes somebody: invoices, and payments that a netting left.
  create view open_item as
    select d.item_id, d.kind, d.debtor, d.creditor, d.agreement_id, d.currency, d.issued_on, d.due_on, d.owed_micros,
      (d.owed_micros - coalesce(a.paid, 0))::bigint as open_micros, coalesce(h.held, 0)::bigint as held_micros
    from (
      select invoice_id as item_id, case origin when 'received' then 'received' else 'invoice' end as kind,
        debtor, creditor, agreement_id, currency, issued_on, due_on,
        (owed_micros + coalesce((select sum(c.net_micros + c.tax_micros) from invoice_acceptance c
          where c.invoice_id = invoice.invoice_id), 0))::bigint as owed_micros
      from invoice
      union all
      select p.payment_id, 'netting', p.payer, p.payee, null, n.currency, n.day, n.due_on, p.amount_micros
      from netting_payment p join netting n using (netting_id)
      where exists (select from netting_event e where e.netting_id = n.netting_id and e.state = 'confirmed')
        and not exists (select from netting_event e where e.netting_id = n.netting_id and e.state = 'cancelled')
    ) d
    left join lateral (select sum(amount_micros) as paid from allocation where allocation.item_id = d.item_id) a on true
    left join lateral (select sum(amount_micros) as held from item_hold where item_hold.item_id = d.item_id) h on true
    where d.owed_micros <> coalesce(a.paid, 0);

  -- Money that arrived and pays nothing yet.
  create view payment_open as
    select payment_id, party, sum(amount_micros)::bigint as amount_micros,
      (array_agg(reason order by id desc))[1] as reason, (array_agg(detail order by id desc))[1] as detail
    from payment_rest group by payment_id, party having sum(amount_micros) <> 0;

  grant select, insert, update on document_series to isthmus_service;
  grant select, insert on invoice, invoice_line, invoice_match, invoice_match_line, invoice_acceptance, allocation,
    item_hold, payment, payment_rest, payment_top_up, payment_reversal, payment_run, payment_order, payment_order_end,
    fx_rate, netting, netting_item, netting_payment, netting_event to isthmus_service;
  grant select on open_item, payment_open to isthmus_service;
`

/** What documents have charged of late invoices. */
export const interestMigration: Migration = {
  name: 'clearing/016-interest',
  sql: `
    create table interest_line (
      invoice_id text not null references invoice,
      item_id text not null references invoice,
      -- The last day that is charged.
      until date not null,
      amount_micros bigint not null check (amount_micros > 0),
      primary key (invoice_id, item_id)
    );
    create index interest_line_item on interest_line (item_id);
    grant select, insert on interest_line to isthmus_service;`
}

export const moneyMigration: Migration = {
  name: 'clearing/011-money',
  sql: documents + payments + rates + netting + views
}
