// The tables of fraud control: what rules have seen, what is refused because of it, and who let it go. Only ever added
// to.

import type { Migration } from '../../store/migrations.ts'
import { normalisedSql } from '../reconcile/number.ts'

const called = normalisedSql("case f.leg when 'ingress' then f.dialled else f.called end")

const sql = `
  create table fraud_signal (
    signal_id bigint generated always as identity primary key,
    rule text not null,
    from_provider text,
    to_provider text,
    -- Digits without a sign.
    calling_prefix text,
    called_prefix text,
    seen_from timestamptz not null,
    seen_until timestamptz not null,
    counters jsonb not null,
    explanation text not null,
    node_id text not null,
    told_at timestamptz not null default now()
  );
  create index fraud_signal_told on fraud_signal (told_at);

  -- Refuses every call that matches all that is not null.
  create table fraud_block (
    block_id bigint generated always as identity primary key,
    rule text not null,
    signal_id bigint references fraud_signal,
    from_provider text,
    to_provider text,
    calling_prefix text,
    called_prefix text,
    reason text not null,
    starts_at timestamptz not null default now(),
    expires_at timestamptz not null,
    made_by text not null,
    check (expires_at > starts_at),
    check (coalesce(from_provider, to_provider, calling_prefix, called_prefix) is not null)
  );
  create index fraud_block_expires on fraud_block (expires_at);

  create table fraud_release (
    block_id bigint primary key references fraud_block,
    reason text not null,
    released_at timestamptz not null default now(),
    released_by text not null
  );

  -- Records that a signal casts suspicion on: charged all the same (FRD-02).
  create view fraud_call as
    select s.signal_id, s.rule, f.cdr_id
    from fraud_signal s join cdr_final f on f.t_end > s.seen_from and f.t_end <= s.seen_until and not f.emergency
      and (s.from_provider is null or (f.leg = 'ingress' and f.provider = s.from_provider))
      and (s.to_provider is null or (f.leg = 'egress' and f.provider = s.to_provider))
      and (s.calling_prefix is null or starts_with(${normalisedSql('f.calling')}, s.calling_prefix))
      and (s.called_prefix is null
        or starts_with(${called}, s.called_prefix));

  grant select, insert on fraud_signal, fraud_block, fraud_release to isthmus_service;
  grant select on fraud_call to isthmus_service;
`

export const fraudMigration: Migration = { name: 'clearing/013-fraud', sql }
