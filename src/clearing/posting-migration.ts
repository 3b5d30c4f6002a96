// What makes posting fast: sums that no two partitions share, one index where two stood, and integrity that follows
// from one transaction instead of being looked up again for every row.

import type { Migration } from '../store/migrations.ts'

const sql = `
  -- A charge and its record, a transfer and its charge are written by one transaction; verification recomputes them.
  -- Looking the parent up for every row cost a fifth of all posting.
  alter table charge drop constraint charge_cdr_id_fkey;
  alter table transfer drop constraint transfer_cdr_id_fkey, drop constraint transfer_pkey;
  drop index transfer_cdr;
  create unique index transfer_entry on transfer (cdr_id, entry_id) nulls not distinct;

  -- Every partition has its own place, and adds to sums of its own: partitions never wait for each other.
  alter table clearing_position add column shard int not null default 0;
  alter table clearing_position drop constraint clearing_position_pkey, add primary key (topic, shard);

  create table balance_shard (
    shard int not null,
    account text not null,
    currency text not null,
    debit_micros numeric not null,
    credit_micros numeric not null,
    primary key (shard, account, currency)
  );
  insert into balance_shard select 0, * from balance;
  drop table balance;
  create view balance as
    select account, currency, sum(debit_micros) as debit_micros, sum(credit_micros) as credit_micros
    from balance_shard group by account, currency;

  create table rollup_shard (
    shard int not null,
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
    primary key (day, from_provider, to_provider, service, side, agreement_id, currency, destination, shard)
  );
  insert into rollup_shard select 0, * from rollup;
  drop table rollup;
  create view rollup as
    select day, from_provider, to_provider, service, side, agreement_id, currency, destination,
      sum(attempts) as attempts, sum(answered) as answered, sum(billed_units) as billed_units,
      sum(duration_ms) as duration_ms, sum(amount_micros) as amount_micros
    from rollup_shard
    group by day, from_provider, to_provider, service, side, agreement_id, currency, destination;

  -- Arrivals of one batch and node a row; merged into few rows now and then.
  create table received_part (
    id bigint generated always as identity primary key,
    node_id text not null,
    seqs int8multirange not null
  );
  insert into received_part (node_id, seqs) select node_id, seqs from received;
  drop table received;
  create view received as select node_id, range_agg(seqs) as seqs from received_part group by node_id;

  -- What has to be told to others: charges made and records rejected, on their way to their topics.
  create table topic_outbox (
    id bigint generated always as identity primary key,
    cdr_ids uuid[] not null,
    content_hashes text[] not null
  );

  grant select on balance, rollup, received to isthmus_service;
  grant select, insert, update on balance_shard, rollup_shard to isthmus_service;
  grant select, insert, delete, update on received_part, topic_outbox to isthmus_service;
`

export const postingMigration: Migration = { name: 'clearing/002-posting', sql }
