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

  -- A page of records whose time is over: numbers go from them, from the event log and from what was rejected. The
  -- salt of what a partner sees goes, and its leaf stays; so do the links of the chain (EOS-04). What a dispute needs
  -- waits for its end.
  create function erase_numbers(cut timestamptz, codes text[], cuts timestamptz[], page int)
  returns table (records bigint, partner_calls bigint)
  language plpgsql security definer as $$
  declare
    ids uuid[];
    calls uuid[];
  begin
    select array_agg(cdr_id), array_agg(distinct call_id) into ids, calls from (
      select f.cdr_id, f.call_id from cdr_final f
      where f.called <> 'erased'
        and f.t_end < coalesce((select min(c.at) from unnest(codes, cuts) as c(code, at)
          where starts_with(${calling}, c.code) or starts_with(${called}, c.code)), cut)
        and not exists (
          select from dispute_call e join dispute_step s using (dispute_id) where e.cdr_id = f.cdr_id
            and s.step = (select max(step) from dispute_step l where l.dispute_id = e.dispute_id)
            and s.state not in ('settled', 'withdrawn'))
      limit page) as due;
    update cdr_final set calling = null, called = 'erased', dialled = 'erased', rn = null where cdr_id = any(ids);
    update statement_leaf set salt = null where cdr_id = any(ids) and salt is not null;
    if to_regclass('event_log') is not null then
      update event_log set payload = jsonb_build_object('erased', true, 'node_id', payload -> 'node_id',
          'seq', payload -> 'seq', 'prev_hash', payload -> 'prev_hash', 'hash', payload -> 'hash')
        where key = any(calls::text[]) and not payload ? 'erased';
    end if;
    update rejected set record = 'erased', detail = 'erased'
      where rejected_at < greatest(cut, (select max(c) from unnest(cuts) as c)) and record <> 'erased';
    with due as (
      select p.ctid as place from partner_call p
      where p.number <> 'erased'
        and p.at < coalesce((select min(c.at) from unnest(codes, cuts) as c(code, at)
          where starts_with(p.number, c.code) or starts_with(${theirs}, c.code)), cut)
      limit page)
    update partner_call set number = 'erased', calling = null from due where partner_call.ctid = due.place;
    get diagnostics partner_calls = row_count;
    records := coalesce(cardinality(ids), 0);
    return next;
  end $$;

  -- These tables alone, whatever its caller puts before them.
  do $$ begin
    execute format('alter function erase_numbers set search_path = %I, pg_temp', current_schema());
  end $$;
  revoke execute on function erase_numbers from public;
  grant execute on function erase_numbers to isthmus_service;
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

/** Page by page until nothing is due; what was done is kept with who asked for it. */
export async function eraseNumbers(
  database: Database,
  cut: CutOffs,
  {
    by,
    pageRows = limits.pageRows,
    progress = () => undefined
  }: { readonly by: string; readonly pageRows?: number; readonly progress?: (done: number) => void }
): Promise<Erased> {
  const codes = cut.byCode.map(({ code }) => code)
  const cuts = cut.byCode.map(({ before }) => before)
  const total = { records: 0n, partnerCalls: 0n }
  for (;;) {
    const { rows } = await database.query<{ records: bigint; partner_calls: bigint }>(
      'select records, partner_calls from erase_numbers($1, $2::text[], $3::timestamptz[], $4)',
      [cut.byDefault, codes, cuts, pageRows]
    )
    const { records = 0n, partner_calls: partnerCalls = 0n } = rows[0] ?? {}
    total.records += records
    total.partnerCalls += partnerCalls
    progress(Number(total.records + total.partnerCalls))
    if (records + partnerCalls === 0n) break
  }
  await database.query(
    'insert into number_erasure (cut_off, records, partner_calls, erased_by) values ($1, $2, $3, $4)',
    [JSON.stringify(cut), total.records, total.partnerCalls, by]
  )
  return total
}
