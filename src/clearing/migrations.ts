// The tables of clearing. What happened is only ever added to; balances and sums follow from it and may change.

import type { Migration } from '../store/migrations.ts'
import { chargedMigration } from './charged-migration.ts'
import { creditMigration } from './credit/migrations.ts'
import { deckMigrations } from './decks/migrations.ts'
import { disputeMigration } from './disputes/migrations.ts'
import { fraudMigration } from './fraud/migrations.ts'
import { interestMigration, moneyMigration } from './money-in/migrations.ts'
import { postingMigration } from './posting-migration.ts'
import { privacyMigration } from './privacy.ts'
import { settlementMigration } from './settlement/migrations.ts'

const ledger = `
  -- Final records, once per leg and attempt: what is charged, reported and shown; never the whole record.
  create table cdr_final (
    cdr_id uuid primary key,
    content_hash text not null,
    call_id uuid not null,
    leg text not null check (leg in ('ingress', 'egress')),
    attempt bigint not null,
    node_id text not null,
    seq bigint not null,
    service text not null,
    provider text not null,
    other_provider text,
    trunk text not null,
    access text not null,
    calling text,
    called text not null,
    dialled text not null,
    t_request timestamptz not null,
    t_alert timestamptz,
    t_answer timestamptz,
    t_end timestamptz not null,
    duration_ms bigint not null,
    cause text,
    final_code bigint,
    q850 bigint,
    release_side text,
    incomplete boolean not null,
    emergency boolean not null,
    unique (call_id, leg, attempt)
  );

  -- What one final record owes, also when that is nothing.
  create table charge (
    cdr_id uuid primary key references cdr_final,
    side text not null check (side in ('sell', 'buy', 'bilateral')),
    rule text not null,
    agreement_id text,
    rate_id text,
    destination text,
    currency text,
    billed_units bigint not null check (billed_units >= 0),
    amount_micros bigint not null check (amount_micros >= 0),
    day date not null,
    explanation jsonb not null,
    check (amount_micros = 0 or (agreement_id is not null and currency is not null))
  );

  -- One movement of money a row, from one account to another: it cannot be out of balance.
  create table transfer (
    entry_id text primary key,
    cdr_id uuid not null references charge,
    debit text not null,
    credit text not null check (credit <> debit),
    amount_micros bigint not null check (amount_micros > 0),
    currency text not null,
    day date not null
  );
  create index transfer_cdr on transfer (cdr_id);

  -- Answered, but nothing prices it: a charge made later releases it.
  create table suspense (
    cdr_id uuid primary key references cdr_final,
    reason text not null,
    day date not null
  );

  -- Kept for a person to look at: no record at all, a second final of one leg, an id with two contents.
  create table rejected (
    content_hash text primary key,
    reason text not null,
    detail text not null,
    record text not null,
    topic text not null,
    rejected_at timestamptz not null default now()
  );

  create table balance (
    account text not null,
    currency text not null,
    debit_micros numeric not null,
    credit_micros numeric not null,
    primary key (account, currency)
  );

  -- Sums per local day of the agreement; empty text stands for none.
  create table rollup (
    day date not null,
    from_provider text not null,
    to_provider text not null,
    service text not null,
    side text not null,
    agreement_id text not null,
    currency text not null,
    destination text not null,
    attempts numeric not null,
    answered numeric not null,
    billed_units numeric not null,
    duration_ms numeric not null,
    amount_micros numeric not null,
    primary key (day, from_provider, to_provider, service, side, agreement_id, currency, destination)
  );

  -- Which numbers of each node's journal have arrived: what is missing between them is a gap (EOS-03).
  create table received (
    node_id text primary key,
    seqs int8multirange not null
  );

  create table clearing_position (
    topic text primary key,
    position bigint not null
  );

  grant select, insert on cdr_final, charge, transfer, suspense, rejected to isthmus_service;
  grant select, insert, update on balance, rollup, received, clearing_position to isthmus_service;
`

export const clearingMigrations: readonly Migration[] = [
  { name: 'clearing/001-ledger', sql: ledger },
  postingMigration,
  ...deckMigrations,
  settlementMigration,
  moneyMigration,
  disputeMigration,
  creditMigration,
  fraudMigration,
  privacyMigration,
  chargedMigration,
  interestMigration
]
