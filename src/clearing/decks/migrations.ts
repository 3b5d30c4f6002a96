// The tables of rate decks, of charges made again, and of calls that cost more than they brought. Only ever added to.

import type { Migration } from '../../store/migrations.ts'

const decks = `
  -- What else prices a record, for charging it later or again.
  alter table cdr_final add column rn text, add column quality_class text;

  -- One complete deck of one agreement; which of them prices a call is a matter of deck_activation.
  create table deck_version (
    agreement_id text not null,
    version int not null check (version >= 1),
    mode text not null check (mode in ('full', 'country', 'partial')),
    -- What it was compared with and, unless full, taken over from; 0: the rates of the configuration.
    base_version int not null check (base_version >= 0),
    file_name text not null,
    file_sha256 text not null,
    rows int not null,
    codes int not null,
    closed_codes int not null,
    warnings jsonb not null,
    imported_at timestamptz not null default now(),
    imported_by text not null,
    primary key (agreement_id, version)
  );

  create table deck_row (
    agreement_id text not null,
    version bigint not null,
    prefix text not null,
    destination text not null,
    origin text,
    quality text,
    time_class text not null,
    rate_nanos bigint not null check (rate_nanos >= 0),
    setup_fee_nanos bigint not null check (setup_fee_nanos >= 0),
    minimum_seconds bigint not null,
    initial_seconds bigint not null check (initial_seconds >= 1),
    next_seconds bigint not null check (next_seconds >= 1),
    effective_from timestamptz,
    effective_to timestamptz,
    blocked boolean not null
  );
  create index deck_row_version on deck_row (agreement_id, version);

  -- From in_force_from on that version prices calls, until another one does.
  create table deck_activation (
    id bigint generated always as identity primary key,
    agreement_id text not null,
    version int not null,
    in_force_from timestamptz not null,
    activated_at timestamptz not null default now(),
    activated_by text not null,
    -- Null: it kept all the rules.
    forced_reason text,
    foreign key (agreement_id, version) references deck_version
  );

  grant select, insert on deck_version, deck_row, deck_activation to isthmus_service;
`

const again = `
  -- A charge made again: revision 1 follows the one in charge, and so on; what it replaces is reversed in transfer.
  create table recharge (
    cdr_id uuid not null,
    revision bigint not null check (revision >= 1),
    reason text not null,
    made_by text not null,
    made_at timestamptz not null default now(),
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
    primary key (cdr_id, revision),
    check (amount_micros = 0 or (agreement_id is not null and currency is not null))
  );

  -- What each record owes now.
  create view charge_now as
    select c.cdr_id, coalesce(r.revision, 0) as revision, r.reason,
      case when r.cdr_id is null then c.side else r.side end as side,
      case when r.cdr_id is null then c.rule else r.rule end as rule,
      case when r.cdr_id is null then c.agreement_id else r.agreement_id end as agreement_id,
      case when r.cdr_id is null then c.rate_id else r.rate_id end as rate_id,
      case when r.cdr_id is null then c.destination else r.destination end as destination,
      case when r.cdr_id is null then c.currency else r.currency end as currency,
      case when r.cdr_id is null then c.billed_units else r.billed_units end as billed_units,
      case when r.cdr_id is null then c.amount_micros else r.amount_micros end as amount_micros,
      case when r.cdr_id is null then c.day else r.day end as day,
      case when r.cdr_id is null then c.explanation else r.explanation end as explanation
    from charge c left join lateral (
      select * from recharge where recharge.cdr_id = c.cdr_id order by revision desc limit 1
    ) r on true;

  -- A call that cost the hub more than it brought (R10): told once, kept for a person to look at.
  create table margin_alarm (
    call_id uuid primary key,
    currency text not null,
    sell_micros bigint not null,
    buy_micros bigint not null,
    seen_at timestamptz not null default now()
  );

  grant select, insert on recharge, margin_alarm to isthmus_service;
  grant select on charge_now to isthmus_service;
`

export const deckMigrations: readonly Migration[] = [
  { name: 'decks/001-decks', sql: decks },
  { name: 'decks/002-again', sql: again }
]
