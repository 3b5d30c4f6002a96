// The tables of reconciliations and disputes: what partners sent, what differed, and what became of it. Only ever added
// to.

import type { Migration } from '../../store/migrations.ts'

const sql = `
  create sequence reconciliation_number;

  -- One comparison of a partner's file with what we charged in one period of one agreement.
  create table reconciliation (
    reconciliation_id bigint primary key,
    agreement_id text not null,
    period text not null,
    from_day date not null,
    to_day date not null,
    kind text not null check (kind in ('calls', 'declaration')),
    file_name text not null,
    file_sha256 text not null,
    currency text not null,
    our_amount_micros numeric not null,
    their_amount_micros numeric not null,
    -- Sums per class and destination, the tolerance and what stands.
    result jsonb not null,
    made_by text not null,
    made_at timestamptz not null default now()
  );
  create index reconciliation_period on reconciliation (agreement_id, period);

  -- The lines of the partner's file, as they were read.
  create table partner_call (
    reconciliation_id bigint not null,
    line bigint not null,
    number text not null,
    calling text,
    at timestamptz not null,
    duration_ms bigint,
    units bigint,
    amount_micros bigint,
    amount_digits bigint not null,
    rate_nanos bigint,
    code text,
    destination text,
    cdr_id uuid
  );
  create index partner_call_line on partner_call (reconciliation_id, line);
  create index partner_call_record on partner_call (cdr_id) where cdr_id is not null;

  -- One part of the difference: theirs less ours.
  create table reconciliation_item (
    reconciliation_id bigint not null,
    item bigint not null,
    outcome text not null,
    cdr_id uuid,
    line bigint,
    destination text not null,
    units bigint not null,
    amount_micros bigint not null,
    primary key (reconciliation_id, item)
  );

  create sequence dispute_number;

  -- What is disputed; its state is that of the last row of dispute_step.
  create table dispute (
    dispute_id bigint primary key,
    agreement_id text not null,
    period text not null,
    -- Null: the period is not invoiced yet.
    invoice_id text references invoice,
    raised_by text not null check (raised_by in ('us', 'partner')),
    type text not null check (type in ('volume', 'rate', 'destination', 'duplicate', 'period', 'fraud')),
    side text not null check (side in ('sell', 'buy', 'bilateral')),
    party text not null,
    currency text not null,
    -- Before tax.
    amount_micros bigint not null check (amount_micros > 0),
    reason text not null,
    reconciliation_id bigint references reconciliation,
    -- Until when it could be raised.
    window_ends date not null,
    opened_on date not null,
    opened_by text not null,
    opened_at timestamptz not null default now()
  );
  create index dispute_period on dispute (agreement_id, period);

  -- Step n follows step n - 1: of two that move a dispute at once, one wins.
  create table dispute_step (
    dispute_id bigint not null references dispute,
    step int not null check (step >= 1),
    state text not null,
    -- Of the amount, what was conceded; only where it was decided.
    conceded_micros bigint check (conceded_micros >= 0),
    -- The credit note by which it was settled.
    document text references invoice,
    reason text not null,
    on_day date not null,
    due_day date,
    moved_by text not null,
    moved_at timestamptz not null default now(),
    primary key (dispute_id, step)
  );

  -- What is held out, with its tax, and where: an invoice, or what is not billed yet; below zero: let go.
  create table dispute_hold (
    dispute_id bigint not null references dispute,
    n int not null check (n >= 1),
    invoice_id text references invoice,
    amount_micros bigint not null check (amount_micros <> 0),
    on_day date not null,
    made_by text not null,
    made_at timestamptz not null default now(),
    primary key (dispute_id, n)
  );

  -- The records it is about.
  create table dispute_call (
    dispute_id bigint not null references dispute,
    cdr_id uuid not null,
    amount_micros bigint not null,
    primary key (dispute_id, cdr_id)
  );
  create index dispute_call_record on dispute_call (cdr_id);

  grant select, insert on reconciliation, partner_call, reconciliation_item, dispute, dispute_step,
    dispute_hold, dispute_call to isthmus_service;
  grant usage on sequence reconciliation_number, dispute_number to isthmus_service;
`

export const disputeMigration: Migration = { name: 'clearing/012-disputes', sql }
