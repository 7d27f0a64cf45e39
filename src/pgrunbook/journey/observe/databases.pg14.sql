/* pgrunbook: databases */
with catalogs as (
  select
    pg_catalog.max(pg_catalog.age(c.relfrozenxid)) as xid_age,
    pg_catalog.max(case when c.relminmxid::text <> '0' then pg_catalog.mxid_age(c.relminmxid) end) as mxid_age
  from pg_catalog.pg_class as c
  left join pg_catalog.pg_class as o on o.reltoastrelid = c.oid and c.relkind = 't'
  join pg_catalog.pg_namespace as n on n.oid = coalesce(o.relnamespace, c.relnamespace)
  where c.relkind in ('r', 'm', 't') and n.nspname in ('pg_catalog', 'information_schema')
)

select
  d.datname::text as name,
  (d.datname = pg_catalog.current_database()) as is_current,
  d.datistemplate as is_template,
  d.datallowconn as allows_connections,
  d.datconnlimit::int4 as connection_limit,
  pg_catalog.age(d.datfrozenxid)::int8 as frozen_xid_age,
  pg_catalog.mxid_age(d.datminmxid)::int8 as min_mxid_age,
  case when d.datname = pg_catalog.current_database() then k.xid_age end::int8 as catalog_xid_age,
  case when d.datname = pg_catalog.current_database() then k.mxid_age end::int8 as catalog_mxid_age,
  coalesce(s.numbackends, 0)::int4 as backends,
  coalesce(s.xact_commit, 0)::int8 as commits,
  coalesce(s.xact_rollback, 0)::int8 as rollbacks,
  coalesce(s.blks_read, 0)::int8 as blocks_read,
  coalesce(s.blks_hit, 0)::int8 as blocks_hit,
  coalesce(s.tup_returned, 0)::int8 as rows_returned,
  coalesce(s.tup_fetched, 0)::int8 as rows_fetched,
  coalesce(s.tup_inserted, 0)::int8 as rows_inserted,
  coalesce(s.tup_updated, 0)::int8 as rows_updated,
  coalesce(s.tup_deleted, 0)::int8 as rows_deleted,
  coalesce(s.conflicts, 0)::int8 as conflicts,
  coalesce(s.temp_files, 0)::int8 as temp_files,
  coalesce(s.temp_bytes, 0)::int8 as temp_bytes,
  coalesce(s.deadlocks, 0)::int8 as deadlocks,
  s.checksum_failures::int8 as checksum_failures,
  extract(epoch from t.now_at - s.checksum_last_failure)::float8 as last_checksum_failure_age_s,
  coalesce(s.sessions, 0)::int8 as sessions,
  coalesce(s.session_time, 0)::float8 / 1000 as session_time_s,
  coalesce(s.active_time, 0)::float8 / 1000 as active_time_s,
  coalesce(s.idle_in_transaction_time, 0)::float8 / 1000 as idle_in_transaction_time_s,
  coalesce(s.sessions_abandoned, 0)::int8 as sessions_abandoned,
  coalesce(s.sessions_fatal, 0)::int8 as sessions_fatal,
  coalesce(s.sessions_killed, 0)::int8 as sessions_killed,
  s.stats_reset as reset_at,
  extract(
    epoch from t.now_at - coalesce(s.stats_reset, least(b.stats_reset, a.stats_reset, w.stats_reset))
  )::float8 as counters_age_s
from pg_catalog.pg_database as d
cross join catalogs as k
cross join (select pg_catalog.clock_timestamp() as now_at) as t
cross join pg_catalog.pg_stat_bgwriter as b
cross join pg_catalog.pg_stat_archiver as a
cross join pg_catalog.pg_stat_wal as w
left join pg_catalog.pg_stat_database as s on s.datid = d.oid
order by d.datname
