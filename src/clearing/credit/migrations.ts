// The tables of credit: what each account may still use, what calls hold of it, and why its balance is what it is.

import type { Migration } from '../../store/migrations.ts'

const sql = `
  -- One agreement whose buyer has to have something left. Amounts in micros of the agreement's currency.
  -- balance: what was paid in, less what was charged; below zero where it is paid later. reserved: what calls hold.
  create table credit_account (
    agreement_id text primary key,
    currency text not null,
    balance_micros bigint not null,
    reserved_micros bigint not null default 0 check (reserved_micros >= 0)
  ) with (fillfactor = 50);

  -- What one attempt of a call holds, from its admission until its record is charged. A call that nobody refreshes any
  -- more, and of which no record comes, lets go at expires_at.
  create table credit_reservation (
    call_id uuid not null,
    attempt int not null,
    agreement_id text not null,
    amount_micros bigint not null check (amount_micros >= 0),
    -- Free units that it holds, of which period; empty text: none.
    free_units bigint not null check (free_units >= 0),
    period text not null,
    -- How long the call may last for it.
    granted_ms bigint not null,
    in_grace boolean not null,
    ended boolean not null,
    node text not null,
    reserved_at timestamptz not null default now(),
    expires_at timestamptz not null,
    primary key (call_id, attempt)
  ) with (fillfactor = 70);

  -- Free units of one period: used by calls that are charged, and held by others.
  create table credit_quota (
    agreement_id text not null,
    period text not null,
    used_units bigint not null default 0 check (used_units >= 0),
    reserved_units bigint not null default 0 check (reserved_units >= 0),
    primary key (agreement_id, period)
  ) with (fillfactor = 50);

  -- Every change of a balance, once: the id says of what.
  create table credit_movement (
    movement_id text primary key,
    agreement_id text not null,
    kind text not null check (kind in ('opening', 'top-up', 'debit', 'recharge', 'payment', 'invoice', 'adjustment')),
    -- Above zero: more is left.
    amount_micros bigint not null,
    cdr_id uuid,
    free_units bigint not null default 0,
    reason text not null default '',
    made_by text not null default '',
    made_at timestamptz not null default now()
  );
  create index credit_movement_cdr on credit_movement (cdr_id) where cdr_id is not null;
  create index credit_movement_account on credit_movement (agreement_id, made_at);

  grant select, insert on credit_movement to isthmus_service;
  grant select, insert, update on credit_account, credit_quota to isthmus_service;
  grant select, insert, update, delete on credit_reservation to isthmus_service;
`

export const creditMigration: Migration = { name: 'clearing/014-credit', sql }
