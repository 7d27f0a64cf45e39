/* pgrunbook: index_work */
select
  l.pid::int4 as pid,
  l.relation::int8 as oid,
  p.pid is not null as is_build
from pg_catalog.pg_locks as l
left join pg_catalog.pg_stat_progress_create_index as p on p.pid = l.pid
where l.locktype = 'relation'
  and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'AccessExclusiveLock')
  and l.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
order by l.relation, l.pid
