/* pgrunbook: constraint_definitions */
select
  x.oid::int8 as oid,
  x.conrelid::int8 as table_oid,
  pg_catalog.pg_get_constraintdef(x.oid) as definition
from pg_catalog.pg_constraint as x
join pg_catalog.pg_namespace as n on n.oid = x.connamespace
where x.contype in ('p', 'u', 'x', 'f', 'c')
  and x.conrelid <> 0
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
  and x.conrelid::int8 <> all (%(skip)s::int8[]) and x.confrelid::int8 <> all (%(skip)s::int8[])
order by x.oid
