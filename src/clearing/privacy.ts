// Numbers of people go when their time is over (EOS-05): what was charged stays, and who it was is forgotten. The only
// change that the book ever sees, by a function of its owner that can do nothing else.

import type { Config } from '../config.ts'
import { HubError } from '../errors.ts'
import type { Database } from '../store/database.ts'
import type { Migration } from '../store/migrations.ts'
import { normalisedSql } from './reconcile/number.ts'

export const limits = {
  /** Records of one transaction. */
  pageRows: 5_000
} as const

const [calling, called, theirs] = ['f.calling', 'f.called', 'p.calling'].map(normalisedSql)
const [logCalling, logCalled] = ["f.payload ->> 'calling'", "f.payload ->> 'called'"].map(normalisedSql)

const sql = `
  create table number_erasure (
    erasure_id bigint generated always as identity primary key,
    -- Records that ended before: by default, and by country calling code.
    cut_off jsonb not null,
    records bigint not null,
    partner_calls bigint not null,
    erased_at timestamptz not null default now(),
    erased_by text not null
  );

  -- Of a page of records, by id, numbers go from those whose time is over. The salt of what a partner sees goes, and
  -- its leaf stays (EOS-04). What a dispute needs waits for its end.
  create function erase_numbers(cut timestamptz, codes text[], cuts timestamptz[], after uuid, page int)
  returns table (records bigint, last uuid)
  language plpgsql security definer as $$
  declare
    seen uuid[];
    ids uuid[];
  begin
    select array_agg(s.cdr_id order by s.cdr_id) into seen
      from (select cdr_id from cdr_final where cdr_id > after order by cdr_id limit page) as s;
    select array_agg(f.cdr_id) into ids from cdr_final f
      where f.cdr_id = any(seen) and f.called <> 'erased'
        and f.t_end < coalesce((select min(c.at) from unnest(codes, cuts) as c(code, at)
          where starts_with(${calling}, c.code) or starts_with(${called}, c.code)), cut)
        and not exists (
          select from dispute_call e join dispute_step s using (dispute_id) where e.cdr_id = f.cdr_id
            and s.step = (select max(step) from dispute_step l where l.dispute_id = e.dispute_id)
            and s.state not in ('settled', 'withdrawn'));
    update cdr_final set calling = null, called = 'erased', dialled = 'erased', rn = null where cdr_id = any(ids);
    update statement_leaf set salt = null where cdr_id = any(ids) and salt is not null;
    records := coalesce(cardinality(ids), 0);
    last := seen[cardinality(seen)];
    return next;
  end $$;

  -- The same for a page of the event log, where it is a table: the links of the chain stay, and what nobody has cleared
  -- yet is left alone.
  create function erase_log_numbers(cut timestamptz, codes text[], cuts timestamptz[], after bigint, page int)
  returns bigint language plpgsql security definer as $$
  declare
    last bigint;
  begin
    if to_regclass('event_log') is null then
      return null;
    end if;
    select max(s.position) into last
      from (
        select e.position from event_log e where e.position > after and e.position <= (
          select max(p.position) from clearing_position p where p.topic = 'isthmus.cdr.v1')
        order by e.position limit page) as s;
    update event_log f set payload = jsonb_build_object('erased', true, 'node_id', payload -> 'node_id',
        'seq', payload -> 'seq', 'prev_hash', payload -> 'prev_hash', 'hash', payload -> 'hash')
      where position > after and position <= last and topic = 'isthmus.cdr.v1' and not payload ? 'erased'
        and to_timestamp((payload ->> 't_end')::float8 / 1000) < coalesce(
          (select min(c.at) from unnest(codes, cuts) as c(code, at)
           where starts_with(${logCalling}, c.code) or starts_with(${logCalled}, c.code)), cut);
    return last;
  end $$;

  -- The same for one file of a partner.
  create function erase_partner_numbers(cut timestamptz, codes text[], cuts timestamptz[], reconciliation bigint)
  returns bigint language plpgsql security definer as $$
  declare
    erased bigint;
  begin
    update partner_call p set number = 'erased', calling = null
      where p.reconciliation_id = reconciliation and p.number <> 'erased'
        and p.at < coalesce((select min(c.at) from unnest(codes, cuts) as c(code, at)
          where starts_with(p.number, c.code) or starts_with(${theirs}, c.code)), cut);
    get diagnostics erased = row_count;
    return erased;
  end $$;

  -- What was rejected may hold any number: it goes by the shortest time there is.
  create function erase_rejected(cut timestamptz) returns void language sql security definer as $$
    update rejected set record = 'erased', detail = 'erased' where rejected_at < cut and record <> 'erased'
  $$;

  -- These tables alone, whatever a caller puts before them.
  do $$
  declare
    name text;
  begin
    foreach name in array array['erase_numbers', 'erase_log_numbers', 'erase_partner_numbers', 'erase_rejected'] loop
      execute format('alter function %I set search_path = %I, pg_temp', name, current_schema());
      execute format('revoke execute on function %I from public', name);
      execute format('grant execute on function %I to isthmus_service', name);
    end loop;
  end $$;
  grant select, insert on number_erasure to isthmus_service;
`

