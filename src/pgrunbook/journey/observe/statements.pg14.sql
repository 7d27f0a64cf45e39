/* pgrunbook: statements */
/* An unqualified column that the installed version of the view lacks is taken from `missing`. */
select
  r.rolname::text as role,
  s.queryid::int8 as queryid,
  s.toplevel as toplevel,
  case
    when s.query ~* 'password' and s.query ~ $re$'|[$][^0-9]$re$ then '<hidden: it may hold a password>'
    else pg_catalog.left(s.query, 32769)
  end as query,
  s.calls::int8 as calls,
  s.plans::int8 as plans,
  s.total_exec_time::float8 as total_exec_ms,
  s.mean_exec_time::float8 as mean_exec_ms,
  s.min_exec_time::float8 as min_exec_ms,
  s.max_exec_time::float8 as max_exec_ms,
  s.stddev_exec_time::float8 as stddev_exec_ms,
  s.total_plan_time::float8 as total_plan_ms,
  s.rows::int8 as rows,
  s.shared_blks_hit::int8 as shared_hit_blocks,
  s.shared_blks_read::int8 as shared_read_blocks,
  s.shared_blks_dirtied::int8 as shared_dirtied_blocks,
  s.shared_blks_written::int8 as shared_written_blocks,
  s.local_blks_hit::int8 as local_hit_blocks,
  s.local_blks_read::int8 as local_read_blocks,
  s.local_blks_dirtied::int8 as local_dirtied_blocks,
  s.local_blks_written::int8 as local_written_blocks,
  s.temp_blks_read::int8 as temp_read_blocks,
  s.temp_blks_written::int8 as temp_written_blocks,
  coalesce(s.shared_blk_read_time, s.blk_read_time, 0)::float8 as shared_block_read_ms,
  coalesce(s.shared_blk_write_time, s.blk_write_time, 0)::float8 as shared_block_write_ms,
  s.temp_blk_read_time::float8 as temp_block_read_ms,
  s.temp_blk_write_time::float8 as temp_block_write_ms,
  s.wal_bytes::int8 as wal_bytes,
  s.stats_since as stats_since
from (
  values (
    true, null::float8, null::float8, null::float8, null::float8, 0::float8, 0::float8, null::timestamptz
  )
) as missing (
  toplevel, blk_read_time, blk_write_time, shared_blk_read_time, shared_blk_write_time,
  temp_blk_read_time, temp_blk_write_time, stats_since
)
cross join lateral (
  select
    userid, queryid, toplevel, query, calls, plans, total_exec_time, mean_exec_time, min_exec_time, max_exec_time,
    stddev_exec_time, total_plan_time, "rows", shared_blks_hit, shared_blks_read, shared_blks_dirtied,
    shared_blks_written, local_blks_hit, local_blks_read, local_blks_dirtied, local_blks_written, temp_blks_read,
    temp_blks_written, blk_read_time, blk_write_time, shared_blk_read_time, shared_blk_write_time, temp_blk_read_time,
    temp_blk_write_time, wal_bytes, stats_since
  from {extension_schema}.pg_stat_statements
  where dbid = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
    and queryid is not null
) as s
left join pg_catalog.pg_roles as r on r.oid = s.userid
order by s.total_exec_time desc, s.queryid, s.userid, s.toplevel
