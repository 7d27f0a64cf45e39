/* pgrunbook: tables */
select
  c.oid::int8 as oid,
  n.nspname::text as schema,
  c.relname::text as name,
  pg_catalog.pg_relation_filepath(c.oid)::text as path
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and c.oid >= 16384 and c.relpersistence <> 't'