export const privacyMigration: Migration = { name: 'clearing/014-privacy', sql }

const dayMs = 86_400_000

export interface CutOffs {
  /** Null: records without a number of a named country keep theirs. */
  readonly byDefault: Date | null
  readonly byCode: readonly { readonly code: string; readonly before: Date }[]
}

/** Throws HUB_CONFIG where nothing says how long numbers are kept. */
export function cutOffs({ retentionDays, retentionDaysOf }: Config['privacy'], now: number): CutOffs {
  const before = (days: number): Date => new Date(now - days * dayMs)
  const byCode = Object.entries(retentionDaysOf).map(([code, days]) => ({ code, before: before(days) }))
  if (retentionDays === undefined && byCode.length === 0) {
    throw new HubError('HUB_CONFIG', 'privacy.retentionDays is missing: nothing says how long numbers are kept')
  }
  return { byDefault: retentionDays === undefined ? null : before(retentionDays), byCode }
}

export interface Erased {
  readonly records: bigint
  readonly partnerCalls: bigint
}

const first = '00000000-0000-0000-0000-000000000000'

/** Page by page through all records, then file by file; what was done is kept with who asked for it. */
export async function eraseNumbers(
  database: Database,
  cut: CutOffs,
  {
    by,
    pageRows = limits.pageRows,
    progress = () => undefined
  }: { readonly by: string; readonly pageRows?: number; readonly progress?: (looked: number) => void }
): Promise<Erased> {
  const cuts = cut.byCode.map(({ before }) => before)
  const due = [cut.byDefault, cut.byCode.map(({ code }) => code), cuts] as const
  let [records, looked] = [0n, 0]
  for (let after: string | null = first; after !== null;) {
    const { rows }: { rows: readonly { records: bigint; last: string | null }[] } = await database.query(
      'select records, last from erase_numbers($1, $2::text[], $3::timestamptz[], $4, $5)',
      [...due, after, pageRows]
    )
    records += rows[0]?.records ?? 0n
    after = rows[0]?.last ?? null
    progress((looked += pageRows))
  }
  for (let after: bigint | null = 0n; after !== null;) {
    const { rows }: { rows: readonly { last: bigint | null }[] } = await database.query(
      'select erase_log_numbers($1, $2::text[], $3::timestamptz[], $4, $5) as last',
      [...due, after, pageRows]
    )
    after = rows[0]?.last ?? null
    progress((looked += pageRows))
  }
  const partnerCalls = await erasePartners(database, due)
  const dates = cut.byDefault === null ? cuts : [cut.byDefault, ...cuts]
  const shortest = new Date(Math.max(...dates.map(date => date.getTime())))
  await database.query('select erase_rejected($1)', [shortest])
  await database.query(
    'insert into number_erasure (cut_off, records, partner_calls, erased_by) values ($1, $2, $3, $4)',
    [JSON.stringify(cut), records, partnerCalls, by]
  )
  return { records, partnerCalls }
}

async function erasePartners(database: Database, due: readonly unknown[]): Promise<bigint> {
  const { rows: files } = await database.query<{ id: bigint }>(
    "select reconciliation_id as id from reconciliation where kind = 'calls' order by 1"
  )
  let erased = 0n
  for (const { id } of files) {
    const { rows } = await database.query<{ erased: bigint }>(
      'select erase_partner_numbers($1, $2::text[], $3::timestamptz[], $4) as erased',
      [...due, id]
    )
    erased += rows[0]?.erased ?? 0n
  }
  return erased
}
