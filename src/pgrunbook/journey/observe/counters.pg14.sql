/* pgrunbook: counters */
select
  d.stats_reset as reset_at,
  least(b.stats_reset, a.stats_reset, w.stats_reset) as kept_since_at,
  pg_catalog.clock_timestamp() as now_at,
  (select pg_catalog.count(*) from pg_catalog.pg_stat_replication)::int4 as walsenders,
  (select pg_catalog.count(*) from pg_catalog.pg_replication_slots as s where s.slot_type = 'physical')::int4
    as physical_slots,
  pg_catalog.current_setting('track_counts')::bool as is_counting
from pg_catalog.pg_stat_database as d
cross join pg_catalog.pg_stat_bgwriter as b
cross join pg_catalog.pg_stat_archiver as a
cross join pg_catalog.pg_stat_wal as w
where d.datname = pg_catalog.current_database()
