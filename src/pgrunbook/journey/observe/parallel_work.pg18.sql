/* pgrunbook: parallel_work */
select
  pg_catalog.sum(s.parallel_workers_to_launch)::int8 as workers_wanted,
  pg_catalog.sum(s.parallel_workers_launched)::int8 as workers_launched,
  extract(
    epoch from pg_catalog.clock_timestamp() - coalesce(
      pg_catalog.max(s.stats_reset), (select b.stats_reset from pg_catalog.pg_stat_bgwriter as b)
    )
  )::float8 as counters_age_s
from pg_catalog.pg_stat_database as s
