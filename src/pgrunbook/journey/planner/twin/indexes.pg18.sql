/* pgrunbook: indexes */
select
  x.indexrelid::int8 as oid,
  x.indrelid::int8 as table_oid,
  n.nspname::text as schema,
  i.relname::text as name,
  i.relkind::text as kind,
  m.amname::text as method,
  x.indisunique as is_unique,
  coalesce(pg_catalog.pg_get_expr(x.indpred, x.indrelid), '') as predicate,
  coalesce(i.reloptions, '{}')::text[] as options,
  coalesce(pg_catalog.pg_relation_filepath(i.oid), '')::text as path,
  t.reltuples::float8 as table_rows,
  t.relpages::int8 as table_pages,
  tn.nspname::text as table_schema,
  t.relname::text as table_label
from pg_catalog.pg_index as x
join pg_catalog.pg_class as i on i.oid = x.indexrelid
join pg_catalog.pg_namespace as n on n.oid = i.relnamespace
join pg_catalog.pg_class as t on t.oid = x.indrelid
join pg_catalog.pg_namespace as tn on tn.oid = t.relnamespace
join pg_catalog.pg_am as m on m.oid = i.relam
where x.indexrelid >= 16384
  and (%(oids)s::oid[] is null or x.indexrelid = any (%(oids)s::oid[]))
order by x.indexrelid
