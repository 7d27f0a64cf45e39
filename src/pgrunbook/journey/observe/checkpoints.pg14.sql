/* pgrunbook: checkpoints */
select
  c.checkpoints_timed::int8 as timed,
  c.checkpoints_req::int8 as requested,
  extract(epoch from t.now_at - c.stats_reset)::float8 as counters_age_s,
  w.wal_bytes::int8 as wal_bytes,
  extract(epoch from t.now_at - w.stats_reset)::float8 as wal_counters_age_s
from pg_catalog.pg_stat_bgwriter as c
cross join pg_catalog.pg_stat_wal as w
cross join (select pg_catalog.clock_timestamp() as now_at) as t
