/* pgrunbook: index_definitions */
select
  i.indexrelid::int8 as oid,
  i.indrelid::int8 as table_oid,
  pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
  pg_catalog.pg_get_expr(i.indpred, i.indrelid) as predicate,
  pg_catalog.pg_get_expr(i.indexprs, i.indrelid) as expressions
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
  and i.indrelid::int8 <> all (%(skip)s::int8[]) and i.indexrelid::int8 <> all (%(skip)s::int8[])
order by i.indexrelid
