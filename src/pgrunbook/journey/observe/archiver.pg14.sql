/* pgrunbook: archiver */
select
  s.mode as mode,
  s.command as command,
  s.library as library,
  s.segment_bytes as segment_bytes,
  a.archived_count::int8 as archived,
  a.last_archived_wal as last_archived_wal,
  extract(epoch from t.now_at - a.last_archived_time)::float8 as last_archived_age_s,
  a.failed_count::int8 as failed,
  a.last_failed_wal as last_failed_wal,
  extract(epoch from t.now_at - a.last_failed_time)::float8 as last_failed_age_s,
  extract(epoch from t.now_at - a.stats_reset)::float8 as counters_age_s,
  case
    when not pg_catalog.pg_is_in_recovery() then pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())
  end as current_wal
from pg_catalog.pg_stat_archiver as a
cross join (select pg_catalog.clock_timestamp() as now_at) as t
cross join (
  select
    pg_catalog.max(p.setting) filter (where p.name = 'archive_mode') as mode,
    pg_catalog.max(case when p.setting = '(disabled)' then p.reset_val else p.setting end)
      filter (where p.name = 'archive_command') as command,
    pg_catalog.max(p.setting) filter (where p.name = 'archive_library') as library,
    pg_catalog.max(p.setting::int8) filter (where p.name = 'wal_segment_size') as segment_bytes
  from pg_catalog.pg_settings as p
  where p.name in ('archive_mode', 'archive_command', 'archive_library', 'wal_segment_size')
) as s
