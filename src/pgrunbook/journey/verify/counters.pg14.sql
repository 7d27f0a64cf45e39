/* pgrunbook: counters */
/* On versions of the extension without `stats_since` it is taken from `missing`. */
select
  s.queryid::int8 as queryid,
  s.userid::int8 as role_oid,
  s.toplevel as toplevel,
  s.calls::int8 as calls,
  s.total_exec_time::float8 as total_ms,
  s.stddev_exec_time::float8 as stddev_ms,
  s.rows::int8 as rows,
  s.blocks::int8 as blocks,
  s.stats_since::text as stats_since
from (values (true, null::timestamptz)) as missing (toplevel, stats_since)
cross join lateral (
  select
    queryid,
    userid,
    toplevel,
    calls,
    total_exec_time,
    stddev_exec_time,
    "rows",
    shared_blks_hit + shared_blks_read + local_blks_hit + local_blks_read + temp_blks_read + temp_blks_written as blocks,
    stats_since
  from {extension_schema}.pg_stat_statements(false)
  where dbid = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
    and queryid is not null
) as s
order by s.queryid, s.userid, s.toplevel
