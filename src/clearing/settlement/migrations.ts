// The tables of settlement: what was closed, by whom, and what it came to. Only ever added to.

import type { Migration } from '../../store/migrations.ts'

const sql = `
  -- A posting that no call made (an adjustment of a period, an invoice, a payment) has no record. What repeats is found
  -- by its entry id: transfer_entry holds one null as equal to another.
  alter table transfer alter column cdr_id drop not null;

  -- In which order charges were made again: a close remembers how far it looked.
  alter table recharge add column id bigint generated always as identity;
  create unique index recharge_id on recharge (id);
  -- What a period holds, without looking at all the others: charges come nearly in the order of their days, so that a
  -- summary of each range of pages does, and posting does not pay for a tree.
  create index charge_day on charge using brin (day) with (pages_per_range = 32, autosummarize = on);

  -- One closed period of one agreement: never changed again (SET-07).
  create table statement (
    statement_id text primary key,
    agreement_id text not null,
    period text not null,
    -- Local days of the agreement; to_day is no part of the period.
    from_day date not null,
    to_day date not null check (to_day > from_day),
    time_zone text not null,
    calendar text not null,
    model text not null,
    service text not null,
    buyer text not null,
    seller text not null,
    side text not null check (side in ('sell', 'buy', 'bilateral')),
    currency text not null,
    -- Digits of the currency's minor unit, to which invoice_micros is rounded.
    minor_digits int not null,
    due_day date not null,
    -- Numbers of the nodes' journals in the period that arrived, and that should have (EOS-03).
    received bigint not null,
    expected bigint not null,
    open_gaps bigint not null,
    suspense_count bigint not null,
    suspense_ms bigint not null,
    -- Records that belong to a closed period and are stated here; and those that came too late for that.
    late_count bigint not null,
    late_micros numeric not null,
    outdated_count bigint not null,
    outdated_micros numeric not null,
    cdr_count bigint not null,
    gross_micros numeric not null,
    discount_micros numeric not null,
    -- Commitments, imbalances, rounding over the period: what no single call owes.
    adjustment_micros numeric not null,
    net_micros numeric not null check (net_micros = gross_micros - discount_micros + adjustment_micros),
    invoice_micros numeric not null,
    -- The account of the party with the hub, and its sums so far, at the close.
    account text not null,
    account_debit_micros numeric not null,
    account_credit_micros numeric not null,
    -- Terms, deck versions, and what the next close goes on from.
    terms jsonb not null,
    carried jsonb not null,
    recharge_seen bigint not null,
    merkle_root text not null,
    unique (agreement_id, period),
    unique (agreement_id, from_day)
  );

  create table statement_line (
    statement_id text not null,
    line int not null check (line >= 1),
    kind text not null,
    -- The period that the traffic belongs to: another one for what came late.
    of_period text not null,
    destination text,
    dest_code text,
    origin text,
    trunk text,
    time_class text,
    quality_class text,
    rate_id text,
    rate_nanos bigint,
    effective_from timestamptz,
    attempts bigint not null,
    answered bigint not null,
    -- Answered, or ended by the called side's user (E.425): what the network did its part for.
    effective bigint not null,
    duration_ms numeric not null,
    increments numeric not null,
    billed_units numeric not null,
    unit text not null check (unit in ('second', 'message', 'none')),
    setup_micros numeric not null,
    gross_micros numeric not null,
    discount_micros numeric not null,
    net_micros numeric not null check (net_micros = gross_micros - discount_micros),
    -- How an amount that no single call owes came about.
    detail jsonb not null,
    primary key (statement_id, line)
  );

  -- Which charge, in which revision, was stated where; sign -1 takes back what a charge made again has replaced.
  -- The leaf is the salted hash of what the partner sees of the record (EOS-04).
  create table statement_leaf (
    statement_id text not null,
    cdr_id uuid not null,
    revision bigint not null,
    sign bigint not null check (sign in (1, -1)),
    leaf bytea not null,
    salt bytea,
    primary key (cdr_id, revision, sign)
  );
  create index statement_leaf_statement on statement_leaf (statement_id);

  -- Each seal names the one before: none can be taken out, changed or put between.
  create table statement_seal (
    number bigint primary key check (number >= 1),
    statement_id text not null unique,
    previous text not null,
    body text not null,
    hash text not null unique,
    signature text not null,
    public_key text not null
  );

  -- The act of closing: who, when, and what was overridden, why.
  create table period_close (
    agreement_id text not null,
    period text not null,
    statement_id text not null unique,
    closed_at timestamptz not null default now(),
    closed_by text not null,
    override_reason text,
    overridden jsonb not null,
    primary key (agreement_id, period)
  );

  grant select, insert on statement, statement_line, statement_leaf, statement_seal, period_close to isthmus_service;
  -- Personal data goes with the salt; the leaf stays (EOS-04).
  grant update (salt) on statement_leaf to isthmus_service;
`

export const settlementMigration: Migration = { name: 'clearing/010-settlement', sql }
