/* pgrunbook: obstacles */
select
  c.oid::int8 as oid,
  n.nspname::text as schema,
  c.relname::text as name,
  coalesce(l.is_locked, false) as is_locked,
  not (
    c.relkind not in ('r', 'p')
    or pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT')
  ) as is_unreadable
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join (
  select k.relation, true as is_locked
  from pg_catalog.pg_locks as k
  where k.locktype = 'relation'
    and k.mode = 'AccessExclusiveLock'
    and k.database = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
    and k.pid <> pg_catalog.pg_backend_pid()
  group by k.relation
) as l on l.relation = c.oid
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  and n.nspname !~ '^pg_temp_'
  and (
    l.is_locked
    or c.relkind in ('r', 'p')
    and not (pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_table_privilege(c.oid, 'SELECT'))
  )
order by n.nspname, c.relname
