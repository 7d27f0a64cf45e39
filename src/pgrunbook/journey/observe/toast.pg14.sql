/* pgrunbook: toast */
select
  c.oid::int8 as table_oid,
  t.oid::int8 as oid,
  t.relpages::int8 as pages,
  t.reltuples::float8 as chunks,
  (t.relpages::int8 * pg_catalog.current_setting('block_size')::int8) as size_bytes,
  pg_catalog.pg_stat_get_live_tuples(t.oid)::int8 as live_chunks,
  pg_catalog.pg_stat_get_dead_tuples(t.oid)::int8 as dead_chunks,
  pg_catalog.pg_stat_get_last_vacuum_time(t.oid) as last_vacuum_at,
  pg_catalog.pg_stat_get_last_autovacuum_time(t.oid) as last_autovacuum_at,
  pg_catalog.age(t.relfrozenxid)::int8 as frozen_xid_age
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_class as t on t.oid = c.reltoastrelid
where c.relkind in ('r', 'm')
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%'
order by c.oid
