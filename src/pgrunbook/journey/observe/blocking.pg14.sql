/* pgrunbook: blocking */
with
waiting as materialized (
  select distinct on (l.pid) l.*
  from pg_catalog.pg_locks as l
  where not l.granted and l.pid is not null
  order by l.pid, l.waitstart
),
oldest as materialized (
  select w.* from waiting as w order by w.waitstart nulls last, w.pid limit 500
),
ownerless as materialized (
  select l.* from pg_catalog.pg_locks as l where l.pid is null and l.granted
),
prepared as (
  select l.*, x.gid
  from pg_catalog.pg_prepared_xacts as x
  join ownerless as o on o.locktype = 'transactionid' and o.transactionid = x.transaction
  join ownerless as l on l.virtualtransaction = o.virtualtransaction
)
select
  w.pid::int4 as pid,
  pg_catalog.pg_blocking_pids(w.pid)::int4[] as blocked_by,
  array(
    select p.gid::text from prepared as p
    where p.locktype = w.locktype
      and p.database is not distinct from w.database
      and p.relation is not distinct from w.relation
      and p.page is not distinct from w.page
      and p.tuple is not distinct from w.tuple
      and p.transactionid is not distinct from w.transactionid
      and p.classid is not distinct from w.classid
      and p.objid is not distinct from w.objid
      and p.objsubid is not distinct from w.objsubid
    order by p.gid
  ) as prepared_gids,
  w.locktype as lock_type,
  w.mode as mode,
  n.nspname::text as schema,
  c.relname::text as name,
  extract(epoch from pg_catalog.clock_timestamp() - w.waitstart)::float8 as waiting_s
from oldest as w
left join pg_catalog.pg_class as c
  on c.oid = w.relation
    and w.database = (
      select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database()
    )
left join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
order by w.pid
