/* pgrunbook: lock_holders */
select distinct
  k.pid::int4 as pid,
  coalesce(a.usename, '')::text as role,
  coalesce(a.application_name, '') as application,
  coalesce(a.state, a.backend_type, '') as state,
  k.granted as holds,
  pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start)::float8 as transaction_age_s
from pg_catalog.pg_locks as k
left join pg_catalog.pg_stat_activity as a on a.pid = k.pid
where k.locktype = 'relation'
  and k.mode = 'AccessExclusiveLock'
  and k.relation = any (%(oids)s::oid[])
  and k.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
order by holds desc, pid
