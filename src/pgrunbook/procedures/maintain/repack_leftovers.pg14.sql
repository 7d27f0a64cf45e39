/* pgrunbook: repack_leftovers */
with
made as (
  select r.relname::text as name, pg_catalog.substring(r.relname::text, '[0-9]+$')::int8 as table_oid
  from pg_catalog.pg_class as r
  join pg_catalog.pg_namespace as m on m.oid = r.relnamespace
  where m.nspname = 'repack' and r.relkind = 'r' and r.relname ~ '^(log|table)_[0-9]{1,10}$'
),
types as (
  select pg_catalog.substring(y.typname::text, '[0-9]+$')::int8 as table_oid
  from pg_catalog.pg_type as y
  join pg_catalog.pg_namespace as m on m.oid = y.typnamespace
  where m.nspname = 'repack' and y.typname ~ '^pk_[0-9]{1,10}$'
),
triggers as (
  select distinct t.tgrelid::int8 as table_oid from pg_catalog.pg_trigger as t where t.tgname = 'repack_trigger'
),
touched as (
  select table_oid from made union select table_oid from types union select table_oid from triggers
)
select
  c.oid::int8 as oid,
  n.nspname::text as schema,
  c.relname::text as "table",
  exists (select from triggers as t where t.table_oid = c.oid::int8) as has_trigger,
  array(select m.name from made as m where m.table_oid = c.oid::int8 order by m.name)::text[] as tables,
  exists (select from types as y where y.table_oid = c.oid::int8) as has_type
from touched as x
join pg_catalog.pg_class as c on c.oid::int8 = x.table_oid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
order by n.nspname, c.relname
